"""Run a function over many items in threads, in order: decoding and OpenCV release the interpreter lock."""

import collections
import concurrent.futures
import os
from typing import Any, Callable, Deque, Generator, Iterable, Iterator, Optional, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD_PER_WORKER = 4


def ordered_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: Optional[int] = None
) -> Iterator[_Result]:
    """Apply ``function`` to every item in a thread pool and yield the results in order.

    Only a few items a worker are read ahead, so a long iterable of maps is never held in memory.

    Args:
        function: callable of one item.
        items: iterable.
        workers: number of threads; 1 stays in the calling thread, ``None`` takes one a core.

    Yields:
        The results in the order of ``items``. An exception of ``function`` is raised at its place in
        that order, and what has not begun by then is dropped.

    Raises:
        ValueError: fewer than one worker.
    """
    workers = checked_workers(workers)
    return map(function, items) if workers == 1 else threaded_map(function, items, workers)


def threaded_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int, ahead: int = 0
) -> Generator[_Result, None, None]:
    """As :func:`ordered_map`, but never in the calling thread: results are made while it is busy.

    Args:
        function, items: as there.
        workers: number of threads, 1 or more.
        ahead: int, items that may be begun before their turn, if more than a few a worker.

    Returns:
        generator; closing it drops what has not begun, and waits for what has.
    """
    ahead = max(ahead, workers * _AHEAD_PER_WORKER)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        pending: Deque[Any] = collections.deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def checked_workers(workers: Optional[int] = None) -> int:
    """int: ``workers``, or one a core for ``None``.

    Raises:
        ValueError: fewer than one worker.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise ValueError("workers must be at least 1, got {}".format(workers))
    return workers
