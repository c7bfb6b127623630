"""Clip true boxes to their images, and warn of those that did not fit.

An image that EXIF turns has two frames: the upright one, in which everything here is counted, and the raw
one, in which the file stores it and in which some programs draw boxes.
"""

import logging
from typing import NamedTuple, Tuple

import numpy as np

from dgl.data.image_io import Decoded, turn_boxes
from dgl.data.sample import DataSet, Sample
from dgl.metrics.records import Records
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


def warn_of_misfits(dataset: DataSet, frame: str, images: Records) -> None:
    """Log one warning for boxes and one for sizes of a data set; none if all fit.

    Args:
        dataset: with the boxes.
        frame: of :data:`FRAMES`, that of its boxes.
        images: rows of ``clipped``, ``outside``, ``width`` and ``height``, as :class:`Fit` has them; their
            ids are the images' places in the data set.
    """
    name = dataset.name
    hint = " (boxes made in images that EXIF had not turned need --boxes-frame raw)"
    samples = [dataset.samples[int(key)] for key in images.ids]
    clipped, outside, widths, heights = (
        images.column(key).tolist() for key in ("clipped", "outside", "width", "height")
    )
    if any(clipped) or any(outside):
        first = next(s for s, *boxes in zip(samples, clipped, outside) if any(boxes))
        _logger.warning(
            f"{name}: {sum(clipped)} boxes reach over their image and were clipped, {sum(outside)} lie "
            f"outside it and do not count; the first in {first.id}"
        )
    boxed = [pair for pair in zip(samples, zip(widths, heights)) if pair[0].boxes]
    others = [
        (sample, size)
        for sample, size in boxed
        if sample.size not in (None, size) and not (frame == RAW and sample.size == size[::-1])
    ]
    if others:
        swapped = sum(sample.size == size[::-1] for sample, size in others)
        told = f", {swapped} of them with width and height swapped{hint}" if swapped else ""
        sample, size = others[0]
        sides = "{} x {}, declared {} x {}".format(*size, *(sample.size or ()))
        _logger.warning(
            f"{name}: {len(others)} images with boxes are not as large as the data set declares{told}, so "
            f"boxes may be off; the first: {sample.id} is {sides}"
        )
    turned = sum(_fits_turned_only(sample, size) for sample, size in boxed if sample.size is None)
    if turned and frame == UPRIGHT:
        _logger.warning(
            f"{name}: boxes of {turned} images fit them only with width and height swapped{hint}"
        )


def _fits_turned_only(sample: Sample, size: Tuple[int, int]) -> bool:
    """Whether an image's boxes reach over it, but not over an image of its height and width swapped."""
    right = max(box[2] for box in sample.boxes)
    bottom = max(box[3] for box in sample.boxes)
    width, height = size
    return (right > width or bottom > height) and right <= height and bottom <= width
