"""Boxes of random small maps: against a computation without OpenCV, and what must hold of them."""

from collections import Counter

import numpy as np
from generators import masks, naive_boxes, score_maps, shapes, thresholds, whole_boxes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dgl.metrics.box_hits import box_hits
from dgl.predict import postprocess

whole_maps = shapes.flatmap(lambda s: arrays(np.int64, s, elements=st.integers(-1000, 1000)))


@given(masks())
def test_contours_are_those_of_a_flood_fill(mask):
    boxes, areas = postprocess.contour_boxes(mask)
    expected, _ = naive_boxes(mask)
    assert Counter(map(tuple, boxes.tolist())) == expected
    assert len(areas) == len(boxes) and (areas >= 0).all()


@given(score_maps(), thresholds)
def test_largest_box_is_that_of_a_largest_filled_component(score_map, threshold):
    mask = postprocess.binarize(score_map, threshold)
    box = tuple(postprocess.largest_box(score_map, threshold).tolist())
    assert box in naive_boxes(mask)[1]


@given(score_maps(), thresholds)
def test_foreground_is_the_formula_s(score_map, threshold):
    mask = postprocess.binarize(score_map, threshold)
    image = np.floor(255 * score_map).astype(int)
    np.testing.assert_array_equal(mask > 0, image > int(threshold * image.max()))


@given(
    score_maps(st.tuples(st.integers(1, 20), st.integers(1, 20))),
    st.lists(whole_boxes(19), min_size=1, max_size=3),
    st.sampled_from([0.005, 0.02, 0.3]),
)
def test_hits_of_the_trees_are_those_of_tracing_every_mask(score_map, true_boxes, step):
    chosen = np.arange(0, 1, step)
    largest, reached = box_hits(score_map, chosen, true_boxes, (0.3, 0.7), 0.5)
    one = [postprocess.largest_box(score_map, threshold) for threshold in chosen]
    overlap = postprocess.iou(one, true_boxes).max(axis=1)
    np.testing.assert_array_equal(largest, overlap >= 0.5)
    every = [postprocess.contour_boxes(postprocess.binarize(score_map, t))[0] for t in chosen]
    best = np.array([postprocess.iou(boxes, true_boxes).max() for boxes in every])
    np.testing.assert_array_equal(reached, [best >= 0.3, best >= 0.7])


@given(whole_maps, st.integers(1, 50), st.integers(-1000, 1000), thresholds)
def test_scale_and_offset_change_neither_the_map_nor_its_box(raw, scale, offset, threshold):
    score_map = postprocess.normalize(raw)
    # Whole numbers, so that both divisions round the same quotient.
    moved = postprocess.normalize(scale * raw + offset)
    np.testing.assert_array_equal(moved, score_map)
    boxes = [postprocess.largest_box(each, threshold) for each in (moved, score_map)]
    np.testing.assert_array_equal(*boxes)


@given(whole_maps)
def test_a_normalized_map_reaches_both_ends_unless_constant(raw):
    score_map = postprocess.normalize(raw)
    assert score_map.dtype == np.float32 and score_map.min() == 0
    assert score_map.max() == (raw.min() < raw.max())
    # The order of pixels is kept, ties included.
    order = np.argsort(raw, axis=None, kind="stable")
    assert (np.diff(score_map.ravel()[order]) >= 0).all()
    np.testing.assert_array_equal(postprocess.normalize(np.stack([raw, raw]))[1], score_map)


raw_maps = shapes.flatmap(lambda s: arrays(np.float32, s, elements=st.floats(-100, 100, width=32)))


@given(raw_maps, st.integers(1, 24), st.integers(1, 24))
def test_a_resized_map_keeps_its_bounds(raw, height, width):
    resized = postprocess.resize_map(raw, height, width)
    assert resized.shape == (height, width) and resized.dtype == np.float32
    assert raw.min() <= resized.min() and resized.max() <= raw.max()
    np.testing.assert_array_equal(postprocess.resize_map(raw, *raw.shape), raw)
    # Centers of pixels mirror onto centers of pixels.
    mirrored = postprocess.resize_map(raw[::-1, ::-1], height, width)[::-1, ::-1]
    np.testing.assert_allclose(mirrored, resized, rtol=0, atol=2e-3)


@given(st.lists(whole_boxes(30, -10), max_size=5), st.integers(1, 20), st.integers(1, 20))
def test_clipped_boxes_lie_in_the_image_and_stay(boxes, width, height):
    clipped, dropped = postprocess.clip_boxes(boxes, width, height)
    assert len(clipped) + dropped == len(boxes)
    assert (clipped >= 0).all() and (clipped <= [width, height, width, height]).all()
    again, none = postprocess.clip_boxes(clipped, width, height)
    np.testing.assert_array_equal(again, clipped)
    assert none == 0
    for box in boxes:
        x0, y0, x1, y1 = box
        is_inside = x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height
        assert list(box) in clipped.tolist() or not is_inside
