"""Overlaps and figures of random small data: against their definitions, and what must hold of them."""

import numpy as np
import pytest
from generators import labeled_images, mask_of, whole_boxes
from hypothesis import given
from hypothesis import strategies as st

from dgl.metrics.bootstrap import compare, intervals
from dgl.metrics.classification import ClassificationEvaluator, rank_labels
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator, case_of
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator
from dgl.predict import postprocess

STEP = 0.1
CLASSES = 7
data_sets = st.lists(labeled_images(CLASSES), min_size=1, max_size=6)
operating = st.integers(0, 9).map(lambda n: n / 10.0)


def _ids(images):
    return [f"{index:03d}" for index in range(len(images))]


def _max_box_acc(images, ids=None):
    evaluator = MaxBoxAccEvaluator(STEP)
    evaluator.add(*list(zip(*images))[:2], ids=ids)
    return evaluator


def _fixed(images, ids=None, threshold=0.2):
    evaluator = FixedThresholdEvaluator(CLASSES, threshold)
    score_maps, boxes, labels, logits = zip(*images)
    evaluator.add(score_maps, boxes, np.array(logits), np.array(labels), ids=ids)
    return evaluator


def _pixel_ap(images, ids=None):
    evaluator = PixelApEvaluator(STEP)
    evaluator.add([image[0] for image in images], [mask_of(image) for image in images], ids)
    return evaluator


MAKERS = (_max_box_acc, _fixed, _pixel_ap)


def _pixels(box):
    grid = np.zeros((16, 16), bool)
    grid[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    return grid


@given(st.lists(whole_boxes(), max_size=4), st.lists(whole_boxes(), max_size=4))
def test_overlaps_are_those_of_counted_pixels(first, second):
    """Both ends of a box belong to it."""
    found = postprocess.iou(first, second)
    assert found.shape == (len(first), len(second))
    for row, box in zip(found, first):
        for value, other in zip(row, second):
            shared, covered = _pixels(box) & _pixels(other), _pixels(box) | _pixels(other)
            expected = np.count_nonzero(shared) / np.count_nonzero(covered)
            assert value == pytest.approx(expected, abs=1e-15)
            assert (value == 1) == (box == other)
    np.testing.assert_array_equal(found, postprocess.iou(second, first).T)
    assert ((found >= 0) & (found <= 1)).all()


@given(whole_boxes(), st.integers(0, 5))
def test_boxes_that_share_an_edge_overlap_by_one_column_of_pixels(box, width):
    x0, y0, x1, y1 = box
    rows, columns = y1 - y0 + 1, x1 - x0 + 1
    others = [(x1 + 1, y0, x1 + 1 + width, y1), (x1, y0, x1 + width, y1), (x1, y1, x1, y1)]
    expected = [0, 1 / (columns + width), 1 / (columns * rows)]
    np.testing.assert_allclose(postprocess.iou(box, others)[0], expected, atol=1e-15)


@given(
    whole_boxes(), st.lists(whole_boxes(), min_size=1, max_size=4), st.sampled_from([0.3, 0.5, 0.7])
)
def test_a_case_is_right_exactly_when_the_overlap_says_so(box, true_boxes, threshold):
    case = case_of(box, true_boxes, threshold)
    assert (case == "right") == bool(postprocess.iou(box, true_boxes).max() >= threshold)


@given(data_sets)
def test_top_1_is_at_most_top_5_at_most_gt_known(images):
    result = _fixed(images).result()
    assert 0 <= result["top1_loc"] <= result["top5_loc"] <= result["gt_known"] <= 100
    assert sum(result["cases"].values()) == pytest.approx(100)
    assert result["cases"]["right"] == pytest.approx(result["gt_known"])
    known = [row["gt_known"] for row in result["rows"]]
    assert result["gt_known"] == pytest.approx(100 * np.mean(known))
    errors = ClassificationEvaluator(CLASSES)
    errors.add(np.array([image[3] for image in images]), np.array([i[2] for i in images]))
    error = errors.result()
    assert error["top1_error"] >= error["top5_error"]
    assert result["top1_loc"] <= 100 - error["top1_error"] + 1e-9


@given(data_sets)
def test_ranks_are_places_in_a_stable_descending_order(images):
    for _, _, label, logits in images:
        order = np.argsort(-logits, kind="stable")
        assert rank_labels(logits[np.newaxis], np.array([label]))[0] == list(order).index(label)


@pytest.mark.parametrize("make", MAKERS)
@given(data=st.data(), images=data_sets)
def test_order_and_shards_change_nothing(make, data, images):
    whole = make(images, _ids(images))
    order = data.draw(st.permutations(range(len(images))))
    owner = data.draw(st.lists(st.integers(0, 2), min_size=len(images), max_size=len(images)))
    parts = [[index for index in order if owner[index] == shard] for shard in range(3)]
    ids = _ids(images)
    shards = [make([images[i] for i in own], [ids[i] for i in own]) for own in parts if own]
    merged = data.draw(st.permutations(shards))
    for other in merged[1:]:
        merged[0].merge(other)
    expected, found = whole.result(), merged[0].result()
    if "rows" in found:
        found["rows"].sort(key=lambda row: row["id"])
    assert found == expected
    assert intervals(merged[0], 20) == intervals(whole, 20)


@given(data_sets, st.integers(0, 2), st.integers(0, 2))
def test_an_image_that_all_get_right_lowers_no_figure(images, x, y):
    score_map = np.zeros((8, 9), np.float32)
    score_map[y + 1 : y + 5, x + 1 : x + 5] = 1
    # One past the last pixel, as wsolevaluation has it.
    right = (score_map, [(x + 1, y + 1, x + 5, y + 5)], 0, np.arange(CLASSES)[::-1])
    for make, figures in (
        (_max_box_acc, ("max_box_acc", "max_box_acc_v2")),
        (_fixed, ("gt_known", "top1_loc", "top5_loc")),
    ):
        before, after, only = (make(i).result() for i in (images, images + [right], [right]))
        assert all(after[figure] >= before[figure] - 1e-9 for figure in figures)
        assert all(only[figure] == 100 for figure in figures)


@pytest.mark.parametrize("make", MAKERS)
@given(images=data_sets, seed=st.integers(0, 5))
def test_intervals_are_ordered_nested_and_repeatable(make, images, seed):
    evaluator = make(images, _ids(images))
    found = intervals(evaluator, 40, seed)
    assert found == intervals(evaluator, 40, seed)
    inner = intervals(evaluator, 40, seed, level=0.5)
    for figure, (low, high) in found.items():
        assert -1e-9 <= low <= high <= 100 + 1e-9
        assert low <= inner[figure][0] <= inner[figure][1] <= high
    # However often one image is drawn, it stays the whole data set.
    one = make(images[:1], ["a"])
    figures = one.figures(one.totals())
    for figure, bounds in intervals(one, 10, seed).items():
        assert bounds == pytest.approx((figures[figure][0],) * 2, abs=1e-9)


@given(data_sets, operating, operating)
def test_a_comparison_is_antisymmetric(images, first, second):
    a, b = (_fixed(images, _ids(images), threshold) for threshold in (first, second))
    forth, back = compare(a, b, "gt_known", 30), compare(b, a, "gt_known", 30)
    assert forth.difference == pytest.approx(-back.difference, abs=1e-9)
    assert forth.interval == pytest.approx((-back.interval[1], -back.interval[0]), abs=1e-9)
    assert 0 < forth.p_value == back.p_value <= 1
    same = compare(a, a, "gt_known", 10)
    assert same.difference == 0 and same.interval == (0, 0) and same.p_value == 1
