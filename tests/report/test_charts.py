"""Charts: what is drawn, their size, and the rows they refuse."""

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from dgl.report.charts import (
    SEMANTICS,
    alpha_chart,
    layer_bars,
    layer_method_matrix,
    layer_profile,
    threshold_curves,
)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws a chart of the usual width; returns its axes."""
    axes, save = [], Figure.savefig

    def keep(figure, *args, **options):
        axes.extend(figure.axes[:1])
        save(figure, *args, **options)

    def draw(chart, rows, *settings, width=1600):
        path = str(tmp_path / "chart.png")
        chart(rows, path, *settings)
        assert width is None or cv2.imread(path).shape[1] == pytest.approx(width, abs=120)
        return axes[-1]

    monkeypatch.setattr(Figure, "savefig", keep)
    return draw


def row(method, layer, peak, at=0.4):
    thresholds = np.arange(0, 1, 0.05)
    curve = (peak - 100 * (thresholds - at) ** 2).tolist()
    figures = {"gt_known": peak - 3, "max_box_acc": peak}
    return dict(figures, method=method, layer=layer, thresholds=thresholds.tolist(), curve=curve)


ROWS = [row("cam", "add", 50.0), row("dgl", "conv5_3", 60.0, 0.3)]
ROWS += [row("dgl", "conv4_3", 55.0), row("layercam", "conv5_3", 52.0)]
# One row alone, CAM or another; many rows with names that look like formulas.
UNUSUAL = [ROWS[:1], ROWS[1:2], [row("dgl", "l$_{" + str(i), i) for i in range(30)]]


def test_bars_with_intervals(drawn):
    rows = [dict(one, max_box_acc_interval=[one["max_box_acc"] - 7, 66.0]) for one in ROWS]
    axes = drawn(layer_bars, rows, "max_box_acc")
    bars = [bar for group in axes.containers for bar in getattr(group, "patches", ())]
    assert [bar.get_height() for bar in bars] == [60, 55, 52]
    places = [bar.get_x() + bar.get_width() / 2 for bar in bars]
    assert places == pytest.approx([-0.185, 1, 0.185])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["conv5_3", "conv4_3"]
    whiskers = [line for line in axes.get_lines() if line.get_label() == "_whisker"]
    spans = [tuple(line.get_ydata()) for line in whiskers]
    assert spans == [(53.0, 66.0), (48.0, 66.0), (45.0, 66.0)]
    # Values stand over the whiskers; CAM is a line across.
    assert [text.xy[1] for text in axes.texts] == [66.0] * 3
    (reference,) = (line for line in axes.get_lines() if line not in whiskers)
    assert set(reference.get_ydata()) == {50}


def test_profile(drawn):
    rows = ROWS[:1] + [row(m, f"conv{i}", 40 + i) for i in range(9) for m in "ab"]
    axes = drawn(layer_profile, rows, "gt_known")
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == ["a", "b", "cam@add  47.0"]
    np.testing.assert_allclose(lines["a"].get_ydata(), np.arange(37, 46))
    np.testing.assert_allclose(lines["a"].get_xdata(), np.arange(9))
    assert set(lines["cam@add  47.0"].get_ydata()) == {47.0}


@pytest.mark.parametrize("draw, settings", [(layer_bars, ("max_box_acc",)), (threshold_curves, ())])
@pytest.mark.parametrize("rows", UNUSUAL)
def test_unusual_rows(drawn, draw, settings, rows):
    assert drawn(draw, rows, *settings, width=None).get_lines() or rows[0]["method"] == "dgl"


def test_matrix(drawn):
    cells = [("cam", "add", 51.04), ("dgl", "add", 40.0), ("dgl", "conv5_3", 60.0)]
    cells += [("grad", "conv5_3", None), ("grad", "conv5_2", float("nan")), ("grad", "add", 20.0)]
    rows = [dict(zip(("method", "layer", "gt_known"), cell)) for cell in cells]
    axes = drawn(layer_method_matrix, rows, "gt_known", width=1045)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["add", "conv5_3", "conv5_2"]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "51.0", (1, 0): "40.0", (1, 1): "60.0", (2, 0): "20.0"}
    framed = [(round(p.get_x() + 0.46), round(p.get_y() + 0.44)) for p in axes.patches]
    assert framed == [(0, 0), (1, 1), (2, 0)]


def test_curves(drawn):
    lines = drawn(threshold_curves, ROWS).get_lines()
    curves = {line.get_label(): line for line in lines if len(line.get_xdata()) > 1}
    assert list(curves) == [
        "cam@add  50.0 at 0.40", "dgl@conv5_3  60.0 at 0.30",
        "dgl@conv4_3  55.0 at 0.40", "layercam@conv5_3  52.0 at 0.40",
    ]  # fmt: skip
    assert len({(line.get_color(), line.get_linestyle()) for line in curves.values()}) == 4
    markers = [line.get_xydata()[0] for line in lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(markers, [(0.4, 50), (0.3, 60), (0.4, 55), (0.4, 52)], atol=1e-9)


def test_alpha(drawn):
    spans = {"max_box_acc_interval": [44.0, 58.0]}
    rows = [
        dict(spans, alpha=alpha, semantics=name, gt_known=40.0, max_box_acc=50.0 + i)
        for i, alpha in enumerate([0.1, 1, 10, 100.0, "inf"])
        for name in ("kernel", "exact")
    ]
    axes = drawn(alpha_chart, rows[::-1], "max_box_acc")
    ticks = dict(zip([t.get_text() for t in axes.get_xticklabels()], axes.get_xticks()))
    assert list(ticks) == ["0.1", "1", "10", "100", "\u221e"]
    assert [ticks[t] for t in ("0.1", "1", "10", "100")] == pytest.approx([-1, 0, 1, 2])
    assert ticks["\u221e"] > 2
    points = {line.get_label(): line for line in axes.get_lines()}
    kernel, exact = (points[SEMANTICS[name]] for name in ("kernel", "exact"))
    for line in (kernel, exact):
        np.testing.assert_allclose(line.get_ydata(), [50, 51, 52, 53, 54])
        np.testing.assert_allclose(line.get_xdata(), list(ticks.values()), atol=0.05)
    # The line of the finite alphas does not run on to infinity.
    joined = [len(line.get_xdata()) for line in axes.get_lines() if line.get_ls() == "-"]
    assert joined.count(4) == 2 and 5 not in joined
    assert len([line for line in axes.get_lines() if line.get_label() == "_whisker"]) == 10
