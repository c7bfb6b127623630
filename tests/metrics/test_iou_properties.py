"""Intersection over union of random boxes, both ends of a box belonging to it."""

import numpy as np
import pytest
from generators import whole_boxes
from hypothesis import given
from hypothesis import strategies as st

from dgl.metrics.fixed_threshold import CASES, case_of
from dgl.predict.postprocess import as_boxes, iou

boxes = whole_boxes()
many = st.lists(boxes, max_size=4)
offsets = st.integers(-1000, 1000)


def _pixels(box):
    grid = np.zeros((16, 16), bool)
    grid[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    return grid


@given(boxes, boxes)
def test_equal_to_counting_pixels(first, second):
    a, b = _pixels(first), _pixels(second)
    expected = np.count_nonzero(a & b) / np.count_nonzero(a | b)
    assert iou(first, second)[0, 0] == pytest.approx(expected, abs=1e-15)


@given(many, many)
def test_symmetric_and_between_0_and_1(first, second):
    found = iou(first, second)
    assert found.shape == (len(first), len(second))
    np.testing.assert_array_equal(found, iou(second, first).T)
    assert ((found >= 0) & (found <= 1)).all()


@given(boxes, boxes)
def test_1_for_a_box_itself_alone(first, second):
    assert iou(first, first)[0, 0] == 1
    assert (iou(first, second)[0, 0] == 1) == (first == second)


@given(boxes, boxes)
def test_swapping_x_and_y_changes_nothing(first, second):
    turn = [1, 0, 3, 2]
    assert iou(as_boxes(first)[:, turn], as_boxes(second)[:, turn]) == iou(first, second)


@given(boxes, st.integers(0, 5), st.integers(0, 5))
def test_boxes_that_share_an_edge_overlap_by_one_row_of_pixels(box, width, height):
    x0, y0, x1, y1 = box
    touching = (x1, y0, x1 + width, y1)
    beside = (x1 + 1, y0, x1 + 1 + width, y1)
    assert iou(box, beside)[0, 0] == 0
    rows = y1 - y0 + 1
    area = (x1 - x0 + 1) * rows + (width + 1) * rows - rows
    assert iou(box, touching)[0, 0] == pytest.approx(rows / area, abs=1e-15)
    # A box of one pixel, the smallest there is.
    corner = (x1, y1, x1, y1)
    assert iou(box, corner)[0, 0] == pytest.approx(1 / ((x1 - x0 + 1) * rows), abs=1e-15)


@given(boxes, st.lists(boxes, min_size=1, max_size=4), st.sampled_from([0.3, 0.5, 0.7]))
def test_a_case_is_right_exactly_when_the_overlap_says_so(box, true_boxes, threshold):
    case = case_of(box, true_boxes, threshold)
    assert case in CASES
    assert (case == CASES[0]) == bool(iou(box, true_boxes).max() >= threshold)
