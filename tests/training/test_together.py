"""Stopping together, as far as one process shows it; tests/training/test_horovod.py has several."""

import pytest

from dgl.training.distributed.ranks import ALONE
from dgl.training.distributed.sync import JointHalting, TogetherFlag, code_of, reason_of
from dgl.training.early_stop import Reason

from tensorpack.train import StopTraining  # isort: skip


def step(callback):
    """What a trainer does with a callback in one step."""
    callback.before_run(None)
    callback.after_run(None, None)
    callback.trigger_step()


def test_a_flag_is_agreed_on_after_the_step_that_tells_it():
    flag = TogetherFlag(ALONE)
    step(flag)
    assert flag.agreed == 0
    flag.before_run(None)
    flag.request(3)  # too late for the step that runs
    flag.after_run(None, None)
    assert flag.agreed == 0
    step(flag)
    assert flag.agreed == 3


@pytest.mark.parametrize("codes, agreed", [((2, 5), 5), ((5, 2), 5), ((1,), 1)])
def test_the_largest_code_counts(codes, agreed):
    flag = TogetherFlag(ALONE)
    for code in codes:
        flag.request(code)
    flag.exchange()
    assert flag.agreed == agreed


@pytest.mark.parametrize("code", [0, -1])
def test_no_code_is_no_request(code):
    with pytest.raises(ValueError):
        TogetherFlag(ALONE).request(code)


REASONS = [
    Reason("x", 143, keeps=True),
    Reason("x", 130, keeps=True),
    Reason("x"),
    Reason("x", 1, True),
]


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_travels_as_a_number(reason):
    there = reason_of(code_of(reason))
    assert (there.exit_code, there.keeps) == (reason.exit_code, reason.keeps)
    assert code_of(there) == code_of(reason)


def test_a_state_that_is_not_sound_outweighs_every_signal():
    unsound = code_of(Reason("x"))
    assert all(unsound > code_of(reason) for reason in REASONS if reason.keeps)


@pytest.mark.parametrize("keeps", [True, False])
def test_halting_stops_after_the_next_step_and_keeps_what_is_sound(keeps):
    halting, kept = JointHalting(ALONE), []
    halting.keep_with(lambda: kept.append(True))
    step(halting)
    halting.before_run(None)
    halting.ask(Reason("asked", 143, keeps))
    halting.after_run(None, None)
    halting.trigger_step()
    assert kept == []
    with pytest.raises(StopTraining, match="asked"):
        step(halting)
    assert kept == [True] * keeps
    assert halting.reason.message == "asked"


def test_halting_between_batches_of_validation():
    halting = JointHalting(ALONE)
    halting.stop_if_asked()
    halting.ask(Reason("asked", 143, keeps=True))
    with pytest.raises(StopTraining, match="asked"):
        halting.stop_if_asked()
