"""Files of bounded size: what is read whole, what is no file, and what is too large."""

import os

import pytest

from dgl.errors import UserError
from dgl.utils.files import read_bounded


def test_file_up_to_the_bound_is_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"\r\n\0x")
    assert read_bounded(str(tmp_path / "a"), 4, "a file") == b"\r\n\0x"
    with pytest.raises(UserError, match="a: more than 3 bytes; expected a file, which"):
        read_bounded(str(tmp_path / "a"), 3, "a file")


def test_no_such_file_is_none(tmp_path):
    assert read_bounded(str(tmp_path / "absent"), 9, "a file") is None


def test_what_is_no_file(tmp_path):
    os.mkfifo(str(tmp_path / "pipe"))
    for path in (str(tmp_path), str(tmp_path / "pipe")):
        with pytest.raises(UserError) as caught:
            read_bounded(path, 9, "a thing")
        assert str(caught.value) == path + ": not a file; expected a thing"


@pytest.mark.parametrize("name", ["a\n" + "b" * 500, "a\0b"], ids=["too long", "zero byte"])
def test_impossible_name_ends_in_one_short_line(tmp_path, name):
    with pytest.raises(UserError, match="cannot be read") as caught:
        read_bounded(str(tmp_path / name), 9, "a file")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
