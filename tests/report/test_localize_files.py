"""Folder names of the images of ``dgl localize``."""

import pytest

from dgl.report.localize_files import folder_names


@pytest.mark.parametrize(
    "names, expected",
    [
        (["a.png"], ["a"]),
        (["a.png", "b.jpg"], ["a", "b"]),
        (["a.bmp", "a.png", "b.png"], ["a.bmp", "a.png", "b"]),
        # The folder `a.png` is that of another image, `results.jsonl` is a file.
        (["a.bmp", "a.png", "a.png.jpg"], ["a.bmp", "a.png", "a.png.jpg"]),
        (["a.png", "a.png.jpg"], ["a", "a.png"]),
        (["results.jsonl.png"], ["results.jsonl.png"]),
        # Of several folders.
        (["a/x.png", "b/x.png", "c/x.png"], ["x", "x-2", "x-3"]),
        (["a/x.png", "a/x-2.png", "b/x.png"], ["x", "x-2", "x-3"]),
        (["a/x.png", "a/x.jpg", "b/x.png"], ["x.png", "x.jpg", "x.png-2"]),
    ],
)
def test_folder_names(names, expected):
    assert folder_names(["in/" + name for name in names]) == expected
