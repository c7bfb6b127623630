"""Maps by the definition of each rule; boxes by one mask a threshold, and IoU by counting pixels."""

import cv2
import numpy as np
import pytest
from refusals import refusal
from scipy.stats import scoreatpercentile

from dgl.predict import postprocess
from dgl.predict.overlay import colorize, overlay
from dgl.predict.postprocess import (
    MINMAX,
    NORMALIZATIONS,
    binarize,
    contour_boxes,
    distinct_masks,
    iou,
    largest_box,
    normalize,
    parse_normalization,
    resize_map,
)

THRESHOLDS = np.arange(0, 1, 0.01)


def gaussians(seed, size=(40, 48), count=4):
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    total = np.zeros(size)
    for _ in range(count):
        cy, cx = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        width = rng.uniform(2, 9)
        total += rng.uniform(0.2, 1) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
    return (total / total.max()).astype(np.float32)


MAKERS = {
    "gaussians": gaussians,
    "plateaus": lambda seed: (np.floor(gaussians(seed) * 6) / 6).astype(np.float32),
    "noise": lambda seed: np.random.RandomState(seed).uniform(size=(30, 26)),
    "dim": lambda seed: gaussians(seed) * np.float32(0.3),
    "zeros": lambda seed: np.zeros((5, 6)),
}


def blocks(*rectangles):
    """Map of zeros with 1 in each (x0, y0, x1, y1), both ends included."""
    score_map = np.zeros((20, 30), np.float32)
    for x0, y0, x1, y1 in rectangles:
        score_map[y0 : y1 + 1, x0 : x1 + 1] = 1
    return score_map


def straight_boxes(score_map, threshold):
    """Every contour's box and area at one threshold, without any of the package's code."""
    height, width = score_map.shape
    image = (score_map * 255).astype(np.uint8)
    mask = np.where(image > int(threshold * int(image.max())), 255, 0).astype(np.uint8)
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    found = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        found.append((x, y, min(x + w, width - 1), min(y + h, height - 1)))
    return found or [(0, 0, 0, 0)], [cv2.contourArea(c) for c in contours] or [0.0]


def traced(score_map, thresholds):
    """Every contour's box, and the largest contour's, at each threshold, tracing distinct masks once."""
    image, levels, mask_of = distinct_masks(score_map, thresholds)
    boxes, starts, largest = postprocess.trace_levels(image, levels)
    every = np.split(boxes, starts[1:])
    return [every[mask].tolist() for mask in mask_of], boxes[largest[mask_of]].tolist()


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("seed", range(4))
def test_traced_boxes_equal_the_straight_ones_at_every_threshold(maker, seed):
    score_map = MAKERS[maker](seed)
    every, largest = traced(score_map, THRESHOLDS)
    assert len(every) == len(largest) == len(THRESHOLDS)
    for threshold, found, box in zip(THRESHOLDS, every, largest):
        boxes, areas = straight_boxes(score_map, threshold)
        assert list(map(tuple, found)) == boxes
        assert tuple(box) == boxes[areas.index(max(areas))]


@pytest.mark.parametrize("maker", MAKERS)
def test_distinct_masks_are_those_of_all_thresholds_from_the_smallest_up(maker):
    score_map = MAKERS[maker](1)
    thresholds = np.random.RandomState(0).permutation(np.arange(0, 1.0005, 0.001))
    image, levels, mask_of = distinct_masks(score_map, thresholds)
    assert (image.dtype, mask_of.dtype) == (np.uint8, np.int64)
    expected = [binarize(score_map, threshold) > 0 for threshold in thresholds]
    for mask, index in zip(expected, mask_of):
        np.testing.assert_array_equal(image > levels[index], mask)
    assert len(levels) == len({mask.tobytes() for mask in expected})
    sizes = [int((image > level).sum()) for level in levels]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("limit", [2**24, 10])
def test_value_counts_by_either_way(monkeypatch, limit):
    monkeypatch.setattr(postprocess, "_EXACT_IN_FLOAT32", limit)
    image = np.random.RandomState(0).randint(0, 256, (40, 30)).astype(np.uint8)
    image[image == 255] = 254
    counts = postprocess.value_counts(image)
    assert (counts.shape, counts.dtype) == ((256,), np.int64)
    assert counts.tolist() == [int((image == value).sum()) for value in range(256)]


def test_the_largest_blob_wins_or_the_first_of_equal_ones():
    score_map = blocks((2, 3, 5, 6), (10, 4, 18, 12))
    boxes, areas = contour_boxes(binarize(score_map, 0.5))
    # Right and bottom are one past the last pixel.
    assert sorted(boxes.tolist()) == [[2, 3, 6, 7], [10, 4, 19, 13]]
    # A contour runs through pixel centers: a side of n pixels is n - 1 long.
    assert sorted(areas.tolist()) == [9.0, 64.0]
    assert largest_box(score_map, 0.5).tolist() == [10, 4, 19, 13]
    score_map = blocks((2, 2, 6, 6), (12, 10, 16, 14))
    boxes, areas = contour_boxes(binarize(score_map, 0.5))
    assert areas[0] == areas[1]
    assert largest_box(score_map, 0.5).tolist() == boxes[0].tolist()
    assert traced(score_map, [0.5])[1] == [boxes[0].tolist()]


NAN, GRAY = np.full((4, 4), np.nan), np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    "call, arguments",
    [
        *((iou, ([box], [[0, 0, 1, 1]])) for box in ([3, 0, 2, 5], [0, 0, np.nan, 1], [0, 0, 1])),
        *((distinct_masks, (blocks(), thresholds)) for thresholds in ([1.1], [])),
        *((normalize, (raw,)) for raw in (NAN, np.zeros(4))),
        *((colorize, (score_map,)) for score_map in (NAN, np.zeros((2, 2, 1)))),
        *((contour_boxes, (NAN,)), (largest_box, (NAN,)), (resize_map, (NAN, 8, 8))),
        (overlay, (GRAY, GRAY)),
    ],
)
def test_what_is_malformed_is_refused(call, arguments):
    with pytest.raises(ValueError):
        call(*arguments)


@pytest.mark.parametrize("values", [2, 3])
def test_contours_are_found_in_the_return_values_of_every_opencv(monkeypatch, values):
    traced = cv2.findContours

    def other_version(*arguments):
        contours, hierarchy = traced(*arguments)[-2:]
        return ((arguments[0], contours, hierarchy), (contours, hierarchy))[values == 2]

    monkeypatch.setattr(postprocess.cv2, "findContours", other_version)
    assert largest_box(blocks((2, 3, 5, 6)), 0.5).tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize(
    "box, expected",
    [
        ((0, 0, 30, 20), (0, 0, 30, 20)),
        ((1.5, 2, 3, 4), (1.5, 2, 3, 4)),
        ((-5, -6, 40, 50), (0, 0, 30, 20)),
        # Within the image a box without area stays.
        ((0, 4, 0, 9), (0, 4, 0, 9)),
        ((-9, 3, 0, 8), None),
        ((30, 3, 35, 8), None),
        ((3, -9, 8, 0), None),
        ((-9, -9, -1, -1), None),
    ],
)
def test_clip_boxes(box, expected):
    clipped, outside = postprocess.clip_boxes([box, (2, 3, 4, 5)], 30, 20)
    assert clipped.tolist() == ([list(expected)] if expected else []) + [[2, 3, 4, 5]]
    assert outside == (expected is None)


RULES = [*NORMALIZATIONS, "pas:90", "pas:99.5", "ivr:20"]


def test_resize_map_is_bilinear_between_pixel_centers():
    score_map = np.array([[0.0, 1.0], [2.0, 3.0]])
    centers = np.clip((np.arange(4) + 0.5) / 2 - 0.5, 0, 1)
    expected = centers[np.newaxis, :] + 2 * centers[:, np.newaxis]
    np.testing.assert_allclose(resize_map(score_map, 4, 4), expected, atol=1e-6)
    assert resize_map(score_map, 3, 5).shape == (3, 5)


def by_definition(values, how):
    """One map, by the papers' formulas, a value at a time."""
    if how.kind == "minmax":
        return [(v - min(values)) / (max(values) - min(values)) for v in values]
    positive = [max(v, 0) for v in values]
    if how.kind == "max":
        return [v / max(positive) for v in positive]
    if how.kind == "pas":
        at = scoreatpercentile(positive, how.percentile)
        return [min(v / at, 1) for v in positive]
    at = scoreatpercentile(values, how.percentile)
    return [max(v - at, 0) / (max(values) - at) for v in values]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(6, 8), (2, 3, 6, 8)])
def test_every_rule_by_its_definition(rule, shape):
    how = parse_normalization(rule)
    assert parse_normalization(str(how)) == how
    maps = np.random.RandomState(1).normal(30, 100, size=shape)
    found = normalize(maps, how)
    assert found.dtype == np.float32 and found.shape == maps.shape
    for one, scaled in zip(maps.reshape(-1, 6, 8), found.reshape(-1, 6, 8)):
        np.testing.assert_allclose(scaled.ravel(), by_definition(one.ravel(), how), atol=1e-6)
        assert scaled.max() == 1 and (scaled.min() == 0 or how.kind == "max")
    np.testing.assert_allclose(normalize(7 * maps, how), found, atol=1e-6)
    if how == MINMAX:
        np.testing.assert_array_equal(normalize(maps), found)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, -2.0])
def test_maps_with_no_object(rule, value):
    assert not normalize(np.full((4, 5), value), parse_normalization(rule)).any()


def test_a_map_with_fewer_positive_places_than_the_percentile_leaves():
    raw = np.zeros((10, 10))
    raw[4, 4:6] = (3, 4)
    np.testing.assert_allclose(normalize(raw, parse_normalization("pas")), raw / 4)


@pytest.mark.parametrize("text", " pas: pas:0 pas:100 pas:x minmax:5 PAS otsu".split(" "))
def test_other_names_are_refused_with_one_line(text):
    assert refusal(parse_normalization, text).startswith(f"--normalize {text}: ")
