"""Boxes of all connected components of all level sets of a map, found in one pass over the map.

The level sets of a map, ``{rank > 0}``, ``{rank > 1}``, ..., are nested, so their components form a
tree (Salembier, Oliveras and Garrido, *Antiextensive connected operators*, 1998). It is built here
from the basins of steepest ascent:

1. From every pixel an ascending path leads to a peak. All pixels of the path are in every level set
   that its first pixel is in; hence within one basin, the pixels that lead to one peak, the part in
   any level set is connected.
2. Two basins are hence one component in exactly those level sets that hold both pixels of some
   neighboring pair between them, or that join them by way of other basins. The best pair of each
   two basins, taken from the highest down, gives every union and its level (Kruskal's spanning
   tree, with union-find).
3. The box of a component is the box of its basins' parts, and a sum over its pixels the sum of theirs.
"""

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

_EMPTY = np.iinfo(np.int32).max
# Steps to neighbors and to the pixel itself in raster order, (dy, dx).
_EIGHT = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
_FOUR = [(dy, dx) for dy, dx in _EIGHT if dy == 0 or dx == 0]
# Neighbors within a square of the pixels 0 1 / 2 3, less what the next squares have; at a corner last.
_PAIRS = np.array([[0, 0, 0, 1], [1, 2, 3, 2]])
_FEW_ROWS = 256  # whose pairs fit in a table


class ComponentTree(NamedTuple):
    """The components of the L level sets, one row for each of K peaks.

    A row stands for the component that holds its peak, from the level set ``first`` on, below which
    it is part of another row's, until its peak is gone.
    """

    # int64 (K,); row k is a component of level set i where `first[k] <= i < stop[k]`.
    first: np.ndarray
    stop: np.ndarray  # int64 (K,)
    # int32 (4, K, L), the least x, the least y, the negated greatest x and the negated greatest
    # y of its pixels; without meaning where row k is no component of level set i.
    extents: np.ndarray
    # (level, row, joined row): the level sets below `level` unite the two.
    unions: List[Tuple[int, int, int]]
    basins: np.ndarray  # uint8 or int32 (H, W), the row that the pixel's own peak stands for
    rank: np.ndarray  # uint8 (H, W), as given

    def is_alive(self) -> np.ndarray:
        """Bool (K, L): whether row k is a component of level set i."""
        level = np.arange(self.extents.shape[2])
        return (level >= self.first[:, np.newaxis]) & (level < self.stop[:, np.newaxis])

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """float64 (K, L): sums of the weights, (H, W) numbers, over the pixels of every component."""
        _, rows, levels = self.extents.shape
        cells = self.basins.astype(np.int64) * (levels + 1) + self.rank
        table = np.bincount(cells.ravel(), weights.ravel(), rows * (levels + 1))
        table = np.cumsum(table.reshape(rows, levels + 1)[:, :0:-1], axis=1)[:, ::-1]
        for level, row, joined in self.unions:
            table[row, :level] += table[joined, :level]
        return table


def component_tree(
    values: np.ndarray,
    rank: np.ndarray,
    levels: int,
    diagonal: bool,
    has_outside: bool = False,
    max_peaks: Optional[int] = None,
) -> Optional[ComponentTree]:
    """Build the tree.

    Args:
        values: float array (H, W) of numbers, as large as or larger than another wherever the rank is
            larger. They only guide the paths: the finer, the fewer peaks.
        rank: uint8 array (H, W), the number of level sets that hold each pixel, at most ``levels``.
        levels: the number L of level sets, from 1 to 255.
        diagonal: whether pixels that touch at a corner are neighbors.
        has_outside: whether the border pixels are neighbors of an outside that is in every level
            set. It becomes row 0; its extents and sums are those of its pixels in the map.
        max_peaks: the number of peaks to give up at.

    Returns:
        :class:`ComponentTree`, or ``None`` with more peaks than that.
    """
    starts, tops = _row_segments(values)
    segment_peak = _climb(values, starts, tops, _EIGHT if diagonal else _FOUR)
    # A peak of rank 0 is in no level set.
    is_peak = (segment_peak == np.arange(len(tops))) & (rank.ravel()[tops] > 0)
    peaks = np.flatnonzero(is_peak)
    offset = int(has_outside)
    rows = len(peaks) + offset
    if max_peaks is not None and len(peaks) > max_peaks:
        return None
    stop = np.full(rows, levels, dtype=np.int64)
    stop[offset:] = rank.ravel()[tops[peaks]]

    row_of = np.zeros(len(tops), dtype=np.uint8 if rows <= _FEW_ROWS else np.int32)
    row_of[peaks] = np.arange(offset, rows)
    owner = row_of[segment_peak]
    lengths = np.diff(np.append(starts, rank.size))
    basins = np.repeat(owner, lengths).reshape(rank.shape)

    extents = _extents(basins, rank, rows, levels, owner, tops)
    first = np.zeros(rows, dtype=np.int64)
    unions = _unions(_passes(basins, rank, rows, diagonal, has_outside), stop.tolist())
    for level, row, joined in unions:
        first[joined] = level
        part = extents[:, row, :level]
        np.minimum(part, extents[:, joined, :level], out=part)
    return ComponentTree(first, stop, extents, unions, basins, rank)


def _row_segments(values: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Cut every row into segments that rise and then never rise again: flat starts and tops.

    Each is an ascending path from both its ends to its top, the first of equal ones.
    """
    rises = np.ones((values.shape[0], values.shape[1] + 1), dtype=bool)
    np.greater(values[:, 1:], values[:, :-1], out=rises[:, 1:-1])
    rises[:, -1] = False
    is_start = rises[:, :-1].copy()
    is_start[:, 1:] &= ~rises[:, :-2]
    is_top = rises[:, :-1] & ~rises[:, 1:]
    return np.flatnonzero(is_start), np.flatnonzero(is_top)


def _climb(
    values: np.ndarray, starts: np.ndarray, tops: np.ndarray, steps: Sequence[Tuple[int, int]]
) -> np.ndarray:
    """For each segment the segment whose top its ascending path ends at.

    From a top the path goes to the largest neighbor, the first in raster order of equal ones, so
    that it never returns; it ends at a top that is its own largest neighbor.
    """
    height, width = values.shape
    padded = np.full((height + 2, width + 2), -np.inf, dtype=values.dtype)
    padded[1:-1, 1:-1] = values
    y, x = np.divmod(tops, width)
    moves = np.array([dy * (width + 2) + dx for dy, dx in steps])
    around = padded.ravel()[((y + 1) * (width + 2) + x + 1)[:, np.newaxis] + moves]
    targets = tops + np.array([dy * width + dx for dy, dx in steps])[np.argmax(around, axis=1)]
    following: np.ndarray = np.searchsorted(starts, targets, side="right") - 1
    while True:
        further: np.ndarray = following[following]
        if np.array_equal(further, following):
            return following
        following = further


def _passes(
    basins: np.ndarray, rank: np.ndarray, rows: int, diagonal: bool, has_outside: bool
) -> List[Tuple[int, int, int]]:
    """Neighboring basins with the number of level sets that hold some pair of neighbors of theirs.

    Returns:
        list of (level, row, row), from the highest level down, one for each two neighboring basins.
    """
    # Squares of four pixels that are not all of one basin, by their first pixel.
    basins, rank = (
        cv2.copyMakeBorder(part, 0, 1, 0, 1, cv2.BORDER_REPLICATE) for part in (basins, rank)
    )
    right = basins[:, :-1] != basins[:, 1:]
    is_mixed = right[:-1] | right[1:]
    is_mixed |= basins[:-1, :-1] != basins[1:, :-1]
    first = np.flatnonzero(is_mixed)
    first += first // is_mixed.shape[1]
    corners = first + np.array([[0], [1], [rank.shape[1]], [rank.shape[1] + 1]])
    basin, level = basins.ravel()[corners], rank.ravel()[corners]
    here, there = _PAIRS[:, : 4 if diagonal else 2]
    a, b = basin[here], basin[there]
    # Before NumPy 2 a wide scalar does not widen a narrow array.
    wide = np.uint16 if rows <= _FEW_ROWS else np.int64
    pairs = np.minimum(a, b).astype(wide) * wide(rows) + np.maximum(a, b)
    level = np.minimum(level[here], level[there])
    is_pass = (a != b) & (level > 0)
    pairs, level = pairs[is_pass], level[is_pass]
    if has_outside:
        sides: List[Any] = [np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]]
        pairs = np.concatenate([pairs, *(basins[side].astype(wide) for side in sides)])
        level = np.concatenate([level, *(rank[side] for side in sides)])
    if rows <= _FEW_ROWS:
        # Of several values for one place NumPy keeps the last: in ascending order the highest.
        order = np.argsort(level, kind="stable")
        table = np.zeros(rows * rows, dtype=np.int64)
        table[pairs[order]] = level[order]
        pairs = np.flatnonzero(table)
        level = table[pairs]
    else:
        codes = np.sort(pairs * 256 + level)
        pairs, level = codes >> 8, codes & 255
        is_best = level > 0
        is_best[:-1] &= pairs[1:] != pairs[:-1]
        pairs, level = pairs[is_best], level[is_best]
    order = np.argsort(-level, kind="stable")
    a, b = np.divmod(pairs[order], rows)
    return list(zip(level[order].tolist(), a.tolist(), b.tolist()))


def _unions(
    passes: Sequence[Tuple[int, int, int]], stop: Sequence[int]
) -> List[Tuple[int, int, int]]:
    """The passes that unite two components, as (level, row that goes on, row that joins it).

    The row with the higher peak goes on, row 0 in any case of equal ones.
    """
    leader = list(range(len(stop)))
    unions = []
    for level, a, b in passes:
        while leader[a] != a:
            leader[a] = a = leader[leader[a]]
        while leader[b] != b:
            leader[b] = b = leader[leader[b]]
        if a == b:
            continue
        if (stop[b], a) > (stop[a], b):
            a, b = b, a
        leader[b] = a
        unions.append((level, a, b))
    return unions


def _extents(
    basins: np.ndarray,
    rank: np.ndarray,
    rows: int,
    levels: int,
    owner: np.ndarray,
    tops: np.ndarray,
) -> np.ndarray:
    """int32 (4, K, L): extents of each basin's part in each level set, as in the tree.

    Args:
        basins, rank, rows, levels: as of the tree.
        owner, tops: of each segment of a row, its basin and its highest pixel.
    """
    table = np.full((4, rows * (levels + 1)), _EMPTY, dtype=np.int32)
    # Along a line only the highest pixel of each run of one basin counts.
    down, ranks = cv2.transpose(basins), cv2.transpose(rank)
    is_run = np.ones(down.shape, dtype=bool)
    np.not_equal(down[:, 1:], down[:, :-1], out=is_run[:, 1:])
    runs = np.flatnonzero(is_run)
    columns = down.ravel()[runs], np.maximum.reduceat(ranks.ravel(), runs), runs // len(rank)
    lines = owner, rank.ravel()[tops], tops // rank.shape[1]
    for axis, (row, highest, line) in enumerate((columns, lines)):
        cell = row.astype(np.int64) * (levels + 1) + highest
        # Of several values for one place NumPy keeps the last: in reverse order the least line.
        table[axis][cell[::-1]] = line[::-1]
        table[axis + 2][cell] = -line
    cells = table.reshape(4, rows, levels + 1)
    return np.minimum.accumulate(cells[:, :, :0:-1], axis=2)[:, :, ::-1]
