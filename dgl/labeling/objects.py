"""Objects in a map: its regions above a threshold, the largest one or all, touching ones apart."""

from typing import List, NamedTuple, Tuple

import cv2
import numpy as np

from dgl.metrics.component_tree import component_tree
from dgl.predict.postprocess import binarize

LARGEST, ALL = "largest", "all"
# Maps are coarse: more pixels than these make no box more exact.
_LONGEST_SIDE = 224
_LEVELS = 255
_FEW_PARTS = 8  # are counted one by one, which is faster
# Two peaks are two objects where the map falls between them by this part of its maximum.
_VALLEY = 0.15


class ObjectOptions(NamedTuple):
    """Which regions of a map are objects."""

    threshold: float  # fraction of the map's maximum that counts as object
    objects: str = LARGEST  # or `ALL` of at least `min_area`
    min_area: float = 0.01  # fraction of the image's area
    max_objects: int = 20  # of one class in one image, the largest first
    # Whether a region with several peaks is one object for each, divided along the map's valleys (a
    # watershed).
    split: bool = False


class Region(NamedTuple):
    """A region of a map."""

    mask: np.ndarray  # (h, w) bool
    box: Tuple[int, int, int, int]  # `(x0, y0, x1, y1)` in pixels of the mask, half open
    score_mean: float  # of the map in the region
    score_max: float


def working_size(width: int, height: int) -> Tuple[int, int]:
    """The size at which an image's map is looked at, (width, height): at most 224 pixels a side."""
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def find_regions(score: np.ndarray, options: ObjectOptions) -> List[Region]:
    """The regions of a map, (h, w) float32 in [0, 1], that are objects, the largest first.

    There is none where the map is nowhere above the threshold.
    """
    foreground = binarize(score, options.threshold)
    if options.split:
        count, parts = split_peaks(score, foreground > 0)
    else:
        # Without statistics of all parts, which take several times as long as the parts themselves.
        count, parts = cv2.connectedComponents(foreground, connectivity=8)
        count -= 1
    areas = _areas(parts, count)
    order = np.argsort(-areas, kind="stable")
    if options.objects == LARGEST:
        order = order[:1]
    else:
        order = order[areas[order] >= options.min_area * score.size][: options.max_objects]
    regions = []
    for number in order.tolist():
        mask = parts == number + 1
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        inside = score[mask]
        box = (x, y, x + width, y + height)
        regions.append(Region(mask, box, float(inside.mean()), float(inside.max())))
    return regions


def _areas(parts: np.ndarray, count: int) -> np.ndarray:
    """Pixels of each of the parts 1 to ``count``."""
    if count > _FEW_PARTS:
        return np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return np.array([np.count_nonzero(parts == number + 1) for number in range(count)], np.int64)


def split_peaks(score: np.ndarray, foreground: np.ndarray) -> Tuple[int, np.ndarray]:
    """Divide a foreground into one part per peak of the map.

    Every pixel belongs to the peak that the steepest ascent from it leads to; a peak that rises above the
    pass to its higher neighbor by less than 15 % of the map's maximum joins it.

    Args:
        score: (h, w) float32 in [0, 1].
        foreground: (h, w) bool.

    Returns:
        tuple: the number K of parts, and int32 (h, w), 0 on the background and 1 to K elsewhere.
    """
    parts = np.zeros(score.shape, np.int32)
    top = float(score.max())
    if top <= 0 or not foreground.any():
        return 0, parts
    rank = np.maximum(1, (score * (_LEVELS / top)).astype(np.uint8)) * foreground.astype(np.uint8)
    tree = component_tree(score, rank, _LEVELS, diagonal=True)
    assert tree is not None  # without a limit of peaks
    owner = list(range(len(tree.stop)))
    # From the highest pass down, so a joined row has all that joined it before.
    for level, row, joined in tree.unions.tolist():
        if tree.stop[joined] - level < _VALLEY * _LEVELS:
            owner[joined] = row
    for row, _ in enumerate(owner):
        while owner[row] != owner[owner[row]]:
            owner[row] = owner[owner[row]]
    kept, places = np.unique(owner, return_inverse=True)
    parts[foreground] = places[tree.basins()[foreground.ravel()]] + 1
    return len(kept), parts
