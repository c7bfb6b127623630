"""Requests to stop, from signals, failed data and bad losses, in one process and in several."""

import os
import re
import signal
from types import SimpleNamespace

import fake_horovod
import numpy as np
import pytest

from dgl.tf_compat import tf
from dgl.training.distributed import Ranks
from dgl.training.early_stop import EarlyStop, StopOnBadLoss, StopOnDataFailure, StopReason, code_of

from tensorpack.train import StopTraining  # isort: skip


@pytest.mark.parametrize("sound", [True, False])
def test_only_a_sound_state_is_saved(sound):
    early_stop, saved = EarlyStop(), []
    early_stop.save = lambda: saved.append(1)
    early_stop.trigger_step()  # nothing was requested yet
    early_stop.request(StopReason("first", 1, sound))
    early_stop.request(StopReason("second", 1, not sound))
    with pytest.raises(StopTraining, match="first"):
        early_stop.trigger_step()
    assert saved == [1] * sound


@pytest.fixture
def handled():
    """Set the handler of a signal for one test."""
    before = {number: signal.getsignal(number) for number in EarlyStop.SIGNALS}
    yield signal.signal
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", EarlyStop.SIGNALS)
def test_a_signal_requests_once_and_handlers_are_restored(handled, number):
    received = []
    handled(number, lambda *_: received.append(1))
    early_stop = EarlyStop()
    early_stop.before_train()
    os.kill(os.getpid(), number)
    assert (received, early_stop.reason[1:]) == ([], (128 + number, True))
    os.kill(os.getpid(), number)  # the second one has its usual effect
    assert received == [1]
    early_stop.after_train()
    os.kill(os.getpid(), number)
    assert received == [1, 1]


def test_an_ignored_signal_stays_ignored(handled):
    handled(signal.SIGHUP, signal.SIG_IGN)
    early_stop = EarlyStop()
    early_stop.before_train()
    os.kill(os.getpid(), signal.SIGHUP)
    assert early_stop.reason is None
    early_stop.after_train()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


class OneOfTwo:
    """An :class:`EarlyStop` of one of two ranks, whose steps the test carries out."""

    def __init__(self, rank=0):
        self.saved, self.other = [], 0
        with tf.Graph().as_default() as graph:
            self.stop = EarlyStop(Ranks(rank, 2, rank, 2))
            self.stop.save = lambda: self.saved.append(1)
            self.stop.setup_graph(SimpleNamespace())
        self._session = tf.Session(graph=graph)

    def step(self, meanwhile=lambda: None):
        run = self.stop.before_run(None)
        meanwhile()
        own = self._session.run(run.fetches, run.feed_dict)
        self.stop.after_run(None, SimpleNamespace(results=max(own, self.other)))
        with self._session.as_default():
            self.stop.trigger_step()


@pytest.fixture
def horovod(monkeypatch):
    return fake_horovod.install(monkeypatch, 2)


@pytest.mark.parametrize("rank, sound", [(0, True), (0, False), (1, True)])
def test_ranks_stop_after_the_step_that_exchanges_the_request(horovod, rank, sound):
    one = OneOfTwo(rank)
    one.step()
    reason = StopReason("mine", 143, sound)
    one.step(lambda: one.stop.request(reason))  # too late for the step that runs
    assert one.saved == []
    with pytest.raises(StopTraining, match="mine"):
        one.step()
    assert one.saved == [1] * (sound and rank == 0)


@pytest.mark.parametrize("sound", [True, False])
def test_the_request_of_another_rank(horovod, sound):
    one = OneOfTwo()
    one.other = code_of(StopReason("theirs", 130, sound))
    with pytest.raises(StopTraining, match="another process"):
        one.step()
    assert one.stop.reason[1:] == (130, sound)
    assert one.saved == [1] * sound
    # One that must not be saved outweighs every signal.
    assert code_of(StopReason("x")) > code_of(StopReason("x", 143, save=True)) > code_of(None) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("tower", [0, 1])
def test_a_loss_that_is_not_finite_on_any_tower(value, tower):
    early_stop = EarlyStop()
    callback = StopOnBadLoss(early_stop, lambda: "the last good checkpoint is model-8")
    callback.trainer = SimpleNamespace(global_step=11, epoch_num=3)
    costs = [np.float32(1.0), np.float32(2.0)]
    callback.after_run(None, SimpleNamespace(results=costs))
    assert early_stop.reason is None
    costs[tower] = np.float32(value)
    callback.after_run(None, SimpleNamespace(results=costs))
    assert re.match(f"step 11 .epoch 3.*{value}.*model-8", early_stop.reason.message)
    assert not early_stop.reason.save


@pytest.mark.parametrize(
    "towers, delay, given, sound",
    [(1, 0, 3, True), (1, 0, 2, False), (2, 0, 6, True), (2, 0, 5, False), (1, 1, 3, False)],
)
def test_a_state_is_sound_if_no_batch_was_repeated(towers, delay, given, sound):
    """After three steps, in which each tower took a batch."""
    flow = SimpleNamespace(error=None, given=given)
    early_stop = EarlyStop()
    early_stop.delay = delay
    callback = StopOnDataFailure(flow, early_stop, towers)
    callback.trigger_step()
    callback.trigger_step()
    assert early_stop.reason is None
    flow.error = RuntimeError("gone")
    callback.trigger_step()
    assert early_stop.reason == StopReason("gone", 1, sound)
