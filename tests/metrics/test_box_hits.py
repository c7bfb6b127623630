"""Hits against a loop over thresholds that traces every mask and compares every box by itself."""

import cv2
import numpy as np
import pytest
from straight_boxes import straight_hits

from dgl.metrics import box_hits as module
from dgl.metrics.box_hits import box_hits

FINE, COARSE = np.arange(0, 1, 0.001), np.arange(0, 1, 0.01)


def check(score_map, true_boxes, thresholds=COARSE, ious=(0.3, 0.5, 0.7), largest_iou=0.5):
    """Compare, and return the shares of hits of the largest and of any contour."""
    found = box_hits(score_map, thresholds, true_boxes, ious, largest_iou)
    expected = straight_hits(score_map, thresholds, true_boxes, ious, largest_iou)
    for hits, straight in zip(found, expected):
        assert hits.dtype == bool
        np.testing.assert_array_equal(hits, straight)
    return found[0].mean(), found[1].mean()


def scaled(field):
    field = np.asarray(field, dtype=np.float64)
    span = field.max() - field.min()
    return (field - field.min()) / (span if span > 0 else 1.0)


def random_boxes(rng, shape, count):
    height, width = shape
    x = np.sort(rng.randint(0, width, (count, 2)), axis=1)
    y = np.sort(rng.randint(0, height, (count, 2)), axis=1)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)


def few_levels(rng, shape):
    return rng.randint(0, rng.randint(2, 8), shape)


def smooth(rng, shape):
    return cv2.GaussianBlur(rng.uniform(size=shape), (0, 0), rng.uniform(0.5, 2.5))


def upsampled(rng, shape):
    coarse = rng.uniform(size=(rng.randint(2, 6),) * 2).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR)


def drawings(rng, shape):
    """Thin lines, frames, circles and filled shapes at a few heights: rings, tails, ties."""
    canvas = np.zeros(shape, np.uint8)
    for _ in range(rng.randint(2, 9)):
        value, thickness = int(rng.randint(0, 9)), int(rng.choice([-1, 1, 1, 2]))
        start, end = [tuple(int(v) for v in rng.randint(0, min(shape), 2)) for _ in range(2)]
        kind = rng.randint(3)
        if kind == 0:
            cv2.line(canvas, start, end, value, abs(thickness))
        elif kind == 1:
            cv2.rectangle(canvas, start, end, value, thickness)
        else:
            cv2.circle(canvas, start, int(rng.randint(1, 8)), value, thickness)
    return canvas


def nested_rings(rng, shape):
    """Diamonds and squares of random heights by distance, some with tails."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    result = np.zeros(shape)
    for _ in range(rng.randint(1, 4)):
        cy, cx = rng.randint(shape[0]), rng.randint(shape[1])
        dy, dx = abs(y - cy), abs(x - cx)
        distance = dy + dx if rng.uniform() < 0.6 else np.maximum(dy, dx)
        result = np.maximum(result, rng.randint(0, 8, 60)[distance])
        if rng.uniform() < 0.6:
            result[cy, cx:] = np.maximum(result[cy, cx:], rng.randint(8))
    return result


def noise(rng, shape):
    return rng.uniform(size=shape) ** 2


def peaks(rng, shape):
    result = np.full(shape, rng.randint(3))
    result[rng.randint(0, shape[0], 4), rng.randint(0, shape[1], 4)] = rng.randint(0, 6, 4)
    return result


MAKERS = [few_levels, smooth, upsampled, drawings, nested_rings, noise, peaks]


@pytest.mark.parametrize("few", [0, 3])
@pytest.mark.parametrize("maker", MAKERS)
def test_small_maps_of_every_kind(monkeypatch, maker, few):
    """With ``few`` lowered even maps of few masks go through the trees and the bounds on areas."""
    monkeypatch.setattr(module, "_FEW_MASKS", few)
    shares = []
    for seed in range(40):
        rng = np.random.RandomState(seed)
        shape = tuple(int(side) for side in rng.randint(6, 21, 2))
        score_map = scaled(maker(rng, shape)) * rng.choice([1.0, 0.4])
        score_map = score_map.astype([np.float16, np.float32, np.float64][seed % 3])
        thresholds = [COARSE, FINE[::7], rng.uniform(size=40)][seed % 3]
        true_boxes = random_boxes(rng, shape, 1 + seed % 3)
        largest_iou = rng.choice([0.2, 0.5, 0.7])
        shares.append(check(score_map, true_boxes, thresholds, largest_iou=largest_iou))
    # Neither always right nor always wrong, or the comparison says little.
    assert (np.mean(shares, axis=0) > 0.02).all() and (np.mean(shares, axis=0) < 0.9).all()


@pytest.mark.parametrize("cells", [7, 14, 28])
@pytest.mark.parametrize("spread", [0, 1])
def test_maps_of_the_protocols_size(cells, spread):
    rng = np.random.RandomState(cells + spread)
    coarse = rng.uniform(size=(cells, cells)).astype(np.float32)
    if spread:
        coarse = cv2.GaussianBlur(coarse, (0, 0), spread)
    score_map = scaled(cv2.resize(coarse, (224, 224))).astype(np.float32)
    check(score_map, [[40, 30, 180, 200]], FINE)
    check(score_map, random_boxes(rng, score_map.shape, 3), FINE)


@pytest.mark.parametrize("separate", [True, False])
def test_two_blobs_of_which_one_is_right(separate):
    """Which one is larger changes with the level, and the true box is around one of them."""
    y, x = np.mgrid[:96, :128]
    center = 98 if separate else 66
    blobs = [
        height * np.exp(-((x - cx) ** 2 + (y - 48) ** 2) / (2.0 * width**2))
        for height, cx, width in ((1.0, 28, 6), (0.8, center, 11))
    ]
    score_map = np.maximum(*blobs)
    boxes = [24, 44, 32, 52], [center - 13, 35, center + 13, 61]
    shares = [check(score_map, [box], FINE) for box in boxes]
    assert all(largest > 0.1 for largest, _ in shares)


def test_a_map_with_many_peaks_is_traced(monkeypatch):
    score_map = np.random.RandomState(0).uniform(size=(30, 30))
    with_trees = box_hits(score_map, COARSE, [[3, 3, 20, 25]])
    for limit in (5, 60):
        # Fewer than the peaks, and fewer than the pits only.
        monkeypatch.setattr(module, "_MANY_PEAKS", limit)
        for one, other in zip(box_hits(score_map, COARSE, [[3, 3, 20, 25]]), with_trees):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (2, 13), (3, 40)])
def test_narrow_maps(monkeypatch, shape):
    monkeypatch.setattr(module, "_FEW_MASKS", 0)
    for seed in range(10):
        rng = np.random.RandomState(seed)
        check(rng.uniform(size=shape), random_boxes(rng, shape, 1))


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_constant_maps(monkeypatch, value):
    score_map = np.full((12, 15), value, np.float32)
    for few in (0, 16):
        monkeypatch.setattr(module, "_FEW_MASKS", few)
        for box in ([0, 0, 14, 11], [0, 0, 0, 0], [5, 5, 8, 8]):
            check(score_map, [box], [0.0, 0.3, 1.0, 0.0])


def test_true_boxes_need_be_neither_whole_numbers_nor_within_the_map():
    rng = np.random.RandomState(3)
    for _ in range(20):
        score_map = scaled(smooth(rng, (24, 24)))
        low = rng.uniform(-3, 15, (2, 2))
        check(score_map, np.concatenate([low, low + rng.uniform(2, 15, (2, 2))], axis=1), FINE)


def test_an_overlap_equal_to_the_one_asked_for_is_enough():
    score_map = np.zeros((30, 30))
    score_map[5:14, 5:14] = 1
    # The box is 5, 5, 14, 14 with its last pixel beyond the blob: 100 pixels of the 200 here.
    true_box = [5, 5, 14, 24]
    assert box_hits(score_map, [0.5], [true_box])[0].all()
    assert not box_hits(score_map, [0.5], [true_box], largest_iou=0.5000001)[0].any()
    with pytest.raises(ValueError):
        box_hits(score_map, [0.5], [])


def test_the_largest_may_be_the_contour_of_a_hole(monkeypatch):
    """A thin ring encloses as much as its hole, whose contour OpenCV may list first or second."""
    monkeypatch.setattr(module, "_FEW_MASKS", 0)
    y, x = np.mgrid[:13, :16]
    ring = (abs(y - 6) + abs(x - 6) == 5).astype(float)
    square = np.zeros((13, 16))
    square[6:8, 6:8] = 1
    for score_map in (ring, np.maximum(ring, square / 2), np.maximum(ring / 2, square)):
        for box in ([1, 1, 11, 11], [2, 2, 10, 10], [6, 6, 7, 7]):
            check(score_map, [box], FINE, largest_iou=0.9)


def test_a_map_of_every_level_has_an_empty_mask_too():
    score_map = np.arange(256, dtype=np.float64).reshape(16, 16) / 255
    check(score_map, [[0, 8, 15, 15]], np.arange(256) / 255)
