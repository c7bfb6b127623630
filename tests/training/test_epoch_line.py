"""The line of an epoch, read back; images a second; how long is left."""

import re
from types import SimpleNamespace

import pytest

from dgl.training import callbacks as module
from dgl.training.callbacks import THROUGHPUT, EpochLine, Throughput, duration, epoch_line

VALUES = {
    "xentropy-loss": 1.2344,
    "cost": 9.0,
    "train-error-top1": 0.351,
    "val-error-top1": 0.402,
    "val-gt-known": 0.488,
    "learning_rate": 0.002,
    THROUGHPUT: 63.2,
}


def test_the_whole_line():
    assert epoch_line(3, 30, VALUES, 72 * 60 + 5) == (
        "epoch  3/30  loss 1.234  train-error 35.1 %  val-error 40.2 %  GT-known 48.8 %  lr 0.002  "
        "63.2 pictures/s  about 1 h 12 min left"
    )


@pytest.mark.parametrize(
    "name, words",
    [("val-error-top1", "val-error"), ("val-gt-known", "GT-known"), (THROUGHPUT, "pictures/s")],
)
def test_what_was_not_measured_is_left_out(name, words):
    values = {key: value for key, value in VALUES.items() if key != name}
    assert words in epoch_line(3, 30, VALUES) and words not in epoch_line(3, 30, values)


def test_the_last_epoch_has_nothing_left():
    assert "left" not in epoch_line(30, 30, VALUES, 5.0)
    assert epoch_line(30, 30, {}) == "epoch 30/30"


@pytest.mark.parametrize(
    "seconds, expected",
    [
        (0.2, "1 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86399, "23 h 59 min"),
        (2 * 86400 + 3 * 3600, "2 d 3 h"),
    ],
)
def test_durations(seconds, expected):
    assert duration(seconds) == expected


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module.time, "time", lambda: clock.now)
    return clock


@pytest.fixture
def trainer():
    scalars = {}
    return SimpleNamespace(
        scalars=scalars,
        monitors=SimpleNamespace(put_scalar=scalars.__setitem__),
        loop=SimpleNamespace(steps_per_epoch=10),
        max_epoch=5,
        epoch_num=2,
    )


def test_pictures_a_second(clock, trainer):
    throughput = Throughput(batch=32)
    throughput.trainer = trainer
    throughput.before_epoch()
    trainer.loop.steps_per_epoch = 50  # that of the next epoch
    clock.now += 4
    throughput.after_epoch()
    assert trainer.scalars == {THROUGHPUT: pytest.approx(80.0)}


def test_an_epoch_of_no_steps_has_no_rate(clock, trainer):
    throughput = Throughput(batch=32)
    throughput.trainer = trainer
    trainer.loop.steps_per_epoch = 0
    throughput.before_epoch()
    clock.now += 4
    throughput.after_epoch()
    assert trainer.scalars == {}


def test_time_left_is_that_of_the_steps_left(clock, trainer, monkeypatch):
    """Seven steps (a run that went on in mid-epoch) in 14 s, and three epochs of ten steps to come."""
    lines = []
    monkeypatch.setattr(module.logger, "info", lines.append)
    monitor = EpochLine(steps=10)
    monitor.trainer = trainer
    monitor.before_train()
    for _ in range(7):
        monitor.trigger_step()
    clock.now += 14
    monitor.process_scalar("learning_rate", 0.1)
    monitor.trigger_epoch()
    trainer.epoch_num, clock.now = 3, clock.now + 7 * 2
    for _ in range(7):
        monitor.trigger_step()
    monitor.trigger_epoch()
    assert lines == ["epoch 2/5  lr 0.1  about 1 min left", "epoch 3/5  about 40 s left"]


def test_every_line_can_be_taken_apart():
    pattern = r"epoch +(\d+)/(\d+)  loss ([\d.]+)  .*lr ([\d.e-]+)  ([\d.e+]+) pictures/s"
    for rate in (1e-6, 0.002, 10.0):
        line = epoch_line(7, 105, dict(VALUES, learning_rate=rate))
        epoch, last, loss, told, speed = re.match(pattern, line).groups()
        assert (int(epoch), int(last), float(told)) == (7, 105, pytest.approx(rate))
        assert (float(loss), float(speed)) == (1.234, 63.2)
