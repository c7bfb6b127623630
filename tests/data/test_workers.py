"""Ordered processes: order, ends, and what happens when one of them, or their parent, is killed."""

import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

from dgl.data.worker_processes import OrderedProcesses
from dgl.errors import UserError

from tensorpack.dataflow import DataFlow, DataFromList  # isort: skip


def square(point):
    """Slower for some, so that processes overtake one another."""
    time.sleep(0.002 * (point[0] % 3))
    return None if point[0] % 7 == 6 else [point[0] ** 2, os.getpid()]


def flow_of(count, workers, function=square):
    flow = OrderedProcesses(
        DataFromList([[i] for i in range(count)], shuffle=False), function, workers
    )
    flow.reset_state()
    return flow


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 33])
def test_order_ends_and_repetition(workers, count):
    flow = flow_of(count, workers)
    for _ in range(3):
        points = list(flow)
        assert [value for value, _ in points] == [i**2 for i in range(count) if i % 7 != 6]
        assert os.getpid() not in {process for _, process in points}
    assert len({process for _, process in points}) == min(workers, count - count // 7)


def test_large_results_wait_for_their_turn():
    flow = flow_of(20, 3, large)
    assert [len(point[0]) for point in flow] == [1000000 + i for i in range(20)]


def large(point):
    return [b"x" * (1000000 + point[0])]


def test_reset_state_twice_starts_no_more_processes():
    flow = flow_of(9, 2)
    flow.reset_state()
    assert len({process for _, process in flow}) == 2


@pytest.mark.parametrize("workers", [1, 3])
def test_a_killed_process_is_noticed(workers):
    flow = flow_of(100000, workers)
    points = iter(flow)
    victim = next(points)[1]
    os.kill(victim, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(UserError, match=r"ended by itself \(exit code -9\), .*--workers"):
            list(itertools.islice(points, 1000))
        points = (flow._take(turn) for turn in range(workers))  # whoever asks again is told again


def fails(point):
    raise ValueError("as a broken augmentation would")


def test_an_error_in_a_process_is_noticed(capfd):
    with pytest.raises(UserError, match=r"ended by itself \(exit code 1\), expected it to last$"):
        list(flow_of(3, 1, fails))
    assert "as a broken augmentation would" in capfd.readouterr().err


class Fails(DataFlow):
    def __iter__(self):
        yield [1]
        raise ValueError("as a wrong seed would")


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_the_flow_is_raised_where_it_is_iterated(workers):
    flow = OrderedProcesses(Fails(), square, workers)
    flow.reset_state()
    with pytest.raises(ValueError, match="as a wrong seed would"):
        for _ in flow:
            pass


def test_a_second_iteration_before_the_end_of_the_first_is_refused():
    flow = flow_of(100, 2)
    next(iter(flow))
    with pytest.raises(RuntimeError, match="one iteration at a time"):
        next(iter(flow))


_PARENT = """
import sys, time
sys.path[:0] = {path!r}
from test_workers import flow_of
flow = flow_of(10 ** 6, 3)
points = iter(flow)
print(sorted({{next(points)[1] for _ in range(12)}}), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_their_parent(root, how):
    path = [os.path.dirname(os.path.abspath(__file__)), root]
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(path=path)], stdout=subprocess.PIPE
    )
    processes = eval(parent.stdout.readline())
    assert len(processes) == 3 and all(map(is_alive, processes))
    parent.send_signal(how)
    parent.wait()
    parent.stdout.close()
    deadline = time.time() + 20
    while any(map(is_alive, processes)) and time.time() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, processes))


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
