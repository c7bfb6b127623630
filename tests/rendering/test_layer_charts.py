"""Charts by layer: the files they write, what is drawn in them, and the rows they refuse."""

import sys

import cv2
import numpy as np
import pytest
from chart_rows import ROWS, UNUSUAL, row

from dgl.errors import UserError
from dgl.report.layer_charts import layer_bars, layer_profile

BARE = {"method": "dgl", "layer": "a"}


@pytest.mark.parametrize("metric, drop", [("gt_known", 3), ("max_box_acc", 0), (None, 0)])
def test_bars(tmp_path, figures, metric, drop):
    path = str(tmp_path / "bars.png")
    layer_bars(ROWS, path, metric)
    assert cv2.imread(path).shape[1] == pytest.approx(1600, abs=120)
    axes = figures[0]
    heights = [bar.get_height() for bars in axes.containers for bar in bars]
    assert heights == [60 - drop, 55 - drop, 52 - drop]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["conv5_3", "conv4_3"]
    (reference,) = axes.get_lines()
    assert set(reference.get_ydata()) == {50 - drop}


def test_bars_of_one_layer_stand_beside_each_other(tmp_path, figures):
    layer_bars(ROWS, str(tmp_path / "bars.png"))
    bars = sorted(
        (bar.get_x(), bar.get_x() + bar.get_width())
        for group in figures[0].containers
        for bar in group
    )
    assert all(before[1] <= after[0] + 1e-9 for before, after in zip(bars, bars[1:]))


def test_intervals_are_whiskers_and_values_stand_over_them(tmp_path, figures):
    rows = [dict(one, max_box_acc_interval=[one["max_box_acc"] - 7, 66.0]) for one in ROWS]
    layer_bars(rows, str(tmp_path / "bars.png"), "max_box_acc")
    whiskers = [line for line in figures[0].get_lines() if line.get_label() == "_whisker"]
    spans = [tuple(line.get_ydata()) for line in whiskers]
    assert spans == [(53.0, 66.0), (48.0, 66.0), (45.0, 66.0)]
    assert [text.xy[1] for text in figures[0].texts] == [66.0] * 3
    assert figures[0].get_ylim()[1] > 66


def test_profile(tmp_path, figures):
    rows = ROWS[:1] + [row(m, f"conv{i}", 40 + i) for i in range(9) for m in "ab"]
    path = str(tmp_path / "profile.png")
    layer_profile(rows, path, "gt_known")
    assert cv2.imread(path).shape[1] == pytest.approx(1600, abs=120)
    (axes,) = figures
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == ["a", "b", "cam@add  47.0"]
    np.testing.assert_allclose(lines["a"].get_ydata(), np.arange(37, 46))
    np.testing.assert_allclose(lines["a"].get_xdata(), np.arange(9))
    assert [text.get_text() for text in axes.get_xticklabels()][::8] == ["conv0", "conv8"]
    assert set(lines["cam@add  47.0"].get_ydata()) == {47.0}
    low, high = axes.get_ylim()
    assert 30 < low < 37 and 47 < high < 60


def test_profile_tells_many_methods_apart(tmp_path, figures):
    rows = [row(f"m{i}", layer, 40 + i) for i in range(20) for layer in "xy"]
    layer_profile(rows, str(tmp_path / "profile.png"), "max_box_acc")
    looks = {(line.get_color(), line.get_linestyle()) for line in figures[0].get_lines()}
    assert len(looks) == 20


@pytest.mark.parametrize("rows", UNUSUAL)
def test_bars_of_unusual_rows(tmp_path, rows):
    layer_bars(rows, str(tmp_path / "bars.png"))
    assert (tmp_path / "bars.png").stat().st_size > 1000


@pytest.mark.parametrize("draw", [layer_bars, layer_profile])
@pytest.mark.parametrize("rows", [[], [BARE], ROWS + [BARE]], ids=["none", "bare", "one bare"])
def test_refused(tmp_path, draw, rows):
    path = tmp_path / "x.png"
    with pytest.raises(UserError, match="gt_known|max_box_acc"):
        draw(rows, str(path))
    assert not path.exists()


def test_pyplot_is_not_touched(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    layer_bars(ROWS, str(tmp_path / "bars.png"))
    assert ("matplotlib.pyplot" in sys.modules) == before
