"""The log folder: one training at a time, earlier runs moved aside; ``stats.json``, row by row."""

import os
from types import SimpleNamespace

import pytest
from refusals import check_refusal

from dgl.training import log_folder as module
from dgl.training.early_stop import EarlyStop
from dgl.training.log_folder import Statistics, open_log_folder, read_rows

from tensorpack.callbacks.monitor import JSONWriter  # isort: skip
from tensorpack.train import StopTraining  # isort: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    return tmp_path / "train_log"


def test_an_earlier_run_is_moved_aside(folder):
    for _ in range(2):
        with open_log_folder("run", resume=False):
            assert not (folder / "run" / "model-8.index").exists()
            (folder / "run" / "model-8.index").write_bytes(b"first")
    (aside,) = [name for name in os.listdir(str(folder)) if name != "run"]
    assert (folder / aside / "model-8.index").read_bytes() == b"first"


def test_a_resumed_run_stays_and_leftovers_go(folder):
    for _ in range(2):
        with open_log_folder("run", resume=True):
            assert not (folder / "run" / "model-9.index.tempstate1").exists()
            for name in ("model-8.index", "model-9.index.tempstate1"):
                (folder / "run" / name).write_bytes(b"first")
    assert os.listdir(str(folder)) == ["run"] and (folder / "run" / "model-8.index").exists()


@pytest.mark.parametrize("resume", [True, False])
def test_two_at_a_time_are_refused(folder, resume):
    with open_log_folder("run", resume=False):
        second = open_log_folder("run", resume)
        check_refusal("--logdir run: another training is running", second.__enter__)
        assert os.listdir(str(folder)) == ["run"]
    with open_log_folder("run", resume):
        pass


def test_a_file_in_its_place_is_told(folder):
    folder.mkdir()
    (folder / "run").write_bytes(b"")
    check_refusal("--logdir run: ", open_log_folder("run", resume=False).__enter__)
    assert (folder / "run").read_bytes() == b""


def record(folder, epoch, **scalars):
    """Continue the rows in a folder by one write."""
    statistics = Statistics(str(folder), read_rows(str(folder)), EarlyStop())
    statistics.trainer = SimpleNamespace(epoch_num=epoch, global_step=10 * epoch, max_epoch=30)
    for name, value in scalars.items():
        statistics.process_scalar(name.replace("_", "-"), value)
    statistics.trigger_epoch()
    return statistics.rows


def test_rows_in_tensorpack_s_format_and_a_line_of_each(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(module.logger, "info", lines.append)
    assert read_rows(str(tmp_path)) == []
    record(tmp_path, 1, cost=0.5, xentropy_loss=1.2344)
    record(tmp_path, 1, val_gt_known=0.488)  # completes the row
    rows = record(tmp_path, 12, cost=0.25, train_error_top1=0.351, pictures_per_second=63.2)
    assert rows == read_rows(str(tmp_path)) == JSONWriter.load_existing_json(str(tmp_path))
    place = [("epoch_num", 1), ("global_step", 10)]
    assert list(rows[0].items()) == [
        ("cost", 0.5), ("xentropy-loss", 1.2344), *place, ("val-gt-known", 0.488)
    ]  # fmt: skip
    assert (rows[1]["epoch_num"], rows[1]["global_step"], len(rows)) == (12, 120, 2)
    assert lines == [
        "epoch  1/30  loss 1.234",
        "epoch  1/30  loss 1.234  GT-known 48.8%",
        "epoch 12/30  train-error 35.1%  63.2 images/s",
    ]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'[{"epoch_num": 1}]', b"\xff\xfe", b'{"a": 1}', b"[" * 100000]
)
def test_damage_is_one_line(tmp_path, content):
    (tmp_path / "stats.json").write_bytes(content)
    check_refusal(r"stats\.json: damaged", read_rows, str(tmp_path))


def test_a_file_that_cannot_be_written_stops_training(tmp_path):
    early_stop = EarlyStop()
    statistics = Statistics(str(tmp_path / "file" / "log"), [], early_stop)
    (tmp_path / "file").write_bytes(b"")  # no folder
    statistics.trainer = SimpleNamespace(epoch_num=1, global_step=10)
    statistics.process_scalar("cost", 0.5)
    with pytest.raises(StopTraining):
        statistics.write()
    assert (early_stop.reason.exit_code, early_stop.reason.save) == (1, False)
