"""Atomic files and folders, bounded reads, and fingerprints of checkpoints."""

import os

import pytest
from refusals import refusal

from dgl.errors import UserError
from dgl.utils.files import new_folder, read_bounded, weights_fingerprint, write_atomically


def test_the_bytes_are_written_and_nothing_else_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("a.bin", "below/a.bin"):  # a bare name is in the working folder
        write_atomically(path, b"\x00\xffdata")
        assert (tmp_path / path).read_bytes() == b"\x00\xffdata"
    assert sorted(os.listdir(".")) == ["a.bin", "below"] and os.listdir("below") == ["a.bin"]


@pytest.mark.parametrize("failing", ["dgl.utils.files.os.replace", "builtins.open"])
def test_a_failure_keeps_the_earlier_file_and_leaves_no_other(tmp_path, monkeypatch, failing):
    path = tmp_path / "a.txt"
    path.write_bytes(b"earlier")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(failing, fail)
    with pytest.raises(UserError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        write_atomically(path, b"later")
    monkeypatch.undo()
    with pytest.raises(UserError, match="a.txt/b: cannot be written"):
        write_atomically(path / "b", b"later")
    assert path.read_bytes() == b"earlier"
    assert os.listdir(str(tmp_path)) == ["a.txt"]


def fill(folder, name="a"):
    os.makedirs(os.path.join(folder, name))


@pytest.mark.parametrize("replace", [False, True])
def test_complete_folder_takes_its_place(tmp_path, replace):
    out = tmp_path / "below" / "out"
    (out / "earlier" if replace else out).mkdir(parents=True)
    fill(str(out.parent / ".out.partial"), "of a killed program")
    with new_folder(str(out), replace) as folder:
        assert os.listdir(folder) == []
        fill(folder)
        assert os.listdir(str(out)) == ["earlier"] * replace
    assert os.listdir(str(out)) == ["a"] and os.listdir(str(out.parent)) == ["out"]


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt()], ids=["disk", "key"])
def test_nothing_is_left_of_a_block_that_raises(tmp_path, error):
    seen = UserError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(seen), new_folder(str(tmp_path / "out")) as folder:
        fill(folder)
        raise error
    assert os.listdir(str(tmp_path)) == []


def test_a_file_or_a_folder_that_was_filled_meanwhile_stays(tmp_path):
    out = str(tmp_path / "out")
    with pytest.raises(UserError, match="--out .*cannot be written"), new_folder(out) as made:
        fill(made)
        fill(out, "other")
    with pytest.raises(UserError, match="--out .*expected a new or empty folder"), new_folder(out):
        pass
    assert os.listdir(out) == ["other"] and os.listdir(str(tmp_path)) == ["out"]


def test_weights_have_the_fingerprint_of_all_their_files(tmp_path):
    (tmp_path / "saved").mkdir()
    files = {
        "model.npz": "model.npz",
        "saved": "saved/model.pb",
        "model-1": "model-1.data-00000-of-00001",
    }
    for path in ("model-1.index", "model-10.index", *files.values()):
        (tmp_path / path).write_bytes(path.encode())
    before = {name: weights_fingerprint(str(tmp_path / name)) for name in files}
    (tmp_path / "model-10.index").write_bytes(b"of another checkpoint")
    for name, path in files.items():
        assert weights_fingerprint(str(tmp_path / name)) == before[name]
        (tmp_path / path).write_bytes(b"changed")
        assert weights_fingerprint(str(tmp_path / name)) != before[name]


def test_file_up_to_the_bound_is_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"\r\n\0x")
    assert read_bounded(str(tmp_path / "a"), 4, "a file") == b"\r\n\0x"
    with pytest.raises(UserError, match="a: more than 3 bytes.*expected a file"):
        read_bounded(str(tmp_path / "a"), 3, "a file")
    assert read_bounded(str(tmp_path / "absent"), 9, "a file") is None


def test_what_is_no_file_ends_in_one_short_line(tmp_path):
    os.mkfifo(str(tmp_path / "pipe"))
    for path in (str(tmp_path), str(tmp_path / "pipe")):
        assert refusal(read_bounded, path, 9, "a thing") == path + ": not a file; expected a thing"
    for name in ("a\n" + "b" * 500, "a\0b"):
        message = refusal(read_bounded, str(tmp_path / name), 9, "a file")
        assert "cannot be read" in message and len(message) < 500
