"""Boxes against a straight implementation: one mask a threshold, IoU by counting pixels."""

import cv2
import numpy as np
import pytest

from dgl.predict import postprocess

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


def plateaus(seed):
    return (np.floor(gaussians(seed) * 6) / 6).astype(np.float32)


def noise(seed):
    return np.random.RandomState(seed).uniform(size=(30, 26))


def dim(seed):
    return gaussians(seed) * np.float32(0.3)


def blocks(*rectangles, **options):
    """Map of zeros with 1 (or ``value``) in each (x0, y0, x1, y1), both ends included."""
    score_map = np.zeros((20, 30), np.float32)
    for x0, y0, x1, y1 in rectangles:
        score_map[y0 : y1 + 1, x0 : x1 + 1] = options.get("value", 1.0)
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


def straight_largest(score_map, threshold):
    boxes, areas = straight_boxes(score_map, threshold)
    return max(zip(boxes, areas), key=lambda pair: pair[1])[0]


def traced(score_map, thresholds):
    """Every contour's box, and the largest contour's, at each threshold, tracing distinct masks once."""
    image, levels, mask_of = postprocess.distinct_masks(score_map, thresholds)
    boxes, starts, largest = postprocess.trace_levels(image, levels)
    every = np.split(boxes, starts[1:])
    return [every[mask].tolist() for mask in mask_of], boxes[largest[mask_of]].tolist()


@pytest.mark.parametrize("maker", [gaussians, plateaus, noise, dim])
@pytest.mark.parametrize("seed", range(4))
def test_traced_boxes_equal_the_straight_ones_at_every_threshold(maker, seed):
    score_map = maker(seed)
    every, largest = traced(score_map, THRESHOLDS)
    assert len(every) == len(largest) == len(THRESHOLDS)
    for threshold, found, box in zip(THRESHOLDS, every, largest):
        assert list(map(tuple, found)) == straight_boxes(score_map, threshold)[0]
        assert tuple(box) == straight_largest(score_map, threshold)


@pytest.mark.parametrize("maker", [gaussians, plateaus, noise, dim, np.zeros])
def test_distinct_masks_are_those_of_all_thresholds_from_the_smallest_up(maker):
    score_map = np.zeros((5, 6)) if maker is np.zeros else maker(1)
    thresholds = np.random.RandomState(0).permutation(np.arange(0, 1.0005, 0.001))
    image, levels, mask_of = postprocess.distinct_masks(score_map, thresholds)
    assert (image.dtype, mask_of.dtype) == (np.uint8, np.int64)
    expected = [postprocess.binarize(score_map, threshold) > 0 for threshold in thresholds]
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


def all_boxes(score_map):
    return postprocess.contour_boxes(postprocess.binarize(score_map, 0.5))


def largest(score_map):
    """By either function."""
    box = postprocess.largest_box(score_map, 0.5).tolist()
    assert traced(score_map, [0.5])[1] == [box]
    return box


def test_the_larger_of_two_blobs_wins_and_right_and_bottom_are_one_past_the_last_pixel():
    score_map = blocks((2, 3, 5, 6), (10, 4, 18, 12))
    assert largest(score_map) == [10, 4, 19, 13]
    boxes, areas = all_boxes(score_map)
    assert sorted(boxes.tolist()) == [[2, 3, 6, 7], [10, 4, 19, 13]]
    # A contour runs through pixel centers: a side of n pixels is n - 1 long.
    assert sorted(areas.tolist()) == [9.0, 64.0]


def test_blobs_of_equal_area_that_touch_with_a_hole_and_at_the_border():
    score_map = blocks((2, 2, 6, 6), (12, 10, 16, 14))
    boxes, areas = all_boxes(score_map)
    assert areas[0] == areas[1]
    assert largest(score_map) == boxes[0].tolist()  # the first in contour order
    touching, _ = all_boxes(blocks((2, 2, 5, 5), (6, 6, 9, 9)))
    assert touching.tolist() == [[2, 2, 10, 10]]
    score_map = blocks((2, 2, 17, 17))
    score_map[6:10, 6:10] = 0
    boxes, _ = all_boxes(score_map)
    assert len(boxes) == 2  # a hole has its own contour
    assert [2, 2, 18, 18] in boxes.tolist()
    assert largest(blocks((25, 15, 29, 19))) == [25, 15, 29, 19]  # clamped


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_constant_map(value):
    score_map = np.full((20, 30), value, np.float32)
    expected = [0, 0, 29, 19] if value > 0 else [0, 0, 0, 0]
    assert postprocess.largest_box(score_map, 0.0).tolist() == expected
    assert postprocess.largest_box(score_map, 1.0).tolist() == [0, 0, 0, 0]
    assert traced(score_map, [0.0, 0.9, 1.0])[1] == [expected, expected, [0, 0, 0, 0]]


def test_binarize_is_strict_and_relative_to_the_quantized_maximum():
    image = np.array([[0, 49, 50, 51, 101]])
    # Half a step up: the quantized map is exactly ``image`` whatever the rounding.
    mask = postprocess.binarize((image + 0.5) / 255, 0.5)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[0, 0, 0, 255, 255]]  # int(0.5 * 101) is 50
    # Threshold zero keeps what is above zero after quantizing.
    score_map = np.array([[0.0, 0.5 / 255, 1.5 / 255, 1.0]])
    assert postprocess.binarize(score_map, 0.0).tolist() == [[0, 0, 255, 255]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
def test_maps_and_thresholds_outside_the_range_are_refused(bad):
    score_map = blocks((2, 2, 5, 5))
    score_map[0, 0] = bad
    for call in (
        lambda: postprocess.binarize(score_map, 0.5),
        lambda: postprocess.largest_box(score_map, 0.5),
        lambda: postprocess.distinct_masks(score_map, [0.5]),
        lambda: postprocess.distinct_masks(blocks((2, 2, 5, 5)), [bad]),
        lambda: postprocess.distinct_masks(blocks((2, 2, 5, 5)), []),
    ):
        with pytest.raises(ValueError):
            call()


def test_iou_of_no_boxes_and_what_is_malformed():
    assert postprocess.iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert postprocess.iou([[0, 0, 1, 1]], np.zeros((0, 4))).shape == (1, 0)
    for bad in ([3, 0, 2, 5], [0, 3, 5, 2], [0, 0, np.nan, 1], [0, 0, 1]):
        with pytest.raises(ValueError):
            postprocess.iou([bad], [[0, 0, 1, 1]])
    for mask in (np.zeros((3, 3)), np.zeros(3, np.uint8)):
        with pytest.raises(ValueError):
            postprocess.contour_boxes(mask)


@pytest.mark.parametrize("values", [2, 3])
def test_contours_are_found_in_the_return_values_of_every_opencv(monkeypatch, values):
    traced = cv2.findContours

    def other_version(*arguments):
        contours, hierarchy = traced(*arguments)[-2:]
        return ((arguments[0], contours, hierarchy), (contours, hierarchy))[values == 2]

    monkeypatch.setattr(postprocess.cv2, "findContours", other_version)
    assert postprocess.largest_box(blocks((2, 3, 5, 6)), 0.5).tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize(
    "box, expected",
    [
        ((0, 0, 30, 20), (0, 0, 30, 20)),
        ((1.5, 2, 3, 4), (1.5, 2, 3, 4)),
        ((-5, -6, 40, 50), (0, 0, 30, 20)),
        ((-5, 3, 4, 8), (0, 3, 4, 8)),
        # Within the image a box without area stays.
        ((0, 4, 0, 9), (0, 4, 0, 9)),
        ((7, 7, 7, 7), (7, 7, 7, 7)),
        ((-9, 3, 0, 8), None),
        ((30, 3, 35, 8), None),
        ((3, -9, 8, 0), None),
        ((3, 20, 8, 22), None),
        ((-9, -9, -1, -1), None),
    ],
)
def test_clip_boxes(box, expected):
    clipped, outside = postprocess.clip_boxes([box, (2, 3, 4, 5)], 30, 20)
    assert (clipped.dtype, clipped.shape[1]) == (np.float64, 4)
    assert clipped.tolist() == ([list(expected)] if expected else []) + [[2, 3, 4, 5]]
    assert outside == (expected is None)


def test_clip_no_boxes_and_malformed_ones():
    clipped, outside = postprocess.clip_boxes((), 30, 20)
    assert (clipped.shape, outside) == ((0, 4), 0)
    for box in ((3, 1, 2, 5), (float("nan"), 1, 2, 5), (1, 2, 3)):
        with pytest.raises(ValueError):
            postprocess.clip_boxes([box], 30, 20)
