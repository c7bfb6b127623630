"""The view of an image that a network takes (resizing, cropping, channel order), and its boxes.

Coordinates: x runs to the right, y down, in pixels; ``(0, 0)`` is the top left corner of the top
left pixel, so an image W pixels wide spans 0 to W. A box is ``(x0, y0, x1, y1)``. Sizes are whole
numbers of pixels.
"""

from typing import Callable, NamedTuple, Tuple

import cv2
import numpy as np

from dgl.utils.types import ArrayLike

# Side of the square on which wsolevaluation compares score maps with boxes.
WSOL_MAP_SIZE = 224
# Training resizes images to this many pixels more than the input before it crops.
TRAINING_BORDER = 32


def resize_bilinear_tf1(
    image: np.ndarray, height: int, width: int, reverse: bool = False
) -> np.ndarray:
    """Resize as TensorFlow 1's ``resize_bilinear`` does by default.

    ``align_corners=False`` without half-pixel centers: output pixel ``i`` samples the input at
    ``i * input / output``, between its floor and the next pixel (the last one repeats), so the
    result is shifted towards the top left compared with OpenCV's. All arithmetic is float32.

    Args:
        image: array (H, W) or (H, W, C), any real dtype.
        height, width: of the output.
        reverse: whether the channels' order is reversed.

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
    order = np.arange(channels)[:: -1 if reverse else 1]
    left, right = ((columns[:, np.newaxis] * channels + order).ravel() for columns in (left, right))
    dx, dy = np.repeat(dx, channels), dy[:, np.newaxis]

    def between_columns(rows: np.ndarray) -> np.ndarray:
        # Gathering before converting bounds the cost by the output's size.
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


def _interpolation(size_in: int, size_out: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = np.arange(size_out, dtype=np.float32) * (np.float32(size_in) / np.float32(size_out))
    lower = np.minimum(np.floor(source).astype(np.int64), size_in - 1)
    upper = np.minimum(lower + 1, size_in - 1)
    return lower, upper, source - lower.astype(np.float32)


def squash(image: np.ndarray, boxes: ArrayLike, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Resize to a square ignoring the aspect ratio: the geometry of wsolevaluation.

    Args:
        image: uint8 or float32 array (H, W, 3).
        boxes: N ``(x0, y0, x1, y1)`` in pixels of ``image``; N may be 0.

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
        image, boxes: as for :func:`squash`.
        resize: the side of the square before cropping (256 in the protocol).
        crop: the side of the crop (224 in the protocol); an odd border leaves the extra pixel at
            the right and the bottom.

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


def _scale_boxes(boxes: ArrayLike, width: int, height: int, size: int) -> np.ndarray:
    scaled: np.ndarray = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) * size
    # Multiplying first keeps whole results whole: size / width rounds, which truncation would show.
    return scaled / np.array([width, height, width, height], dtype=np.float64)


def rgb_to_bgr(images: np.ndarray) -> np.ndarray:
    """Reverse the channels of images (..., 3), without copying them."""
    return images[..., ::-1]


bgr_to_rgb = rgb_to_bgr


class View(NamedTuple):
    """One image as a protocol sees it."""

    image: np.ndarray  # uint8 RGB (S, S, 3)
    boxes: np.ndarray  # (K, 4), the true boxes in pixels of a square of side `map_size`
    map_size: int  # side at which score maps are compared with the boxes


class Geometry(NamedTuple):
    """A protocol's geometry: a description and ``view(image, boxes, size) -> View``."""

    description: str
    view: Callable[[np.ndarray, ArrayLike, int], View]


def _fixed_threshold_view(image: np.ndarray, boxes: ArrayLike, size: int) -> View:
    view, moved = resize_center_crop(image, boxes, fixed_resize(size), size)
    return View(view, moved, size)


def fixed_resize(size: int) -> int:
    """Side before the crop: 256 for 224, the same ratio for other inputs."""
    return round(size * 256 / 224.0)


def _wsolevaluation_view(image: np.ndarray, boxes: ArrayLike, size: int) -> View:
    view, moved = squash(image, boxes, size)
    if size != WSOL_MAP_SIZE:
        _, moved = squash(image, boxes, WSOL_MAP_SIZE)
    return View(view, moved, WSOL_MAP_SIZE)


# The descriptions are published in metrics.json, "centre" included.
GEOMETRIES = {
    "fixed_threshold": Geometry(
        "resized by 8/7, centre crop, boxes moved and clipped", _fixed_threshold_view
    ),
    "wsolevaluation": Geometry(
        "squashed without a crop, score maps and boxes at 224 x 224", _wsolevaluation_view
    ),
}


def demo_input(image: np.ndarray, size: int) -> np.ndarray:
    """The input of ``dgl localize``: TF 1's bilinear resize, aspect ignored, no rounding.

    (H, W, 3) uint8 RGB -> (size, size, 3) float32 BGR in 0..255.
    """
    return resize_bilinear_tf1(image, size, size, reverse=True)


def random_training_view(image: np.ndarray, size: int, rng: np.random.RandomState) -> np.ndarray:
    """A random S x S crop of the image resized to (S + 32, S + 32), flipped half of the time.

    (H, W, 3) uint8 -> (S, S, 3) uint8, where S is ``size``.
    """
    side = size + TRAINING_BORDER
    view = cv2.resize(image.astype("float32"), (side, side), interpolation=cv2.INTER_LINEAR)
    top, left = rng.randint(0, TRAINING_BORDER + 1, 2)
    view = view[top : top + size, left : left + size]
    if rng.rand() < 0.5:
        view = view[:, ::-1]
    return np.clip(view, 0, 255).astype("uint8")


def validation_view(image: np.ndarray, size: int) -> np.ndarray:
    """The central S x S of the image resized to (S + 32, S + 32); uint8 in and out."""
    return resize_center_crop(image, (), size + TRAINING_BORDER, size)[0]
