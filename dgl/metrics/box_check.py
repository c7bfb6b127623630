"""True boxes clipped to their images, and how a predicted box fails.

True boxes against the images as they are: boxes are clipped, and what did not fit is told of.
"""

import logging
from typing import NamedTuple, Optional, Tuple

import numpy as np

from dgl.data.sample import Sample
from dgl.predict import postprocess
from dgl.predict.postprocess import clip_boxes
from dgl.utils.types import ArrayLike

_logger = logging.getLogger(__name__)


class Fit(NamedTuple):
    """The boxes of one image.

    Attributes:
        boxes: float64 (K, 4), within the image.
        clipped: int, boxes that reached over its border.
        outside: int, boxes that had no part in it and are not among ``boxes``.
        size: ``(width, height)`` of the image in pixels.
    """

    boxes: np.ndarray
    clipped: int
    outside: int
    size: Tuple[int, int]


def fit_boxes(boxes: ArrayLike, image: np.ndarray) -> Fit:
    """Clip boxes to their image.

    Args:
        boxes: numbers (N, 4), ``x0, y0, x1, y1`` in pixels of the image.
        image: array (H, W, 3).

    Returns:
        :class:`Fit`.

    Raises:
        ValueError: as :func:`dgl.predict.postprocess.as_boxes`.
    """
    height, width = image.shape[:2]
    fitting, outside = clip_boxes(boxes, width, height)
    over = sum(x0 < 0 or y0 < 0 or x1 > width or y1 > height for x0, y0, x1, y1 in boxes)
    return Fit(fitting, int(over) - outside, outside, (width, height))


class BoxCheck:
    """Counts over a data set what did not fit.

    Attributes:
        clipped: int, boxes that reached over their image.
        outside: int, boxes wholly outside it.
    """

    def __init__(self) -> None:
        self.clipped = self.outside = self._sizes = 0
        self._first_box: Optional[str] = None
        self._first_size: Optional[str] = None

    def add(self, sample: Sample, fit: Fit) -> None:
        """Count one :class:`~dgl.data.sample.Sample` with its :class:`Fit`."""
        self.clipped += fit.clipped
        self.outside += fit.outside
        if self._first_box is None and (fit.clipped or fit.outside):
            self._first_box = sample.id
        if not sample.boxes or sample.size in (None, fit.size):
            return
        self._sizes += 1
        if self._first_size is None:
            self._first_size = "{} is {} x {}, declared {} x {}".format(
                sample.id, *(fit.size + sample.size)
            )

    def log(self, name: str) -> None:
        """Log one warning for boxes and one for sizes, each with the first image; none if all fit.

        Args:
            name: str, the data set.
        """
        if self._first_box is not None:
            _logger.warning(
                "%s: %d boxes reach over their image and were clipped, %d lie outside it and do "
                "not count; the first in %s",
                name,
                self.clipped,
                self.outside,
                self._first_box,
            )
        if self._first_size is not None:
            _logger.warning(
                "%s: %d images with boxes are not as large as the data set declares, so boxes "
                "may be off; the first: %s",
                name,
                self._sizes,
                self._first_size,
            )


# How a predicted box fails: it covers a part of the object, more than the object, or lies elsewhere.

RIGHT, PART, MORE, ELSEWHERE = CASES = ("right", "part", "more", "elsewhere")
_MOSTLY = 0.5


def case_of(box: ArrayLike, true_boxes: ArrayLike, iou: float = 0.5) -> str:
    """The case of one predicted box, by the true box that it overlaps most.

    ``right``: the IoU is reached. ``part``: most of the box lies on the object, and it misses more of
    the object than it has beside it. ``more``: most of the object lies in the box, which reaches beyond.
    ``elsewhere``: neither.

    Args:
        box: numbers (4,), ``x0, y0, x1, y1``, both ends belonging to it.
        true_boxes: numbers (G, 4), G at least 1.
        iou: float, the overlap from which a box is right.

    Returns:
        str, one of :data:`CASES`.

    Raises:
        ValueError: no true box, or a malformed one.
    """
    box, true_boxes = postprocess.as_boxes(box)[0], postprocess.as_boxes(true_boxes)
    overlaps = postprocess.iou(box, true_boxes)[0]
    best = int(np.argmax(overlaps))
    if overlaps[best] >= iou:
        return RIGHT
    truth = true_boxes[best]
    sides = np.minimum(box[2:], truth[2:]) - np.maximum(box[:2], truth[:2]) + 1
    shared = float(np.prod(np.maximum(sides, 0)))
    of_box = shared / float(np.prod(box[2:] - box[:2] + 1))
    of_truth = shared / float(np.prod(truth[2:] - truth[:2] + 1))
    if of_box >= _MOSTLY and of_box >= of_truth:
        return PART
    return MORE if of_truth >= _MOSTLY else ELSEWHERE
