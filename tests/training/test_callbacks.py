"""Callbacks around an epoch: validation intervals, the first epoch's length, speed, the summary line."""

from types import SimpleNamespace

import pytest

from dgl.training import callbacks as module
from dgl.training.callbacks import (
    THROUGHPUT,
    EpochLine,
    EveryEpochs,
    FirstEpoch,
    Throughput,
    is_due,
)

from tensorpack.callbacks import Callback  # isort: skip


@pytest.mark.parametrize(
    "period, last, expected",
    [(5, 12, [5, 10, 12]), (5, 10, [5, 10]), (5, 3, [3]), (1, 3, [1, 2, 3])],
)
def test_every_few_epochs_and_after_the_last(period, last, expected):
    assert [epoch for epoch in range(1, last + 1) if is_due(epoch, period, last)] == expected
    triggered = []

    class Record(Callback):
        def _trigger(self):
            triggered.append(callback.epoch_num)

    callback = EveryEpochs(Record(), period)
    for epoch in range(1, last + 1):
        callback.trainer = SimpleNamespace(epoch_num=epoch, max_epoch=last)
        callback.trigger_epoch()
    assert triggered == expected


def test_the_first_epoch_has_the_steps_that_are_left():
    callback = FirstEpoch(3)
    callback.trainer = SimpleNamespace(loop=SimpleNamespace(steps_per_epoch=10))
    callback.before_train()
    assert callback.trainer.loop.steps_per_epoch == 3
    callback.after_epoch()
    assert callback.trainer.loop.steps_per_epoch == 10


@pytest.mark.parametrize("steps, expected", [(10, {THROUGHPUT: 80.0}), (0, {})])
def test_images_per_second_of_an_epoch(monkeypatch, steps, expected):
    clock, scalars = SimpleNamespace(now=100.0), {}
    monkeypatch.setattr(module.time, "time", lambda: clock.now)
    throughput = Throughput(batch=32)
    throughput.trainer = SimpleNamespace(
        monitors=SimpleNamespace(put_scalar=scalars.__setitem__),
        loop=SimpleNamespace(steps_per_epoch=steps),
    )
    throughput.before_epoch()
    throughput.trainer.loop.steps_per_epoch = 50  # that of the next epoch
    clock.now += 4
    throughput.after_epoch()
    assert scalars == pytest.approx(expected)


def test_the_line_of_an_epoch_has_what_was_measured_in_it(monkeypatch):
    lines = []
    monkeypatch.setattr(module.logger, "info", lines.append)
    monitor = EpochLine()
    monitor.trainer = SimpleNamespace(epoch_num=3, max_epoch=30)
    values = {"val-gt-known": 0.488, "cost": 9.0, "learning_rate": 0.002, "xentropy-loss": 1.2344,
              "train-error-top1": 0.351, "val-error-top1": 0.402, THROUGHPUT: 63.2}  # fmt: skip
    for name, value in values.items():
        monitor.process_scalar(name, value)
    monitor.trigger_epoch()
    monitor.trainer.epoch_num = 30
    monitor.trigger_epoch()
    assert lines == [
        "epoch  3/30  loss 1.234  train-error 35.1%  val-error 40.2%  GT-known 48.8%  lr 0.002  "
        "63.2 images/s",
        "epoch 30/30",
    ]
