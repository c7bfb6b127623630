"""Clip true boxes to their images, and warn of those that did not fit."""

import logging
from typing import NamedTuple, Optional, Tuple

import numpy as np

from dgl.data.sample import Sample
from dgl.predict.postprocess import clip_boxes
from dgl.utils.types import ArrayLike

_logger = logging.getLogger(__name__)


class Fit(NamedTuple):
    """The boxes of one image.

    Attributes:
        boxes: float64 (K, 4), within the image.
        clipped: int, boxes that reached over its border.
        outside: int, boxes wholly outside, which are not among ``boxes``.
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
    """Counts the boxes and images of a data set that did not fit.

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
