"""Ordered maps in threads and processes, and the pipeline: order, overlap, exceptions, no thread left."""

import os
import signal
import threading
from functools import partial

import pytest

from dgl.errors import UserError
from dgl.utils.parallel import chunks_of, ordered_map, overlapped, process_map

LONG = 20  # seconds until a wait for another thread counts as failed


@pytest.mark.parametrize("workers", [1, 2, 5, None])
def test_results_come_in_the_order_of_the_items_and_an_exception_at_its_place(workers):
    assert list(ordered_map(lambda x: x * x, range(100), workers)) == [x * x for x in range(100)]
    results = ordered_map(lambda x: 6 // x, [3, 2, 0, 1], workers)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("workers", [1, 3])
def test_items_are_read_only_a_little_ahead(workers):
    taken = []
    results = ordered_map(str, (taken.append(item) or item for item in range(10000)), workers)
    assert next(results) == "0"
    assert len(taken) <= 4 * workers


def process_of(item):
    """The process that computes an item; what becomes of some items is up to their kind."""
    if item == "divide":
        raise ZeroDivisionError
    if item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return item, os.getpid()


@pytest.mark.parametrize("count, workers", [(2000, 1), (10, 2), (2000, 2)])
def test_processes_give_results_in_order_and_few_items_need_none(count, workers):
    found = list(process_map(process_of, range(count), workers))
    assert [item for item, _ in found] == list(range(count))
    is_here = {process == os.getpid() for _, process in found}
    assert is_here == {workers == 1 or count == 10}


@pytest.mark.parametrize("item, error", [("divide", ZeroDivisionError), ("kill", UserError)])
def test_an_exception_of_a_process_comes_at_its_place(item, error):
    with pytest.raises(error):
        list(process_map(process_of, [1] * 60 + [item] + [1] * 2000, 2))


def squares(points):
    """A prediction whose context is the chunk and whose jobs, as they come, are most points' squares."""
    return list(points), (point * point for point in points if point % 3 != 1)


def own_threads(before):
    return [thread for thread in threading.enumerate() if thread not in before]


@pytest.mark.parametrize("workers", [1, 2, 5, None])
@pytest.mark.parametrize("count, size", [(0, 3), (1, 3), (9, 3), (10, 4), (5, 1)])
def test_every_item_in_order(workers, count, size):
    chunks = chunks_of(list(range(count)), size)
    assert [len(chunk) for chunk in chunks[:-1]] == [size] * max(0, len(chunks) - 1)
    found = list(overlapped(chunks, lambda x: x + 1, squares, lambda x: -x, workers))
    assert [context for context, _ in found] == [[i + 1 for i in chunk] for chunk in chunks]
    assert [r for _, results in found for r in results] == [
        -((i + 1) ** 2) for i in range(count) if i % 3
    ]


def test_all_three_stages_run_at_the_same_time():
    """Each stage waits until another one works on a neighboring chunk."""
    predicting, finished, prepared = threading.Event(), threading.Event(), threading.Event()

    def prepare(item):
        if item == 2:
            assert predicting.wait(LONG)
            prepared.set()
        return item

    def predict(points):
        if points == [1]:
            predicting.set()
            # The chunk before is finished, the next one prepared, while this one is predicted.
            assert finished.wait(LONG) and prepared.wait(LONG)
        return None, points

    def finish(job):
        if job == 0:
            assert predicting.wait(LONG)
            finished.set()
        return job

    found = overlapped([[0], [1], [2]], prepare, predict, finish, 1)
    assert [results for _, results in found] == [[0], [1], [2]]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("stage", ["prepare", "predict", "jobs", "finish"])
def test_an_exception_comes_after_all_that_was_before_it_and_leaves_no_thread(stage, error):
    begun = []

    def work(name, item):
        if name == stage and item == 9:
            raise error
        return item

    def predict(points):
        begun.append(points)
        work("predict", points[1])
        return points, map(partial(work, "jobs"), points)

    before, seen = threading.enumerate(), []
    chunks = chunks_of(list(range(4000)), 4)
    found = overlapped(chunks, partial(work, "prepare"), predict, partial(work, "finish"), 2)
    with pytest.raises(error):
        for _, results in found:
            seen.extend(results)
    assert seen == list(range(8))
    assert not own_threads(before)
    assert len(begun) <= 6


def test_a_consumer_that_stops_leaves_no_thread_and_nothing_goes_on():
    before, prepared = threading.enumerate(), []
    chunks = chunks_of(list(range(4000)), 4)
    found = overlapped(chunks, lambda x: prepared.append(x) or x, lambda p: (None, p), int, 2)
    assert next(found) == (None, [0, 1, 2, 3])
    found.close()
    assert not own_threads(before)
    assert len(prepared) <= 24
