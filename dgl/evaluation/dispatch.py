"""Batches given out to workers one by one, so that none waits for another; lost workers are replaced.

What is lost with a worker is run again by others. As every batch gives the same whoever runs it, neither
the number of workers, nor which of them ran what, nor what was lost on the way shows in the results.
"""

import logging
from collections import deque
from typing import Any, Generator, Iterable, NamedTuple, Optional, Tuple

from dgl.errors import UserError
from dgl.evaluation.results import Gathered

_logger = logging.getLogger(__name__)

# While the session has one batch, the next is decoded and boxes of the last are found.
AT_ONCE = 2
# Losses for each worker without a batch finished in between, after which the run ends.
MOST_LOSSES = 3
REMIND_SECONDS = 60
START_SECONDS = 900


class Lost(NamedTuple):
    """What became of a call when its worker ended: ``reason`` is one line."""

    reason: str


class Event(NamedTuple):
    """One call that came to its end.

    Attributes:
        worker: key of the worker.
        chunk: int, the batch that was run; ``None`` for taking on the task.
        outcome: :class:`Lost`, or what the call returned.
    """

    worker: Any
    chunk: Optional[int]
    outcome: Any


def dispatch(
    pool: Any, task: Any, chunks: Iterable[int]
) -> Generator[Tuple[int, Gathered], None, None]:
    """Have batches run by the workers of a pool.

    Args:
        pool: has ``size``, the number of workers; ``workers()``, keys of those there are; ``add()``, which
            begins one and returns its key; ``start(worker, task)`` and ``run(worker, chunk)``, which
            return at once; ``busy(worker)``, whether one of its calls has not come to its end;
            ``wait(seconds)``, the next :class:`Event` or ``None``, and raises the :class:`UserError`
            of a call; and ``remove(worker)``, after which none of its calls is heard of again.
        task: what workers start with, with a ``plan``.
        chunks: list of int, numbers of batches.

    Yields:
        (number, :class:`~dgl.evaluation.results.Gathered`), in the order in which they are done.

    Raises:
        UserError: of a worker; workers are lost over and over without a batch finished in between;
            none starts for :data:`START_SECONDS`.
    """
    return _Dispatch(pool, task, chunks).run()


class _Dispatch:
    def __init__(self, pool, task, chunks):
        self._pool = pool
        self._task = task
        self._waiting = deque(chunks)
        self._starting = set()
        # Workers that are still taking on the task before this one.
        self._late = set()
        # worker -> its batches, for the workers that have taken on the task
        self._given = {}
        self._losses = 0
        self._idle_seconds = 0

    def run(self):
        pool = self._pool
        wanted = min(pool.size, len(self._waiting))
        for worker in pool.workers()[:wanted]:
            if pool.busy(worker):
                self._late.add(worker)
            else:
                self._start(worker)
        while len(self._starting) + len(self._late) < wanted:
            self._start(pool.add())
        while self._waiting or any(self._given.values()):
            event = pool.wait(REMIND_SECONDS)
            if event is None:
                self._check_idle()
            elif isinstance(event.outcome, Lost):
                self._lose(event.worker, event.outcome.reason)
            elif event.worker in self._late:
                self._late.discard(event.worker)
                self._start(event.worker)
            elif event.worker not in self._starting and event.worker not in self._given:
                continue  # of the task before, by a worker that this one does not need
            elif event.chunk is None:
                self._idle_seconds = 0
                self._starting.discard(event.worker)
                self._given[event.worker] = []
            else:
                self._losses = 0
                self._given[event.worker].remove(event.chunk)
                # The worker has its next batch before the driver does anything with this one.
                self._give()
                yield event.chunk, Gathered.from_state(self._task.plan, event.outcome)
            self._give()

    def _start(self, worker):
        self._starting.add(worker)
        self._pool.start(worker, self._task)

    def _give(self):
        """Fill the workers up, whoever has least first."""
        while self._waiting and self._given:
            worker = min(self._given, key=lambda key: len(self._given[key]))
            if len(self._given[worker]) >= AT_ONCE:
                return
            chunk = self._waiting.popleft()
            self._given[worker].append(chunk)
            self._pool.run(worker, chunk)

    def _lose(self, worker, reason):
        pool = self._pool
        pool.remove(worker)
        self._starting.discard(worker)
        self._late.discard(worker)
        lost = self._given.pop(worker, [])
        self._losses += 1
        # Last, since one of them may be what the worker died of.
        self._waiting.extend(lost)
        if self._losses > MOST_LOSSES * pool.size:
            raise UserError(
                f"--ray-workers {pool.size}: {self._losses} workers were lost with no batch finished in between, the last: "
                f"{reason}; expected memory for all of them, or fewer; given again, the command goes on"
            )
        _logger.warning(
            "a worker was lost (%s) and is replaced; %d of its batches are run again",
            reason,
            len(lost),
        )
        self._start(pool.add())

    def _check_idle(self):
        """Nothing happened for a while: that is as it should be while batches are running."""
        if self._given:
            return
        self._idle_seconds += REMIND_SECONDS
        if self._idle_seconds >= START_SECONDS:
            raise UserError(
                f"--ray-workers {self._pool.size}: none has started for {self._idle_seconds} seconds; expected free processors on the "
                "Ray cluster"
            )
        _logger.warning("still waiting for a worker to start; the Ray cluster may be busy")
