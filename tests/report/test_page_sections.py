"""Sections of the page: tables, which charts are drawn, and missing parts."""

import os

import pytest
from sample_report import METHODS, VGG_LAYERS, sample_report

from dgl.report.page_sections import (
    alpha_section,
    case_section,
    curves_to_draw,
    protocol_sections,
    selection_section,
)


@pytest.fixture
def metrics(tmp_path):
    """Two methods at two layers."""
    return sample_report(tmp_path, ["a", "b"], ["cam", "dgl"], images=0)[0]


def curve(method, layer, peak):
    return {"method": method, "layer": layer, "max_box_acc": peak, "curve": [peak]}


def test_many_curves_are_the_best_of_each_method():
    rows = [curve(m, str(i), 10 * i - 3 * i * i) for m in ("cam", "dgl", "b") for i in range(5)]
    drawn = curves_to_draw(rows, "max_box_acc")
    assert [(r["method"], r["layer"]) for r in drawn] == [(m, "2") for m in ("cam", "dgl", "b")]
    # Of many methods the best, and CAM.
    rows = [curve("cam", "a", 0.0)] + [curve(f"m{i}", "a", float(i)) for i in range(1, 15)]
    drawn = [row["method"] for row in curves_to_draw(rows, "max_box_acc")]
    assert drawn == ["cam"] + [f"m{i}" for i in range(6, 15)]


@pytest.mark.parametrize(
    "layers, methods, curves",
    [(VGG_LAYERS, METHODS[:4], "4 of 55 lines"), (VGG_LAYERS[:3], METHODS[:3], "by threshold")],
)
def test_plots(quick_charts, tmp_path, layers, methods, curves):
    metrics = sample_report(tmp_path, layers, methods, images=0)[0]
    sections = protocol_sections(metrics, str(tmp_path / "plots"))
    names = [plot["name"] for section in sections for plot in section["plots"]]
    expected = ["fixed_threshold_layers", "fixed_threshold_gt_known_matrix"]
    expected += ["wsolevaluation_thresholds", "wsolevaluation_layers"]
    expected += ["wsolevaluation_max_box_acc_matrix", "wsolevaluation_max_box_acc_v2_matrix"]
    assert names == [name + ".png" for name in expected]
    assert sorted(names) == sorted(os.listdir(str(tmp_path / "plots")))
    assert curves in sections[1]["plots"][0]["caption"]


def test_folders_without_boxes_have_no_plots(tmp_path, metrics):
    """Saved maps that have masks alone."""
    rows = [{"method": name, "layer": "saved", "pxap": 50.0} for name in "ab"]
    protocol = dict(metrics["protocols"]["wsolevaluation"], rows=rows, comparisons=[])
    (section,) = protocol_sections({"protocols": {"wsolevaluation": protocol}}, str(tmp_path))
    assert not section["plots"] and section["tables"][0]["headings"] == ["PxAP"]


def test_selection_sets_the_chosen_layers_beside_what_they_reach(metrics):
    section = selection_section(metrics)
    chosen, tried = section["tables"]
    assert [row["names"][0] for row in chosen["rows"]] == ["cam", "dgl"]
    rows = metrics["protocols"]["wsolevaluation"]["rows"]
    measured = {(row["method"], row["layer"]): row["box_acc"] for row in rows}
    for row in chosen["rows"]:
        assert row["cells"][-1].text == "{:.1f}".format(measured[tuple(row["names"])])
        assert row["cells"][-1].interval
    assert len(tried["rows"]) == len(metrics["selection"]["rows"]) and tried["folded"]
    del metrics["protocols"]["wsolevaluation"]
    assert selection_section(metrics)["tables"][0]["headings"] == ["threshold", "BoxAcc on train"]
    assert selection_section({"protocols": {}}) is None


def test_alpha_keeps_the_protocols_apart(quick_charts, tmp_path, metrics):
    section = alpha_section(metrics, str(tmp_path / "plots"))
    assert [table["headings"] for table in section["tables"]] == [["MaxBoxAcc"], ["GT-known"]]
    assert section["tables"][1]["caption"] == "GT-known (Fixed threshold) at threshold 0.2"
    plots = sorted(os.listdir(str(tmp_path / "plots")))
    assert plots == ["alpha_gt_known.png", "alpha_max_box_acc.png"]
    assert section["tables"][0]["rows"][-1]["names"] == ["\u221e", "exact"]
    for row in metrics["alpha"]["rows"]:
        del row["gt_known"]
    assert len(alpha_section(metrics, str(tmp_path / "plots"))["tables"]) == 1
    assert alpha_section({}, str(tmp_path)) is None


def test_failure_cases_of_all_images_and_of_those_drawn(tmp_path):
    metrics, _, gallery = sample_report(tmp_path, ["a", "b"], ["cam", "dgl"], images=4)
    everything, drawn = case_section(metrics, gallery)["tables"]
    rows = metrics["protocols"]["fixed_threshold"]["rows"]
    shares = [[cell.text for cell in row["cells"]] for row in everything["rows"]]
    assert shares == [[f"{v:.1f}" for v in row["cases"].values()] for row in rows]
    counts = [[int(cell.text) for cell in row["cells"]] for row in drawn["rows"]]
    assert len(counts) == 3 and all(sum(own[:-1]) == own[-1] <= 4 for own in counts)
    del metrics["protocols"]["fixed_threshold"]
    (only,) = case_section(metrics, gallery)["tables"]
    assert only["rows"] == drawn["rows"] and not only["folded"]
    assert case_section(metrics, []) is None
