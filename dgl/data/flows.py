"""Tensorpack dataflows: decoding and augmentation for training, the fixed view for validation.

The recipe: images are resized to (S + 32, S + 32) whatever their aspect. Training takes a random S x S
crop and a random horizontal flip, in float32, and goes back to uint8; validation takes the center crop.
The network normalizes in its graph, so points are uint8 BGR.
"""

import itertools
import math
import os
from typing import NamedTuple, Optional, Sequence

import cv2
import numpy as np

from dgl.data.image_io import read_image
from dgl.data.sample import Sample
from dgl.data.worker_processes import OrderedProcesses
from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.utils.parallel import ordered_map

from tensorpack.dataflow import (  # isort: skip
    BatchData,
    DataFlow,
    DataFlowTerminated,
    MapData,
    ProxyDataFlow,
)
from tensorpack.utils import logger  # isort: skip

BORDER = 32
_SEED_RANGE = 2**32 - 1
_PROBED = 50  # images tried before training is refused as unreadable


def augment(image: np.ndarray, size: int, rng: np.random.RandomState) -> np.ndarray:
    """One random training view.

    Args:
        image: (H, W, 3) uint8.
        size: side S of the view in pixels.
        rng: ``numpy.random.RandomState``.

    Returns:
        (S, S, 3) uint8.
    """
    side = size + BORDER
    view = cv2.resize(image.astype("float32"), (side, side), interpolation=cv2.INTER_LINEAR)
    top, left = rng.randint(0, BORDER + 1, 2)
    view = view[top : top + size, left : left + size]
    if rng.rand() < 0.5:
        view = view[:, ::-1]
    return np.clip(view, 0, 255).astype("uint8")


def center_view(image: np.ndarray, size: int) -> np.ndarray:
    """The validation view: (S + 32, S + 32), then the central S x S. uint8 in and out."""
    side = size + BORDER
    view = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
    top = BORDER // 2
    return view[top : top + size, top : top + size]


class Share(NamedTuple):
    """What one of several processes takes of every joint batch: slice ``index`` of ``count`` equal ones.

    Attributes:
        batch: images of the joint batch, a multiple of ``count``.
        index: which slice.
        count: how many there are.
    """

    batch: int
    index: int  # type: ignore[assignment]  # instead of the tuple's method
    count: int  # type: ignore[assignment]

    def has(self, position: int) -> bool:
        """Whether draw number ``position`` of the joint stream is in the slice."""
        return position % self.batch * self.count // self.batch == self.index


WHOLE = Share(1, 0, 1)


class ShuffledDraws(DataFlow):
    """Endless passes of (sample, seed): every sample once a pass, in an order fixed by ``seed``.

    The seed that goes with a sample fixes its augmentation whichever process makes it. Being endless it has
    no length, so a batch may be larger than the list. The order of a pass and its seeds are a function of
    ``seed`` and of the number of the pass alone: so a stream can begin anywhere, and processes that share
    its draws out need not talk to each other.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        seed: Optional[int] = None,
        share: Share = WHOLE,
        start: int = 0,
    ):
        """Order draws.

        Args:
            samples: list of :class:`~dgl.data.sample.Sample`.
            seed: int from 0 to 2^32 - 1, or ``None`` to draw one.
            share: :class:`Share`.
            start: draws of the joint stream that are over already.

        Raises:
            UserError: ``samples`` is empty.
        """
        if not samples:
            raise UserError("the training list is empty; expected at least one image")
        self._samples = samples
        self._seed = new_seed() if seed is None else seed
        self._share = share
        self._start = start

    def __iter__(self):
        length = len(self._samples)
        first, begun = divmod(self._start, length)
        for turn in itertools.count(first):
            rng = np.random.RandomState([self._seed, turn])
            order = rng.permutation(length)
            seeds = rng.randint(0, _SEED_RANGE, length, dtype="uint32")
            for place in range(begun if turn == first else 0, length):
                if self._share.has(turn * length + place):
                    yield [self._samples[order[place]], seeds[place]]


def new_seed() -> int:
    """int: a seed from the operating system, in the range of ``--seed``."""
    return int.from_bytes(os.urandom(4), "little") % 2**31


class _TrainingView:
    """Maps (sample, seed) to (view, label); a class, so that worker processes can be started anyhow."""

    def __init__(self, size):
        self._size = size

    def __call__(self, draw):
        sample, seed = draw
        try:
            image = read_image(sample.path)
        except UserError as error:
            logger.warning("left out of training: %s", error)
            return None
        view = augment(image, self._size, np.random.RandomState(seed))
        return [np.ascontiguousarray(view[..., ::-1]), sample.class_index]


def _check_readable(samples):
    """Raise :class:`UserError` when none of the first images decodes: there would be no batch ever."""
    for sample in samples[:_PROBED]:
        try:
            read_image(sample.path)
            return
        except UserError as error:
            last = error
    if samples:
        raise last


class FailureKeeper(ProxyDataFlow):
    """Keeps what ends a flow, for the trainer to tell: tensorpack's thread would only log it.

    After a failure it goes on giving the last datapoint, so that the step that waits for one ends and
    :class:`~dgl.training.early_stop.StopOnDataFailure` gets its turn.

    Attributes:
        error: the exception, or ``None``.
        given: datapoints given before it.
    """

    def __init__(self, flow: DataFlow):
        super().__init__(flow)
        self.error = None
        self.given = 0

    def __iter__(self):
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
    """Endless batches for training.

    Args:
        samples: list of :class:`~dgl.data.sample.Sample`.
        size: side S of the views.
        batch: images a batch.
        workers: processes that decode and augment; 0 works in the trainer's process.
        seed: fixes shuffling and augmentation; ``None`` draws afresh.
        share: :class:`Share` of this process, or ``None`` where it is the only one.
        start: images that all processes together have drawn before.

    Returns:
        :class:`FailureKeeper` of [(batch, S, S, 3) uint8 BGR, (batch,) int32].
    """
    _check_readable(samples)
    flow = ShuffledDraws(samples, seed, share or WHOLE, start)
    view = _TrainingView(size)
    flow = OrderedProcesses(flow, view, workers) if workers else MapData(flow, view)
    return FailureKeeper(BatchData(flow, batch))


class ValidationFlow(DataFlow):
    """Batches of center views in the order of the list; the last batch may be short.

    Threads decode ahead; an unreadable image raises :class:`UserError` at its place.
    """

    def __init__(self, samples: Sequence[Sample], size: int, batch: int, workers: int = 2):
        if not samples:
            raise UserError("the validation list is empty; expected at least one image")
        self._samples = samples
        self._size = size
        self._batch = batch
        self._workers = workers

    def __len__(self):
        return int(math.ceil(len(self._samples) / float(self._batch)))

    def _point(self, sample):
        view = center_view(read_image(sample.path), self._size)
        return view[..., ::-1], sample.class_index

    def __iter__(self):
        views, labels = [], []
        for view, label in ordered_map(self._point, self._samples, max(1, self._workers)):
            views.append(view)
            labels.append(label)
            if len(views) == self._batch:
                yield [np.stack(views), np.asarray(labels, "int32")]
                views, labels = [], []
        if views:
            yield [np.stack(views), np.asarray(labels, "int32")]
