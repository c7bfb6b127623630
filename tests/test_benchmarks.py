"""The results benchmark gathers seeds without losing or mixing figures."""

import importlib.util
import os

import pytest


@pytest.fixture(scope="module")
def localization(root):
    path = os.path.join(root, "benchmarks", "localization.py")
    spec = importlib.util.spec_from_file_location("benchmark_localization", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
