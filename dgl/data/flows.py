"""Tensorpack dataflows: decoded and augmented batches for training, center crops for validation.

The network normalizes in its graph, so batches are uint8 BGR.
"""

import collections
import functools
import itertools
import math
import os
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Deque, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.data.image_io import read_reduced
from dgl.data.sample import Sample
from dgl.data.views import random_training_view, rgb_to_bgr, validation_view
from dgl.errors import UserError
from dgl.tf_compat import tf  # noqa: F401  # loads TensorFlow before tensorpack does
from dgl.utils.parallel import lost_worker, ordered_map, worker_pool

from tensorpack.dataflow import (  # isort: skip
    BatchData,
    DataFlow,
    DataFlowTerminated,
    MapData,
    ProxyDataFlow,
)
from tensorpack.utils import logger  # isort: skip

_SEED_RANGE = 2**32 - 1
_PROBED = 50  # images tried before training is refused as unreadable
# Datapoints that a worker process takes at a time, and how many times ahead of their turn.
_CHUNK = 4
_CHUNKS_PER_WORKER = 8

# Forking keeps a process small. Only on Linux do the libraries survive it.
_START_METHOD = "fork" if sys.platform == "linux" else "spawn"


class Share(NamedTuple):
    """The part of every joint batch that one of several processes takes: one of ``count`` slices."""

    batch: int  # images of the joint batch, a multiple of `count`
    index: int  # type: ignore[assignment]  # instead of the tuple's method
    count: int  # type: ignore[assignment]

    def has(self, position: int) -> bool:
        """Whether draw number ``position`` of the joint stream is in the slice."""
        return position % self.batch * self.count // self.batch == self.index


WHOLE = Share(1, 0, 1)


class ShuffledDraws(DataFlow):  # type: ignore[misc]
    """Endless passes of (sample, seed): every sample once per pass, in an order fixed by ``seed``.

    The seed that goes with a sample fixes its augmentation whichever process makes it. The order of a
    pass and its seeds depend on ``seed`` and the number of the pass alone, so a stream can start
    anywhere, and processes that share its draws need not communicate.
    """

    def __init__(
        self, samples: Sequence[Any], seed: Optional[int], share: Share = WHOLE, start: int = 0
    ):
        """Order draws: the ``share`` of this process, after the first ``start`` of the joint stream.

        The seed is from 0 to 2^32 - 1, or ``None`` to draw one. No samples raise :class:`UserError`.
        """
        if not samples:
            raise UserError("the training list is empty; expected at least one image")
        self._samples = samples
        self._seed = new_seed() if seed is None else seed
        self._share = share
        self._start = start

    def __iter__(self) -> Iterator[List[Any]]:
        length = len(self._samples)
        first_pass, skipped = divmod(self._start, length)
        for number in itertools.count(first_pass):
            rng = np.random.RandomState([self._seed, number])
            order = rng.permutation(length)
            seeds = rng.randint(0, _SEED_RANGE, length, dtype="uint32")
            for place in range(skipped if number == first_pass else 0, length):
                if self._share.has(number * length + place):
                    yield [self._samples[order[place]], seeds[place]]


def new_seed() -> int:
    """int: a seed from the operating system, in the range of ``--seed``."""
    return int.from_bytes(os.urandom(4), "little") % 2**31


def training_point(size: int, draw: Sequence[Any]) -> Optional[List[Any]]:
    """[sample, seed] -> [(S, S, 3) uint8 BGR, class index]; ``None`` for an unreadable image."""
    sample, seed = draw
    try:
        image = read_reduced(sample.path).image
    except UserError as error:
        logger.warning("left out of training: %s", error)
        return None
    view = random_training_view(image, size, np.random.RandomState(seed))
    return [np.ascontiguousarray(rgb_to_bgr(view)), sample.class_index]


def check_readable(samples: Sequence[Sample]) -> None:
    """Raise :class:`UserError` when none of the first images decodes: no batch would ever be full."""
    for sample in samples[:_PROBED]:
        try:
            read_reduced(sample.path)
            return
        except UserError as error:
            last = error
    if samples:
        raise last


def _map_chunk(function: Callable[[Any], Any], chunk: Sequence[Any]) -> List[Any]:
    return [result for result in map(function, chunk) if result is not None]


class ProcessMapData(ProxyDataFlow):  # type: ignore[misc]
    """``function`` of every datapoint, computed by worker processes, in the flow's order.

    A seeded run therefore sees the same images in the same batches however fast each process is.
    Datapoints for which the function returns ``None`` are left out. Processes start at
    ``reset_state`` and end with :meth:`close`, or with the process that started them. The datapoints of
    the flow, endless or not, and the function have to be picklable.
    """

    def __init__(self, flow: DataFlow, function: Callable[[Any], Any], workers: int):
        super().__init__(flow)
        self._function = function
        self._workers = workers
        self._pool: Optional[ProcessPoolExecutor] = None

    def reset_state(self) -> None:
        """Start the processes, before TensorFlow's threads that a fork would not survive."""
        super().reset_state()
        if self._pool is None:
            self._pool = worker_pool(self._workers, _START_METHOD)
            self._pool.submit(int).result()

    def close(self) -> None:
        """End the processes and wait for them, which Python 3.9 needs before it ends itself."""
        if self._pool is not None:
            self._pool.shutdown()

    def __iter__(self) -> Iterator[Any]:
        assert self._pool is not None, "reset_state() comes before iteration"
        pending: Deque[Future[Any]] = collections.deque()
        points = iter(self.ds)
        try:
            while True:
                while len(pending) < self._workers * _CHUNKS_PER_WORKER:
                    chunk = list(itertools.islice(points, _CHUNK))
                    if not chunk:
                        break
                    pending.append(self._pool.submit(_map_chunk, self._function, chunk))
                if not pending:
                    return
                yield from pending.popleft().result()
        except BrokenProcessPool as error:
            raise lost_worker() from error
        finally:
            for future in pending:
                future.cancel()


class FailureKeeper(ProxyDataFlow):  # type: ignore[misc]
    """Keep the exception that ends a flow for the trainer: tensorpack's thread would only log it.

    After a failure it repeats the last datapoint, so that the step that waits for one ends and
    :class:`~dgl.training.early_stop.StopOnDataFailure` gets its turn.
    """

    def __init__(self, flow: DataFlow, close: Callable[[], None] = lambda: None):
        super().__init__(flow)
        self.close = close  # ends what works for the flow; nothing may read it afterwards
        self.error: Optional[Exception] = None
        self.given = 0  # datapoints yielded before the error

    def __iter__(self) -> Iterator[Any]:
        point = None
        try:
            for point in self.ds:
                self.given += 1
                yield point
        except Exception as error:
            self.error = error
            if point is None:
                raise DataFlowTerminated() from error
        while self.error is not None:
            yield point


def training_flow(
    samples: Sequence[Sample],
    size: int,
    batch: int,
    workers: int,
    seed: Optional[int] = None,
    share: Optional[Share] = None,
    start: int = 0,
) -> FailureKeeper:
    """Endless batches for training: [(batch, S, S, 3) uint8 BGR, (batch,) int32], S being ``size``.

    Args:
        workers: processes that decode and augment; 0 works in the trainer's process.
        seed: fixes shuffling and augmentation; ``None`` draws a new one.
        share: of this process, or ``None`` where it is the only one.
        start: images that all processes together have drawn before.
    """
    check_readable(samples)
    flow = ShuffledDraws(samples, seed, share or WHOLE, start)
    point = functools.partial(training_point, size)
    if not workers:
        return FailureKeeper(BatchData(MapData(flow, point), batch))
    flow = ProcessMapData(flow, point, workers)
    return FailureKeeper(BatchData(flow, batch), flow.close)


class ValidationFlow(DataFlow):  # type: ignore[misc]
    """Batches of center crops in the order of the list; the last batch may be short.

    Threads decode ahead; an unreadable image raises :class:`UserError` at its place.
    """

    def __init__(self, samples: Sequence[Sample], size: int, batch: int, workers: int = 2):
        if not samples:
            raise UserError("the validation list is empty; expected at least one image")
        self._samples = samples
        self._size = size
        self._batch = batch
        self._workers = workers

    def __len__(self) -> int:
        return math.ceil(len(self._samples) / self._batch)

    def _point(self, sample: Sample) -> Tuple[np.ndarray, int]:
        view = validation_view(read_reduced(sample.path).image, self._size)
        return rgb_to_bgr(view), sample.class_index

    def __iter__(self) -> Iterator[List[np.ndarray]]:
        points = ordered_map(self._point, self._samples, max(1, self._workers))
        for batch in iter(lambda: list(itertools.islice(points, self._batch)), []):
            views, labels = zip(*batch)
            yield [np.stack(views), np.asarray(labels, "int32")]
