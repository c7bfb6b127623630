"""Draw a heat map over an image and boxes on it, and write images.

The overlay is the published one: min-max map -> uint8 -> JET; ``0.3 * image + 0.7 * heatmap``.
"""

import os
from typing import Optional, Tuple

import cv2
import numpy as np

from dgl.data.image_io import encode_image
from dgl.data.views import bgr_to_rgb
from dgl.errors import UserError
from dgl.predict.postprocess import resize_map
from dgl.utils.files import write_atomically
from dgl.utils.types import ArrayLike

IMAGE_WEIGHT = 0.3
HEAT_WEIGHT = 0.7

TRUTH_COLOR = (40, 214, 86)
PREDICTED_COLOR = (255, 56, 56)
_OUTLINE_COLOR = (16, 16, 16)

# Line width as a fraction of the longer side: 2 pixels at 224, 4 at 384, 10 at 1024.
_LINE_FRACTION = 1.0 / 100.0
_JPEG_QUALITY = 92


def _mixtures() -> np.ndarray:
    """uint8 (65536,): the overlay of every heat (the upper byte of the index) and every image value."""
    values = np.arange(256, dtype=np.float64)
    mixed = IMAGE_WEIGHT * values + HEAT_WEIGHT * values[:, np.newaxis]
    return np.uint8(np.rint(mixed)).ravel()


_MIXED = _mixtures()


def colorize(map01: ArrayLike) -> np.ndarray:
    """JET colors of a normalized map: low is blue, high is red.

    Args:
        map01: float array (H, W) in [0, 1]; values outside are clipped.

    Returns:
        uint8 array (H, W, 3), RGB.

    Raises:
        ValueError: not two-dimensional, or NaN or infinity.
    """
    score_map = np.asarray(map01)
    if score_map.ndim != 2:
        raise ValueError(f"score map: expected shape (H, W), got {score_map.shape}")
    # The extremes show NaN and infinity anywhere, and whether to clip.
    low, high = (score_map.min(), score_map.max()) if score_map.size else (0, 0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("score map: expected numbers in [0, 1], got NaN or infinity")
    if low < 0 or high > 1:
        score_map = np.clip(score_map, 0.0, 1.0)
    # Truncation, not rounding, as the binarization of the maps does.
    levels = np.multiply(score_map, 255.0, dtype=np.float64).astype(np.uint8)
    return np.ascontiguousarray(bgr_to_rgb(cv2.applyColorMap(levels, cv2.COLORMAP_JET)))


def overlay(image_rgb_uint8: np.ndarray, map01: ArrayLike) -> np.ndarray:
    """``0.3 * image + 0.7 * heatmap``.

    Args:
        image_rgb_uint8: uint8 array (H, W, 3), RGB.
        map01: float array (h, w) in [0, 1]; resized bilinearly where it differs from the image.

    Returns:
        uint8 array (H, W, 3), RGB, rounded.

    Raises:
        ValueError: shapes or types other than these, or NaN or infinity in the map.
    """
    image = _checked(image_rgb_uint8)
    height, width = image.shape[:2]
    heat = colorize(resize_map(map01, height, width))
    index = heat.astype(np.intp)
    index <<= 8
    index |= image
    return _MIXED.take(index)


def draw_boxes(
    image: np.ndarray, predicted: Optional[ArrayLike] = None, truth: ArrayLike = ()
) -> np.ndarray:
    """Boxes on a copy: true ones green, the predicted one red and on top.

    Every line has a thin dark outline and is kept inside the image, so it stays visible on any
    ground and at the border. The line width grows with the image.

    Args:
        image: uint8 array (H, W, 3), RGB; left as it is.
        predicted: (x0, y0, x1, y1) in pixels of the image, or ``None``. ``0, 0, 0, 0``, which
            stands for "no contour", draws nothing.
        truth: sequence or array of boxes, same form.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        ValueError: not an RGB uint8 image, or a box without four finite numbers.
    """
    drawn = _checked(image).copy()
    for box in np.asarray(truth, dtype=np.float64).reshape(-1, 4):
        _frame(drawn, box, TRUTH_COLOR)
    if predicted is not None:
        _frame(drawn, np.asarray(predicted, dtype=np.float64).reshape(4), PREDICTED_COLOR)
    return drawn


def write_image(path: str, rgb: np.ndarray) -> None:
    """Write an image in the format its name asks for, completely or not at all.

    Args:
        path: str ending in ``.png``, ``.jpg`` or another type OpenCV writes.
        rgb: uint8 array (H, W, 3), RGB.

    Raises:
        UserError: unknown type, or the place cannot be written.
        ValueError: not an RGB uint8 image.
    """
    extension = os.path.splitext(str(path))[1].lower()
    quality = _JPEG_QUALITY if extension in (".jpg", ".jpeg") else None
    image = _checked(rgb)
    try:
        data = encode_image(image, extension, quality)
    except ValueError as error:
        raise UserError(f"{path}: expected a name ending in .png or .jpg") from error
    write_atomically(path, data)


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.ascontiguousarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"image: expected uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}"
        )
    return image


def _frame(image: np.ndarray, box: np.ndarray, color: Tuple[int, int, int]) -> None:
    if not np.isfinite(box).all():
        raise ValueError(f"box: expected four finite numbers, got {box.tolist()}")
    if not box.any():
        return
    height, width = image.shape[:2]
    line = max(1, int(round(max(height, width) * _LINE_FRACTION)))
    rim = max(1, line // 3)
    # The line lies centered on the box's edge; near the border it is moved inwards.
    margin = rim + line // 2
    limit_x, limit_y = max(margin, width - 1 - margin), max(margin, height - 1 - margin)
    x0, x1 = sorted(int(round(min(max(x, margin), limit_x))) for x in box[[0, 2]])
    y0, y1 = sorted(int(round(min(max(y, margin), limit_y))) for y in box[[1, 3]])
    before, after = line // 2, line - line // 2
    _ring(image, (x0, y0, x1, y1), before + rim, after + rim, _OUTLINE_COLOR)
    _ring(image, (x0, y0, x1, y1), before, after, color)


def _ring(
    image: np.ndarray,
    box: Tuple[int, int, int, int],
    before: int,
    after: int,
    color: Tuple[int, int, int],
) -> None:
    """Fill the band from ``before`` pixels ahead of each edge to ``after`` behind its start."""
    x0, y0, x1, y1 = box
    left, right = max(0, x0 - before), x1 + after
    top, bottom = max(0, y0 - before), y1 + after
    for y in (y0, y1):
        image[max(0, y - before) : y + after, left:right] = color
    for x in (x0, x1):
        image[top:bottom, max(0, x - before) : x + after] = color
