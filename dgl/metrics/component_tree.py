"""Boxes of all connected components of all level sets of a map, found in one pass over the map.

The level sets of a map, ``{rank > 0}``, ``{rank > 1}``, ..., are nested, so their components form a
tree (Salembier, Oliveras and Garrido, *Antiextensive connected operators*, 1998). It is built here
from the basins of steepest ascent:

1. From every pixel an ascending path leads to a peak. All pixels of the path are in every level set
   that its first pixel is in; hence within one basin, the pixels that lead to one peak, the part in
   any level set is connected.
2. Two basins are hence one component in exactly those level sets that hold both pixels of some
   neighboring pair between them, or that join them by way of other basins. The pairs, taken from the
   highest down, give every union and its level.
3. The box of a component is the box of its basins' parts, and a sum over its pixels the sum of theirs.
"""

from typing import NamedTuple, Optional

import numpy as np


class ComponentTree(NamedTuple):
    """The components of the L level sets, one row for each of K peaks.

    A row stands for the component that holds its peak, from the level set ``first`` on, below which
    it is part of another row's, until its peak is gone.
    """

    # int64 (K,); row k is a component of level set i where `first[k] <= i < stop[k]`.
    first: np.ndarray
    stop: np.ndarray  # int64 (K,)
    # int32 (K, L, 5): the least x, the least y, the negated greatest x, the negated greatest y of its
    # pixels, and the sum of their weights; without meaning where row k is no component of level set i.
    parts: np.ndarray
    # int64 (U, 3): level, row, joined row; the level sets below `level` unite the two.
    unions: np.ndarray
    # int32 (S + 1,) and (S,): where each of S segments of the map starts, in raster order, and the row
    # that the peak above its pixels stands for.
    starts: np.ndarray
    row_of: np.ndarray

    def basins(self) -> np.ndarray:
        """int32 (H * W,): the row that each pixel's own peak stands for."""
        return np.repeat(self.row_of, np.diff(self.starts))


def component_tree(
    values: np.ndarray,
    rank: np.ndarray,
    levels: int,
    diagonal: bool,
    has_outside: bool = False,
    weights: Optional[np.ndarray] = None,
    max_peaks: Optional[int] = None,
) -> Optional[ComponentTree]:
    """Build the tree.

    Args:
        values: float array (H, W) of numbers, larger than another wherever the rank is larger. They
            only guide the paths: the finer, the fewer peaks.
        rank: uint8 array (H, W), the number of level sets that hold each pixel, at most ``levels``.
        levels: the number L of level sets, from 1 to 255.
        diagonal: whether pixels that touch at a corner are neighbors.
        has_outside: whether the border pixels are neighbors of an outside that is in every level
            set. It becomes row 0, whose parts have no meaning.
        weights: whole numbers (H, W) to sum up over the pixels of every component, by default 0.
        max_peaks: the number of peaks to give up at.

    Returns:
        :class:`ComponentTree`, or ``None`` with more peaks than that.
    """
    from dgl.metrics import tree_loops

    weights = np.zeros(rank.shape, np.uint8) if weights is None else weights
    values, rank, weights = (np.ascontiguousarray(part) for part in (values, rank, weights))
    stop, starts, row_of, tops, passes = tree_loops.basins(
        values, rank, levels, diagonal, has_outside
    )
    if max_peaks is not None and len(stop) - has_outside > max_peaks:
        return None
    first, parts, unions = tree_loops.components(
        rank, weights, levels, has_outside, stop, starts, row_of, tops, np.sort(passes)
    )
    return ComponentTree(first, stop, parts, unions, starts, row_of)
