"""The ways in which a box fails."""

import pytest

from dgl.metrics.fixed_threshold import case_of

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
