"""Result tables: cells and columns, CSV and LaTeX files of one protocol each, and text on the screen."""

import os
import re

import numpy as np
import pytest
from sample_report import METHODS, sample_report
from trees import read_csv

from dgl.report.tables import (
    MISSING,
    Cell,
    Column,
    cells,
    escape_latex,
    latex_table,
    protocol_columns,
    write_tables,
)
from dgl.utils.table import format_table, write_csv

LAYERS = ["add", "conv5_3", "conv5_2"]


def test_best_passes_over_missing_values():
    rows = [{"a": None}, {}, {"a": 9.96}, {"a": 10.0}, {"a": 9.5}]
    table = cells(rows, [Column("a", "A")])
    assert [line[0].text for line in table] == [MISSING] * 2 + ["10.0", "10.0", "9.5"]
    assert [line[0].best for line in table] == [False, False, True, True, False]
    assert cells([{"a": 0.3}], [Column("a", "A", 2, False)]) == [[Cell("0.30")]]


def row(**values):
    return dict({"method": "dgl", "layer": "a", "gt_known": 1.0, "threshold": 0.2}, **values)


@pytest.mark.parametrize(
    "rows, keys",
    [
        ([row(), row()], ["gt_known"]),
        ([row(), row(threshold=0.3)], ["gt_known", "threshold"]),
        ([row(images=5), row(images=4)], ["gt_known", "images"]),
        ([row(images=5, skipped=1), row(images=5, skipped=1)], ["gt_known"]),
        ([row(top1_loc=None), row(top1_loc=2.0)], ["gt_known", "top1_loc"]),
    ],
)
def test_fixed_threshold_columns(rows, keys):
    columns = protocol_columns("fixed_threshold", {"rows": rows})
    assert [column.key for column in columns] == keys


@pytest.mark.parametrize("step, decimals", [(0.01, 2), (0.001, 3)])
def test_columns_of_thresholds_and_of_accuracies_by_iou(step, decimals):
    rows = [row(best_threshold=0.1, max_box_acc_v2_per_iou={"70": 1.0, "30": 3.0}), row()]
    columns = protocol_columns("wsolevaluation", {"step": step, "rows": rows})
    by_iou = [(f"max_box_acc_v2_{iou}", 1, True) for iou in (30, 70)]
    found = {(column.key, column.decimals, column.mark_best) for column in columns}
    assert found == {*by_iou, ("best_threshold", decimals, False)}


@pytest.fixture
def metrics(tmp_path):
    return sample_report(tmp_path, LAYERS, METHODS[:3], images=0)[0]


@pytest.fixture
def tables(tmp_path, metrics):
    """The folder of a report's tables."""
    names = ["fixed_threshold.csv", "fixed_threshold.tex", "matrix_gt_known.csv"]
    names += ["matrix_top1_loc.csv", "wsolevaluation.csv", "wsolevaluation.tex"]
    names += [f"matrix_{name}.csv" for name in ("max_box_acc", "max_box_acc_v2", "pxap", "box_acc")]
    folder = tmp_path / "tables"
    write_tables(str(tmp_path), metrics, "dgl evaluate")
    assert sorted(os.listdir(str(folder))) == sorted(names)
    return folder


def test_protocols_are_not_mixed(tables):
    own = {"fixed_threshold": ("gt_known", "top"), "wsolevaluation": ("max_box", "pxap", "box_acc")}
    for name, other, title in zip(own, reversed(list(own)), ("MaxBoxAcc", "GT-known")):
        rows = read_csv(tables / (name + ".csv"))
        assert {row["protocol"] for row in rows} == {name}
        assert [key for key in rows[0] if key.startswith(own[name])]
        assert not [key for key in rows[0] if key.startswith(own[other])]
        assert title not in (tables / (name + ".tex")).read_text(encoding="utf-8")


def test_csv_has_every_value_in_full(tables, metrics):
    rows = metrics["protocols"]["wsolevaluation"]["rows"]
    for row, line in zip(rows, read_csv(tables / "wsolevaluation.csv")):
        assert (line["method"], line["layer"]) == (row["method"], row["layer"])
        assert float(line["max_box_acc"]) == row["max_box_acc"]
        bounds = [float(line["max_box_acc_low"]), float(line["max_box_acc_high"])]
        assert bounds == row["max_box_acc_interval"]
        assert float(line["max_box_acc_v2_70"]) == row["max_box_acc_v2_per_iou"]["70"]


def test_matrix(tables, metrics):
    lines = read_csv(tables / "matrix_gt_known.csv")
    assert [line["layer"] for line in lines] == LAYERS
    assert list(lines[0]) == ["layer"] + METHODS[:3]
    found = {(m, line["layer"]): float(line[m]) for line in lines for m in METHODS[:3] if line[m]}
    rows = metrics["protocols"]["fixed_threshold"]["rows"]
    assert found == {(row["method"], row["layer"]): row["gt_known"] for row in rows}
    assert lines[1]["cam"] == ""


def environments(text):
    return re.findall(r"\\(?:begin|end)\{(\w+)\}", text)


def body_of(text):
    """The lines of a table's rows, each of four cells."""
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()
    body = [line for line in body if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {3}
    return body


def test_latex(metrics):
    protocol = metrics["protocols"]["fixed_threshold"]
    text = latex_table("fixed_threshold", protocol, "python evaluate.py\n--load %")
    lines = text.splitlines()
    assert lines[1:3] == ["% python evaluate.py", "% --load %"]
    body = body_of(text)
    assert len(body) == len(protocol["rows"])
    best = max(range(len(body)), key=lambda i: protocol["rows"][i]["gt_known"])
    assert ["textbf" in line for line in body].index(True) == best
    value = protocol["rows"][best]["gt_known"]
    cell = r"\textbf{{{:.1f}}} {{\scriptsize [{:.1f}, {:.1f}]}}"
    assert cell.format(value, value - 6, value + 6) in body[best]
    assert environments(text) == ["table", "tabular", "tabular", "table"]


def test_a_long_table_breaks_over_pages(tmp_path):
    metrics = sample_report(tmp_path, images=0)[0]
    text = latex_table("wsolevaluation", metrics["protocols"]["wsolevaluation"], "")
    assert text.startswith(r"% \usepackage{booktabs,longtable}")
    assert environments(text) == ["longtable"] * 2


@pytest.mark.parametrize(
    "text, latex",
    [
        ("conv5_3", r"conv5\_3"),
        ("50 % & #1 $x$", r"50 \% \& \#1 \$x\$"),
        (r"\input{a}", r"\textbackslash{}input\{a\}"),
        ("a^b~c", r"a\textasciicircum{}b\textasciitilde{}c"),
        ("[x] *", "{[}x] {*}"),
        ("a\nb\r\tc\x00", "a b c "),
    ],
)
def test_escape(text, latex):
    assert escape_latex(text) == latex


def test_hostile_names_stay_in_their_cell_and_comment(metrics):
    protocol = metrics["protocols"]["fixed_threshold"]
    for row in protocol["rows"]:
        row["layer"] = "a & b \\\\ %\n\\end{tabular}"
    text = latex_table("fixed_threshold", protocol, "x\n\\end{document}\x0by\u2028z")
    assert not [line for line in text.splitlines() if line.startswith(r"\end{document}")]
    assert text.count(r"\end{tabular}") == 1
    assert len(body_of(text)) == len(protocol["rows"])


ROWS = [
    {"method": "DGL", "gt_known": 54.56, "images": 163, "curve": [1.0, 2.0]},
    {"method": "CAM", "gt_known": None, "images": 9, "best_threshold": np.float32(0.125)},
]


def test_text_is_aligned_and_leaves_out_nested_values():
    lines = format_table(ROWS, digits={"best_threshold": 3}).split("\n")
    assert lines[0].split() == ["method", "gt_known", "images", "best_threshold"]
    assert lines[2].split() == ["DGL", "54.6", "163", "-"]
    assert lines[3].split() == ["CAM", "-", "9", "0.125"]
    assert len({len(line) for line in lines}) == 1
    # Numbers end in one column.
    assert lines[2].index("163") + 3 == lines[3].index(" 9 ") + 2
    lines = format_table(ROWS, columns=["images", "gt_known"], digits=2).split("\n")
    assert (lines[0].split(), lines[2].split()) == (["images", "gt_known"], ["163", "54.56"])
    assert format_table([], columns=["a", "b"]).split("\n")[0].split() == ["a", "b"]
    with pytest.raises(ValueError):
        format_table([])


def test_rows_of_two_protocols_are_refused(tmp_path):
    rows = [{"protocol": "fixed_threshold"}, {"protocol": "wsolevaluation"}]
    for call in (format_table, lambda rows: write_csv(str(tmp_path / "mixed.csv"), rows)):
        with pytest.raises(ValueError):
            call(rows)
    assert not list(tmp_path.iterdir())
    assert "wsolevaluation" in format_table([rows[1], {"top1_error": 3.0}])
