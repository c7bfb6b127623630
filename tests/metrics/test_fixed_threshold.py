import cv2
import numpy as np
import pytest

from dgl.errors import UserError
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator, case_of

SIZE = 40


def block(x0, y0, x1, y1):
    score_map = np.zeros((SIZE, SIZE), np.float32)
    score_map[y0 : y1 + 1, x0 : x1 + 1] = 1
    return score_map


def random_images(count, seed=0):
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    maps, boxes = [], []
    for _ in range(count):
        center, width = rng.uniform(8, 32, size=2), rng.uniform(3, 9)
        bump = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * width**2))
        maps.append((bump / bump.max()).astype(np.float32))
        low = rng.randint(0, 15, size=(rng.randint(0, 4), 2))
        boxes.append(np.concatenate([low, low + rng.randint(10, 25, size=low.shape)], axis=1))
    return maps, boxes, rng.normal(size=(count, 7)), rng.randint(0, 7, size=count)


def straight_overlap(score_map, boxes, threshold):
    """Predicted box and best IoU, by masks on the pixel grid."""
    image = (score_map * 255).astype(np.uint8)
    mask = (image > int(threshold * int(image.max()))).astype(np.uint8)
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    predicted = (x, y, min(x + w, SIZE - 1), min(y + h, SIZE - 1))
    overlaps = []
    for box in boxes:
        grids = np.zeros((2, 64, 64), bool)
        for grid, (x0, y0, x1, y1) in zip(grids, (predicted, box)):
            grid[y0 : y1 + 1, x0 : x1 + 1] = True
        overlaps.append((grids[0] & grids[1]).sum() / float((grids[0] | grids[1]).sum()))
    return predicted, max(overlaps) if overlaps else None


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("workers", [1, 3])
def test_figures_and_rows_equal_the_straight_ones(threshold, workers):
    maps, boxes, logits, labels = random_images(40)
    evaluator = FixedThresholdEvaluator(classes=7, threshold=threshold)
    ids = [f"image{i}" for i in range(40)]
    evaluator.add(maps, boxes, logits=logits, labels=labels, ids=ids, workers=workers)
    result = evaluator.result()
    counted, right, top1, top5 = 0, 0, 0, 0
    for index, row in enumerate(result["rows"]):
        predicted, overlap = straight_overlap(maps[index], boxes[index], threshold)
        order = np.argsort(-logits[index]).tolist()
        assert row["id"] == ids[index]
        assert (row["x0"], row["y0"], row["x1"], row["y1"]) == predicted
        if overlap is None:
            assert row["iou"] is None and row["gt_known"] is None
            continue
        assert row["iou"] == pytest.approx(overlap, rel=1e-12)
        counted += 1
        right += overlap >= 0.5
        top1 += overlap >= 0.5 and labels[index] == order[0]
        top5 += overlap >= 0.5 and labels[index] in order[:5]
    assert 0 < counted < 40
    assert result["images"] == counted and result["skipped"] == 40 - counted
    assert result["gt_known"] == pytest.approx(100.0 * right / counted)
    assert result["top1_loc"] == pytest.approx(100.0 * top1 / counted)
    assert result["top5_loc"] == pytest.approx(100.0 * top5 / counted)


def test_by_hand():
    # The predicted box of block(0, 0, 8, 9) is 0, 0, 9, 10: 110 pixels.
    evaluator = FixedThresholdEvaluator(classes=6)
    score_map = block(0, 0, 8, 9)
    evaluator.add(score_map, [[0, 0, 9, 10]], ranks=0, ids="right everywhere")
    evaluator.add(score_map, [[30, 30, 35, 35], [0, 0, 9, 10]], ranks=4, ids="second box, top five")
    evaluator.add(score_map, [[0, 0, 9, 10]], ranks=5, ids="not in the top five")
    evaluator.add(score_map, [[20, 20, 30, 30]], ranks=0, ids="wrong place")
    evaluator.add(score_map, [], ranks=0, ids="no box")
    result = evaluator.result()
    assert result["protocol"] == "fixed_threshold" and result["threshold"] == 0.2
    assert (result["gt_known"], result["top1_loc"], result["top5_loc"]) == (75.0, 25.0, 50.0)
    assert (result["images"], result["skipped"]) == (4, 1)
    flags = [(r["gt_known"], r["top1_loc"], r["top5_loc"]) for r in result["rows"]]
    assert flags[:4] == [
        (True, True, True),
        (True, False, True),
        (True, False, False),
        (False, False, False),
    ]
    assert [r["iou"] for r in result["rows"]] == [1.0, 1.0, 1.0, 0.0, None]
    assert [r["case"] for r in result["rows"]] == ["right"] * 3 + ["elsewhere", None]
    assert result["cases"] == {"right": 75.0, "part": 0.0, "more": 0.0, "elsewhere": 25.0}


@pytest.mark.parametrize("y1, right", [(9, True), (10, False)])
def test_an_overlap_of_exactly_the_threshold_is_right(y1, right):
    # Predicted 0, 0, 9, 4: 50 pixels; the true box has 100 or 110.
    evaluator = FixedThresholdEvaluator(classes=2)
    evaluator.add(block(0, 0, 8, 3), [[0, 0, 9, y1]], ranks=0)
    assert evaluator.result()["rows"][0]["gt_known"] is right


@pytest.mark.parametrize("classes, has_top5", [(5, False), (6, True)])
def test_top5_is_left_out_for_five_classes_or_fewer(classes, has_top5):
    evaluator = FixedThresholdEvaluator(classes=classes)
    evaluator.add(block(0, 0, 8, 8), [[0, 0, 9, 9]], ranks=0)
    result = evaluator.result()
    assert ("top5_loc" in result) is has_top5
    assert ("top5_loc" in result["rows"][0]) is has_top5


@pytest.mark.parametrize("other", [{"threshold": 0.3}, {"iou": 0.7}, {"classes": 8}])
def test_other_settings_are_refused_on_merge(other):
    settings = dict({"classes": 7}, **other)
    with pytest.raises(ValueError):
        FixedThresholdEvaluator(classes=7).merge(FixedThresholdEvaluator(**settings))


def test_a_bad_batch_leaves_the_evaluator_as_it_was():
    evaluator = FixedThresholdEvaluator(classes=2)
    good, bad = block(0, 0, 8, 8), block(0, 0, 8, 8)
    bad[3, 3] = np.nan
    evaluator.add(good, [[0, 0, 9, 9]], ranks=0)
    before = evaluator.state_dict()
    for maps, boxes, ranks in (
        ([good, bad], [[[0, 0, 9, 9]]] * 2, [0, 0]),
        ([good, good], [[[0, 0, 9, 9]], [[9, 9, 0, 0]]], [0, 0]),
        ([good, good], [[[0, 0, 9, 9]]], [0, 0]),
        ([good], [[[0, 0, 9, 9]]], [-1]),
    ):
        with pytest.raises(ValueError):
            evaluator.add(maps, boxes, ranks=ranks)
    assert evaluator.state_dict() == before


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"logits": [[1.0, 0.0]]},
        {"labels": [0]},
        {"logits": [[1, 0]], "labels": [0], "ranks": 0},
    ],
)
def test_either_logits_and_labels_or_ranks(arguments):
    with pytest.raises(ValueError):
        FixedThresholdEvaluator(classes=2).add(block(0, 0, 8, 8), [[0, 0, 9, 9]], **arguments)


def test_no_image_with_a_box_is_a_user_error():
    evaluator = FixedThresholdEvaluator(classes=2)
    evaluator.add(block(0, 0, 8, 8), [], ranks=0)
    with pytest.raises(UserError):
        evaluator.result()


@pytest.mark.parametrize("settings", [{"classes": 0}, {"threshold": 1.5}, {"iou": 0.0}])
def test_settings_outside_their_range_are_refused(settings):
    with pytest.raises(ValueError):
        FixedThresholdEvaluator(**dict({"classes": 2}, **settings))


TRUTH = (20, 20, 79, 79)


@pytest.mark.parametrize(
    "box, case",
    [
        (TRUTH, "right"),
        ((20, 20, 79, 49), "right"),  # half of it: an IoU of exactly 0.5
        ((20, 20, 79, 48), "part"),
        ((40, 40, 59, 59), "part"),
        ((10, 40, 39, 59), "part"),  # two thirds on the object, a sixth of the object
        ((0, 0, 199, 199), "more"),
        ((30, 0, 199, 99), "more"),
        ((60, 60, 160, 160), "elsewhere"),
        ((0, 0, 19, 19), "elsewhere"),
        ((0, 0, 0, 0), "elsewhere"),
    ],
)
def test_cases_of_boxes(box, case):
    assert case_of(box, [TRUTH]) == case


def test_the_true_box_that_overlaps_most_decides():
    far = (100, 100, 109, 109)
    assert case_of((40, 40, 59, 59), [far, TRUTH]) == "part"
    assert case_of((95, 95, 125, 125), [far, TRUTH]) == "more"


def test_without_a_true_box():
    with pytest.raises(ValueError):
        case_of(TRUTH, [])
