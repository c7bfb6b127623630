"""The bfloat16 benchmark compares the figures of two precisions."""

import dataclasses

import pytest
from made_results import PLAN, filled

from benchmarks.bf16 import differences, summarize, table
from dgl.evaluation.plan import WSOL

ENTRIES = (("dgl", "a"), ("dgl", "b"), ("cam", "a"))


@pytest.fixture(scope="module")
def runs():
    """Results of two checkpoints in either precision; the first one's are the same in both."""
    plan = dataclasses.replace(PLAN, masks=False, entries=ENTRIES)
    exact = [filled(range(17), plan, seed=seed) for seed in (0, 1)]
    return exact, [exact[0], filled(range(17), plan, seed=2)]


def test_differences_are_bfloat16_s_minus_float32_s(runs):
    exact, rounded = runs
    rows = differences(exact, rounded, resamples=50)
    assert [(row["method"], row["layer"]) for row in rows] == list(ENTRIES)
    for row in rows:
        key = WSOL, (row["method"], row["layer"])
        before, after = [
            [run.localization[key].result()["max_box_acc"] for run in both]
            for both in (exact, rounded)
        ]
        assert row["each"] == pytest.approx([0, after[1] - before[1]], abs=1e-3)
        assert row["difference"] == pytest.approx(sum(row["each"]) / 2, abs=2e-3)
        assert row["float32"] == pytest.approx(sum(before) / 2, abs=1e-3)
        assert row["bf16"] == pytest.approx(sum(after) / 2, abs=1e-3)
        low, high = row["interval"]
        assert low <= row["difference"] <= high
    assert any(row["difference"] for row in rows)


def test_methods_are_summed_up_over_their_layers():
    def row(method, layer, difference):
        return {"method": method, "layer": layer, "difference": difference}

    found = summarize([row("dgl", "a", 0.5), row("dgl", "b", -1.5), row("cam", "a", 0.0)])
    assert found["dgl"] == {"layers": 2, "mean": -0.5, "most": -1.5, "at": "b"}
    lines = table({"methods": found}).split("\n")
    assert lines[2:] == ["| dgl | 2 | -0.50 | -1.50, b |", "| cam | 1 | +0.00 | +0.00, a |"]
