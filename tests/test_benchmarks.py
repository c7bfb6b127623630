"""The benchmarks gather figures without losing or mixing them."""

import importlib.util
import os

import numpy as np
import pytest

from dgl.errors import UserError


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


def _run(offset):
    fixed = [
        {"method": "dgl", "layer": "conv5_3", "gt_known": 50.0 + offset, "top1_loc": 40.0 + offset},
        {"method": "cam", "layer": "add", "gt_known": 30.0 + offset, "top1_loc": 20.0},
    ]
    wsol = [
        {"method": "dgl", "layer": "conv5_3", "max_box_acc": 60.0 - offset, "curve": [1.0, 2.0]},
        {"method": "cam", "layer": "add", "max_box_acc": 10.0, "curve": [1.0, 2.0]},
    ]
    return {
        "classification": {"top1_error": 10.0 * offset},
        "protocols": {"fixed_threshold": {"rows": fixed}, "wsolevaluation": {"rows": wsol}},
    }


def test_means_and_seeds_by_method_and_layer(localization):
    summary = localization.aggregate([_run(0), _run(1), _run(2)])
    assert summary["top1_error"] == {"mean": 10.0, "seeds": [0.0, 10.0, 20.0]}
    dgl, cam = summary["protocols"]["fixed_threshold"]
    assert dgl["gt_known"] == {"mean": 51.0, "seeds": [50.0, 51.0, 52.0]}
    assert cam["gt_known"]["mean"] == 31.0 and cam["layer"] == "add"
    dgl, cam = summary["protocols"]["wsolevaluation"]
    assert dgl["max_box_acc"] == {"mean": 59.0, "seeds": [60.0, 59.0, 58.0]}
    assert "gt_known" not in dgl and "curve" not in dgl and cam["max_box_acc"]["mean"] == 10.0


def _maps(path, move=0.0, layers=("0|add", "1|conv5_3")):
    maps = {}
    for layer in layers:
        for seed in (1, 7):
            score_map = np.arange(16.0).reshape(4, 4) * seed
            score_map[1, 1] += move * 15 * seed if seed == 7 and layer == "1|conv5_3" else 0
            maps["vgg|0{}|{}".format(layer, seed)] = score_map
    np.savez(str(path), **maps)
    return str(path)


def test_distances_between_normalised_maps(fidelity, tmp_path):
    rows = fidelity.compare(_maps(tmp_path / "a.npz"), _maps(tmp_path / "b.npz", 0.16))
    assert rows == [
        ["vgg", "0 add", "0e+00", "0e+00", "0e+00"],
        ["vgg", "1 conv5_3", "0e+00", "2e-01", "1e-02"],
    ]


def test_maps_of_different_layers_are_not_compared(fidelity, tmp_path):
    one = _maps(tmp_path / "a.npz")
    with pytest.raises(UserError, match="maps of different layers"):
        fidelity.compare(one, _maps(tmp_path / "b.npz", layers=("0|add",)))
