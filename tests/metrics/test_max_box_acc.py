"""MaxBoxAcc and its second version against hits computed straight, and by hand."""

import numpy as np
import pytest
from generators import labeled_images
from hypothesis import given
from hypothesis import strategies as st
from straight_boxes import SIZE, random_images, straight_hits

from dgl.metrics import MaxBoxAccEvaluator


def check_figures(result, maps, boxes, thresholds):
    """Compare with hits computed straight; returns their percentages by threshold, also by overlap."""
    hits = [straight_hits(score_map, thresholds, own) for score_map, own in zip(maps, boxes)]
    curve, every = (100 * np.mean(part, axis=0) for part in zip(*hits))
    per_iou = every.max(axis=1)
    assert result["thresholds"] == thresholds.tolist()
    np.testing.assert_allclose(result["curve"], curve, atol=1e-9)
    assert result["max_box_acc"] == pytest.approx(curve.max(), abs=1e-9)
    assert result["best_threshold"] == thresholds[curve.argmax()]
    expected = pytest.approx(dict(zip(("30", "50", "70"), per_iou)), abs=1e-9)
    assert result["max_box_acc_v2_per_iou"] == expected
    assert result["max_box_acc_v2"] == pytest.approx(per_iou.mean(), abs=1e-9)
    return curve, every


@pytest.mark.parametrize("workers", [1, 3])
def test_every_figure_equals_the_straight_one(workers):
    maps, boxes = random_images(24)
    evaluator = MaxBoxAccEvaluator(step=0.05)
    evaluator.add(maps, boxes, workers=workers)
    curve, every = check_figures(evaluator.result(), maps, boxes, np.arange(0, 1, 0.05))
    assert 0 < curve.max() < 100 and (curve != every[1]).any()


@given(st.lists(labeled_images(), min_size=1, max_size=6), st.integers(0, 9))
def test_figures_of_random_small_maps_equal_the_straight_ones(images, operating):
    maps, boxes, _, _ = zip(*images)
    evaluator = MaxBoxAccEvaluator(0.1, operating_threshold=operating / 10.0)
    evaluator.add(maps, boxes)
    curve, _ = check_figures(evaluator.result(), maps, boxes, np.arange(0, 1, 0.1))
    assert evaluator.result()["box_acc"] == pytest.approx(curve[operating], abs=1e-9)


def test_two_blobs_by_hand():
    """A large faint block and a small bright one: predicted 2, 2, 22, 22 and 30, 30, 36, 36."""
    score_map = np.zeros((SIZE, SIZE), np.float32)
    score_map[2:22, 2:22] = 0.5
    score_map[30:36, 30:36] = 1.0
    # The largest contour is the faint block until the threshold passes it: int(0.5 * 255) is 127.
    for boxes, right in (
        ([[30, 30, 36, 36]], [0.0] * 5 + [100.0] * 5),
        ([[40, 40, 44, 44], [2, 2, 22, 22]], [100.0] * 5 + [0.0] * 5),
    ):
        evaluator = MaxBoxAccEvaluator(step=0.1)
        evaluator.add([score_map] * 2, [boxes, []])
        result = evaluator.result()
        assert result["curve"] == right and result["max_box_acc"] == 100
        assert (result["images"], result["skipped"]) == (1, 1)
