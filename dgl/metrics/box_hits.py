"""Decide at which thresholds the boxes of a score map are right, exactly as wsolevaluation does.

The protocol (Choe et al., CVPR 2020) traces the contours of a thousand masks per map. Here the boxes of
all of them come from two component trees: the outer contours' from the 8-connected foreground, the
holes' from the 4-connected background. Which contour is the largest is decided from bounds on their
areas, and by tracing the few masks whose contours these leave in doubt.
"""

from typing import Optional, Tuple

import cv2
import numpy as np

from dgl.metrics.component_tree import component_tree
from dgl.predict import postprocess
from dgl.utils.types import ArrayLike

# Up to so many masks tracing takes less time than a tree.
_FEW_MASKS = 8
# Beyond so many peaks or pits, as of noise, the tables of all boxes take too much memory: 9 kB each.
_MANY_PEAKS = 4000


def box_hits(
    score_map: ArrayLike,
    thresholds: ArrayLike,
    true_boxes: ArrayLike,
    iou_thresholds: ArrayLike = (0.3, 0.5, 0.7),
    largest_iou: float = 0.5,
) -> Tuple[np.ndarray, np.ndarray]:
    """Whether a map's boxes are right at every threshold.

    Args:
        score_map: float array (H, W) in [0, 1].
        thresholds: floats (T,) in [0, 1], T at least 1, in any order.
        true_boxes: numbers (G, 4), G at least 1, in the map's pixels.
        iou_thresholds: floats (I,), the IoU required of any contour's box.
        largest_iou: the IoU required of the largest contour's box.

    Returns:
        tuple: bool (T,), whether the box of the largest contour has that overlap with any true box,
        and bool (I, T), whether the box of any contour, outer one or hole, has it. Exactly as with
        :func:`dgl.predict.postprocess.contour_boxes` and :func:`dgl.predict.postprocess.iou`.

    Raises:
        ValueError: as :func:`dgl.predict.postprocess.distinct_masks`; malformed true boxes, or none.
    """
    image, levels, mask_of = postprocess.distinct_masks(score_map, thresholds)
    true_boxes = postprocess.as_boxes(true_boxes)
    if len(true_boxes) == 0:
        raise ValueError("expected at least one true box")
    found = None
    if len(levels) > _FEW_MASKS:
        found = _from_trees(np.asarray(score_map), image, levels, true_boxes, largest_iou)
    if found is None:
        found = _from_contours(image, levels, true_boxes, largest_iou)
    largest, overlap = found
    reached = overlap >= np.asarray(iou_thresholds, dtype=np.float64)[:, np.newaxis]
    return largest[mask_of], reached[:, mask_of]


def _from_contours(
    image: np.ndarray, levels: np.ndarray, true_boxes: np.ndarray, largest_iou: float
) -> Tuple[np.ndarray, np.ndarray]:
    """By tracing every mask.

    Returns:
        tuple: bool (D,), whether the largest contour's box is right in each mask ``image > level``,
        and float64 (D,), the best overlap of any contour's box.
    """
    if len(levels) == 0:
        return np.zeros(0, dtype=bool), np.zeros(0)
    boxes, starts, largest = postprocess.trace_levels(image, levels)
    overlap = postprocess.iou_of_checked(boxes, true_boxes).max(axis=1)
    return overlap[largest] >= largest_iou, np.maximum.reduceat(overlap, starts)


def _from_trees(
    score_map: np.ndarray,
    image: np.ndarray,
    levels: np.ndarray,
    true_boxes: np.ndarray,
    largest_iou: float,
) -> Optional[Tuple[np.ndarray, np.ndarray]]:
    """As :func:`_from_contours` from trees; ``None`` where the map has too many peaks or pits."""
    from dgl.metrics import box_loops

    if len(levels) == 0:
        return np.zeros(0, dtype=bool), np.zeros(0)
    # Only the smallest mask can be empty; a box at the origin then stands in for its contours.
    if levels[0] >= image.max():
        rest = _from_trees(score_map, image, levels[1:], true_boxes, largest_iou)
        overlap = postprocess.iou_of_checked(np.zeros((1, 4)), true_boxes).max()
        return rest and (np.append(overlap >= largest_iou, rest[0]), np.append(overlap, rest[1]))
    # The trees count the level sets from the largest one up.
    levels, count = levels[::-1], len(levels)
    rank = cv2.LUT(image, np.searchsorted(levels, np.arange(256)).astype(np.uint8))
    # Before rounding down there are fewer plateaus, hence fewer false peaks; the order is the same.
    values = 255 * (score_map if score_map.dtype.kind == "f" else score_map.astype(np.float32))
    values = values.astype(np.promote_types(values.dtype, np.float32), copy=False)
    # The background's level sets run the other way; its component at the border is no hole.
    holes = component_tree(
        -values, np.uint8(count) - rank, count, False, True, max_peaks=_MANY_PEAKS
    )
    weights = box_loops.cell_weights(rank)
    outer = component_tree(values, rank, count, True, weights=weights, max_peaks=_MANY_PEAKS)
    if holes is None or outer is None:
        return None
    height, width = rank.shape
    of_map = (width, height, true_boxes, largest_iou)

    # A hole's contour runs through the pixels around it, and any of them may be the largest one.
    any_area = np.full(count, np.inf)
    found = box_loops.level_verdicts(*(part[1:] for part in holes[:3]), any_area, 1, *of_map)
    hole_best, some_hole_right, some_hole_wrong, _, in_holes = (part[::-1].copy() for part in found)
    found = box_loops.level_verdicts(*outer[:3], in_holes, 0, *of_map)
    best, some_right, some_wrong, some_thin, _ = found
    best = np.maximum(best, hole_best)
    # Where all that may be the largest are right or all wrong, so is the largest. A hole's contour is
    # smaller than its component's by the component's own area, so it may only be where that is zero.
    holes_differ = (some_right & some_hole_wrong) | (some_wrong & some_hole_right)
    in_doubt = np.flatnonzero((some_right & some_wrong) | (some_thin & holes_differ))
    largest = some_right
    traced = _from_contours(image, levels[in_doubt], true_boxes, largest_iou)
    largest[in_doubt], best[in_doubt] = traced
    return largest[::-1], best[::-1]
