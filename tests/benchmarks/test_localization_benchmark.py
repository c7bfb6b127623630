"""Records of the localization and fidelity benchmarks hold the figures of their runs."""

import dataclasses
import importlib.util
import json
import os

import numpy as np
import pytest
from made_results import PLAN, filled

from dgl.evaluation.results import write_records


def _load(root, name):
    path = os.path.join(root, "benchmarks", name + ".py")
    spec = importlib.util.spec_from_file_location("benchmark_" + name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def localization(root):
    return _load(root, "localization")


@pytest.fixture(scope="module")
def fidelity(root):
    return _load(root, "fidelity")


ENTRIES = (("dgl", "a"), ("dgl", "b"), ("cam", "a"))
ALPHA = (("dgl(pa=1)", "a"), ("dgl(pa=1,exact)", "a"))
PROTOCOLS = ("fixed_threshold", "wsolevaluation")


def _seed(folder, seed, layer):
    """Results of one seed, which selected on ``layer`` for DGL."""
    selected = {name: {"@".join(entry): 0.3 for entry in ENTRIES} for name in PROTOCOLS}
    plan = dataclasses.replace(
        PLAN, masks=False, entries=ENTRIES, alpha_entries=ALPHA, thresholds=selected
    )
    results = filled(range(17), plan, seed=seed)
    write_records(folder, results)
    rows = [{"method": m, "layer": own, "chosen": m == "cam" or own == layer} for m, own in ENTRIES]
    (folder / "metrics.json").write_text(json.dumps({"selection": {"rows": rows}}))
    return results


def test_means_seeds_and_intervals_by_method_and_layer(localization, tmp_path):
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
            low, high = row[figure]["interval"]
            assert low <= high
        dgl, cam = summary["chosen"][protocol]
        assert (dgl["method"], dgl["layers"], cam["layers"]) == ("dgl", ["a", "a", "b"], ["a"] * 3)
        values = [
            part[protocol, ("dgl", layer)].result()[figure] for part, layer in zip(own, "aab")
        ]
        assert dgl[figure]["seeds"] == values
        tested = [figure] + ["max_box_acc_v2"] * (protocol == "wsolevaluation")
        assert [row["figure"] for row in summary["comparisons"][protocol]] == tested
        for compared in summary["comparisons"][protocol]:
            assert (compared["a"], compared["b"]) == ("dgl", "cam")
            difference = dgl[compared["figure"]]["mean"] - cam[compared["figure"]]["mean"]
            assert compared["difference"] == pytest.approx(difference)
        assert [row["method"] for row in summary["alpha"][protocol]] == [m for m, _ in ALPHA]
    text = localization._encode(summary).decode("utf-8")
    assert json.loads(text) == json.loads(json.dumps(summary))
    assert max(len(line) for line in text.split("\n")) < 2000


def _maps(path, move=0.0, layers=("0|add", "1|conv5_3")):
    maps = {}
    for layer in layers:
        for seed in (1, 7):
            score_map = np.arange(16.0).reshape(4, 4) * seed
            score_map[1, 1] += move * 15 * seed if seed == 7 and layer == "1|conv5_3" else 0
            maps[f"vgg|0{layer}|{seed}"] = score_map
    np.savez(str(path), **maps)
    return str(path)


def test_distances_between_normalized_maps(fidelity, tmp_path):
    rows = fidelity.compare(_maps(tmp_path / "a.npz"), _maps(tmp_path / "b.npz", 0.16))
    assert rows == [
        ["vgg", "0 add", "0e+00", "0e+00", "0e+00"],
        ["vgg", "1 conv5_3", "0e+00", "2e-01", "1e-02"],
    ]
