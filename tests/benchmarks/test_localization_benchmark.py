"""The benchmark of localization: several trainings as one, with intervals over the images that they share,
and a record that holds the figures of its runs."""

import dataclasses
import json

import numpy as np
import pytest
from made_results import PLAN, filled
from metrics.test_bootstrap import fixed_from
from straight_boxes import random_images

from benchmarks import localization
from benchmarks.replicates import Replicates
from dgl.evaluation.results import write_records
from dgl.metrics import MaxBoxAccEvaluator, compare


def trainings(count=3, images=25):
    _, boxes = random_images(images, seed=9)
    parts = [MaxBoxAccEvaluator(0.05) for _ in range(count)]
    for seed, part in enumerate(parts):
        part.add(random_images(images, seed)[0], boxes, ids=[str(i) for i in range(images)])
    return parts


def test_figures_are_the_means_of_the_trainings():
    parts = trainings()
    both = Replicates(parts)
    for name, values in both.each().items():
        assert values == [part.result()[name] for part in parts]
        assert both.figures(both.totals())[name][0] == pytest.approx(np.mean(values))


def test_the_mean_of_the_same_training_has_its_interval_and_p_value():
    rng = np.random.RandomState(1)
    one, other = (fixed_from(rng.rand(40) < share) for share in (0.6, 0.4))
    single = compare(one, other, "gt_known", 300)
    tripled = compare(Replicates([one] * 3), Replicates([other] * 3), "gt_known", 300)
    np.testing.assert_allclose(tripled.interval, single.interval)
    expected = pytest.approx((single.difference, single.p_value))
    assert (tripled.difference, tripled.p_value) == expected


ENTRIES = (("dgl", "a"), ("dgl", "b"), ("cam", "a"))
ALPHA = (("dgl(pa=1)", "a"), ("dgl(pa=1,exact)", "a"))
PROTOCOLS = ("fixed_threshold", "wsolevaluation")


def _seed(folder, seed, layer):
    """Results of one seed, which selected on ``layer`` for DGL."""
    selected = {name: {"@".join(entry): 0.3 for entry in ENTRIES} for name in PROTOCOLS}
    plan = dataclasses.replace(PLAN, masks=False, entries=ENTRIES, alpha_entries=ALPHA)
    plan = dataclasses.replace(plan, thresholds=selected)
    results = filled(range(17), plan, seed=seed)
    write_records(folder, results)
    rows = [{"method": m, "layer": own, "chosen": m == "cam" or own == layer} for m, own in ENTRIES]
    (folder / "metrics.json").write_text(json.dumps({"selection": {"rows": rows}}))
    return results


def test_means_seeds_and_intervals_by_method_and_layer(tmp_path):
    folders = [tmp_path / str(seed) for seed in range(3)]
    runs = [_seed(folder, seed, "aab"[seed]) for seed, folder in enumerate(folders)]
    summary = localization.aggregate([str(folder) for folder in folders], resamples=50)
    errors = [run.classification["fixed_threshold"].result()["top1_error"] for run in runs]
    assert summary["top1_error"]["seeds"] == errors
    for protocol, figure in (("fixed_threshold", "gt_known"), ("wsolevaluation", "box_acc")):
        own = [run.localization for run in runs]
        for row in summary["matrix"][protocol]:
            entry = row["method"], row["layer"]
            values = [part[protocol, entry].result()[figure] for part in own]
            assert row[figure]["seeds"] == values
            assert row[figure]["mean"] == pytest.approx(np.mean(values))
            assert row[figure]["interval"] == sorted(row[figure]["interval"])
        dgl, cam = summary["chosen"][protocol]
        assert (dgl["method"], dgl["layers"], cam["layers"]) == ("dgl", ["a", "a", "b"], ["a"] * 3)
        chosen = [part[protocol, ("dgl", layer)] for part, layer in zip(own, "aab")]
        assert dgl[figure]["seeds"] == [one.result()[figure] for one in chosen]
        tested = [figure] + ["max_box_acc_v2"] * (protocol == "wsolevaluation")
        assert [row["figure"] for row in summary["comparisons"][protocol]] == tested
        for compared in summary["comparisons"][protocol]:
            assert (compared["a"], compared["b"]) == ("dgl", "cam")
            difference = dgl[compared["figure"]]["mean"] - cam[compared["figure"]]["mean"]
            assert compared["difference"] == pytest.approx(difference)
        assert [row["method"] for row in summary["alpha"][protocol]] == [m for m, _ in ALPHA]
