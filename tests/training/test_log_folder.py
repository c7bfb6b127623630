"""The log folder: one training at a time, earlier runs moved aside; ``stats.json``, row by row."""

import os
from types import SimpleNamespace

import pytest

from dgl.errors import UserError
from dgl.training.early_stop import EarlyStop
from dgl.training.log_folder import Statistics, open_log_folder, read_rows

from tensorpack.callbacks.monitor import JSONWriter  # isort: skip
from tensorpack.train import StopTraining  # isort: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    return tmp_path / "train_log"


def test_an_earlier_run_is_moved_aside(folder):
    with open_log_folder("run", resume=False):
        (folder / "run" / "model-8.index").write_bytes(b"first")
    with open_log_folder("run", resume=False):
        assert not (folder / "run" / "model-8.index").exists()
    (aside,) = [name for name in os.listdir(str(folder)) if name != "run"]
    assert (folder / aside / "model-8.index").read_bytes() == b"first"


def test_a_resumed_run_stays_and_leftovers_go(folder):
    with open_log_folder("run", resume=True):
        (folder / "run" / "model-8.index").write_bytes(b"first")
        (folder / "run" / "model-9.index.tempstate1").write_bytes(b"half")
    with open_log_folder("run", resume=True):
        assert (folder / "run" / "model-8.index").read_bytes() == b"first"
        assert not (folder / "run" / "model-9.index.tempstate1").exists()
    assert os.listdir(str(folder)) == ["run"]


@pytest.mark.parametrize("resume", [True, False])
def test_two_at_a_time_are_refused(folder, resume):
    with open_log_folder("run", resume=False):
        with pytest.raises(UserError, match="--logdir run: another training is running"):
            open_log_folder("run", resume).__enter__()
        assert os.listdir(str(folder)) == ["run"]
    with open_log_folder("run", resume):
        pass


def test_a_file_in_its_place_is_told(folder):
    folder.mkdir()
    (folder / "run").write_bytes(b"")
    with pytest.raises(UserError, match="--logdir run: "):
        open_log_folder("run", resume=False).__enter__()
    assert (folder / "run").read_bytes() == b""


def record(folder, epoch, **scalars):
    """Continue the rows in a folder by one write."""
    statistics = Statistics(str(folder), read_rows(str(folder)), EarlyStop())
    statistics.trainer = SimpleNamespace(epoch_num=epoch, global_step=10 * epoch)
    for name, value in scalars.items():
        statistics.process_scalar(name, value)
    statistics.trigger()
    return statistics.rows


def test_rows_in_tensorpack_s_format(tmp_path):
    assert record(tmp_path, 1) == read_rows(str(tmp_path)) == []
    record(tmp_path, 1, cost=0.5)
    record(tmp_path, 1, error=0.1)  # completes the row
    rows = record(tmp_path, 2, cost=0.25)
    assert rows == read_rows(str(tmp_path)) == JSONWriter.load_existing_json(str(tmp_path))
    assert [list(row.items()) for row in rows] == [
        [("cost", 0.5), ("epoch_num", 1), ("global_step", 10), ("error", 0.1)],
        [("cost", 0.25), ("epoch_num", 2), ("global_step", 20)],
    ]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'[{"epoch_num": 1}]', b"\xff\xfe", b'{"a": 1}', b"[" * 100000]
)
def test_damage_is_one_line(tmp_path, content):
    (tmp_path / "stats.json").write_bytes(content)
    with pytest.raises(UserError, match=r"stats\.json: damaged") as caught:
        read_rows(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_written_stops_training(tmp_path):
    early_stop = EarlyStop()
    statistics = Statistics(str(tmp_path / "file" / "log"), [], early_stop)
    (tmp_path / "file").write_bytes(b"")  # no folder
    statistics.trainer = SimpleNamespace(epoch_num=1, global_step=10)
    statistics.process_scalar("cost", 0.5)
    with pytest.raises(StopTraining):
        statistics.trigger()
    assert (early_stop.reason.exit_code, early_stop.reason.save) == (1, False)
