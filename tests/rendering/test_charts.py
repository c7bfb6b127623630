"""Charts: the files they write, what is drawn in them, and the input they refuse."""

import sys

import cv2
import numpy as np
import pytest

from dgl.errors import UserError
from dgl.rendering import charts


def row(method, layer, peak, at=0.4):
    thresholds = np.arange(0, 1, 0.05)
    curve = peak - 100 * (thresholds - at) ** 2
    return {
        "method": method,
        "layer": layer,
        "gt_known": peak - 3,
        "max_box_acc": peak,
        "thresholds": thresholds.tolist(),
        "curve": curve.tolist(),
    }


ROWS = [
    row("cam", "add", 50.0),
    row("dgl", "conv5_3", 60.0, 0.3),
    row("dgl", "conv4_3", 55.0),
    row("layercam", "conv5_3", 52.0),
]


@pytest.fixture
def figures(monkeypatch):
    """The axes of every chart that is drawn."""
    seen = []
    save = charts._save

    def keep(figure, path):
        seen.append(figure.axes[0])
        save(figure, path)

    monkeypatch.setattr(charts, "_save", keep)
    return seen


def test_curves(tmp_path, figures):
    path = str(tmp_path / "curves.png")
    charts.threshold_curves(ROWS, path)
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


@pytest.mark.parametrize("metric, drop", [("gt_known", 3), ("max_box_acc", 0), (None, 0)])
def test_bars(tmp_path, figures, metric, drop):
    path = str(tmp_path / "bars.png")
    charts.layer_bars(ROWS, path, metric)
    assert cv2.imread(path).shape[1] == pytest.approx(1600, abs=120)
    axes = figures[0]
    heights = [bar.get_height() for bars in axes.containers for bar in bars]
    assert heights == [60 - drop, 55 - drop, 52 - drop]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["conv5_3", "conv4_3"]
    (reference,) = axes.get_lines()
    assert set(reference.get_ydata()) == {50 - drop}


def test_bars_of_one_layer_stand_beside_each_other(tmp_path, figures):
    charts.layer_bars(ROWS, str(tmp_path / "bars.png"))
    bars = sorted(
        (bar.get_x(), bar.get_x() + bar.get_width())
        for group in figures[0].containers
        for bar in group
    )
    assert all(before[1] <= after[0] + 1e-9 for before, after in zip(bars, bars[1:]))


@pytest.mark.parametrize(
    "rows", [ROWS[:1], ROWS[1:2], [row("dgl", "l$_{" + str(i), i) for i in range(30)]]
)
def test_unusual_rows(tmp_path, rows):
    charts.layer_bars(rows, str(tmp_path / "bars.png"))
    charts.threshold_curves(rows, str(tmp_path / "curves.png"))
    assert (tmp_path / "bars.png").stat().st_size > 1000
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_refused(tmp_path):
    path = str(tmp_path / "x.png")
    with pytest.raises(UserError, match="curve"):
        charts.threshold_curves([], path)
    with pytest.raises(UserError, match="dgl@conv5_3"):
        charts.threshold_curves([dict(ROWS[1], curve=[1.0, 2.0])], path)
    for rows in ([], [{"method": "dgl", "layer": "a"}], ROWS + [{"method": "dgl", "layer": "a"}]):
        with pytest.raises(UserError, match="gt_known"):
            charts.layer_bars(rows, path)
    assert not (tmp_path / "x.png").exists()


def test_pyplot_is_not_touched(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    charts.layer_bars(ROWS, str(tmp_path / "bars.png"))
    assert ("matplotlib.pyplot" in sys.modules) == before
