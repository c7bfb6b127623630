"""From a layer's raw map to a score map in [0, 1], and on to boxes: normalize, resize, binarize, contours.

The rules for boxes, and their overlap, are those of wsolevaluation (Choe et al., *Evaluating Weakly
Supervised Object Localization Methods Right*, CVPR 2020). A box is ``x0, y0, x1, y1`` in pixels, both ends
belonging to it.
"""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from dgl.errors import UserError
from dgl.utils.types import ArrayLike

DEFAULT_THRESHOLD = 0.2  # fraction of a map's maximum that counts as object

_FOREGROUND = 255
_NO_CONTOUR = (0, 0, 0, 0)
_EXACT_IN_FLOAT32 = 2**24
_FEW_LEVELS = 6  # whose masks are traced before their bounds would be known


class Normalization(NamedTuple):
    """How a map is brought to [0, 1].

    Attributes:
        kind: ``"minmax"``; ``"max"``, the positive part over its maximum; ``"pas"``, the positive part over
            its percentile, what is above cut off (Bae et al., *Rethinking Class Activation Mapping for
            Weakly Supervised Object Localization*, ECCV 2020); or ``"ivr"``, what is above the percentile
            over the maximum of that (Kim et al., *Normalization Matters in Weakly Supervised Object
            Localization*, ICCV 2021).
        percentile: of ``"pas"`` and ``"ivr"``, in (0, 100).
    """

    kind: str = "minmax"
    percentile: Optional[float] = None

    def __str__(self) -> str:
        return self.kind if self.percentile is None else f"{self.kind}:{self.percentile:g}"


MINMAX = Normalization()
# Percentiles that are taken where none is given.
NORMALIZATIONS: Dict[str, Optional[float]] = {"minmax": None, "max": None, "pas": 97.0, "ivr": 40.0}


def parse_normalization(text: str) -> Normalization:
    """A :class:`Normalization` by its name, ``pas`` and ``ivr`` also as ``pas:95``.

    Raises:
        UserError: another name, or a percentile out of range.
    """
    match = re.match(r"([a-z]+)(?::(\d+(?:\.\d+)?))?$", text)
    kind, number = match.groups() if match else ("", None)
    if kind in NORMALIZATIONS:
        usual = NORMALIZATIONS[kind]
        if number is None:
            return Normalization(kind, usual)
        if usual is not None and 0 < float(number) < 100:
            return Normalization(kind, float(number))
    raise UserError(
        f"--normalize {text}: expected {', '.join(NORMALIZATIONS)}, or a percentile as in pas:95"
    )


def normalize(maps: ArrayLike, normalization: Normalization = MINMAX) -> np.ndarray:
    """Bring every map to [0, 1].

    Args:
        maps: array (..., H, W) of numbers; each H x W map is normalized by itself.
        normalization: :class:`Normalization`.

    Returns:
        float32 array of the same shape in [0, 1]. A constant map becomes zeros by ``minmax``, and one that
        is nowhere positive by ``max`` and ``pas``.

    Raises:
        ValueError: fewer than two axes, an empty map, NaN or infinity.
    """
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim < 2 or maps.shape[-1] == 0 or maps.shape[-2] == 0:
        raise ValueError(f"a map must be (..., H, W) and not empty, got {maps.shape}")
    if not np.isfinite(maps).all():
        raise ValueError("a map holds NaN or infinity")
    axes, percentile = (-2, -1), normalization.percentile or 0.0
    if normalization.kind == "minmax":
        maps = maps - maps.min(axis=axes, keepdims=True)
    elif normalization.kind == "ivr":
        maps = np.maximum(maps - np.percentile(maps, percentile, axes, keepdims=True), 0)
    else:
        maps = np.maximum(maps, 0)
    span = maps.max(axis=axes, keepdims=True)
    if normalization.kind == "pas":
        high = np.percentile(maps, percentile, axes, keepdims=True)
        span = np.where(high > 0, high, span)  # a map with fewer positive places has no percentile
        maps = np.minimum(maps, span)
    # Where the span is zero, so is every value: any divisor gives zeros.
    normalized: np.ndarray = (maps / np.where(span > 0, span, 1.0)).astype(np.float32)
    return normalized


def resize_map(score_map: ArrayLike, height: int, width: int) -> np.ndarray:
    """Resize one map bilinearly as OpenCV does (half-pixel centers).

    Args:
        score_map: array (H, W) of finite numbers.
        height, width: size of the result.

    Returns:
        float32 array (height, width) that never leaves the range of ``score_map``.

    Raises:
        ValueError: not two-dimensional, empty, NaN or infinity, or a size below 1.
    """
    score_map = np.asarray(score_map, dtype=np.float32)
    if score_map.ndim != 2 or score_map.size == 0:
        raise ValueError(f"a map must be (H, W) and not empty, got {score_map.shape}")
    if not np.isfinite(score_map).all():
        raise ValueError("a map holds NaN or infinity")
    if height < 1 or width < 1:
        raise ValueError(f"cannot resize a map to {height} x {width}")
    resized = cv2.resize(score_map, (int(width), int(height)), interpolation=cv2.INTER_LINEAR)
    # Rounding in float32 may take a bilinear mean of equal values a little past them.
    return np.clip(resized, score_map.min(), score_map.max())


def score_map(
    raw: ArrayLike, height: int, width: int, normalization: Normalization = MINMAX
) -> np.ndarray:
    """A layer's raw map (h, w), normalized and resized to an image: float32 (height, width) in [0, 1]."""
    return resize_map(normalize(raw, normalization), height, width)


def binarize(score_map: ArrayLike, threshold: float) -> np.ndarray:
    """Foreground of a map at one threshold: ``uint8(255 * map) > int(threshold * max)``.

    Args:
        score_map: float array (H, W) in [0, 1].
        threshold: float in [0, 1], a fraction of the map's own maximum.

    Returns:
        uint8 array (H, W): 255 on the foreground, 0 elsewhere.

    Raises:
        ValueError: a map that is not (H, W) in [0, 1] (NaN included) or a threshold outside [0, 1].
    """
    image = _quantize(score_map)
    level = _levels([threshold], image)[0]
    mask: np.ndarray = (image > level).astype(np.uint8) * np.uint8(_FOREGROUND)
    return mask


def contour_boxes(mask: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Bounding boxes and areas of all contours of a mask, outer ones and holes, 8-connected.

    Args:
        mask: uint8 array (H, W), non-zero on the foreground.

    Returns:
        tuple: int64 array (K, 4) of boxes ``x, y, x + w, y + h`` with right and bottom clamped to
        ``W - 1`` and ``H - 1``, and float64 array (K,) of contour areas in square pixels, both in
        OpenCV's order. Without any contour one box ``0, 0, 0, 0`` of area 0 stands in.

    Raises:
        ValueError: a mask that is not a two-dimensional uint8 array.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
        raise ValueError(f"a mask must be a uint8 array (H, W), got {mask.shape}")
    rectangles, areas = _trace(mask)
    return _corners(rectangles, 0, mask.shape), np.array(areas, dtype=np.float64)


def largest_box(score_map: ArrayLike, threshold: float = DEFAULT_THRESHOLD) -> np.ndarray:
    """Box of the contour with the largest area at one threshold; the first one on a tie.

    Args:
        score_map: float array (H, W) in [0, 1].
        threshold: float in [0, 1].

    Returns:
        int64 array (4,), zeros where nothing is foreground.

    Raises:
        ValueError: as :func:`binarize`.
    """
    boxes, areas = contour_boxes(binarize(score_map, threshold))
    largest: np.ndarray = boxes[int(np.argmax(areas))]
    return largest


def trace_levels(
    image: np.ndarray, levels: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes of the masks ``image > level``, as :func:`contour_boxes` has them, order included.

    Args:
        image: uint8 array (H, W).
        levels: integers (D,), D at least 1, from 0 to 255.

    Returns:
        tuple: int64 (K, 4), boxes of all contours, mask after mask; int64 (D,), where each mask's boxes
        start, of which it has one or more; int64 (D,), the index of each mask's largest contour.
    """
    # Tracing only the part that holds foreground changes neither contours nor their order.
    if len(levels) > _FEW_LEVELS:
        tops, bottoms = _bounds(image.max(axis=1), levels)
        lefts, rights = _bounds(image.max(axis=0), levels)
    else:
        tops = lefts = np.zeros(len(levels), np.int64)
        bottoms, rights = tops + image.shape[0], lefts + image.shape[1]
    rectangles: List[Tuple[int, ...]] = []
    counts, largest = [], []
    for level, top, bottom, left, right in zip(
        levels.tolist(), tops.tolist(), bottoms.tolist(), lefts.tolist(), rights.tolist()
    ):
        part = image[top:bottom, left:right]
        found, areas = _trace(cv2.threshold(part, level, _FOREGROUND, cv2.THRESH_BINARY)[1])
        largest.append(len(rectangles) + areas.index(max(areas)))
        counts.append(len(found))
        rectangles.extend(found)
    offsets = np.repeat(np.stack([lefts, tops], axis=1), counts, axis=0)
    starts = np.cumsum(counts, dtype=np.int64) - counts
    boxes = _corners(rectangles, offsets, image.shape)
    return boxes, starts, np.array(largest, dtype=np.int64)


def distinct_masks(
    score_map: ArrayLike, thresholds: ArrayLike
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct masks of :func:`binarize` at many thresholds.

    Thresholds act through an integer level below 256, and two levels with no pixel value between
    them have the same mask, so a thousand thresholds need far fewer masks.

    Args:
        score_map: float array (H, W) in [0, 1].
        thresholds: floats (T,) in [0, 1], T at least 1, in any order.

    Returns:
        tuple: uint8 array (H, W), the map in steps of 1 / 255; int64 (D,), a level for each of the D
        masks, from the smallest mask to the largest, its foreground being ``image > level``; int64
        (T,), the mask that each threshold leads to.

    Raises:
        ValueError: as :func:`binarize`, or no threshold at all.
    """
    image = _quantize(score_map)
    levels = _levels(thresholds, image)
    # The masks of two levels differ exactly where some pixel lies above one and not the other.
    values = np.cumsum(value_counts(image) > 0)
    is_used = np.zeros(257, dtype=bool)
    is_used[values[levels]] = True
    used = np.flatnonzero(is_used)[::-1]
    mask_of = np.zeros(257, dtype=np.int64)
    mask_of[used] = np.arange(len(used))
    return image, np.searchsorted(values, used), mask_of[values[levels]]


def value_counts(image: np.ndarray) -> np.ndarray:
    """How often each value occurs in uint8 (H, W): int64 (256,)."""
    # OpenCV is several times as fast, but returns float32, exact up to this number of pixels.
    if image.size > _EXACT_IN_FLOAT32:
        return np.bincount(image.ravel(), minlength=256)
    return cv2.calcHist([image], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def as_boxes(boxes: ArrayLike) -> np.ndarray:
    """Numbers (N, 4), (4,) or an empty sequence, ``x0, y0, x1, y1``, as float64 (N, 4).

    Raises:
        ValueError: another shape, NaN or infinity, or a box with x1 < x0 or y1 < y0.
    """
    checked: np.ndarray = np.asarray(boxes, dtype=np.float64)
    if checked.size == 0:
        return np.zeros((0, 4), dtype=np.float64)
    if checked.ndim == 1:
        checked = checked[np.newaxis]
    if checked.ndim != 2 or checked.shape[1] != 4:
        raise ValueError(f"boxes must be (N, 4), got {checked.shape}")
    if not np.isfinite(checked).all():
        raise ValueError("a box holds NaN or infinity")
    wrong = (checked[:, 2] < checked[:, 0]) | (checked[:, 3] < checked[:, 1])
    if wrong.any():
        raise ValueError(f"a box must have x1 >= x0 and y1 >= y0, got {checked[wrong][0]}")
    return checked


def clip_boxes(boxes: ArrayLike, width: int, height: int) -> Tuple[np.ndarray, int]:
    """Clip boxes to their image, and drop those outside it.

    Args:
        boxes: numbers (N, 4), ``x0, y0, x1, y1`` in pixels of the image.
        width, height: size of the image.

    Returns:
        tuple: float64 array (K, 4) with x in [0, width] and y in [0, height], in the order given,
        and the number N - K of boxes dropped. A box within the image comes back as it is, even one
        without area; a box beyond it or at most touching it from outside is dropped.

    Raises:
        ValueError: as :func:`as_boxes`.
    """
    boxes = as_boxes(boxes)
    clipped = np.clip(boxes, 0.0, np.array([width, height, width, height], dtype=np.float64))
    is_changed = (clipped != boxes).any(axis=1)
    is_beyond = (boxes[:, 2:] <= 0).any(axis=1) | (boxes[:, :2] >= (width, height)).any(axis=1)
    is_outside = is_changed & is_beyond
    return clipped[~is_outside], int(is_outside.sum())


def iou(boxes_a: ArrayLike, boxes_b: ArrayLike) -> np.ndarray:
    """Intersection over union of every pair, a box being ``x1 - x0 + 1`` wide.

    Args:
        boxes_a, boxes_b: numbers (N, 4) and (M, 4).

    Returns:
        float64 array (N, M) in [0, 1].

    Raises:
        ValueError: as :func:`as_boxes`.
    """
    return iou_of_checked(as_boxes(boxes_a), as_boxes(boxes_b))


def iou_of_checked(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """As :func:`iou`, of integers or floats (N, 4) and (M, 4) that are boxes for sure."""
    a, b = boxes_a[:, np.newaxis], boxes_b[np.newaxis]
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1.0
    sizes = np.maximum(shared, 0.0), a[..., 2:] - a[..., :2] + 1.0, b[..., 2:] - b[..., :2] + 1.0
    # Much faster than np.prod over the short last axis.
    intersection, area_a, area_b = (size[..., 0] * size[..., 1] for size in sizes)
    overlap: np.ndarray = intersection / (area_a + area_b - intersection)
    return overlap


def _quantize(score_map: ArrayLike) -> np.ndarray:
    score_map = np.asarray(score_map)
    if score_map.ndim != 2 or score_map.size == 0:
        raise ValueError(f"a score map must be (H, W), got {score_map.shape}")
    if score_map.dtype.kind != "f":
        score_map = score_map.astype(np.float32)
    # Written so that NaN fails too.
    if not (score_map.min() >= 0 and score_map.max() <= 1):
        raise ValueError(
            f"a score map must lie in [0, 1], got [{score_map.min()}, {score_map.max()}]"
        )
    quantized: np.ndarray = (255 * score_map).astype(np.uint8)
    return quantized


def _levels(thresholds: ArrayLike, image: np.ndarray) -> np.ndarray:
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if thresholds.ndim != 1 or thresholds.size == 0:
        raise ValueError("thresholds must be a sequence of at least one number")
    if not (thresholds.min() >= 0 and thresholds.max() <= 1):
        raise ValueError("a threshold must lie in [0, 1]")
    levels: np.ndarray = (thresholds * float(image.max())).astype(np.int64)
    return levels


def _bounds(peaks: np.ndarray, levels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """First and last-plus-one index of the peaks above each level; the full range without any."""
    above = peaks[np.newaxis] > levels[:, np.newaxis]
    first = np.argmax(above, axis=1)
    last = above.shape[1] - np.argmax(above[:, ::-1], axis=1)
    return first, last


def _trace(mask: np.ndarray) -> Tuple[List[Tuple[int, ...]], List[float]]:
    """Rectangles ``(x, y, w, h)`` and areas of a mask's contours, at least one."""
    # OpenCV 3 returns three values, the contours in the middle; 4 and 5 return two.
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    if len(contours) == 0:
        return [_NO_CONTOUR], [0.0]
    rectangles: List[Any] = [cv2.boundingRect(contour) for contour in contours]
    return rectangles, [float(cv2.contourArea(contour)) for contour in contours]


def _corners(
    rectangles: List[Tuple[int, ...]], offsets: ArrayLike, shape: Tuple[int, ...]
) -> np.ndarray:
    """Rectangles moved by ``offsets`` (x, y) to clamped int64 corners in an image of ``shape``."""
    boxes = np.array(rectangles, dtype=np.int64)
    boxes[:, :2] += offsets
    boxes[:, 2:] += boxes[:, :2]
    height, width = shape
    boxes[:, 2:] = np.minimum(boxes[:, 2:], (width - 1, height - 1))
    return boxes
