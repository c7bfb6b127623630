"""A folder that takes its place in one step: what it may replace, and what a failure leaves."""

import os

import pytest

from dgl.errors import UserError
from dgl.utils.files import holds_something, new_folder


def fill(folder):
    os.makedirs(os.path.join(folder, "a"))


@pytest.mark.parametrize("there", [False, True], ids=["absent", "empty"])
def test_complete_folder_takes_its_place(tmp_path, there):
    out = tmp_path / "below" / "out"
    if there:
        out.mkdir(parents=True)
    assert not holds_something(str(out))
    with new_folder(str(out)) as folder:
        fill(folder)
        assert os.path.dirname(folder) == str(out.parent)
        assert out.exists() == there and not holds_something(str(out))
    assert holds_something(str(out))
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


def test_folder_that_was_filled_meanwhile_stays(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="--out .*cannot be written"), new_folder(str(out)) as made:
        fill(made)
        fill(str(out / "other"))
    assert os.listdir(str(out)) == ["other"] and os.listdir(str(tmp_path)) == ["out"]


def test_file_is_no_place(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(UserError, match="expected a new folder, found a file"):
        holds_something(str(tmp_path / "out"))
