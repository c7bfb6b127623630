"""Files of folders: every extension is listed, and what is left out is counted."""

import os

import numpy as np
import pytest
from PIL import Image
from refusals import refusal
from trees import make

from dgl.data import image_files
from dgl.data.image_files import LeftOut, can_read_avif, can_read_heic, image_names, list_images
from dgl.data.image_io import read_image

# Pillow's format by extension, of those that are not named after it.
WRITTEN = {
    ".jfif": "JPEG", ".jpe": "JPEG", ".pjpeg": "JPEG", ".JPG": "JPEG", ".mpo": "JPEG", ".dib": "BMP",
    ".tga": "TGA", ".icb": "TGA", ".ico": "ICO", ".avif": "AVIF", ".heic": "HEIF", ".hif": "HEIF",
    ".j2k": "JPEG2000", ".jpx": "JPEG2000", ".pbm": "PPM", ".pnm": "PPM", ".apng": "PNG",
}  # fmt: skip


def write(path, rgb, form, **options):
    if form == "AVIF" and not can_read_avif():
        pytest.skip("this Pillow has no AVIF")
    if form == "HEIF" and not can_read_heic():
        pytest.skip("pillow-heif is not installed")
    if form == "ICO":
        options["sizes"] = [rgb.shape[1::-1]]
    Image.fromarray(rgb).save(str(path), form, **options)


@pytest.mark.parametrize("extension", sorted(WRITTEN))
def test_every_extension_is_listed_and_read(tmp_path, rgb, extension):
    path = tmp_path / ("a" + extension)
    write(path, rgb, WRITTEN[extension])
    assert list_images(str(tmp_path)) == [str(path)]
    np.testing.assert_allclose(read_image(str(path)).astype(int), rgb.astype(int), atol=12)


def test_what_cannot_be_read_is_counted_and_named(tmp_path, rgb, monkeypatch):
    Image.fromarray(rgb).save(str(tmp_path / "a.png"))
    names = ("b.heic", "c.HEIC", "d.svg", "e", "boxes.xml", ".hidden.psd", "folder.psd/f.psd")
    make(tmp_path, dict.fromkeys(names, "x"))
    monkeypatch.setattr(image_files, "can_read_heic", lambda: False)
    left_out = LeftOut()
    assert image_names(str(tmp_path), left_out) == ["a.png"]
    for part in ("4 files left out", "2 .heic (pip install", "1 .svg", "1 without extension"):
        assert part in str(left_out)
    os.remove(str(tmp_path / "a.png"))
    assert "no images in this folder (4 files left out" in refusal(list_images, str(tmp_path))


def test_list_images(tmp_path):
    assert "no such file or folder" in refusal(list_images, str(tmp_path / "absent"))
    names = ("b.jpg", "a.PNG", "c.JPEG", ".hidden.jpg", "notes.txt")
    make(tmp_path, {"folder.jpg/d.jpg": "x", **dict.fromkeys(names, "x")})
    assert list_images(str(tmp_path)) == [str(tmp_path / n) for n in ("a.PNG", "b.jpg", "c.JPEG")]
    text = str(tmp_path / "notes.txt")
    assert list_images(text) == [text]
