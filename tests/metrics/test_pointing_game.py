"""The grid pointing game against sums written out, and its merging and intervals."""

import numpy as np
import pytest

from dgl.metrics import PointingGameEvaluator, intervals


@pytest.mark.parametrize("grid", [(2, 2), (1, 3), (3, 2)])
def test_shares_and_hits_written_out(grid):
    rows, columns = grid
    raw = np.random.RandomState(0).randn(rows * 4, columns * 5)
    evaluator = PointingGameEvaluator(grid)
    found = [evaluator.measure(raw, tile) for tile in range(rows * columns)]
    place = np.unravel_index(raw.argmax(), raw.shape)
    for tile, (share, positive, hit) in enumerate(found):
        row, column = tile // columns, tile % columns
        own = np.s_[row * 4 : row * 4 + 4, column * 5 : column * 5 + 5]
        shifted, rectified = raw - raw.min(), np.maximum(raw, 0)
        assert share == pytest.approx(shifted[own].sum() / shifted.sum())
        assert positive == pytest.approx(rectified[own].sum() / rectified.sum())
        assert hit == (place[0] // 4 == row and place[1] // 5 == column)
    np.testing.assert_allclose(np.sum(found, axis=0), 1)


def test_offset_scale_and_maps_with_nothing_in_them():
    raw = np.random.RandomState(1).rand(8, 8)
    measure = PointingGameEvaluator((2, 2)).measure
    first, second = (measure(values, 3) for values in (raw, 1e-6 * raw - 40e-6))
    assert second[::2] == pytest.approx(first[::2])
    assert second[1] == 0
    assert measure(np.full((4, 4), -1.0), 0) == (0, 0, 0)
    assert measure(np.ones((4, 4)), 0) == (0, 0.25, 0)


def filled(seed, ids):
    evaluator = PointingGameEvaluator((1, 2))
    rng = np.random.RandomState(seed)
    for key in ids:
        maps = rng.rand(2, 2, 4)
        evaluator.add_found([[evaluator.measure(maps[tile], tile) for tile in (0, 1)]], [key])
    return evaluator


def test_figures_are_means_over_mosaics_and_merge():
    first, second = filled(0, "ab"), filled(1, "c")
    results = [first.result(), second.result()]
    first.merge(second)
    found = first.result()
    assert found["mosaics"] == 3
    for name in ("share", "positive_share", "hit"):
        assert found[name] == pytest.approx((2 * results[0][name] + results[1][name]) / 3)
        low, high = intervals(first, 50)[name]
        assert 0 <= low <= found[name] <= high <= 100
    restored = PointingGameEvaluator((1, 2))
    restored.load_state_dict(first.state_dict())
    assert restored.result() == found


@pytest.mark.parametrize("raw", [np.ones((5, 4)), np.ones(4), np.full((4, 4), np.nan)])
def test_bad_maps(raw):
    with pytest.raises(ValueError, match="map"):
        PointingGameEvaluator((2, 2)).measure(raw, 0)
