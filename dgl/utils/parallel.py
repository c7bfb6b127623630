"""Ordered maps in threads and processes, and a pipeline whose stages prepare, predict and finish overlap.

Threads suffice for image decoding, OpenCV and TensorFlow, which release the interpreter lock.
"""

import collections
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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

import cv2

from dgl.errors import UserError

_Item = TypeVar("_Item")
_Point = TypeVar("_Point")
_Context = TypeVar("_Context")
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_AHEAD_PER_WORKER = 4  # items started before their results are taken
_MANY_ITEMS, _ITEMS_AT_ONCE = 1000, 50  # of `process_map`
_PARENT_CHECK_SECONDS = 2.0
_FEW = 2  # threads that each take a whole chunk through all stages


def ordered_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: Optional[int] = None
) -> Iterator[_Result]:
    """Apply ``function`` to every item in a thread pool and yield the results in order.

    Only a few items per worker are read ahead, so a long iterable is never held in memory. One worker
    stays in the calling thread, ``None`` is one thread per core.

    Yields:
        The results in the order of ``items``. An exception of ``function`` is raised at its place in
        that order, and items not yet started are dropped.

    Raises:
        ValueError: fewer than one worker.
    """
    workers = _all_cores(workers)
    return map(function, items) if workers == 1 else threaded_map(function, items, workers)


def threaded_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int, ahead: int = 0
) -> Generator[_Result, None, None]:
    """As :func:`ordered_map`, but always in threads, which also work while the caller is busy.

    ``ahead`` items are started before their results are taken, by default a few per worker. Closing the
    generator drops items not yet started and waits for the others.
    """
    ahead = ahead or workers * _AHEAD_PER_WORKER
    with ThreadPoolExecutor(workers) as pool:
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


def process_map(
    function: Callable[[_Item], _Result], items: Sequence[_Item], workers: Optional[int] = None
) -> Iterator[_Result]:
    """As :func:`ordered_map`, but in processes: for many small steps of NumPy, which threads slow down.

    They are spawned, which takes a second, so few items stay in the calling process. The function, the
    items and the results are pickled.

    Raises:
        UserError: a process was killed, as Linux does where memory is short.
    """
    workers = _all_cores(workers)
    if workers == 1 or len(items) < _MANY_ITEMS:
        yield from map(function, items)
        return
    with worker_pool(workers) as pool:
        try:
            yield from pool.map(function, items, chunksize=_ITEMS_AT_ONCE)
        except BrokenProcessPool as error:
            raise lost_worker() from error


def worker_pool(workers: int, method: str = "spawn") -> ProcessPoolExecutor:
    """A pool of processes that end with this one, which alone handles signals.

    ``method`` is how they are started, as :mod:`multiprocessing` calls it.
    """
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(),))


def lost_worker() -> UserError:
    """What to say where the pool is broken."""
    return UserError(
        "a worker process ended by itself; expected it to last (out of memory? fewer --workers need less)"
    )


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # OpenCV's threads would compete with the other workers, and hang in a forked child.
    cv2.setNumThreads(0)
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()


def _exit_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)


def _all_cores(workers: Optional[int]) -> int:
    return (os.cpu_count() or 1) if workers is None else workers


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
        predict: list of a chunk's points -> (context, jobs); called in several threads, so that one
            chunk's run of a small network fills the pauses of another's. ``jobs`` may be any iterable.
        finish: job -> result; called in threads.
        workers: threads for each of the two outer stages, ``None`` is one per core; up to two take whole
            chunks through all stages.

    Yields:
        (context, list of the results of the chunk's jobs, in their order), in the order of the chunks.
        An exception of any stage is raised after everything before it has been yielded. All threads
        end with the generator.
    """
    workers = _all_cores(workers)

    def run(chunk: Sequence[_Item]) -> Tuple[_Context, List[_Result]]:
        context, jobs = predict([prepare(item) for item in chunk])
        return context, [finish(job) for job in jobs]

    def run_in_pools(chunk: Sequence[_Item]) -> Tuple[_Context, List[_Result]]:
        points = [preparing.submit(prepare, item) for item in chunk]
        context, jobs = predict([point.result() for point in points])
        results = [finishing.submit(finish, job) for job in jobs]
        return context, [result.result() for result in results]

    if workers <= _FEW:
        # More threads than cores would only make the network's operations wait for each other.
        yield from threaded_map(run, chunks, _FEW, ahead=_FEW + 1)
        return
    with ThreadPoolExecutor(workers) as preparing, ThreadPoolExecutor(workers) as finishing:
        # One chunk is prepared and one is finished while the network runs.
        yield from threaded_map(run_in_pools, chunks, 3, ahead=4)


def chunks_of(items: Sequence[_Item], size: int) -> List[Sequence[_Item]]:
    """Split ``items`` into chunks of ``size``; the last one may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
