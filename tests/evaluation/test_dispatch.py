"""Batches given out to workers that come, go and fail, without any process."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from fake_pool import FakePool
from gathered_results import PLAIN, filled

from dgl.errors import UserError
from dgl.evaluation.dispatch import AT_ONCE, MOST_LOSSES, REMIND_SECONDS, START_SECONDS, dispatch
from dgl.evaluation.results import Gathered

IMAGES = 17
PLAN = dataclasses.replace(PLAIN, batch=2)
CHUNKS = list(range(PLAN.chunks))
TASK = SimpleNamespace(plan=PLAN)
WHOLE = filled(range(IMAGES), PLAN).state_dict()


def merged(pool, chunks=CHUNKS, task=TASK):
    gathered = Gathered(PLAN)
    for chunk, part in dispatch(pool, task, chunks):
        assert part.positions == set(PLAN.positions(chunk))
        gathered.merge(part)
    gathered.sort()
    return gathered.state_dict()


@pytest.mark.parametrize("size", [1, 2, 3, 20])
@pytest.mark.parametrize("seed", range(3))
def test_in_whatever_order_batches_end_the_whole_is_the_same(size, seed):
    rng = np.random.RandomState(seed)
    pool = FakePool(PLAN, size, pick=lambda calls: rng.randint(len(calls)))
    assert merged(pool) == WHOLE
    assert sorted(chunk for _, chunk in pool.ran) == CHUNKS
    assert pool.begun == min(size, len(CHUNKS))
    assert pool.most_at_once <= AT_ONCE


def test_a_slow_worker_holds_nothing_up():
    """Worker 1 ends a call only when nobody else has one: the others run all that it was not given."""

    def pick(calls):
        return next((i for i, (worker, _) in enumerate(calls) if worker != 1), 0)

    def start_first(calls):
        starting = [i for i, (_, chunk) in enumerate(calls) if chunk is None]
        return starting[0] if starting else pick(calls)

    pool = FakePool(PLAN, 2, pick=start_first)
    assert merged(pool) == WHOLE
    assert [worker for worker, _ in pool.ran] == [2] * (len(CHUNKS) - AT_ONCE) + [1] * AT_ONCE


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_lost_is_run_again(size, seed, caplog):
    rng = np.random.RandomState(seed)
    lost = []

    def dies(worker, chunk):
        dead = len(lost) < 2 * size and rng.rand() < 0.4
        lost.extend([worker] * dead)
        return dead

    pool = FakePool(PLAN, size, dies, pick=lambda calls: rng.randint(len(calls)))
    assert merged(pool) == WHOLE
    assert lost and pool.begun == size + len(lost)
    assert sorted(chunk for _, chunk in pool.ran) == CHUNKS
    warnings = [r.getMessage() for r in caplog.records if "a worker was lost" in r.getMessage()]
    assert len(warnings) == len(lost)
    assert all("(killed)" in text and "\n" not in text for text in warnings)


def test_a_worker_takes_its_batches_along_once(caplog):
    pool = FakePool(PLAN, 1, dies=lambda worker, chunk: (worker, chunk) == (1, 3))
    assert merged(pool) == WHOLE
    # Batches 0 to 2 are kept; 3 and 4 were with the worker, and come last.
    assert pool.ran == [(1, 0), (1, 1), (1, 2)] + [(2, c) for c in (5, 6, 7, 8, 3, 4)]
    assert "2 of its batches are run again" in caplog.text


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("where", ["start", "run"])
def test_workers_that_always_die_end_the_run(size, where):
    pool = FakePool(PLAN, size, dies=lambda worker, chunk: (chunk is None) == (where == "start"))
    with pytest.raises(UserError, match=f"^--ray-workers {size}: .* lost .*: killed; ") as e:
        merged(pool)
    assert "\n" not in str(e.value)
    assert pool.begun == size + MOST_LOSSES * size
    assert pool.ran == []


def test_a_batch_that_kills_ends_the_run_after_all_others():
    pool = FakePool(PLAN, 2, dies=lambda worker, chunk: chunk == 4)
    kept = []
    with pytest.raises(UserError, match="7 workers were lost with no batch finished in between"):
        kept.extend(chunk for chunk, _ in dispatch(pool, TASK, CHUNKS))
    assert sorted(kept) == [chunk for chunk in CHUNKS if chunk != 4]


def test_what_a_worker_refuses_is_raised_after_what_was_done():
    kept = []
    with pytest.raises(UserError, match="^batch 5: no image$"):
        kept.extend(chunk for chunk, _ in dispatch(FakePool(PLAN, refuses=[5]), TASK, CHUNKS))
    assert kept == CHUNKS[:5]


def test_workers_take_on_one_task_after_another():
    pool = FakePool(PLAN, 3)
    other = SimpleNamespace(plan=PLAN)
    assert merged(pool, CHUNKS[:2]) != WHOLE
    assert (pool.begun, pool.workers()) == (2, [1, 2])
    assert merged(pool, task=other) == WHOLE
    assert [(worker, task is other) for worker, task in pool.tasks] == [
        (1, False), (2, False), (1, True), (2, True), (3, True),
    ]  # fmt: skip


@pytest.mark.parametrize("chunks", [CHUNKS, CHUNKS[:1]])
@pytest.mark.parametrize("dead", [False, True])
def test_a_worker_that_starts_late_takes_on_the_next_task(chunks, dead):
    """Worker 2 has not begun when worker 1 is through with everything."""

    def of(worker):
        return lambda calls: next((i for i, call in enumerate(calls) if call[0] == worker), 0)

    pool = FakePool(PLAN, 2, dies=lambda worker, chunk: dead and worker == 2, pick=of(1))
    assert merged(pool) == WHOLE
    assert {worker for worker, _ in pool.ran} == {1} and pool.busy(2)
    other, pool._pick = SimpleNamespace(plan=PLAN), of(2)
    assert (merged(pool, chunks, other) == WHOLE) == (chunks == CHUNKS)
    assert [chunk for _, chunk in pool.ran[len(CHUNKS) :] if chunk in chunks]
    assert len(pool.ran) == len(CHUNKS) + len(chunks)
    if chunks == CHUNKS:
        assert (3 if dead else 2, other) in pool.tasks


def test_nothing_to_do_starts_nothing():
    pool = FakePool(PLAN)
    assert list(dispatch(pool, TASK, [])) == [] and pool.begun == 0


def test_a_cluster_without_room_is_waited_for_within_bounds(caplog):
    with pytest.raises(UserError, match=f"none has started for {START_SECONDS} seconds"):
        merged(FakePool(PLAN, silent=True))
    reminders = caplog.text.count("still waiting for a worker to start")
    assert reminders == START_SECONDS // REMIND_SECONDS - 1


def test_a_batch_that_takes_long_is_no_cluster_without_room(monkeypatch, caplog):
    pool = FakePool(PLAN)
    wait, silence = pool.wait, [0]

    def slow(seconds):
        if pool.ran and silence[0] < 50:
            silence[0] += 1
            return None
        return wait(seconds)

    monkeypatch.setattr(pool, "wait", slow)
    assert merged(pool) == WHOLE
    assert silence[0] == 50 and caplog.text == ""


def test_a_damaged_answer_is_not_taken(monkeypatch):
    pool = FakePool(PLAN)
    monkeypatch.setattr(pool, "wait", lambda seconds, wait=pool.wait: _cut(wait(seconds)))
    with pytest.raises(ValueError, match="incomplete results"):
        list(dispatch(pool, TASK, CHUNKS))


def _cut(event):
    return event if event.chunk is None else event._replace(outcome={"evaluators": []})
