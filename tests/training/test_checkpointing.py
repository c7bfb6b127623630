"""Checkpoints: the last complete one, leftovers, failed saves, and the step to resume from."""

import json
import os
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from networks import vgg_variables, write_tensorflow
from refusals import check_refusal
from small_trainings import CLASSES, make_recipe

from dgl.tf_compat import tf
from dgl.training.checkpointing import (
    BestCheckpointer,
    Checkpointer,
    ResumePoint,
    checkpoint_files,
    find_resume_point,
    last_checkpoint,
    locate_step,
    remove_leftovers,
)
from dgl.training.early_stop import EarlyStop
from dgl.training.log_folder import Statistics
from dgl.weights import open_checkpoint

from tensorpack.train import StopTraining  # isort: skip

STEPS = 10


def touch(folder, *names, checkpoints=()):
    for name in [*names, *(path for each in checkpoints for path in checkpoint_files(each))]:
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    "state, expected",
    [
        ("model-8", "model-8"),
        ("model-16", "model-16"),
        ("model-24", "model-16"),  # its data is missing
        ("/elsewhere/model-8", "model-8"),  # the folder was moved
        (None, "model-16"),
        (b"\xff\xfe\x00", "model-16"),
        (b"", "model-16"),
        (b"model_checkpoint_path: 5", "model-16"),
    ],
)
def test_the_last_complete_checkpoint(tmp_path, state, expected):
    others = ["model-24.index", "model-x.index", "min-val-error-top1.index"]
    touch(tmp_path, *others, checkpoints=["model-8", "model-16"])
    if isinstance(state, str):
        text = f'model_checkpoint_path: "{state}"\nall_model_checkpoint_paths: "{state}"\n'
        state = text.encode()
    if state is not None:
        (tmp_path / "checkpoint").write_bytes(state)
    assert last_checkpoint(str(tmp_path)) == str(tmp_path / expected)
    assert last_checkpoint(str(tmp_path / "nowhere")) is None


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    folder = tmp_path / "lr[0.1]"  # no pattern
    folder.mkdir()
    kept = ["checkpoint", "stats.json", "model.json", "log.log", "events.out.tfevents.1.host"]
    touch(folder, *kept, checkpoints=["model-8", "min-val-error-top1"])
    before = set(os.listdir(folder))
    touch(folder, "model-9.data-00000-of-00001.tempstate1", "model-9.index.tempstate2", ".ab.tmp")
    touch(folder, "min-val-error-top1.index.copy")
    (folder / "model-9_temp_3").mkdir()
    touch(folder / "model-9_temp_3", "part-00000")
    remove_leftovers(str(folder))
    assert set(os.listdir(folder)) == before
    touch(folder, checkpoints=["model-16"])
    remove_leftovers(str(folder), str(folder / "model-16"))
    new = {"model-16.index", "model-16.data-00000-of-00001"}
    assert set(os.listdir(folder)) == new | {name for name in before if "model-8" not in name}


class Saving:
    """A graph of one variable whose state callbacks save to a folder."""

    def __init__(self, folder):
        self.folder, self.history = folder, []
        self.early_stop = EarlyStop()
        statistics = Statistics(str(folder), [], self.early_stop)
        self.checkpointer = Checkpointer(statistics)
        self.best = BestCheckpointer("error", self.checkpointer)
        monitors = SimpleNamespace(get_history=lambda name: self.history)
        self.trainer = SimpleNamespace(global_step=0, epoch_num=1, monitors=monitors)
        with tf.Graph().as_default() as graph:
            self._weight = tf.get_variable("weight", [2], initializer=tf.zeros_initializer())
            self.checkpointer.setup_graph(self.trainer)
            self.best.setup_graph(self.trainer)
            initial = tf.global_variables_initializer()
        self.session = tf.Session(graph=graph)
        self.session.run(initial)

    def save(self, step, value, error=None):
        self.trainer.global_step = step
        self._weight.load([value, 1.0], self.session)
        self.history.append((step, error))
        with self.session.as_default():
            self.checkpointer.trigger()
            if error is not None:
                self.best.trigger()

    def read(self, name):
        return float(open_checkpoint(str(self.folder / name)).read("weight")[0])


@pytest.fixture
def saving(tmp_path):
    made = Saving(tmp_path)
    yield made
    made.session.close()


def test_the_last_and_the_best_checkpoint(saving, tmp_path):
    for step, error in ((1, 0.5), (2, 0.3), (3, 0.3), (4, 0.4)):
        saving.save(step, step, error)
    files = {"checkpoint", *checkpoint_files("model-4"), *checkpoint_files("min-error")}
    assert set(os.listdir(tmp_path)) == files
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model-4")
    assert (saving.read("model-4"), saving.read("min-error")) == (4.0, 2.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_not_saved(saving, tmp_path, value):
    saving.save(1, 1.0)
    with pytest.raises(StopTraining, match=r"step 2: .*model-1"):
        saving.save(2, value)
    assert last_checkpoint(str(tmp_path)) == str(tmp_path / "model-1")
    assert not saving.early_stop.reason.save


FULL = mock.Mock(side_effect=OSError(28, "No space left on device"))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_save_leaves_the_checkpoint_before(saving, tmp_path, monkeypatch, call):
    saving.save(1, 1.0)
    monkeypatch.setattr(f"dgl.training.checkpointing.os.{call}", FULL)
    with pytest.raises(StopTraining, match=r"step 2 .*No space left on device.*model-1"):
        saving.save(2, 2.0)
    assert set(os.listdir(tmp_path)) == {"checkpoint", *checkpoint_files("model-1")}


def test_a_failed_copy_leaves_the_best_checkpoint_before(saving, monkeypatch):
    saving.save(1, 1.0, 0.5)
    monkeypatch.setattr("dgl.training.checkpointing.shutil.copyfile", FULL)
    with pytest.raises(StopTraining, match=r"min-error .*No space left on device.*model-2"):
        saving.save(2, 2.0, 0.4)
    assert saving.read("min-error") == 1.0


def rows(*pairs):
    return [{"epoch_num": epoch, "global_step": step} for epoch, step in pairs]


def is_complete(row):
    """Validation follows every fifth epoch."""
    return row["epoch_num"] % 5 or "error" in row


FIVE = rows((1, 10), (2, 20), (3, 30), (4, 40), (5, 50))


@pytest.mark.parametrize(
    "step, given, expected",
    [
        (3, [], (1, 7)),  # in the middle of the first epoch
        (10, [], (1, 0)),  # at its end, and its row is not there yet
        (10, rows((1, 10)), (2, 10)),
        (14, rows((1, 10)), (2, 6)),
        (20, rows((1, 10)), (2, 0)),
        (50, FIVE, (5, 0)),  # validation is still to do
        (50, FIVE[:4] + [dict(FIVE[4], error=0.5)], (6, 10)),
        (54, FIVE[:4] + [dict(FIVE[4], error=0.5)], (6, 6)),
        (45, rows((1, 15), (2, 30)), (3, 0)),  # longer epochs before
        (30, rows((1, 15), (2, 30)), (3, 10)),
        (5, rows((0, 0)), (1, 5)),  # tensorpack's row from before the first step
    ],
)
def test_the_epoch_to_continue(step, given, expected):
    assert locate_step(step, given, STEPS, is_complete) == expected


RECIPE = make_recipe(steps=STEPS, epochs=12)


def write_checkpoint(folder, step, classes=CLASSES, **more):
    variables = {**vgg_variables(classes), "global_step": np.asarray(step, "int64"), **more}
    kept = {name: value for name, value in variables.items() if value is not None}
    return write_tensorflow(folder / f"model-{step}", kept)


def test_a_run_resumes_without_rows_of_later_steps(tmp_path):
    assert find_resume_point(str(tmp_path), RECIPE, is_complete) == ResumePoint(STEPS)
    prefix = write_checkpoint(tmp_path, 14)
    (tmp_path / "stats.json").write_text(json.dumps(rows((1, 10), (2, 20))))
    point = find_resume_point(str(tmp_path), RECIPE, is_complete)
    assert point == (6, 2, 14, rows((1, 10)), prefix)


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"classes": 5}, ".*another network than --mode vgg"),
        ({"global_step": None}, ".*global_step"),
        ("damaged", ""),
    ],
)
def test_checkpoints_that_cannot_be_resumed(tmp_path, settings, text):
    prefix = write_checkpoint(tmp_path, 14, **({} if settings == "damaged" else settings))
    if settings == "damaged":
        with open(checkpoint_files(prefix)[0], "r+b") as stream:
            stream.seek(100000)
            stream.write(b"\xff" * 100)
    check_refusal("model-14" + text, find_resume_point, str(tmp_path), RECIPE, is_complete)


def test_a_finished_run_needs_no_flags_of_its_network(tmp_path):
    write_checkpoint(tmp_path, 120, classes=5)
    (tmp_path / "stats.json").write_text(json.dumps(rows((12, 120))))
    assert find_resume_point(str(tmp_path), RECIPE, is_complete).epoch == 13
