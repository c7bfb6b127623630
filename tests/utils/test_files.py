"""Atomic files and folders, bounded reads, and fingerprints of checkpoints."""

import os

import pytest
from refusals import refusal

from dgl.errors import UserError
from dgl.utils.files import (
    has_content,
    new_folder,
    read_bounded,
    weights_fingerprint,
    write_atomically,
)


def test_the_bytes_are_written_and_nothing_else_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "a.bin", "a.bin"):  # a bare name is in the working folder
        write_atomically(path, b"\x00\xffdata")
        assert (tmp_path / "a.bin").read_bytes() == b"\x00\xffdata"
        assert os.listdir(str(tmp_path)) == ["a.bin"]
        os.remove("a.bin")


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
    with pytest.raises(TypeError):
        write_atomically(path, "text, not bytes")
    assert path.read_bytes() == b"earlier"
    assert os.listdir(str(tmp_path)) == ["a.txt"]


@pytest.mark.parametrize("name", ["folder", "file/b.txt"])
def test_a_folder_or_file_in_the_way_stays(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UserError, match=name + ": cannot be written"):
        write_atomically(tmp_path / name, b"later")
    assert sorted(os.listdir(str(tmp_path))) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"x" and not os.listdir(str(tmp_path / "folder"))


def fill(folder):
    os.makedirs(os.path.join(folder, "a"))


@pytest.mark.parametrize("there", [False, True], ids=["absent", "empty"])
def test_complete_folder_takes_its_place(tmp_path, there):
    out = tmp_path / "below" / "out"
    if there:
        out.mkdir(parents=True)
    assert not has_content(str(out))
    with new_folder(str(out)) as folder:
        fill(folder)
        assert os.path.dirname(folder) == str(out.parent)
        assert out.exists() == there and not has_content(str(out))
    assert has_content(str(out))
    assert os.listdir(str(out)) == ["a"] and os.listdir(str(out.parent)) == ["out"]


@pytest.mark.parametrize(
    "error, seen",
    [(OSError(28, "full"), UserError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["disk", "interrupt"],
)
def test_nothing_is_left_of_a_block_that_raises(tmp_path, error, seen):
    with pytest.raises(seen) as caught, new_folder(str(tmp_path / "out")) as folder:
        fill(folder)
        raise error
    if seen is UserError:
        assert str(caught.value) == "--out {}: cannot be written (full)".format(tmp_path / "out")
    assert os.listdir(str(tmp_path)) == []


def test_a_file_or_a_folder_that_was_filled_meanwhile_stays(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="--out .*cannot be written"), new_folder(str(out)) as made:
        fill(made)
        fill(str(out / "other"))
    assert os.listdir(str(out)) == ["other"] and os.listdir(str(tmp_path)) == ["out"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="expected a new folder, found a file"):
        has_content(str(tmp_path / "file"))


def test_weights_have_the_fingerprint_of_all_their_files(tmp_path):
    (tmp_path / "model.npz").write_bytes(b"weights")
    alone = weights_fingerprint(str(tmp_path / "model.npz"))
    (tmp_path / "model.npz").write_bytes(b"Weights")
    assert weights_fingerprint(str(tmp_path / "model.npz")) != alone
    for name in ("model-1.index", "model-1.data-00000-of-00001", "model-10.index"):
        (tmp_path / name).write_bytes(name.encode())
    before = weights_fingerprint(str(tmp_path / "model-1"))
    (tmp_path / "model-10.index").write_bytes(b"of another checkpoint")
    assert weights_fingerprint(str(tmp_path / "model-1")) == before
    (tmp_path / "model-1.data-00000-of-00001").write_bytes(b"changed")
    assert weights_fingerprint(str(tmp_path / "model-1")) != before
    assert weights_fingerprint(str(tmp_path / "nothing")) != before


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
