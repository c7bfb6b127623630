"""Files are there completely or not at all."""

import os

import pytest

from dgl.errors import UserError
from dgl.utils.files import write_atomically


def test_the_bytes_are_written_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"\x00\xffdata")
    assert path.read_bytes() == b"\x00\xffdata"
    assert os.listdir(str(tmp_path)) == ["a.bin"]


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "one" / "two" / "a.txt"
    write_atomically(str(path), b"x")
    assert path.read_bytes() == b"x"


def test_an_earlier_file_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, b"a long first content")
    write_atomically(path, b"short")
    assert path.read_bytes() == b"short"


def test_a_bare_name_goes_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("a.txt", b"x")
    assert (tmp_path / "a.txt").read_bytes() == b"x"


@pytest.mark.parametrize("failing", ["replace", "open"])
def test_a_failure_keeps_the_earlier_file_and_leaves_no_other(tmp_path, monkeypatch, failing):
    path = tmp_path / "a.txt"
    path.write_bytes(b"earlier")

    def fail(*_):
        raise OSError(28, "No space left on device")

    if failing == "replace":
        monkeypatch.setattr("dgl.utils.files.os.replace", fail)
    else:
        monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(UserError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        write_atomically(path, b"later")
    monkeypatch.undo()
    assert path.read_bytes() == b"earlier"
    assert os.listdir(str(tmp_path)) == ["a.txt"]


def test_a_bug_while_writing_leaves_no_temporary_file(tmp_path):
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "a.txt", "text, not bytes")
    assert os.listdir(str(tmp_path)) == []


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="a: cannot be written"):
        write_atomically(tmp_path / "a", b"x")
    assert os.listdir(str(tmp_path)) == ["a"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(UserError, match=r"b\.txt: cannot be written"):
        write_atomically(tmp_path / "a" / "b.txt", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
