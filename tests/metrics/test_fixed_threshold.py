"""The fixed-threshold protocol against hits computed straight, by hand, and the cases of wrong boxes."""

import numpy as np
import pytest
from straight_boxes import SIZE, foreground, overlap, random_images, trace

from dgl.metrics.fixed_threshold import FixedThresholdEvaluator, case_of


def block(x1, y1):
    """A map whose foreground is the top left corner, up to a last pixel."""
    score_map = np.zeros((40, 40), np.float32)
    score_map[: y1 + 1, : x1 + 1] = 1
    return score_map


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("workers", [1, 3])
def test_figures_and_rows_equal_the_straight_ones(threshold, workers):
    maps, boxes = random_images(40)
    boxes[::4], boxes[1::4] = [[]] * 10, [[[0, 0, SIZE - 1, SIZE - 1]]] * 10
    logits = np.random.RandomState(0).normal(size=(40, 7))
    labels = np.argsort(-logits, axis=1)[np.arange(40), 3 * (np.arange(40) % 3)]
    evaluator = FixedThresholdEvaluator(classes=7, threshold=threshold)
    ids = [f"image{i}" for i in range(40)]
    evaluator.add(maps, boxes, logits=logits, labels=labels, ids=ids, workers=workers)
    result = evaluator.result()
    right, top1, top5 = 0, 0, 0
    for index, row in enumerate(result["rows"]):
        traced, largest = trace(foreground(maps[index], threshold))
        assert row["id"] == ids[index]
        assert (row["x0"], row["y0"], row["x1"], row["y1"]) == traced[largest]
        if index % 4 == 0:
            assert row["iou"] is None and row["gt_known"] is None
            continue
        best = max(overlap(traced[largest], box) for box in boxes[index])
        assert row["iou"] == pytest.approx(best, rel=1e-12)
        order = np.argsort(-logits[index]).tolist()
        right += best >= 0.5
        top1 += best >= 0.5 and labels[index] == order[0]
        top5 += best >= 0.5 and labels[index] in order[:5]
    assert (result["images"], result["skipped"]) == (30, 10) and 0 < right < 30
    for name, count in (("gt_known", right), ("top1_loc", top1), ("top5_loc", top5)):
        assert result[name] == pytest.approx(100.0 * count / 30)


def test_by_hand():
    # The predicted box is 0, 0, 9, 10: 110 pixels.
    evaluator = FixedThresholdEvaluator(classes=6)
    for boxes, rank in (
        ([[0, 0, 9, 10]], 0),
        ([[30, 30, 35, 35], [0, 0, 9, 10]], 4),
        ([[0, 0, 9, 10]], 5),
        ([[20, 20, 30, 30]], 0),
        ([], 0),
    ):
        evaluator.add(block(8, 9), boxes, ranks=rank)
    result = evaluator.result()
    assert (result["gt_known"], result["top1_loc"], result["top5_loc"]) == (75.0, 25.0, 50.0)
    flags = [(r["gt_known"], r["top1_loc"], r["top5_loc"]) for r in result["rows"]]
    assert flags[:3] == [(True, True, True), (True, False, True), (True, False, False)]
    assert flags[3:] == [(False, False, False), (None, None, None)]
    assert result["cases"] == {"right": 75.0, "part": 0.0, "more": 0.0, "elsewhere": 25.0}


@pytest.mark.parametrize("y1, right", [(9, True), (10, False)])
def test_an_overlap_of_exactly_the_threshold_is_right(y1, right):
    # Predicted 0, 0, 9, 4: 50 pixels; the true box has 100 or 110.
    evaluator = FixedThresholdEvaluator(classes=2)
    evaluator.add(block(8, 3), [[0, 0, 9, y1]], ranks=0)
    assert evaluator.result()["rows"][0]["gt_known"] is right


TRUTH = (20, 20, 79, 79)


@pytest.mark.parametrize(
    "box, case",
    [
        (TRUTH, "right"),
        ((20, 20, 79, 49), "right"),  # half of it: an IoU of exactly 0.5
        ((20, 20, 79, 48), "part"),
        ((10, 40, 39, 59), "part"),  # two thirds on the object, a sixth of the object
        ((0, 0, 199, 199), "more"),
        ((30, 0, 199, 99), "more"),
        ((60, 60, 160, 160), "elsewhere"),
        ((0, 0, 0, 0), "elsewhere"),
    ],
)
def test_cases_of_boxes(box, case):
    assert case_of(box, [TRUTH]) == case


def test_the_true_box_that_overlaps_most_decides_and_there_must_be_one():
    far = (100, 100, 109, 109)
    assert case_of((40, 40, 59, 59), [far, TRUTH]) == "part"
    assert case_of((95, 95, 125, 125), [far, TRUTH]) == "more"
    with pytest.raises(ValueError):
        case_of(TRUTH, [])
