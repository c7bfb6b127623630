"""The layer-by-method matrix: its numbers and frames, its size, its colors, rows it refuses."""

import cv2
import numpy as np
import pytest
from chart_rows import ROWS, row

from dgl.errors import UserError
from dgl.report import layer_charts as layer_matrix
from dgl.report.chart_style import INK, ink_on
from dgl.report.layer_charts import layer_method_matrix


def test_matrix(tmp_path, figures):
    rows = [
        {"method": "cam", "layer": "add", "gt_known": 51.04},
        {"method": "dgl", "layer": "add", "gt_known": 40.0},
        {"method": "dgl", "layer": "conv5_3", "gt_known": 60.0},
        {"method": "grad", "layer": "conv5_3", "gt_known": None},
        {"method": "grad", "layer": "conv5_2", "gt_known": float("nan")},
        {"method": "grad", "layer": "add", "gt_known": 20.0},
    ]
    layer_method_matrix(rows, str(tmp_path / "matrix.png"), "gt_known")
    (axes,) = figures
    assert [text.get_text() for text in axes.get_yticklabels()] == ["add", "conv5_3", "conv5_2"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cam", "dgl", "grad"]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "51.0", (1, 0): "40.0", (1, 1): "60.0", (2, 0): "20.0"}
    framed = [(round(p.get_x() + 0.46), round(p.get_y() + 0.44)) for p in axes.patches]
    assert framed == [(0, 0), (1, 1), (2, 0)]
    table = axes.get_images()[0].get_array()
    assert np.ma.getmaskarray(table).sum() == 5


def test_matrix_of_eighteen_layers_and_eleven_methods_is_as_wide_as_the_other_charts(tmp_path):
    rows = [row("m" * 9 + str(m), f"conv{n}", m + n) for m in range(11) for n in range(18)]
    path = str(tmp_path / "matrix.png")
    layer_method_matrix(rows, path, "max_box_acc")
    height, width = cv2.imread(path).shape[:2]
    assert width == pytest.approx(1600, abs=120) and 1200 < height < 1700


def test_sequential_colors_darken_steadily_and_text_reads_on_all_of_them():
    def luminance(color):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    ink = luminance([int(INK[i : i + 2], 16) / 255.0 for i in (1, 3, 5)])
    colors = [layer_matrix._SEQUENTIAL(value) for value in np.linspace(0, 1, 64)]
    levels = [luminance(color) for color in colors]
    assert (np.diff(levels) < 0).all()
    for color, level in zip(colors, levels):
        text = 1.0 if ink_on(color) == "white" else ink
        contrast = (max(text, level) + 0.05) / (min(text, level) + 0.05)
        assert contrast > 3.5


def test_refused(tmp_path):
    path = tmp_path / "x.png"
    with pytest.raises(UserError, match="gt_known"):
        layer_method_matrix([dict(ROWS[0], gt_known=None)], str(path), "gt_known")
    assert not path.exists()
