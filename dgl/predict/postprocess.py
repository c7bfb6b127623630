"""From score maps to boxes: binarize, contours, and the overlap of boxes.

The rules are those of wsolevaluation (Choe et al., *Evaluating Weakly Supervised Object
Localization Methods Right*, CVPR 2020). A box is ``x0, y0, x1, y1`` in pixels, both ends belonging
to it.
"""

from typing import Any, List, Tuple

import cv2
import numpy as np

from dgl.predict.normalize import normalize as normalize  # found here too
from dgl.predict.normalize import resize_map as resize_map
from dgl.predict.normalize import score_map as score_map
from dgl.utils.types import ArrayLike

DEFAULT_THRESHOLD = 0.2  # fraction of a map's maximum that counts as object

_FOREGROUND = 255
_NO_CONTOUR = (0, 0, 0, 0)
_EXACT_IN_FLOAT32 = 2**24
_FEW_LEVELS = 6  # whose masks are traced before their bounds would be known


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
    return (
        _corners(rectangles, offsets, image.shape),
        starts,
        np.array(largest, dtype=np.int64),
    )


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
