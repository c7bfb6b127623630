import threading

import pytest

from dgl.utils.parallel import ordered_map


@pytest.mark.parametrize("workers", [1, 2, 5, None])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(ordered_map(lambda x: x * x, range(100), workers)) == [x * x for x in range(100)]


def test_later_items_may_finish_first():
    second_done = threading.Event()

    def wait_for_the_second(item):
        if item == 1:
            second_done.set()
        # Only another thread can set the event: this fails where items run one after the other.
        return item, second_done.wait(timeout=10)

    assert list(ordered_map(wait_for_the_second, range(2), 2)) == [(0, True), (1, True)]


@pytest.mark.parametrize("workers", [1, 3])
def test_items_are_read_only_a_little_ahead(workers):
    taken = []

    def items():
        for item in range(10000):
            taken.append(item)
            yield item

    results = ordered_map(str, items(), workers)
    assert next(results) == "0"
    assert len(taken) <= 4 * workers


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exception_comes_at_its_place(workers):
    results = ordered_map(lambda x: 6 // x, [3, 2, 0, 1], workers)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_fewer_than_one_worker_is_refused():
    with pytest.raises(ValueError):
        ordered_map(str, [], 0)
