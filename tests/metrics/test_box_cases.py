"""The ways in which a box fails."""

import numpy as np
import pytest

from dgl.metrics.fixed_threshold import CASES, case_of
from dgl.predict import postprocess

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


def test_right_is_where_the_iou_is_reached():
    rng = np.random.RandomState(0)
    corners = np.sort(rng.randint(0, 50, (400, 2, 2)), axis=1).reshape(-1, 4)
    found = set()
    for box, truth in zip(corners[::2], corners[1::2]):
        case = case_of(box, [truth], 0.3)
        assert (case == "right") == (postprocess.iou(box, truth)[0, 0] >= 0.3)
        found.add(case)
    assert found == set(CASES)


def test_without_a_true_box():
    with pytest.raises(ValueError):
        case_of(TRUTH, [])
