"""Decide at which thresholds the boxes of a score map are right, exactly as wsolevaluation does.

The protocol (Choe et al., CVPR 2020) traces the contours of a thousand masks per map. Here the boxes of
all of them come from two component trees: the outer contours' from the 8-connected foreground, the
holes' from the 4-connected background. Which of the outer contours is the largest is decided from
bounds on their areas, and by tracing the few masks whose contours these leave in doubt.
"""

from typing import Optional, Tuple

import cv2
import numpy as np

from dgl.metrics.component_tree import component_tree
from dgl.predict import postprocess
from dgl.utils.types import ArrayLike

# Up to so many masks tracing takes less time than a tree.
_FEW_MASKS = 16
# Beyond so many peaks or pits, as of noise, the tables of all boxes take too much memory: 4 kB each.
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
    # Only the smallest mask can be empty; a box at the origin then stands in for its contours.
    traced = int(levels[0] >= image.max()) if len(levels) > _FEW_MASKS else len(levels)
    found = [_from_contours(image, levels[:traced], true_boxes, largest_iou)]
    rest = levels[traced:]
    if len(rest):
        in_rest = _from_trees(np.asarray(score_map), image, rest, true_boxes, largest_iou)
        found.append(in_rest or _from_contours(image, rest, true_boxes, largest_iou))
    largest, overlap = (np.concatenate(parts) for parts in zip(*found))
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
    # The trees count the level sets from the largest one up.
    levels, count = levels[::-1], len(levels)
    rank = cv2.LUT(image, np.searchsorted(levels, np.arange(256)).astype(np.uint8))
    # Before rounding down there are fewer plateaus, hence fewer false peaks; the order is the same.
    values = 255 * (score_map if score_map.dtype.kind == "f" else score_map.astype(np.float32))
    values = values.astype(np.promote_types(values.dtype, np.float32), copy=False)
    outer = component_tree(values, rank, count, diagonal=True, max_peaks=_MANY_PEAKS)
    if outer is None:
        return None
    is_outer = outer.is_alive()
    overlap = _overlaps(outer.extents, is_outer, 0, rank.shape, true_boxes)
    best = overlap.max(axis=0)
    is_right = overlap >= largest_iou
    # Where all boxes are right or all wrong, so is the largest contour's.
    largest, is_known = _verdict(is_right, is_outer)

    has_holes = is_outer.sum(axis=0) != _euler_numbers(rank, count)
    is_traced, in_holes = has_holes, np.zeros(count)
    if np.count_nonzero(has_holes) > _FEW_MASKS:
        is_traced = np.zeros(count, dtype=bool)
        # The background's level sets run the other way; its component at the border is no hole.
        holes = component_tree(-values, np.uint8(count) - rank, count, False, True, _MANY_PEAKS)
        if holes is None:
            return None
        is_hole = holes.is_alive()[:, ::-1]
        is_hole[0] = False
        overlap = _overlaps(holes.extents[:, :, ::-1], is_hole, 1, rank.shape, true_boxes)
        best = np.maximum(best, overlap.max(axis=0))
        is_known &= (((overlap >= largest_iou) == largest) | ~is_hole).all(axis=0)
        in_holes = np.where(is_hole, _rectangle_areas(holes.extents[:, :, ::-1], 1), 0).sum(axis=0)

    if np.count_nonzero(~is_known & ~is_traced) > _FEW_MASKS:
        own_area = outer.sums(_cell_weights(rank))
        may_win, is_fair = _contenders(own_area, outer.extents, is_outer, in_holes)
        largest, is_known = _verdict(is_right, may_win)
        is_known &= is_fair
    traced = np.flatnonzero(~is_known | is_traced)
    largest[traced], best[traced] = _from_contours(image, levels[traced], true_boxes, largest_iou)
    return largest[::-1], best[::-1]


def _overlaps(
    extents: np.ndarray,
    is_alive: np.ndarray,
    margin: int,
    shape: Tuple[int, ...],
    true_boxes: np.ndarray,
) -> np.ndarray:
    """float64 (K, L): best overlap of every contour's box with a true box, -1 where there is none.

    A hole's contour runs through the pixels around it, with a ``margin`` of one on each side.
    """
    found = extents[:, is_alive]
    height, width = shape
    left, top = found[0] - margin, found[1] - margin
    # One past the last pixel and within the map, as dgl.predict.postprocess has it.
    right = np.minimum(1 + margin - found[2], width - 1)
    bottom = np.minimum(1 + margin - found[3], height - 1)
    result = np.full(is_alive.shape, -1.0)
    boxes = np.stack([left, top, right, bottom], axis=1)
    result[is_alive] = postprocess.iou_of_checked(boxes, true_boxes).max(axis=1)
    return result


def _euler_numbers(rank: np.ndarray, count: int) -> np.ndarray:
    """int64 (L,): components less holes of each level set, pixels being closed unit squares.

    A corner, a side or a square is in a level set with the highest pixel that it belongs to, and
    corners - sides + squares is the Euler number.
    """
    width = rank.shape[1]
    padded = cv2.copyMakeBorder(rank, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    upright = np.maximum(padded[:, :-1], padded[:, 1:])
    corners = np.maximum(upright[:-1], upright[1:])
    upright, level = upright[1:-1], np.maximum(padded[:-1], padded[1:])
    # A square with its first corner and the sides there: they mostly cancel out in two pairs.
    corner, side, top = corners[:-1, :-1], upright[:, :-1], level[:-1, 1:-1]
    cancels = (corner == side) & (top == rank)
    cancels |= (corner == top) & (side == rank)
    y, x = np.divmod(np.flatnonzero(~cancels), width)
    first = y * (width + 1) + x
    # Without a square of their own: the last row and the last column.
    more = [corners.ravel()[first], rank.ravel()[y * width + x], corners[-1], corners[:-1, -1]]
    fewer = [upright.ravel()[first], level.ravel()[y * (width + 2) + x + 1]]
    fewer += [upright[:, -1], level[-1, 1:-1]]
    change = np.bincount(np.concatenate(more), minlength=count + 1)
    change -= np.bincount(np.concatenate(fewer), minlength=count + 1)
    return np.cumsum(change[:0:-1])[::-1]


def _verdict(is_right: np.ndarray, of: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Whether all boxes ``of`` a level set are right, and whether they agree: two bool (L,)."""
    all_right = (is_right | ~of).all(axis=0)
    return all_right, all_right | ~(is_right & of).any(axis=0)


def _rectangle_areas(extents: np.ndarray, margin: int) -> np.ndarray:
    """float64 (K, L): what the rectangle through a contour's outermost pixel centers encloses."""
    left, top, right, bottom = extents.astype(np.float64)
    return np.asarray((2 * margin - right - left) * (2 * margin - bottom - top))


def _contenders(
    own_area: np.ndarray, extents: np.ndarray, is_outer: np.ndarray, in_holes: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Which outer contours may be the largest one.

    What a component's contour encloses is the component's own area and what its holes' contours
    enclose. So the contour's area is at least the own area and at most that with the area of all
    holes' rectangles, nor is it more than the area of its own rectangle. The largest contour thus is
    one whose upper bound reaches the largest own area of all.

    A hole's contour is enclosed in that of its component and smaller by the component's own area at
    least. It may hence be the largest, tied with the component's, only where that area is zero.

    Args:
        own_area: float64 (K, L), twice the own areas.
        extents, is_outer: of the tree of outer contours.
        in_holes: float64 (L,), the areas of all holes' rectangles, zero only without any hole.

    Returns:
        tuple: bool (K, L), the outer contours that may be the largest, and bool (L,), whether no
        hole's contour may.
    """
    own_area = np.where(is_outer, own_area, -1)
    upper = np.minimum(own_area + 2 * in_holes, 2 * _rectangle_areas(extents, 0))
    may_win = is_outer & (upper >= own_area.max(axis=0))
    return may_win, (in_holes == 0) | ((own_area > 0) | ~may_win).all(axis=0)


def _cell_weights(rank: np.ndarray) -> np.ndarray:
    """uint8 (H, W): in how many cells each pixel is one of the two lowest.

    A contour runs through pixel centers. Of a cell, the unit square between the centers of four
    pixels, the foreground encloses all where it holds the four, the half where it holds three, and
    nothing otherwise: one half for each of the cell's two lowest pixels that it holds.
    """
    corners = (slice(None, -1), slice(1, None))
    places = [(y, x) for y in corners for x in corners]
    above = [np.zeros((rank.shape[0] - 1, rank.shape[1] - 1), dtype=np.uint8) for _ in places]
    for i, first in enumerate(places):
        for j in range(i + 1, 4):
            is_lower = np.asarray(rank[first] <= rank[places[j]]).view(np.uint8)
            above[i] += is_lower
            above[j] += 1 - is_lower
    weights = np.zeros(rank.shape, dtype=np.uint8)
    for place, count in zip(places, above):
        weights[place] += count >= 2
    return weights
