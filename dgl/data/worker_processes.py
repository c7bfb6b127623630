"""Processes that decode: a dataflow mapped in parallel, with the order kept.

Datapoint number ``i`` goes to process ``i % workers`` and its result is taken from there in turn. So a
seeded run sees the same images in the same batches however fast each process is, and an epoch has
every image once.
"""

import itertools
import multiprocessing
import os
import queue
import signal
import sys
import threading
from typing import Any, Callable, List, Optional

import cv2

from dgl.errors import UserError
from dgl.tf_compat import tf

from tensorpack.dataflow import ProxyDataFlow  # isort: skip

_PATIENCE = 2.0  # seconds between a process's looks at whether its parent is still there
_END, _GONE = "end of the flow", "process gone"
_KILLED = -signal.SIGKILL

# Forking is what keeps a process small. Elsewhere than on Linux, libraries do not bear it.
_processes = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


def _work(function, connection, near_end, parent):
    """What a process does until its parent is gone."""
    # A forked process has a copy of its parent's end: kept open, it would hide the parent's death.
    near_end.close()
    # Ctrl-C reaches every process of a terminal; the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The processes are the parallelism; OpenCV's own threads would also hang in a forked child.
    cv2.setNumThreads(0)
    try:
        while True:
            # End of file alone does not tell: processes started later hold the other end too.
            while not connection.poll(_PATIENCE):
                if os.getppid() != parent:
                    return
            task = connection.recv()
            connection.send(_END if isinstance(task, str) else function(task))
    except (EOFError, OSError):
        return


class _Worker:
    """One process, a connection to it, and a thread that takes its results as they come."""

    def __init__(self, function, depth):
        self.tasks, far_end = _processes.Pipe()
        self.process = _processes.Process(
            target=_work, args=(function, far_end, self.tasks, os.getpid()), daemon=True
        )
        self.process.start()
        # Only the process may hold it, so that its death is the end of the file here.
        far_end.close()
        self.results = queue.Queue(depth)
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        try:
            while True:
                self.results.put(self.tasks.recv())
        except (EOFError, OSError):
            self.results.put(_GONE)


class OrderedProcesses(ProxyDataFlow):
    """``function`` of every datapoint, computed by processes, in the flow's order.

    Datapoints for which the function gives ``None`` are left out. Processes start at ``reset_state`` and
    end with the process that started them, however that ends. One iteration at a time, each to its end.
    """

    def __init__(self, flow: Any, function: Callable[[Any], Any], workers: int, depth: int = 32):
        """Wrap a flow.

        Args:
            flow: tensorpack dataflow of picklable lists, endless or not.
            function: picklable callable; what it raises ends its process.
            workers: number of processes, at least 1.
            depth: results that wait for their turn, for each process.
        """
        super().__init__(flow)
        self._function = function
        self._count = workers
        self._depth = depth
        self._workers: Optional[List[_Worker]] = None
        self._iterating = False

    def reset_state(self) -> None:
        super().reset_state()
        if self._workers is None:
            self._workers = [_Worker(self._function, self._depth) for _ in range(self._count)]

    def _feed(self):
        ends = [_END] * self._count
        turn = 0
        try:
            for turn, task in enumerate(itertools.chain(self.ds, ends)):
                self._workers[turn % self._count].tasks.send(task)
        except OSError:
            return  # the process is gone, which the other side of it reports
        except Exception as error:
            # Raised where the flow is iterated, instead of leaving that side waiting.
            for worker in self._workers:
                worker.results.put(error)

    def _take(self, turn):
        worker = self._workers[turn % self._count]
        result = worker.results.get()
        if isinstance(result, Exception):
            raise result
        if isinstance(result, str) and result == _GONE:
            worker.results.put(_GONE)  # for whoever asks again
            worker.process.join(_PATIENCE)
            code = worker.process.exitcode
            raise UserError(
                "a process that decodes images ended by itself (exit code {}), expected it to "
                "last{}".format(
                    code, ": out of memory? fewer --workers need less" if code == _KILLED else ""
                )
            )
        return result

    def __iter__(self):
        if self._iterating:
            raise RuntimeError("one iteration at a time: the one before has not come to its end")
        self._iterating = True
        threading.Thread(target=self._feed, daemon=True).start()
        for turn in itertools.count():
            result = self._take(turn)
            if isinstance(result, str):
                # The other processes' ends follow; without them the next iteration would begin there.
                for rest in range(1, self._count):
                    self._take(turn + rest)
                self._iterating = False
                return
            if result is not None:
                yield result
