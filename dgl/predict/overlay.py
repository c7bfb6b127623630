"""Draw a heat map over an image and boxes on it, and write images.

:func:`overlay` is the published one: min-max map -> uint8 -> JET; ``0.3 * image + 0.7 * heatmap``.
:func:`heat_with_region` is for people: its colors show what the box encloses.
"""

import functools
import os
from typing import Callable, Optional, Tuple

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
_STRIP_PIXELS = 1 << 20
_LEAST_OPACITY, _MOST_OPACITY = 0.15, 0.65


def colorize(map01: ArrayLike) -> np.ndarray:
    """JET colors of a map, float (H, W) in [0, 1], clipped: uint8 (H, W, 3) RGB, low blue and high red.

    Raises:
        ValueError: not two-dimensional, or NaN or infinity.
    """
    return _colored(_levels(map01), cv2.COLORMAP_JET)


def _levels(map01: ArrayLike) -> np.ndarray:
    """uint8 (H, W), a map in [0, 1] as :func:`colorize` takes it in 256 steps."""
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
    levels: np.ndarray = np.multiply(score_map, 255.0, dtype=np.float64).astype(np.uint8)
    return levels


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
    score_map = resize_map(map01, *image.shape[:2])
    return _painted(image, _overlay_tables(), lambda rows: _levels(score_map[rows]))


def _painted(
    image: np.ndarray, tables: np.ndarray, levels: Callable[[slice], np.ndarray]
) -> np.ndarray:
    """The image under a heat, (H, W) uint8 of some rows, with the mixtures in ``tables``.

    It is drawn in parts, because that takes many times the memory of what is drawn.
    """
    height, width = image.shape[:2]
    drawn = np.empty_like(image)
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        heat = levels(rows).astype(np.intp) << 8
        for channel, table in enumerate(tables):
            drawn[rows, :, channel] = table.take(heat | image[rows, :, channel])
    return drawn


def heat_with_region(
    image: np.ndarray, map01: ArrayLike, threshold: float, box: Optional[ArrayLike] = None
) -> np.ndarray:
    """A heat map in which the threshold lies at the middle of the color scale, with contour and box.

    Maps of early layers are peaked: under min-max colors a whole object is one hot dot. Here a value v
    is shown as ``v ** (log 0.5 / log t)``, which takes the threshold t to 0.5 and keeps 0 and 1, so all
    that counts as object has a warm color. Cold places let the photograph through.

    Args:
        image: uint8 array (H, W, 3), RGB.
        map01: float array (h, w) in [0, 1]; resized bilinearly where it differs from the image.
        threshold: float in [0, 1], fraction of the map's maximum that counts as object.
        box: (x0, y0, x1, y1) in pixels, or ``None``.

    Returns:
        uint8 array (H, W + bar, 3), RGB: the image with heat, contour and box, and a bar of the colors
        at its right, on which a line marks the threshold.

    Raises:
        ValueError: as :func:`overlay`.
    """
    image = _checked(image)
    height, width = image.shape[:2]
    score_map = resize_map(map01, height, width)
    peak = float(score_map.max())
    relative = np.clip(score_map / peak, 0.0, 1.0) if peak > 0 else np.zeros_like(score_map)
    power = np.log(0.5) / np.log(min(max(threshold, 1e-3), 0.999))
    drawn = _painted(image, _heat_tables(), lambda rows: np.rint(relative[rows] ** power * 255))
    mask = (relative > threshold).astype(np.uint8)
    contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[-2]
    line = max(1, int(round(max(height, width) * _LINE_FRACTION / 2)))
    cv2.drawContours(drawn, contours, -1, (255, 255, 255), line, cv2.LINE_AA)
    drawn = draw_boxes(drawn, predicted=box)
    return np.hstack([drawn, _color_bar(height, max(8, int(round(0.04 * width))))])


@functools.lru_cache(maxsize=None)
def _overlay_tables() -> np.ndarray:
    """uint8 (3, 65536): a color under every heat (the upper byte of the index), by image value."""
    return _tables(cv2.COLORMAP_JET, IMAGE_WEIGHT, HEAT_WEIGHT)


@functools.lru_cache(maxsize=None)
def _heat_tables() -> np.ndarray:
    """As :func:`_overlay_tables`, in colors that are the less transparent the warmer they are."""
    shown = np.linspace(0, 1, 256)[:, np.newaxis]
    opacity = _LEAST_OPACITY + (_MOST_OPACITY - _LEAST_OPACITY) * shown
    return _tables(cv2.COLORMAP_TURBO, 1 - opacity, opacity)


def _tables(colormap: int, of_image: ArrayLike, of_heat: ArrayLike) -> np.ndarray:
    heat = _colored(np.arange(256, dtype=np.uint8)[:, np.newaxis], colormap)[:, 0].T
    mixed = np.arange(256) * of_image + heat[..., np.newaxis] * of_heat
    tables: np.ndarray = np.rint(mixed).astype(np.uint8).reshape(3, -1)
    return tables


def _colored(levels: np.ndarray, colormap: int) -> np.ndarray:
    """uint8 (H, W) in colors, (H, W, 3) RGB."""
    return np.ascontiguousarray(bgr_to_rgb(cv2.applyColorMap(levels, colormap)))


def _color_bar(height: int, width: int) -> np.ndarray:
    """The colors from 1 at the top to 0, after a white gap, with the threshold's mark at the middle."""
    levels = np.rint(np.linspace(1, 0, height)[:, np.newaxis] * 255).astype(np.uint8)
    bar = np.repeat(_colored(levels, cv2.COLORMAP_TURBO), width, axis=1)
    mark = max(1, height // 150)
    bar[height // 2 - mark : height // 2 + mark] = 255
    gap = np.full((height, max(2, width // 3), 3), 255, np.uint8)
    return np.hstack([gap, bar])


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
    """Write uint8 (H, W, 3) RGB in the format that the path's name asks for, completely or not at all.

    Raises:
        UserError: a type that OpenCV does not write, or the place cannot be written.
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
    for more, shade in ((rim, _OUTLINE_COLOR), (0, color)):
        # A band along the edges: all within its outer ones, less what lies within its inner ones.
        before, after = line // 2 + more, line - line // 2 + more
        inner = np.s_[y0 + after : y1 - before, x0 + after : x1 - before]
        kept = image[inner].copy()
        image[y0 - before : y1 + after, x0 - before : x1 + after] = shade
        image[inner] = kept
