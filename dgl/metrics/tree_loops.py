"""The loops that build component trees, compiled by Numba for :mod:`dgl.metrics.component_tree`.

They are imported by the first call: Numba takes a third of a second to import. The first call on a machine
compiles, which takes some seconds; Numba keeps the result on disk.
"""

from typing import Any, Callable, Tuple

import numba
import numpy as np

_NONE = np.iinfo(np.int32).max
_ROW_BITS = 24  # of a row's number
_LAST_ROW = 2**_ROW_BITS - 1
_KNOWN_PAIRS = 4096


# For functions that only compiled ones call.
inner = numba.njit(nogil=True, error_model="numpy", no_cpython_wrapper=True)


def outer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls; it is kept on disk and runs without Python's lock."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep it
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


@inner
def _segments(values: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut every row into segments that rise and then never rise again.

    Each is an ascending path from both its ends to its top, the first of equal ones. Returns where
    each of the S segments starts, in raster order, and the number of pixels, int32 (S + 1,); the top of
    each, int32 (S,); and the first segment of each row, and S, int32 (H + 1,).
    """
    height, width = values.shape
    starts = np.empty(values.size + 1, np.int32)
    tops = np.empty(values.size, np.int32)
    row_starts = np.empty(height + 1, np.int32)
    count = 0
    for y in range(height):
        row = values[y]
        row_starts[y] = count
        starts[count] = y * width
        is_rising = True
        for x in range(1, width):
            rises = row[x] > row[x - 1]
            if rises and not is_rising:
                count += 1
                starts[count] = y * width + x
            elif is_rising and not rises:
                tops[count] = y * width + x - 1
            is_rising = rises
        if is_rising:
            tops[count] = (y + 1) * width - 1
        count += 1
    starts[count] = values.size
    row_starts[height] = count
    return starts[: count + 1], tops[:count], row_starts


@inner
def _climb(
    values: np.ndarray, starts: np.ndarray, tops: np.ndarray, row_starts: np.ndarray, diagonal: bool
) -> np.ndarray:
    """int64 (S,): for each segment the one whose top its ascending path ends at.

    From a top the path goes to the largest neighbor, the first in raster order of equal ones, so
    that it never returns; it ends at a top that is its own largest neighbor.
    """
    height, width = values.shape
    onward = np.arange(len(tops))
    for y in range(height):
        for segment in range(row_starts[y], row_starts[y + 1]):
            x = tops[segment] - y * width
            to_y, to_x = y, x
            for v in range(max(y - 1, 0), min(y + 2, height)):
                for u in range(max(x - 1, 0), min(x + 2, width)):
                    if not diagonal and v != y and u != x:
                        continue
                    is_earlier = v < to_y or (v == to_y and u < to_x)
                    best = values[to_y, to_x]
                    if values[v, u] > best or (is_earlier and values[v, u] == best):
                        to_y, to_x = v, u
            if to_y != y or to_x != x:
                target = row_starts[to_y]
                while starts[target + 1] <= to_y * width + to_x:
                    target += 1
                onward[segment] = target
    for segment in range(len(tops)):
        end = segment
        while onward[end] != end:
            end = onward[end]
        while segment != end:
            following = onward[segment]
            onward[segment] = end
            segment = following
    return onward


@inner
def _add_pass(found: np.ndarray, count: int, known: np.ndarray, a: int, b: int, level: int) -> int:
    """Append a pass between two rows unless it is none or a better one is known; the new count."""
    pair = (min(a, b) << _ROW_BITS) + max(a, b)
    place = 31 * (a + b) % _KNOWN_PAIRS
    if a == b or level == 0 or (known[place, 0] == pair and known[place, 1] >= level):
        return count
    known[place, 0], known[place, 1] = pair, level
    found[count] = ((255 - level) << 2 * _ROW_BITS) + pair
    return count + 1


@inner
def _passes(
    rank: np.ndarray,
    row_of: np.ndarray,
    starts: np.ndarray,
    tops: np.ndarray,
    row_starts: np.ndarray,
    diagonal: bool,
    has_outside: bool,
) -> np.ndarray:
    """Pairs of neighboring pixels of two basins, for each two basins the best among them.

    ``row_of``, int64 (S,), is the row of the tree that each segment (:func:`_segments`) belongs to. Returns
    int64 (N,): the bits of 255 less the number of level sets that hold both pixels, then those of the lower
    and of the higher row.
    """
    height, width = rank.shape
    found = np.empty(8 * len(row_of) + 2 * height, np.int64)
    # Of some pairs the best pass so far.
    known = np.zeros((_KNOWN_PAIRS, 2), np.int64)
    count = 0
    for y in range(height):
        here, end = row_starts[y], row_starts[y + 1]
        high = rank[y]
        if has_outside:
            count = _add_pass(found, count, known, 0, row_of[here], np.int64(high[0]))
            count = _add_pass(found, count, known, 0, row_of[end - 1], np.int64(high[width - 1]))
        for segment in range(here + 1, end):
            x = starts[segment] - y * width
            level = np.int64(min(high[x - 1], high[x]))
            count = _add_pass(found, count, known, row_of[segment - 1], row_of[segment], level)
        if has_outside and (y == 0 or y == height - 1):
            for segment in range(here, end):
                level = np.int64(high[tops[segment] - y * width])
                count = _add_pass(found, count, known, 0, row_of[segment], level)
        if y == height - 1:
            continue
        # The stretches of this row and the next one in which both have one segment.
        low, there, x = rank[y + 1], end, 0
        while x < width:
            stop = min(starts[here + 1] - y * width, starts[there + 1] - (y + 1) * width)
            a, b = row_of[here], row_of[there]
            if a != b:
                level = np.int64(0)
                for u in range(x, stop):
                    level = max(level, np.int64(min(high[u], low[u])))
                if diagonal:
                    for u in range(x, stop - 1):
                        across = max(min(high[u], low[u + 1]), min(high[u + 1], low[u]))
                        level = max(level, np.int64(across))
                count = _add_pass(found, count, known, a, b, level)
            x = stop
            here += starts[here + 1] - y * width == stop
            there += starts[there + 1] - (y + 1) * width == stop
            if diagonal and x < width:
                level = np.int64(min(high[x - 1], low[x]))
                count = _add_pass(found, count, known, a, row_of[there], level)
                level = np.int64(min(high[x], low[x - 1]))
                count = _add_pass(found, count, known, row_of[here], b, level)
    return found[:count]


@inner
def _find(leader: np.ndarray, row: int) -> int:
    while leader[row] != row:
        leader[row] = leader[leader[row]]
        row = leader[row]
    return row


@inner
def _unions(stop: np.ndarray, passes: np.ndarray) -> np.ndarray:
    """The passes that unite two components (Kruskal's spanning tree, with union-find).

    The row with the higher peak goes on, the first of equal ones; ``stop``, int64 (K,), is the number of
    level sets that hold each row's peak. Returns int64 (U, 3): level, row that goes on, row that joins it,
    from the highest level down.
    """
    leader = np.arange(len(stop))
    found = np.empty((len(stop), 3), np.int64)
    count = 0
    for one in passes:
        a, b = _find(leader, (one >> _ROW_BITS) & _LAST_ROW), _find(leader, one & _LAST_ROW)
        if a == b:
            continue
        if stop[b] > stop[a] or (stop[b] == stop[a] and b < a):
            a, b = b, a
        leader[b] = a
        found[count, 0], found[count, 1], found[count, 2] = 255 - (one >> 2 * _ROW_BITS), a, b
        count += 1
    return found[:count]


@inner
def _parts(
    rank: np.ndarray,
    weights: np.ndarray,
    levels: int,
    stop: np.ndarray,
    least: np.ndarray,
    row_of: np.ndarray,
    starts: np.ndarray,
    tops: np.ndarray,
) -> np.ndarray:
    """int32 (K, L + 1, 5): extents and sum of each basin's pixels of at least some rank.

    They are those of :class:`dgl.metrics.component_tree.ComponentTree` before any union. Ranks up to
    ``least``, int64 (K,), need not be right.
    """
    width = rank.shape[1]
    ranks, terms = rank.ravel(), weights.ravel()
    table = np.empty((len(stop), levels + 1, 5), np.int32)
    for row in range(len(stop)):
        for level in range(levels + 1):
            line = table[row, level]
            line[0], line[1], line[2], line[3], line[4] = _NONE, _NONE, _NONE, _NONE, 0
    for segment in range(len(tops)):
        top = tops[segment]
        y = top // width
        if ranks[top] <= least[row_of[segment]]:
            continue
        own = table[row_of[segment]]
        line = own[ranks[top]]
        line[0] = min(line[0], top - y * width)
        line[1], line[3] = min(line[1], y), min(line[3], -y)
        # On each side of the top the outermost pixel of a rank.
        for pixel in range(starts[segment], top):
            line = own[ranks[pixel]]
            line[0] = min(line[0], pixel - y * width)
            line[4] += terms[pixel]
        for pixel in range(top, starts[segment + 1]):
            line = own[ranks[pixel]]
            line[2] = min(line[2], y * width - pixel)
            line[4] += terms[pixel]
    for row in range(len(stop)):
        line = table[row, stop[row]]
        left, top, right, bottom, total = line[0], line[1], line[2], line[3], line[4]
        for level in range(stop[row] - 1, 0, -1):
            line = table[row, level]
            left, top = min(left, line[0]), min(top, line[1])
            right, bottom = min(right, line[2]), min(bottom, line[3])
            total += line[4]
            line[0], line[1], line[2], line[3], line[4] = left, top, right, bottom, total
    return table


@outer
def basins(
    values: np.ndarray, rank: np.ndarray, levels: int, diagonal: bool, has_outside: bool
) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Divide a map into the basins of its peaks.

    Args:
        values, rank, levels, diagonal, has_outside: as of
            :func:`dgl.metrics.component_tree.component_tree`, arrays in raster order.

    Returns:
        tuple: ``stop``, ``starts`` and ``row_of`` of :class:`dgl.metrics.component_tree.ComponentTree`;
        int32 (S,), the top of each segment; of :func:`_passes`.
    """
    starts, tops, row_starts = _segments(values)
    row_of = _climb(values, starts, tops, row_starts, diagonal)
    ranks = rank.ravel()
    offset = 1 if has_outside else 0
    stop = np.full(len(tops) + offset, levels, np.int64)
    rows = offset
    for segment in range(len(tops)):
        if row_of[segment] == segment:
            stop[rows] = ranks[tops[segment]]
            # Below the segments' numbers, so that one pass more turns them into rows.
            row_of[segment] = -1 - rows
            rows += 1
    for segment in range(len(tops)):
        if row_of[segment] >= 0:
            row_of[segment] = row_of[row_of[segment]]
    for segment in range(len(tops)):
        row_of[segment] = -1 - row_of[segment]
    passes = _passes(rank, row_of, starts, tops, row_starts, diagonal, has_outside)
    return stop[:rows], starts, row_of, tops, passes


@outer
def components(
    rank: np.ndarray,
    weights: np.ndarray,
    levels: int,
    has_outside: bool,
    stop: np.ndarray,
    starts: np.ndarray,
    row_of: np.ndarray,
    tops: np.ndarray,
    passes: np.ndarray,
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unite basins to components.

    Args:
        rank, weights, levels, has_outside: as of
            :func:`dgl.metrics.component_tree.component_tree`, arrays in raster order.
        stop, starts, row_of, tops, passes: of :func:`basins`, the passes sorted.

    Returns:
        tuple: ``first``, ``parts`` and ``unions`` of :class:`dgl.metrics.component_tree.ComponentTree`.
    """
    unions = _unions(stop, passes)
    # What belongs to the outside in so many level sets is of no interest there.
    least = np.zeros(len(stop), np.int64)
    if has_outside:
        least[0] = levels
        for index in range(len(unions) - 1, -1, -1):
            level, row, joined = unions[index, 0], unions[index, 1], unions[index, 2]
            least[joined] = min(level, least[row])
    table = _parts(rank, weights, levels, stop, least, row_of, starts, tops)
    first = np.zeros(len(stop), np.int64)
    for index in range(len(unions)):
        level, row, joined = unions[index, 0], unions[index, 1], unions[index, 2]
        first[joined] = level
        own, part = table[row], table[joined]
        for number in range(1, level + 1):
            for side in range(4):
                own[number, side] = min(own[number, side], part[number, side])
            own[number, 4] += part[number, 4]
    return first, table[:, 1:], unions
