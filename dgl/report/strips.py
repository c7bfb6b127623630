"""Strips of the gallery: an image with its true boxes, then each map over it with its box."""

from typing import Callable, NamedTuple, Optional, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dgl.predict.overlay import draw_boxes, overlay
from dgl.utils.types import ArrayLike

PANEL = 320
MAX_COLUMNS = 4

_GAP = 8
_CAPTION = 34
_TEXT_SIZE = 17
_PAD = 4
_TALLEST = 1.25
_BACKGROUND = (255, 255, 255)
_INK = (28, 32, 38)
_QUIET = (98, 106, 118)
_CV_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Entry(NamedTuple):
    """A map of an image with its box.

    Attributes:
        name: caption, such as ``dgl@conv5_3``.
        score_map: float array (h, w) in [0, 1], over the whole image.
        box: predicted box (x0, y0, x1, y1) in pixels of the image, or ``None``.
        iou: IoU in [0, 1] of that box with the best true box, or ``None``.
    """

    name: str
    score_map: np.ndarray
    box: Optional[Sequence[float]] = None
    iou: Optional[float] = None


def compose_tile(
    image: np.ndarray,
    truth: ArrayLike,
    entries: Sequence[Entry],
    panel: int = PANEL,
    max_columns: int = MAX_COLUMNS,
) -> np.ndarray:
    """The strip of one image; more than ``max_columns`` panels go into rows of equal length.

    Args:
        image: uint8 array (H, W, 3), RGB, in the geometry of the maps and boxes.
        truth: sequence of true boxes (x0, y0, x1, y1) in pixels of ``image``; may be empty.
        entries: sequence of :class:`Entry`.
        panel: width of one panel in pixels.
        max_columns: panels in a row.

    Returns:
        uint8 array (height, width, 3), RGB.

    Raises:
        ValueError: an image, map or box of another shape, or NaN or infinity in a map or box.
    """
    image = np.asarray(image)
    height, width = image.shape[:2]
    scale = min(panel / float(width), _TALLEST * panel / float(height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Boxes are drawn after scaling to keep their lines crisp.
    ratio = np.array([size[0] / float(width), size[1] / float(height)] * 2)
    resample = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(np.ascontiguousarray(image), size, interpolation=resample)
    truth = np.asarray(truth, dtype=np.float64).reshape(-1, 4) * ratio

    first = "input, true box" if len(truth) else "input"
    panels = [(draw_boxes(scaled, None, truth), first, "")]
    for entry in entries:
        box = None if entry.box is None else np.asarray(entry.box, dtype=np.float64) * ratio
        value = "" if entry.iou is None else f"IoU {entry.iou:.2f}"
        heat = draw_boxes(overlay(scaled, entry.score_map), box, truth)
        panels.append((heat, entry.name, value))

    rows = -(-len(panels) // max_columns)
    columns = -(-len(panels) // rows)
    cell = (panel, size[1] + _CAPTION)
    shape = (rows * (cell[1] + _GAP) - _GAP, columns * (cell[0] + _GAP) - _GAP, 3)
    tile = np.full(shape, _BACKGROUND, dtype=np.uint8)
    for index, (pixels, name, value) in enumerate(panels):
        row, column = divmod(index, columns)
        left, top = column * (cell[0] + _GAP), row * (cell[1] + _GAP)
        inset = left + (panel - size[0]) // 2
        tile[top : top + size[1], inset : inset + size[0]] = pixels
        tile[top + size[1] : top + cell[1], left : left + panel] = caption(name, value, panel)
    return tile


def caption(left: str, right: str, width: int) -> np.ndarray:
    """A line of text with one string at the left edge and one at the right edge.

    Args:
        left: shortened if it does not fit.
        right: may be empty; never shortened.
        width: pixels.

    Returns:
        uint8 array (34, width, 3), RGB.
    """
    font = _font()
    if font is None:
        return _caption_opencv(left, right, width)
    strip = Image.new("RGB", (width, _CAPTION), _BACKGROUND)
    pen = ImageDraw.Draw(strip)
    taken = pen.textlength(right, font=font)
    left = _shorten(left, width - taken - 4 * _PAD, lambda text: pen.textlength(text, font=font))
    middle = _CAPTION // 2
    pen.text((_PAD, middle), left, fill=_INK, font=font, anchor="lm")
    pen.text((width - _PAD, middle), right, fill=_QUIET, font=font, anchor="rm")
    return np.array(strip)


def _font() -> Optional[ImageFont.FreeTypeFont]:
    """Pillow's own scalable font, or ``None`` in Pillow below 10.1, which has none."""
    try:
        return ImageFont.load_default(_TEXT_SIZE)
    except (TypeError, ImportError):
        return None


def _caption_opencv(left: str, right: str, width: int) -> np.ndarray:
    strip = np.full((_CAPTION, width, 3), _BACKGROUND, dtype=np.uint8)

    def length(text: str) -> int:
        return int(cv2.getTextSize(text, _CV_FONT, 0.5, 1)[0][0]) if text else 0

    taken = length(right)
    left = _shorten(left, width - taken - 4 * _PAD, length)
    for text, x, ink in ((left, _PAD, _INK), (right, width - _PAD - taken, _QUIET)):
        if text:
            cv2.putText(strip, text, (x, _CAPTION - 12), _CV_FONT, 0.5, ink, 1, cv2.LINE_AA)
    return strip


def _shorten(text: str, room: float, length: Callable[[str], float]) -> str:
    if length(text) <= room:
        return text
    while text and length(text + "...") > room:
        text = text[:-1]
    return text + "..."
