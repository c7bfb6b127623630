"""Boxes against a straight implementation: one mask a threshold, IoU by counting pixels."""

import cv2
import numpy as np
import pytest

from dgl.predict import postprocess
from dgl.predict.normalize import normalize, resize_map
from dgl.predict.overlay import colorize, overlay
from dgl.predict.postprocess import binarize, contour_boxes, distinct_masks, iou, largest_box

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
