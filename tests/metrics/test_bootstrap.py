"""Intervals and paired tests against direct computations and known properties."""

import itertools

import numpy as np
import pytest
from straight_boxes import SIZE, random_images

from dgl.metrics import (
    ClassificationEvaluator,
    FixedThresholdEvaluator,
    MaxBoxAccEvaluator,
    PixelApEvaluator,
    compare,
    intervals,
)

EMPTY = {
    "classification": lambda: ClassificationEvaluator(9),
    "fixed": lambda: FixedThresholdEvaluator(9, threshold=0.6),
    "boxes": lambda: MaxBoxAccEvaluator(0.05, operating_threshold=0.3),
    "pixels": lambda: PixelApEvaluator(0.05),
}


def ids(count):
    return [f"{i:03d}" for i in range(count)]


def filled(kind, count=30):
    """An evaluator of random images."""
    maps, boxes = random_images(count)
    rng = np.random.RandomState(0)
    ranks = rng.randint(0, 8, count)
    batch = {
        "classification": [-np.eye(9)[ranks] + np.arange(9)[::-1], ranks],
        "fixed": [maps, boxes, None, None, ranks],
        "boxes": [maps, boxes],
        "pixels": [maps, [np.uint8(rng.rand(*m.shape) < 0.3) for m in maps]],
    }
    evaluator = EMPTY[kind]()
    evaluator.add(*batch[kind], ids=ids(count))
    return evaluator


@pytest.mark.parametrize("kind", EMPTY)
def test_a_weighted_figure_is_that_of_the_repeated_images(kind):
    count = np.random.RandomState(5).randint(0, 4, 12)
    evaluator, direct = filled(kind, 12), EMPTY[kind]()
    rows = np.repeat(np.arange(12), count)
    names = evaluator.records.state_dict()["columns"]
    direct.records.append(None, **{name: evaluator.records.column(name)[rows] for name in names})
    weighted = evaluator.figures(evaluator.totals(count[np.newaxis]))
    assert weighted
    for name, value in weighted.items():
        assert value[0] == pytest.approx(direct.result()[name], rel=1e-12)


@pytest.mark.parametrize("kind", EMPTY)
def test_intervals_hold_the_figure_and_depend_on_their_seed(kind):
    evaluator = filled(kind)
    found, result = intervals(evaluator, resamples=200, seed=3), evaluator.result()
    for name, (low, high) in found.items():
        # A best over thresholds is biased upwards in resamples, by less than their spread.
        assert low - (high - low) <= result[name] <= high + 1e-9
    assert found != intervals(evaluator, resamples=200, seed=4)


def test_the_interval_of_a_proportion_is_about_the_binomial_one():
    """80 of 200 right: a standard error of 3.46 points."""
    evaluator = ClassificationEvaluator(2)
    evaluator.add(np.tile([1.0, 0.0], (200, 1)), [1] * 80 + [0] * 120, ids(200))
    low, high = intervals(evaluator, resamples=4000)["top1_error"]
    assert low == pytest.approx(40 - 1.96 * 3.46, abs=1.0)
    assert high == pytest.approx(40 + 1.96 * 3.46, abs=1.0)


def steps(*levels):
    """A map of square levels around its corner, from ``(side, value)`` of the largest on."""
    score_map = np.zeros((SIZE, SIZE), "float32")
    for side, value in levels:
        score_map[:side, :side] = value
    return score_map


def fixed_from(right):
    """An evaluator whose images are right or wrong as told."""
    evaluator, score_map = FixedThresholdEvaluator(2), steps((9, 1))
    boxes = [[[0, 0, 9, 9]] if one else [[20, 20, 30, 30]] for one in right]
    evaluator.add([score_map] * len(right), boxes, ranks=[0] * len(right), ids=ids(len(right)))
    return evaluator


@pytest.mark.parametrize("better, worse", [(9, 1), (6, 4), (5, 5), (12, 0)])
def test_the_paired_test_is_mcnemars(better, worse):
    """Images on which both agree play no part; the others are tosses of a coin."""
    agreed = [True] * 15 + [False] * 15
    first = fixed_from(agreed + [True] * better + [False] * worse)
    second = fixed_from(agreed + [False] * better + [True] * worse)
    found = compare(first, second, "gt_known", resamples=20000)
    tosses, most = better + worse, max(better, worse)
    heads = [sum(toss) for toss in itertools.product((0, 1), repeat=tosses)]
    tail = sum(max(count, tosses - count) >= most for count in heads)
    assert found.p_value == pytest.approx(tail / 2.0**tosses, abs=0.012)
    assert found.difference == pytest.approx(100.0 * (better - worse) / (30 + tosses))
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_swapping_keeps_each_methods_own_operating_threshold():
    """At its own threshold each of two methods is right everywhere: no swap makes a difference."""
    score_maps = [steps((20, 0.5), (9, 1))] * 10
    first, second = (MaxBoxAccEvaluator(0.05, operating_threshold=value) for value in (0.8, 0.2))
    first.add(score_maps, [[[0, 0, 9, 9]]] * 10, ids=ids(10))
    second.add(score_maps, [[[0, 0, 20, 20]]] * 10, ids=ids(10))
    assert (first.result()["box_acc"], second.result()["box_acc"]) == (100.0, 100.0)
    assert compare(first, second, "box_acc", 50) == (0.0, (0.0, 0.0), 1.0)


def test_a_chance_difference_is_no_finding_and_a_real_one_is():
    """Under the null hypothesis p-values below 0.05 come up in about one of twenty cases."""
    rng = np.random.RandomState(0)
    low = 0
    for _ in range(60):
        one, other = rng.rand(2, 40) < 0.5
        low += compare(fixed_from(one), fixed_from(other), "gt_known", 99).p_value <= 0.05
    assert low <= 9
    sure = compare(fixed_from([True] * 40), fixed_from([False] * 40), "gt_known", 999)
    assert sure.p_value == pytest.approx(0.001)


def test_different_images_are_refused():
    one, other = filled("boxes", 4), EMPTY["boxes"]()
    other.add(*random_images(4), ids=["000", "001", "002", "other"])
    with pytest.raises(ValueError, match="same images"):
        compare(one, other, "max_box_acc")
