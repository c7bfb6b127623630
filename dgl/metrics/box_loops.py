"""The loops that compare the boxes of component trees, compiled for :mod:`dgl.metrics.box_hits`."""

from typing import Tuple

import numpy as np

from dgl.metrics.tree_loops import inner, outer


@outer
def cell_weights(rank: np.ndarray) -> np.ndarray:
    """uint8 (H, W): in how many cells each pixel is one of the two lowest.

    A contour runs through pixel centers. Of a cell, the unit square between the centers of four
    pixels, the foreground encloses all where it holds the four, the half where it holds three, and
    nothing otherwise: one half for each of the cell's two lowest pixels that it holds.
    """
    height, width = rank.shape
    weights = np.zeros((height, width), np.uint8)
    for y in range(height - 1):
        above, below = rank[y], rank[y + 1]
        # Two loops, each of which writes one pixel of a row, so that they become vector instructions.
        for x in range(width - 1):
            a, b, c, d = above[x], above[x + 1], below[x], below[x + 1]
            lower = np.uint8(a <= b) + np.uint8(a <= c) + np.uint8(a <= d)
            weights[y, x] += np.uint8(lower >= 2)
            lower = np.uint8(c < a) + np.uint8(c < b) + np.uint8(c <= d)
            weights[y + 1, x] += np.uint8(lower >= 2)
        for x in range(width - 1):
            a, b, c, d = above[x], above[x + 1], below[x], below[x + 1]
            lower = np.uint8(b < a) + np.uint8(b <= c) + np.uint8(b <= d)
            weights[y, x + 1] += np.uint8(lower >= 2)
            lower = np.uint8(d < a) + np.uint8(d < b) + np.uint8(d < c)
            weights[y + 1, x + 1] += np.uint8(lower >= 2)
    return weights


@inner
def _overlap(x0: int, y0: int, x1: int, y1: int, true_boxes: np.ndarray) -> float:
    """As :func:`dgl.predict.postprocess.iou`, the best of one box with some."""
    best = 0.0
    for box in true_boxes:
        width = min(x1, box[2]) - max(x0, box[0]) + 1.0
        height = min(y1, box[3]) - max(y0, box[1]) + 1.0
        shared = max(width, 0.0) * max(height, 0.0)
        area = (x1 - x0 + 1.0) * (y1 - y0 + 1.0)
        true_area = (box[2] - box[0] + 1.0) * (box[3] - box[1] + 1.0)
        best = max(best, shared / (area + true_area - shared))
    return best


@outer
def level_verdicts(
    first: np.ndarray,
    stop: np.ndarray,
    parts: np.ndarray,
    in_holes: np.ndarray,
    margin: int,
    width: int,
    height: int,
    true_boxes: np.ndarray,
    required: float,
) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How well the contours' boxes of each level set fit, and whether those that may be the largest do.

    What an outer contour encloses is its component's own area and what the contours of its holes enclose.
    So its area is at least the own area, and at most that with the area of all holes' rectangles; nor
    is it more than the area of its own rectangle. The largest contour is hence one whose upper bound
    reaches the largest own area of all.

    Args:
        first, stop, parts: of a :class:`dgl.metrics.component_tree.ComponentTree`, its sums being twice
            the components' own areas.
        in_holes: float64 (L,), the area of all holes' rectangles.
        margin: by how many pixels the contours are outside of the components: 1 for holes, else 0.
        width, height: of the map.
        true_boxes: float64 (G, 4).
        required: the overlap of a right box.

    Returns:
        tuple of arrays (L,): the best overlap of any contour's box, -1 without one; of the contours
        that may be the largest, whether the box of some is right, and of some wrong, and whether some
        component's own area is 0; the sum of the areas of all contours' rectangles.
    """
    rows, levels, _ = parts.shape
    overlaps, uppers = np.empty((rows, levels)), np.empty((rows, levels))
    best, most, areas = np.full(levels, -1.0), np.zeros(levels), np.zeros(levels)
    for row in range(rows):
        for level in range(first[row], stop[row]):
            line = parts[row, level]
            left, top, right, bottom, own = line[0], line[1], line[2], line[3], line[4]
            area = float((2 * margin - right - left) * (2 * margin - bottom - top))
            areas[level] += area
            most[level] = max(most[level], own)
            uppers[row, level] = min(own + 2 * in_holes[level], 2 * area)
            # One past the last pixel and within the map, as dgl.predict.postprocess has it.
            right, bottom = min(1 + margin - right, width - 1), min(1 + margin - bottom, height - 1)
            overlap = _overlap(left - margin, top - margin, right, bottom, true_boxes)
            overlaps[row, level] = overlap
            best[level] = max(best[level], overlap)
    some_right, some_wrong = np.zeros(levels, np.bool_), np.zeros(levels, np.bool_)
    some_thin = np.zeros(levels, np.bool_)
    for row in range(rows):
        for level in range(first[row], stop[row]):
            if uppers[row, level] >= most[level]:
                is_right = overlaps[row, level] >= required
                some_right[level] |= is_right
                some_wrong[level] |= not is_right
                some_thin[level] |= parts[row, level, 4] == 0
    return best, some_right, some_wrong, some_thin, areas
