"""The view of an image that a network takes, and how boxes follow it.

Geometry of an image and its boxes: the resizes of the demo and of the two protocols.

Coordinates: x runs to the right, y down, in pixels; ``(0, 0)`` is the top left corner of the top
left pixel, so an image W pixels wide spans 0 to W. A box is ``(x0, y0, x1, y1)``. Sizes are whole
numbers of pixels.
"""

from typing import Callable, NamedTuple, Tuple

import cv2
import numpy as np

from dgl.utils.types import ArrayLike


def resize_bilinear_tf1(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize as TensorFlow 1's ``resize_bilinear`` does by default.

    ``align_corners=False`` without half-pixel centers: output pixel ``i`` samples the input at
    ``i * input / output``, between its floor and the next pixel (the last one repeats), so the
    result is shifted towards the top left against OpenCV's. All arithmetic is float32.

    Args:
        image: array (H, W) or (H, W, C), any real dtype.
        height: int, output rows.
        width: int, output columns.

    Returns:
        float32 array (height, width) or (height, width, C), in the range of the input.

    Raises:
        ValueError: the image or the output has no pixels.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or 0 in image.shape or height < 1 or width < 1:
        raise ValueError(f"cannot resize an array of shape {image.shape} to {height} x {width}")
    top, bottom, dy = _interpolation(image.shape[0], height)
    left, right, dx = _interpolation(image.shape[1], width)
    # Columns and channels as one axis: arithmetic is slow along a short last one.
    channels = int(np.prod(image.shape[2:]))
    flat = image.reshape(image.shape[0], -1)
    left, right = (
        (columns[:, np.newaxis] * channels + np.arange(channels)).ravel()
        for columns in (left, right)
    )
    dx, dy = np.repeat(dx, channels), dy[:, np.newaxis]

    def between_columns(rows):
        # Gathering before converting keeps the cost that of the output, however large the input.
        taken = flat.take(rows, axis=0)
        lower = taken.take(left, axis=1).astype(np.float32)
        upper = taken.take(right, axis=1).astype(np.float32)
        upper -= lower
        upper *= dx
        lower += upper
        return lower

    result = between_columns(top)
    difference = between_columns(bottom)
    difference -= result
    difference *= dy
    result += difference
    return result.reshape((height, width) + image.shape[2:])


def _interpolation(size_in, size_out):
    source = np.arange(size_out, dtype=np.float32) * (np.float32(size_in) / np.float32(size_out))
    lower = np.minimum(np.floor(source).astype(np.int64), size_in - 1)
    upper = np.minimum(lower + 1, size_in - 1)
    return lower, upper, source - lower.astype(np.float32)


def squash(image: np.ndarray, boxes: ArrayLike, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Resize to a square ignoring the aspect ratio: the geometry of wsolevaluation.

    Args:
        image: uint8 or float32 array (H, W, 3).
        boxes: sequence of N ``(x0, y0, x1, y1)`` in pixels of ``image``; N may be 0.
        size: int, the side of the square.

    Returns:
        ``(image, boxes)``: array (size, size, 3) of the input's dtype, resized with OpenCV's
        bilinear interpolation; int64 array (N, 4), scaled and truncated towards zero.
    """
    height, width = image.shape[:2]
    squashed = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    # int64 truncates as Python's int() does.
    return squashed, _scale_boxes(boxes, width, height, size).astype(np.int64)


def resize_center_crop(
    image: np.ndarray, boxes: ArrayLike, resize: int, crop: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Resize to a square ignoring the aspect ratio, then crop its center: fixed-threshold geometry.

    Args:
        image: uint8 or float32 array (H, W, 3).
        boxes: sequence of N ``(x0, y0, x1, y1)`` in pixels of ``image``; N may be 0.
        resize: int, the side of the square before cropping (256 in the protocol).
        crop: int, the side of the crop (224 in the protocol); an odd border leaves the extra pixel
            at the right and the bottom.

    Returns:
        ``(image, boxes)``: array (crop, crop, 3) of the input's dtype, resized with OpenCV's
        bilinear interpolation; float64 array (M, 4), the boxes in pixels of the crop, clipped to
        0..crop. M <= N: a box that lies wholly outside the crop is dropped.

    Raises:
        ValueError: the crop is larger than the resized image.
    """
    if not 1 <= crop <= resize:
        raise ValueError(f"cannot crop {crop} pixels out of {resize}")
    height, width = image.shape[:2]
    resized = cv2.resize(image, (resize, resize), interpolation=cv2.INTER_LINEAR)
    start = (resize - crop) // 2
    cropped = np.ascontiguousarray(resized[start : start + crop, start : start + crop])
    boxes = _scale_boxes(boxes, width, height, resize) - start
    outside = (boxes[:, :2] >= crop).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
    return cropped, np.clip(boxes[~outside], 0, crop)


def _scale_boxes(boxes, width, height, size):
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    # Multiplying first keeps whole results whole; size / width rounds, and truncation would show
    # it.
    return boxes * size / np.array([width, height, width, height], dtype=np.float64)


# How an image becomes the network's square input, and where its boxes go: one view a protocol.

WSOL_MAP_SIZE = 224


class View(NamedTuple):
    """One image as a protocol sees it.

    Attributes:
        image: uint8 RGB (S, S, 3).
        boxes: (K, 4), the true boxes in pixels of a square of side ``map_size``.
        map_size: side at which score maps are compared with the boxes.
    """

    image: np.ndarray
    boxes: np.ndarray
    map_size: int


class Geometry(NamedTuple):
    """A protocol's geometry: a description and ``view(image, boxes, size) -> View``."""

    description: str
    view: Callable


def _fixed(image, boxes, size):
    view, moved = resize_center_crop(image, boxes, fixed_resize(size), size)
    return View(view, moved, size)


def fixed_resize(size: int) -> int:
    """Side before the crop: 256 for 224, the same ratio for other inputs."""
    return int(round(size * 256 / 224.0))


def _wsol(image, boxes, size):
    view, moved = squash(image, boxes, size)
    if size != WSOL_MAP_SIZE:
        _, moved = squash(image, boxes, WSOL_MAP_SIZE)
    return View(view, moved, WSOL_MAP_SIZE)


GEOMETRIES = {
    "fixed_threshold": Geometry("resized by 8/7, center crop, boxes moved and clipped", _fixed),
    "wsolevaluation": Geometry("squashed without a crop, score maps and boxes at 224 x 224", _wsol),
}


def demo_input(image: np.ndarray, size: int) -> np.ndarray:
    """The per-image demo's input: TF 1's bilinear resize, aspect ignored, no rounding.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: side S.

    Returns:
        (S, S, 3) float32 BGR in 0..255.
    """
    return resize_bilinear_tf1(image, size, size)[..., ::-1]
