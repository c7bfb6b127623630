"""What watches a training: its loss, its images, the first epoch of a run that goes on."""

from types import SimpleNamespace

import numpy as np
import pytest

from dgl.training.callbacks import EveryEpochs, FiniteLoss, FirstEpoch, StopOnFailure, is_due
from dgl.training.early_stop import Halting

from tensorpack.callbacks import Callback  # isort: skip


@pytest.mark.parametrize(
    "period, last, expected",
    [(5, 12, [5, 10, 12]), (5, 10, [5, 10]), (5, 3, [3]), (1, 3, [1, 2, 3])],
)
def test_every_few_epochs_and_after_the_last(period, last, expected):
    assert [epoch for epoch in range(1, last + 1) if is_due(epoch, period, last)] == expected
    seen = []

    class Seen(Callback):
        def _trigger(self):
            seen.append(callback.epoch_num)

    callback = EveryEpochs(Seen(), period)
    for epoch in range(1, last + 1):
        callback.trainer = SimpleNamespace(epoch_num=epoch, max_epoch=last)
        callback.trigger_epoch()
    assert seen == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("tower", [0, 1])
def test_a_loss_that_is_no_number_on_any_tower(value, tower):
    halting = Halting()
    callback = FiniteLoss(halting, lambda: "the last good checkpoint is model-8")
    callback.trainer = SimpleNamespace(global_step=11, epoch_num=3)
    costs = [1.0, 2.0]
    callback.after_run(None, SimpleNamespace(results=[np.float32(cost) for cost in costs]))
    assert halting.reason is None
    costs[tower] = value
    callback.after_run(None, SimpleNamespace(results=[np.float32(cost) for cost in costs]))
    message = halting.reason.message
    assert message.startswith(f"step 11 (epoch 3): the loss is {value}; ")
    assert "the last good checkpoint is model-8" in message
    assert not halting.reason.keeps


@pytest.mark.parametrize(
    "towers, delay, given, keeps",
    [(1, 0, 3, True), (1, 0, 2, False), (2, 0, 6, True), (2, 0, 5, False), (1, 1, 3, False)],
)
def test_a_state_is_kept_if_no_picture_came_twice(towers, delay, given, keeps):
    """After three steps, in which each tower took a batch."""
    flow = SimpleNamespace(error=None, given=given)
    halting = Halting()
    halting.delay = delay
    callback = StopOnFailure(flow, halting, towers)
    callback.trigger_step()
    callback.trigger_step()
    assert halting.reason is None
    flow.error = RuntimeError("gone")
    callback.trigger_step()
    assert (halting.reason.message, halting.reason.keeps) == ("gone", keeps)


def test_the_first_epoch_has_the_steps_that_are_left():
    callback = FirstEpoch(3)
    callback.trainer = SimpleNamespace(loop=SimpleNamespace(steps_per_epoch=10))
    callback.before_train()
    assert callback.trainer.loop.steps_per_epoch == 3
    callback.after_epoch()
    assert callback.trainer.loop.steps_per_epoch == 10
