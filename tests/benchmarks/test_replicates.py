"""Several trainings as one: means, and intervals over images that all of them share."""

import numpy as np
import pytest
from metrics.test_bootstrap import blobs, box_evaluator, fixed_from

from benchmarks.replicates import Replicates
from dgl.metrics import compare, intervals


def trainings(count=3, images=25):
    _, boxes = blobs(images, seed=9)
    return [box_evaluator(blobs(images, seed)[0], boxes) for seed in range(count)]


def test_figures_are_the_means_of_the_trainings():
    parts = trainings()
    both = Replicates(parts)
    for name, values in both.each().items():
        assert values == [part.result()[name] for part in parts]
        assert both.figures(both.totals())[name][0] == pytest.approx(np.mean(values))


def test_one_training_is_itself():
    (part,) = trainings(1)
    assert intervals(Replicates([part]), 100) == intervals(part, 100)
    assert Replicates([part]).each() == {
        name: [part.result()[name]] for name in ("max_box_acc", "max_box_acc_v2")
    }


def test_the_mean_of_the_same_training_has_its_interval_and_p_value():
    rng = np.random.RandomState(1)
    one, other = (fixed_from(rng.rand(40) < share) for share in (0.6, 0.4))
    single = compare(one, other, "gt_known", 300)
    tripled = compare(Replicates([one] * 3), Replicates([other] * 3), "gt_known", 300)
    np.testing.assert_allclose(tripled.interval, single.interval)
    assert (tripled.difference, tripled.p_value) == pytest.approx(
        (single.difference, single.p_value)
    )


def test_trainings_that_disagree_have_a_narrower_interval_of_their_mean():
    rng = np.random.RandomState(2)
    parts = [fixed_from(rng.rand(60) < 0.5) for _ in range(4)]
    low, high = intervals(Replicates(parts), 500)["gt_known"]
    single = [intervals(part, 500)["gt_known"] for part in parts]
    assert high - low < 0.7 * min(top - bottom for bottom, top in single)


def test_trainings_on_different_images_are_refused():
    with pytest.raises(ValueError, match="different images"):
        Replicates([fixed_from([True] * 3), fixed_from([True] * 4)])
    with pytest.raises(ValueError, match="at least one"):
        Replicates([])
