"""Which checkpoint is the last whole one, and what unfinished saves leave."""

import os

import pytest

from dgl.training.checkpointing import last_checkpoint, parts_of, remove_leftovers


def touch(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"x")


def whole(folder, name):
    touch(folder, *(os.path.basename(path) for path in parts_of(name)))


def note(folder, name):
    text = f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'
    (folder / "checkpoint").write_text(text)


@pytest.mark.parametrize(
    "state, expected",
    [
        ("model-8", "model-8"),
        ("model-16", "model-16"),
        ("model-24", "model-16"),  # its data is not there
        ("/elsewhere/model-8", "model-8"),  # the folder was moved
        (None, "model-16"),
        (b"\xff\xfe\x00", "model-16"),
        (b"", "model-16"),
        (b"model_checkpoint_path: 5", "model-16"),
    ],
)
def test_the_last_whole_checkpoint_is_found(tmp_path, state, expected):
    whole(tmp_path, "model-8")
    whole(tmp_path, "model-16")
    touch(tmp_path, "model-24.index", "model-x.index", "min-val-error-top1.index")
    if isinstance(state, bytes):
        (tmp_path / "checkpoint").write_bytes(state)
    elif state:
        note(tmp_path, state)
    assert last_checkpoint(str(tmp_path)) == str(tmp_path / expected)


def test_no_checkpoint(tmp_path):
    assert last_checkpoint(str(tmp_path)) is None
    assert last_checkpoint(str(tmp_path / "nowhere")) is None


def test_brackets_in_a_folder_s_name_are_no_pattern(tmp_path):
    folder = tmp_path / "lr[0.1]"
    folder.mkdir()
    whole(folder, "model-8")
    assert last_checkpoint(str(folder)) == str(folder / "model-8")
    touch(folder, "model-16.index.tempstate5")
    remove_leftovers(str(folder), str(folder / "model-8"))
    assert sorted(os.listdir(str(folder))) == ["model-8.data-00000-of-00001", "model-8.index"]


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    kept = ["checkpoint", "stats.json", "model.json", "log.log", "events.out.tfevents.1.host"]
    touch(tmp_path, *kept)
    whole(tmp_path, "model-8")
    whole(tmp_path, "min-val-error-top1")
    before = set(os.listdir(str(tmp_path)))
    touch(tmp_path, "model-9.data-00000-of-00001.tempstate1", "model-9.index.tempstate2", ".ab.tmp")
    touch(tmp_path, "min-val-error-top1.index.copy")
    (tmp_path / "model-9_temp_3").mkdir()
    touch(tmp_path / "model-9_temp_3", "part-00000")
    remove_leftovers(str(tmp_path))
    assert set(os.listdir(str(tmp_path))) == before
    whole(tmp_path, "model-16")
    remove_leftovers(str(tmp_path), str(tmp_path / "model-16"))
    left = {n for n in os.listdir(str(tmp_path)) if n.startswith("model-")}
    assert left == {"model-16.index", "model-16.data-00000-of-00001"}
    assert {"min-val-error-top1.index"} | set(kept) <= set(os.listdir(str(tmp_path)))
