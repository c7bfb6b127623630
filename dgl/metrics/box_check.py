"""Clip true boxes to their images, and warn of those that did not fit.

An image that EXIF turns has two frames: the upright one, in which everything here is counted, and the raw
one, in which the file stores it and in which some programs draw boxes.
"""

import logging
from typing import NamedTuple, Optional, Tuple

import numpy as np

from dgl.data.image_io import Decoded, turn_boxes
from dgl.data.sample import Sample
from dgl.predict.postprocess import clip_boxes
from dgl.utils.types import ArrayLike

# The frame of the true boxes, values of `--boxes-frame`.
UPRIGHT, RAW = "upright", "raw"
FRAMES = (UPRIGHT, RAW)

_logger = logging.getLogger(__name__)


class Fit(NamedTuple):
    """The boxes of one image."""

    boxes: np.ndarray  # float64 (K, 4), within the image
    clipped: int  # boxes that reached over its border
    outside: int  # boxes wholly outside, which are not among `boxes`
    size: Tuple[int, int]  # `(width, height)` of the upright image in pixels


def fit_boxes(boxes: ArrayLike, decoded: Decoded, frame: str = UPRIGHT) -> Fit:
    """Clip boxes to their image.

    Args:
        boxes: numbers (N, 4), ``x0, y0, x1, y1`` in pixels of the image's file.
        frame: of :data:`FRAMES`, that of ``boxes``.

    Returns:
        :class:`Fit`, in pixels of the upright file; ``decoded.to_image`` takes them to the decoded array.

    Raises:
        ValueError: as :func:`dgl.predict.postprocess.as_boxes`.
    """
    width, height = decoded.size
    if frame == RAW:
        boxes = turn_boxes(boxes, decoded.orientation, decoded.size)
    fitting, outside = clip_boxes(boxes, width, height)
    over = sum(x0 < 0 or y0 < 0 or x1 > width or y1 > height for x0, y0, x1, y1 in boxes)
    return Fit(fitting, int(over) - outside, outside, (width, height))


class BoxCheck:
    """Counts the boxes and images of a data set that did not fit; ``frame`` is that of its boxes.

    Attributes:
        clipped: boxes that reached over their image.
        outside: boxes wholly outside it.
    """

    def __init__(self, frame: str = UPRIGHT) -> None:
        self.clipped = self.outside = self._sizes = self._swapped = self._turned = 0
        self._frame = frame
        self._first_box: Optional[str] = None
        self._first_size: Optional[str] = None

    def add(self, sample: Sample, fit: Fit) -> None:
        """Count one :class:`~dgl.data.sample.Sample` with its :class:`Fit`."""
        self.clipped += fit.clipped
        self.outside += fit.outside
        if self._first_box is None and (fit.clipped or fit.outside):
            self._first_box = sample.id
        if not sample.boxes or fit.size == sample.size:
            return
        is_swapped = fit.size[::-1] == sample.size
        if sample.size is None:
            self._turned += _fits_turned_only(sample, fit.size)
        if sample.size is None or (is_swapped and self._frame == RAW):
            return
        self._sizes += 1
        self._swapped += is_swapped
        if self._first_size is None:
            sides = (*fit.size, *sample.size)
            self._first_size = "{} is {} x {}, declared {} x {}".format(sample.id, *sides)

    def log(self, name: str) -> None:
        """Log one warning for boxes and one for sizes of the data set ``name``; none if all fit."""
        hint = " (boxes made in images that EXIF had not turned need --boxes-frame raw)"
        if self._frame == RAW:
            hint = ""
        if self._first_box is not None:
            _logger.warning(
                f"{name}: {self.clipped} boxes reach over their image and were clipped, {self.outside} lie "
                f"outside it and do not count; the first in {self._first_box}"
            )
        if self._first_size is not None:
            swapped = f", {self._swapped} of them with width and height swapped{hint}"
            _logger.warning(
                f"{name}: {self._sizes} images with boxes are not as large as the data set declares"
                f"{swapped if self._swapped else ''}, so boxes may be off; the first: {self._first_size}"
            )
        if self._turned and self._frame == UPRIGHT:
            _logger.warning(
                f"{name}: boxes of {self._turned} images fit them only with width and height swapped{hint}"
            )


def _fits_turned_only(sample: Sample, size: Tuple[int, int]) -> bool:
    """Whether an image's boxes reach over it, but not over an image of its height and width swapped."""
    right = max(box[2] for box in sample.boxes)
    bottom = max(box[3] for box in sample.boxes)
    width, height = size
    return (right > width or bottom > height) and right <= height and bottom <= width
