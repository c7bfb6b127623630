"""Ending a training in order; what signals do to a whole run is in test_survival.py."""

import os
import signal

import pytest

from dgl.training.early_stop import Halting, Reason

from tensorpack.train import StopTraining  # isort: skip


def test_nobody_asked():
    Halting().trigger_step()


@pytest.mark.parametrize("keeps", [True, False])
def test_only_a_sound_state_is_kept(keeps):
    halting, kept = Halting(), []
    halting.keep_with(lambda: kept.append(1))
    halting.ask(Reason("enough", 1, keeps))
    with pytest.raises(StopTraining, match="enough"):
        halting.trigger_step()
    assert kept == [1] * keeps


def test_the_first_reason_counts():
    halting = Halting()
    halting.ask(Reason("first"))
    halting.ask(Reason("second"))
    assert halting.reason.message == "first"


def test_a_failure_ends_at_once():
    halting = Halting()
    with pytest.raises(StopTraining, match="full"):
        halting.fail("full")
    assert halting.reason == Reason("full", 1, False)


@pytest.mark.parametrize("number", Halting.SIGNALS)
def test_a_signal_asks_once_and_handlers_return(number):
    earlier = signal.signal(number, lambda *_: seen.append(1))
    seen, halting = [], Halting()
    try:
        halting.before_train()
        os.kill(os.getpid(), number)
        assert (seen, halting.reason.exit_code, halting.reason.keeps) == ([], 128 + number, True)
        os.kill(os.getpid(), number)  # once more: whatever it was there before
        assert seen == [1]
        halting.after_train()
        os.kill(os.getpid(), number)
        assert seen == [1, 1]
    finally:
        signal.signal(number, earlier)


def test_what_is_ignored_stays_ignored():
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    halting = Halting()
    try:
        halting.before_train()
        os.kill(os.getpid(), signal.SIGHUP)
        assert halting.reason is None
        halting.after_train()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, earlier)
