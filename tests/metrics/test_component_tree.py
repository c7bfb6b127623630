"""The tree against OpenCV's components of every level set by itself."""

import cv2
import numpy as np
import pytest

from dgl.metrics.component_tree import component_tree


def ranks(seed, levels):
    """Random whole numbers from 0 to ``levels``: noise, a smooth map, or blocks with plateaus."""
    rng = np.random.RandomState(seed)
    height, width = rng.randint(1, 30, 2)
    field = rng.uniform(size=(height, width))
    if seed % 3 == 1:
        field = cv2.GaussianBlur(field, (0, 0), 2.0).reshape(height, width)
        field = (field - field.min()) / max(field.max() - field.min(), 1e-9)
    elif seed % 3 == 2:
        field = np.repeat(np.repeat(field, 3, axis=0), 2, axis=1)
    return np.minimum(field * (levels + 1), levels).astype(np.uint8), field, rng


def components(mask, diagonal, weights):
    """Sorted (x0, y0, x1, y1, sum of the weights) of a mask's components."""
    ways = 8 if diagonal else 4
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.uint8(mask), connectivity=ways)
    sums = np.bincount(labels.ravel(), weights.ravel(), minlength=count)
    parts = zip(stats[1:].tolist(), sums[1:].tolist())
    return sorted((x, y, x + w - 1, y + h - 1, total) for (x, y, w, h, _), total in parts)


def rows_at(tree, level, skip=0):
    alive = np.flatnonzero((tree.first <= level) & (level < tree.stop))
    parts = tree.parts[alive[alive >= skip], level].tolist()
    return sorted((left, top, -right, -bottom, total) for left, top, right, bottom, total in parts)


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("levels", [1, 3, 20])
def test_boxes_and_sums_equal_those_of_every_level_set_by_itself(levels, diagonal):
    for seed in range(30):
        rank, field, rng = ranks(seed, levels)
        weights = rng.randint(0, 5, rank.shape)
        # The guide may be as coarse as the rank itself.
        guide = field if seed % 2 else rank.astype(float)
        tree = component_tree(guide, rank, levels, diagonal, weights=weights)
        for level in range(levels):
            assert rows_at(tree, level) == components(rank > level, diagonal, weights)


@pytest.mark.parametrize("diagonal", [True, False])
def test_an_outside_joins_the_components_at_the_border(diagonal):
    inner = 0
    for seed in range(60):
        rank, field, rng = ranks(seed, 9)
        weights = rng.randint(0, 5, rank.shape)
        tree = component_tree(field, rank, 9, diagonal, has_outside=True, weights=weights)
        assert tree.first[0] == 0 and tree.stop[0] == 9
        for level in range(9):
            mask = rank > level
            _, labels = cv2.connectedComponents(np.uint8(mask), connectivity=8 if diagonal else 4)
            sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
            outside = np.isin(labels, np.concatenate(sides)) & mask
            inside = rows_at(tree, level, skip=1)
            assert inside == components(mask & ~outside, diagonal, weights)
            inner += len(inside)
    assert inner > 100


def test_gives_up_beyond_the_number_of_peaks_asked_for():
    rank, field, _ = ranks(0, 9)
    peaks = len(component_tree(field, rank, 9, True).first)
    assert component_tree(field, rank, 9, True, max_peaks=peaks - 1) is None
    assert component_tree(field, rank, 9, True, max_peaks=peaks) is not None


def test_many_rows():
    rank = np.random.RandomState(0).randint(0, 4, (120, 130)).astype(np.uint8)
    ones = np.ones(rank.shape, np.uint8)
    tree = component_tree(rank.astype(float), rank, 3, False, weights=ones)
    assert len(tree.first) > 256
    for level in range(3):
        assert rows_at(tree, level) == components(rank > level, False, ones)
