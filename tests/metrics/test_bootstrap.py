"""Intervals and paired tests against direct computations and known properties."""

import itertools
import json

import numpy as np
import pytest

from dgl.errors import UserError
from dgl.metrics import (
    ClassificationEvaluator,
    Comparison,
    FixedThresholdEvaluator,
    MaxBoxAccEvaluator,
    PixelApEvaluator,
    compare,
    intervals,
)

SIZE = 32


def blobs(count, seed):
    """Random smooth maps and one true box each."""
    rng = np.random.RandomState(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    maps, boxes = [], []
    for _ in range(count):
        y, x, height, width = rng.uniform(8, 24, 2).tolist() + rng.uniform(2, 9, 2).tolist()
        scores = np.exp(-(((rows - y) / height) ** 2) - ((columns - x) / width) ** 2)
        maps.append(((scores - scores.min()) / (scores.max() - scores.min())).astype("float32"))
        x0, y0 = rng.randint(0, 16, 2)
        boxes.append([[x0, y0, x0 + rng.randint(6, 15), y0 + rng.randint(6, 15)]])
    return maps, boxes


def ids(count):
    return [f"{i:03d}" for i in range(count)]


def box_evaluator(maps, boxes, threshold=None):
    evaluator = MaxBoxAccEvaluator(0.05, operating_threshold=threshold)
    evaluator.add(maps, boxes, ids=ids(len(maps)))
    return evaluator


def evaluators(count=30, seed=0):
    maps, boxes = blobs(count, seed)
    rng = np.random.RandomState(seed)
    ranks = rng.randint(0, 8, count)
    masks = [(rng.rand(SIZE, SIZE) < 0.3).astype("uint8") for _ in range(count)]
    classification = ClassificationEvaluator(9)
    classification.add(-np.eye(9)[ranks] + np.arange(9)[::-1], ranks, ids(count))
    fixed = FixedThresholdEvaluator(9)
    fixed.add(maps, boxes, ranks=ranks, ids=ids(count))
    pixels = PixelApEvaluator(0.05)
    pixels.add(maps, masks, ids=ids(count))
    return [classification, fixed, box_evaluator(maps, boxes, 0.3), pixels]


def repeated(index, count, seed):
    """The evaluators of a data set in which image ``i`` stands ``count[i]`` times."""
    maps, boxes = blobs(len(count), seed)
    rows = np.repeat(np.arange(len(count)), count)
    if index == 2:
        evaluator = MaxBoxAccEvaluator(0.05, operating_threshold=0.3)
        evaluator.add([maps[i] for i in rows], [boxes[i] for i in rows])
        return evaluator
    whole = evaluators(len(count), seed)[index]
    again = type(whole)(*_arguments(whole))
    names = list(whole.records.state_dict()["columns"])
    again.records.append(None, **{name: whole.records.column(name)[rows] for name in names})
    return again


def _arguments(evaluator):
    settings = evaluator.settings
    return [settings["classes"]] if "classes" in settings else [settings["step"]]


@pytest.mark.parametrize("index", range(4))
def test_a_weighted_figure_is_that_of_the_repeated_images(index):
    count = np.random.RandomState(5).randint(0, 4, 12)
    evaluator = evaluators(12)[index]
    weighted = evaluator.figures(evaluator.totals(count[np.newaxis]))
    direct = repeated(index, count, seed=0).result()
    assert weighted
    for name, value in weighted.items():
        assert value[0] == pytest.approx(direct[name], rel=1e-12)


@pytest.mark.parametrize("index", range(4))
def test_intervals_hold_the_figure_and_repeat_with_their_seed(index):
    evaluator = evaluators()[index]
    found = intervals(evaluator, resamples=200, seed=3)
    result = evaluator.result()
    for name, (low, high) in found.items():
        assert low <= high
        # A best over thresholds is biased upwards in resamples, by less than their spread.
        assert low - (high - low) <= result[name] <= high + 1e-9
    assert found == intervals(evaluator, resamples=200, seed=3)
    assert found != intervals(evaluator, resamples=200, seed=4)


def test_the_interval_of_a_proportion_is_about_the_binomial_one():
    """80 of 200 right: a standard error of 3.46 points."""
    evaluator = ClassificationEvaluator(2)
    evaluator.add(np.tile([1.0, 0.0], (200, 1)), [1] * 80 + [0] * 120, ids(200))
    low, high = intervals(evaluator, resamples=4000)["top1_error"]
    assert low == pytest.approx(40 - 1.96 * 3.46, abs=1.0)
    assert high == pytest.approx(40 + 1.96 * 3.46, abs=1.0)
    narrow = intervals(evaluator, resamples=4000, level=0.5)["top1_error"]
    assert narrow[0] == pytest.approx(40 - 0.674 * 3.46, abs=1.0)


def fixed_from(right):
    """An evaluator whose images are right or wrong as told."""
    evaluator = FixedThresholdEvaluator(2)
    score_map = np.zeros((SIZE, SIZE), "float32")
    score_map[:9, :9] = 1
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
    tail = sum(
        1
        for toss in itertools.product((0, 1), repeat=tosses)
        if max(sum(toss), tosses - sum(toss)) >= most
    )
    assert found.p_value == pytest.approx(tail / 2.0**tosses, abs=0.012)
    assert found.difference == pytest.approx(100.0 * (better - worse) / (30 + tosses))
    assert found.interval[0] <= found.difference <= found.interval[1]
    mirrored = compare(second, first, "gt_known", resamples=20000)
    assert mirrored.difference == -found.difference
    assert mirrored.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_swapping_keeps_each_methods_own_operating_threshold():
    """At its own threshold each of two methods is right everywhere: no swap makes a difference."""
    score_map = np.zeros((SIZE, SIZE), "float32")
    score_map[:9, :9], score_map[:20, :20][score_map[:20, :20] == 0] = 1, 0.5
    boxes = [[[0, 0, 9, 9]]] * 10, [[[0, 0, 20, 20]]] * 10
    first = box_evaluator([score_map] * 10, boxes[0], 0.8)
    second = box_evaluator([score_map] * 10, boxes[1], 0.2)
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
    maps, boxes = blobs(4, seed=0)
    one, other = MaxBoxAccEvaluator(0.1), MaxBoxAccEvaluator(0.1)
    one.add(maps, boxes, ids=["a", "b", "c", "d"])
    other.add(maps, boxes, ids=["a", "b", "c", "e"])
    with pytest.raises(ValueError, match="same images"):
        compare(one, other, "max_box_acc")
    with pytest.raises(UserError):
        intervals(MaxBoxAccEvaluator(0.1))


def test_record_of_a_comparison():
    record = Comparison(1.5, (-0.5, 3.0), 0.25).record("dgl@a", "cam@add", "gt_known")
    assert json.dumps(record) == (
        '{"a": "dgl@a", "b": "cam@add", "figure": "gt_known", "difference": 1.5, '
        '"interval": [-0.5, 3.0], "p_value": 0.25}'
    )
