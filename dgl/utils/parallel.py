"""Ordered threads, and the load -> predict -> finish pipeline that overlaps its stages.

Run a function over many items in threads, in order: decoding and OpenCV release the interpreter lock.
"""

import collections
import concurrent.futures
import contextlib
import os
from typing import (
    Any,
    Callable,
    Deque,
    Generator,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

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
        raise ValueError(f"workers must be at least 1, got {workers}")
    return workers


# Three stages that overlap: threads prepare, the calling thread runs the session, threads finish.

_Item_pipeline = TypeVar("_Item_pipeline")
_Point = TypeVar("_Point")
_Context = TypeVar("_Context")
_Job = TypeVar("_Job")
_Result_pipeline = TypeVar("_Result_pipeline")


def overlapped(
    chunks: Sequence[Sequence[_Item_pipeline]],
    prepare: Callable[[_Item_pipeline], _Point],
    predict: Callable[[List[_Point]], Tuple[_Context, Iterable[_Job]]],
    finish: Callable[[_Job], _Result_pipeline],
    workers: Optional[int] = None,
) -> Generator[Tuple[_Context, List[_Result_pipeline]], None, None]:
    """Take chunks of items through the three stages.

    Args:
        chunks: list of lists of items.
        prepare: item -> point; called in threads, so it must be safe there.
        predict: list of a chunk's points -> (context, jobs); called in the calling thread, chunk after
            chunk. ``jobs`` may be any iterable, and is gone through in the calling thread too: a job is
            on its way as soon as the iterable gives it.
        finish: job -> result; called in threads.
        workers: threads for each of the two outer stages; ``None`` takes one a core.

    Yields:
        (context, list of the results of the chunk's jobs, in their order), in the order of the chunks.
        An exception of any stage is raised once everything before it has been yielded; no thread
        outlives it, nor does one outlive the generator.

    Raises:
        ValueError: fewer than one worker.
    """
    workers = checked_workers(workers)
    points = threaded_map(
        prepare,
        (item for chunk in chunks for item in chunk),
        workers,
        ahead=max((len(chunk) for chunk in chunks), default=0),
    )
    with contextlib.closing(points), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        last: Any = None
        futures: List[Any] = []
        try:
            for chunk in chunks:
                context, futures = None, []
                try:
                    context, jobs = predict([next(points) for _ in chunk])
                    for job in jobs:
                        futures.append(pool.submit(finish, job))
                except (Exception, KeyboardInterrupt):
                    # What the chunk before gives is whole, and may have taken long.
                    if last is not None:
                        yield _result(last)
                        last = None
                    raise
                if last is not None:
                    yield _result(last)
                last = context, futures
            if last is not None:
                yield _result(last)
        finally:
            for future in futures + (last[1] if last is not None else []):
                future.cancel()


def _result(chunk):
    context, futures = chunk
    return context, [future.result() for future in futures]


def chunks_of(items: Sequence[_Item_pipeline], size: int) -> List[Sequence[_Item_pipeline]]:
    """``items`` as a list of lists of ``size``, the last one of what is left."""
    return [items[start : start + size] for start in range(0, len(items), size)]
