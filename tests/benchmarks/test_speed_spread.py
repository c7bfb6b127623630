"""Ratios are taken within a round; bounds hold for their median."""

import numpy as np
import pytest

from benchmarks.speed.spread import AT_LEAST, AT_MOST, bounded, ratio, spread


def test_median_least_and_most():
    assert spread([3.0, 1.0, 10.0]) == {"median": 3.0, "least": 1.0, "most": 10.0}
    assert spread([1.0, 2.0], digits=0) == {"median": 2.0, "least": 1.0, "most": 2.0}


def test_a_machine_that_slows_down_does_not_move_the_ratio():
    seconds = np.array([1.0, 1.1, 0.9, 1.05])
    slower = np.array([1.0, 8.0, 3.0, 20.0])
    assert ratio(2 * seconds * slower, seconds * slower) == {"median": 2, "least": 2, "most": 2}
    # The ratio of the medians would be 3.25 / 2.5.
    assert ratio([1.0, 4.0, 2.5, 9.0], [1.0, 2.0, 3.0, 3.0])["median"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    "above, below", [([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([-1.0], [1.0]), ([], [])]
)
def test_series_without_ratios(above, below):
    with pytest.raises(ValueError):
        ratio(above, below)


@pytest.mark.parametrize(
    "median, kind, bound, met",
    [
        (1.2, AT_MOST, 1.25, True),
        (1.25, AT_MOST, 1.25, True),
        (1.3, AT_MOST, 1.25, False),
        (2.5, AT_LEAST, 2.5, True),
        (2.4, AT_LEAST, 2.5, False),
    ],
)
def test_bounds(median, kind, bound, met):
    assert bounded({"median": median}, kind, bound) == {"kind": kind, "bound": bound, "met": met}
    with pytest.raises(ValueError):
        bounded({"median": median}, "about", bound)
