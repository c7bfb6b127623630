"""stats.json: rows that are completed later, kept at once or not at all, and read again."""

from types import SimpleNamespace

import pytest

from dgl.errors import UserError
from dgl.training.early_stop import Halting
from dgl.training.statistics import Statistics, read_rows, write_rows

from tensorpack.callbacks.monitor import JSONWriter  # isort: skip
from tensorpack.train import StopTraining  # isort: skip


@pytest.fixture
def made(tmp_path):
    statistics = Statistics(str(tmp_path), [], Halting())
    statistics.trainer = SimpleNamespace(epoch_num=1, global_step=10)
    return statistics


def test_a_row_an_epoch_in_tensorpack_s_format(made, tmp_path):
    made.process_scalar("cost", 0.5)
    made.trigger()
    made.trainer = SimpleNamespace(epoch_num=2, global_step=20)
    made.process_scalar("cost", 0.25)
    made.trigger()
    expected = [
        {"cost": 0.5, "epoch_num": 1, "global_step": 10},
        {"cost": 0.25, "epoch_num": 2, "global_step": 20},
    ]
    assert made.rows == read_rows(str(tmp_path)) == expected
    assert JSONWriter.load_existing_json(str(tmp_path)) == expected


def test_a_row_is_completed(made, tmp_path):
    made.process_scalar("cost", 0.5)
    made.keep()
    assert "error" not in read_rows(str(tmp_path))[0]
    made.process_scalar("error", 0.1)
    made.keep()
    (row,) = read_rows(str(tmp_path))
    assert (row["cost"], row["error"], row["epoch_num"]) == (0.5, 0.1, 1)


def test_nothing_new_writes_nothing(made, tmp_path):
    made.keep()
    assert not (tmp_path / "stats.json").exists()


def test_earlier_rows_stay(tmp_path, made):
    earlier = [{"cost": 1.0, "epoch_num": 1, "global_step": 10}]
    write_rows(str(tmp_path), earlier)
    statistics = Statistics(str(tmp_path), read_rows(str(tmp_path)), Halting())
    statistics.trainer = SimpleNamespace(epoch_num=2, global_step=20)
    statistics.process_scalar("cost", 0.5)
    statistics.keep()
    assert read_rows(str(tmp_path))[0] == earlier[0]
    assert len(read_rows(str(tmp_path))) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'[{"epoch_num": 1}]', b"\xff\xfe", b'{"a": 1}', b"[" * 100000]
)
def test_damage_is_one_line(tmp_path, content):
    (tmp_path / "stats.json").write_bytes(content)
    with pytest.raises(UserError, match="stats.json: damaged") as caught:
        read_rows(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_no_file_is_no_rows(tmp_path):
    assert read_rows(str(tmp_path)) == []


def test_what_cannot_be_written_ends_training(tmp_path):
    halting = Halting()
    statistics = Statistics(str(tmp_path / "file" / "log"), [], halting)
    (tmp_path / "file").write_bytes(b"")  # no folder
    statistics.trainer = SimpleNamespace(epoch_num=1, global_step=10)
    statistics.process_scalar("cost", 0.5)
    with pytest.raises(StopTraining):
        statistics.keep()
    assert "cannot be written" in halting.reason.message
    assert (halting.reason.exit_code, halting.reason.keeps) == (1, False)
