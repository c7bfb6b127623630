"""Charts over a scale: what is drawn, and the rows they refuse."""

import cv2
import numpy as np
import pytest
from chart_rows import ROWS, UNUSUAL

from dgl.errors import UserError
from dgl.report.curve_charts import SEMANTICS, alpha_chart, threshold_curves


def test_curves(tmp_path, figures):
    path = str(tmp_path / "curves.png")
    threshold_curves(ROWS, path)
    assert cv2.imread(path).shape[1] == pytest.approx(1600, abs=120)
    lines = figures[0].get_lines()
    drawn = {line.get_label(): line for line in lines if len(line.get_xdata()) > 1}
    assert list(drawn) == [
        "cam@add  50.0 at 0.40",
        "dgl@conv5_3  60.0 at 0.30",
        "dgl@conv4_3  55.0 at 0.40",
        "layercam@conv5_3  52.0 at 0.40",
    ]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn.values()}) == 4
    markers = [
        (line.get_xdata()[0], line.get_ydata()[0]) for line in lines if len(line.get_xdata()) == 1
    ]
    np.testing.assert_allclose(markers, [(0.4, 50), (0.3, 60), (0.4, 55), (0.4, 52)], atol=1e-9)


@pytest.mark.parametrize("rows", UNUSUAL)
def test_curves_of_unusual_rows(tmp_path, rows):
    threshold_curves(rows, str(tmp_path / "curves.png"))
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_curves_refused(tmp_path):
    path = tmp_path / "x.png"
    with pytest.raises(UserError, match="curve"):
        threshold_curves([], str(path))
    with pytest.raises(UserError, match="dgl@conv5_3"):
        threshold_curves([dict(ROWS[1], curve=[1.0, 2.0])], str(path))
    assert not path.exists()


def alpha_rows(**changes):
    rows = [
        dict(alpha=alpha, semantics=semantics, gt_known=40.0 + i, max_box_acc=50.0 + i, **changes)
        for i, alpha in enumerate([0.1, 1, 10, 100.0, "inf"])
        for semantics in ("kernel", "exact")
    ]
    return rows[::-1]


def test_alpha(tmp_path, figures):
    path = str(tmp_path / "alpha.png")
    alpha_chart(alpha_rows(max_box_acc_interval=[44.0, 58.0]), path)
    assert cv2.imread(path).shape[1] == pytest.approx(1600, abs=120)
    (axes,) = figures
    ticks = dict(zip([t.get_text() for t in axes.get_xticklabels()], axes.get_xticks()))
    assert list(ticks) == ["0.1", "1", "10", "100", "\u221e"]
    assert [ticks[t] for t in ("0.1", "1", "10", "100")] == pytest.approx([-1, 0, 1, 2])
    assert ticks["\u221e"] > 2 and axes.get_xlim()[1] - ticks["\u221e"] < 0.2
    points = {line.get_label(): line for line in axes.get_lines()}
    kernel, exact = (points[SEMANTICS[name]] for name in ("kernel", "exact"))
    for line in (kernel, exact):
        np.testing.assert_allclose(line.get_ydata(), [50, 51, 52, 53, 54])
        np.testing.assert_allclose(line.get_xdata(), list(ticks.values()), atol=0.05)
    # The line of the finite alphas does not run on to infinity.
    joined = [len(line.get_xdata()) for line in axes.get_lines() if line.get_ls() == "-"]
    assert joined.count(4) == 2 and 5 not in joined
    assert len([line for line in axes.get_lines() if line.get_label() == "_whisker"]) == 10
    assert axes.get_ylim()[0] < 44 and axes.get_ylim()[1] > 58


def test_alpha_of_one_semantics_without_infinity(tmp_path, figures):
    rows = [{"alpha": 10, "semantics": "kernel", "gt_known": 40.0}]
    alpha_chart(rows, str(tmp_path / "alpha.png"), "gt_known")
    labels = [text.get_text() for text in figures[0].get_xticklabels()]
    assert labels == ["0.1", "10", "100"]


@pytest.mark.parametrize("alpha", [0, -1, float("nan")])
def test_alpha_refused(tmp_path, alpha):
    path = tmp_path / "x.png"
    with pytest.raises(UserError, match="alpha"):
        alpha_chart([{"alpha": alpha, "gt_known": 1.0}], str(path))
    assert not path.exists()
