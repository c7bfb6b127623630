"""Figures of random small data sets: against their definitions, and what must hold of them."""

import numpy as np
import pytest
from generators import labeled_images
from hypothesis import given
from hypothesis import strategies as st

from dgl.metrics.bootstrap import compare, intervals
from dgl.metrics.classification import ClassificationEvaluator, rank_labels
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator
from dgl.predict import postprocess

STEP = 0.1
CLASSES = 7
data_sets = st.lists(labeled_images(CLASSES), min_size=1, max_size=6)
operating = st.integers(0, 9).map(lambda n: n / 10.0)


def _ids(images):
    return [f"{index:03d}" for index in range(len(images))]


def _max_box_acc(images, ids=None, threshold=None):
    evaluator = MaxBoxAccEvaluator(STEP, operating_threshold=threshold)
    evaluator.add([image[0] for image in images], [image[1] for image in images], ids)
    return evaluator


def _fixed(images, ids=None, threshold=0.2):
    evaluator = FixedThresholdEvaluator(CLASSES, threshold)
    score_maps, boxes, labels, logits = zip(*images)
    evaluator.add(score_maps, boxes, np.array(logits), np.array(labels), ids=ids)
    return evaluator


def _mask(image):
    """A mask of the boxes of an image; what its label says of the last row is ignored."""
    score_map, boxes, label, _ = image
    mask = np.zeros(score_map.shape, np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0 : y1 + 1, x0 : x1 + 1] = 1
    if label % 2:
        mask[-1:][mask[-1:] == 0] = 255
    return mask


def _pixel_ap(images, ids=None):
    evaluator = PixelApEvaluator(STEP)
    evaluator.add([image[0] for image in images], [_mask(image) for image in images], ids)
    return evaluator


MAKERS = (_max_box_acc, _fixed, _pixel_ap)


@given(data_sets, operating)
def test_max_box_acc_is_the_best_over_thresholds(images, threshold):
    result = _max_box_acc(images, threshold=threshold).result()
    thresholds = np.arange(0, 1, STEP)
    hits = np.array(
        [
            [postprocess.iou(postprocess.largest_box(m, t), b).max() >= 0.5 for t in thresholds]
            for m, b, _, _ in images
        ]
    )
    curve = 100.0 * hits.mean(axis=0)
    np.testing.assert_allclose(result["curve"], curve, atol=1e-9)
    assert result["max_box_acc"] == pytest.approx(curve.max(), abs=1e-9)
    assert result["best_threshold"] == thresholds[np.argmax(curve)]
    assert result["max_box_acc"] >= result["box_acc"] - 1e-9
    index = int(np.argmin(np.abs(thresholds - threshold)))
    assert result["box_acc"] == pytest.approx(curve[index], abs=1e-9)


@given(data_sets)
def test_version_2_is_the_mean_over_overlaps_of_any_contour(images):
    result = _max_box_acc(images).result()
    per_iou = [result["max_box_acc_v2_per_iou"][name] for name in ("30", "50", "70")]
    assert result["max_box_acc_v2"] == pytest.approx(np.mean(per_iou), abs=1e-9)
    assert per_iou[0] >= per_iou[1] >= per_iou[2]
    # The largest contour is one of all.
    assert per_iou[1] >= result["max_box_acc"] - 1e-9
    thresholds = np.arange(0, 1, STEP)
    overlaps = np.array(
        [
            [
                postprocess.iou(postprocess.contour_boxes(postprocess.binarize(m, t))[0], b).max()
                for t in thresholds
            ]
            for m, b, _, _ in images
        ]
    )
    expected = [100 * (overlaps >= iou).mean(axis=0).max() for iou in (0.3, 0.5, 0.7)]
    np.testing.assert_allclose(per_iou, expected, atol=1e-9)


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


@given(data_sets)
def test_pxap_is_the_area_of_the_pooled_curve(images):
    evaluator = _pixel_ap(images)
    score = np.concatenate([image[0].astype(np.float64).ravel() for image in images])
    mask = np.concatenate([_mask(image).ravel() for image in images])
    is_object, counts = mask == 1, mask != 255
    area, before = 0.0, 0.0
    for threshold in np.append(np.arange(0, 1, STEP), 1.0)[::-1]:
        predicted = (score >= threshold) & counts
        if predicted.any():
            recall = np.count_nonzero(predicted & is_object) / np.count_nonzero(is_object)
            area += (recall - before) * np.count_nonzero(predicted & is_object) / predicted.sum()
            before = recall
    assert evaluator.result()["pxap"] == pytest.approx(100 * area, abs=1e-9)
    assert 0 <= area <= 1 + 1e-12


@pytest.mark.parametrize("make", MAKERS)
@given(data=st.data(), images=data_sets)
def test_order_and_shards_change_nothing(make, data, images):
    whole = make(images, _ids(images))
    order = data.draw(st.permutations(range(len(images))))
    owner = data.draw(st.lists(st.integers(0, 2), min_size=len(images), max_size=len(images)))
    shards = []
    for shard in range(3):
        own = [index for index in order if owner[index] == shard]
        if own:
            shards.append(make([images[i] for i in own], [_ids(images)[i] for i in own]))
    merged = data.draw(st.permutations(shards))
    for other in merged[1:]:
        merged[0].merge(other)
    expected, found = whole.result(), merged[0].result()
    rows = expected.pop("rows", []), found.pop("rows", [])
    assert found == expected
    assert sorted(rows[1], key=lambda row: row["id"]) == rows[0]
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
        before, after = make(images).result(), make(images + [right]).result()
        for figure in figures:
            assert after[figure] >= before[figure] - 1e-9
        only = make([right]).result()
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
