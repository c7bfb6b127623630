"""Ordered maps in threads, and a pipeline whose stages prepare, predict and finish overlap.

Threads suffice because image decoding, OpenCV and TensorFlow release the interpreter lock.
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
_Point = TypeVar("_Point")
_Context = TypeVar("_Context")
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_AHEAD_PER_WORKER = 4  # items started before their results are taken


def ordered_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: Optional[int] = None
) -> Iterator[_Result]:
    """Apply ``function`` to every item in a thread pool and yield the results in order.

    Only a few items per worker are read ahead, so a long iterable is never held in memory.

    Args:
        function: callable of one item.
        items: iterable.
        workers: number of threads; 1 stays in the calling thread, ``None`` is one per core.

    Yields:
        The results in the order of ``items``. An exception of ``function`` is raised at its place in
        that order, and items not yet started are dropped.

    Raises:
        ValueError: fewer than one worker.
    """
    workers = checked_workers(workers)
    return map(function, items) if workers == 1 else threaded_map(function, items, workers)


def threaded_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int, ahead: int = 0
) -> Generator[_Result, None, None]:
    """As :func:`ordered_map`, but always in threads, which also work while the caller is busy.

    Args:
        function, items: as in :func:`ordered_map`.
        workers: number of threads, 1 or more.
        ahead: int, number of items to read ahead, if more than a few per worker.

    Returns:
        generator; closing it drops items not yet started and waits for the others.
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
    """int: ``workers``, or the number of cores for ``None``.

    Raises:
        ValueError: fewer than one worker.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    return workers


def overlapped(
    chunks: Sequence[Sequence[_Item]],
    prepare: Callable[[_Item], _Point],
    predict: Callable[[List[_Point]], Tuple[_Context, Iterable[_Job]]],
    finish: Callable[[_Job], _Result],
    workers: Optional[int] = None,
) -> Generator[Tuple[_Context, List[_Result]], None, None]:
    """Run chunks of items through three stages that overlap: prepare, predict and finish.

    Args:
        chunks: list of lists of items.
        prepare: item -> point; called in threads.
        predict: list of a chunk's points -> (context, jobs); called in the calling thread, chunk after
            chunk. ``jobs`` may be any iterable; it is consumed in the calling thread, and each job is
            started as soon as it is produced.
        finish: job -> result; called in threads.
        workers: threads for each of the two outer stages; ``None`` is one per core.

    Yields:
        (context, list of the results of the chunk's jobs, in their order), in the order of the chunks.
        An exception of any stage is raised after everything before it has been yielded. All threads
        end with the generator.

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
                    # The previous chunk is complete and may have taken long.
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


def _result(chunk: Tuple[_Context, List[Any]]) -> Tuple[_Context, List[Any]]:
    context, futures = chunk
    return context, [future.result() for future in futures]


def chunks_of(items: Sequence[_Item], size: int) -> List[Sequence[_Item]]:
    """Split ``items`` into chunks of ``size``; the last one may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
