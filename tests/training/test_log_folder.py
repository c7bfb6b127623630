"""The log folder: one training at a time, earlier runs moved aside."""

import os

import pytest

from dgl.errors import UserError
from dgl.training.log_folder import LogFolder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    return tmp_path / "train_log"


def test_an_earlier_run_is_moved_aside(folder):
    with LogFolder("run", resume=False):
        (folder / "run" / "model-8.index").write_bytes(b"first")
    with LogFolder("run", resume=False):
        assert not (folder / "run" / "model-8.index").exists()
    (aside,) = [name for name in os.listdir(str(folder)) if name != "run"]
    assert (folder / aside / "model-8.index").read_bytes() == b"first"


def test_a_resumed_run_stays_and_leftovers_go(folder):
    with LogFolder("run", resume=True):
        (folder / "run" / "model-8.index").write_bytes(b"first")
        (folder / "run" / "model-9.index.tempstate1").write_bytes(b"half")
    with LogFolder("run", resume=True):
        assert (folder / "run" / "model-8.index").read_bytes() == b"first"
        assert not (folder / "run" / "model-9.index.tempstate1").exists()
    assert os.listdir(str(folder)) == ["run"]


@pytest.mark.parametrize("resume", [True, False])
def test_two_at_a_time_are_refused(folder, resume):
    with LogFolder("run", resume=False):
        with pytest.raises(UserError, match="--logdir run: another training is running"):
            LogFolder("run", resume)
        assert os.listdir(str(folder)) == ["run"]
    LogFolder("run", resume).close()


def test_a_file_in_its_place_is_told(folder):
    folder.mkdir()
    (folder / "run").write_bytes(b"")
    with pytest.raises(UserError, match="--logdir run: "):
        LogFolder("run", resume=False)
    assert (folder / "run").read_bytes() == b""
