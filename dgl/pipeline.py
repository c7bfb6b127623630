"""Three stages that overlap: threads prepare, the calling thread runs the session, threads finish.

While the session has one chunk, the next one is decoded and boxes of the last one are found and written.
Decoding, OpenCV and the session release the interpreter lock, so threads do. Everything that is between two
stages is bounded by a few chunks, however many there are.
"""

import concurrent.futures
import contextlib
from typing import Any, Callable, Generator, Iterable, List, Optional, Sequence, Tuple, TypeVar

from dgl.parallel import checked_workers, threaded_map

_Item = TypeVar("_Item")
_Point = TypeVar("_Point")
_Context = TypeVar("_Context")
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def overlapped(
    chunks: Sequence[Sequence[_Item]],
    prepare: Callable[[_Item], _Point],
    predict: Callable[[List[_Point]], Tuple[_Context, Iterable[_Job]]],
    finish: Callable[[_Job], _Result],
    workers: Optional[int] = None,
) -> Generator[Tuple[_Context, List[_Result]], None, None]:
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


def chunks_of(items: Sequence[_Item], size: int) -> List[Sequence[_Item]]:
    """``items`` as a list of lists of ``size``, the last one of what is left."""
    return [items[start : start + size] for start in range(0, len(items), size)]
