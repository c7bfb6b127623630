import csv

import numpy as np
import pytest

from dgl.utils.table import format_table, write_csv

ROWS = [
    {"method": "DGL", "gt_known": 54.56, "images": 163, "curve": [1.0, 2.0]},
    {"method": "CAM", "gt_known": None, "images": 9, "best_threshold": np.float32(0.125)},
]


def test_table_is_aligned_and_leaves_out_nested_values():
    lines = format_table(ROWS, digits={"best_threshold": 3}).split("\n")
    assert lines[0].split() == ["method", "gt_known", "images", "best_threshold"]
    assert lines[2].split() == ["DGL", "54.6", "163", "-"]
    assert lines[3].split() == ["CAM", "-", "9", "0.125"]
    assert len({len(line) for line in lines}) == 1
    # Numbers end in one column, text begins in one.
    assert lines[2].index("163") + 3 == lines[3].index(" 9 ") + 2
    assert lines[2].startswith("DGL")


def test_columns_and_digits_can_be_chosen():
    lines = format_table(ROWS, columns=["images", "gt_known"], digits=2).split("\n")
    assert lines[0].split() == ["images", "gt_known"]
    assert lines[2].split() == ["163", "54.56"]


def test_a_table_without_rows_is_its_header():
    assert format_table([], columns=["a", "b"]).split("\n")[0].split() == ["a", "b"]
    with pytest.raises(ValueError):
        format_table([])


def test_protocols_are_never_mixed(tmp_path):
    rows = [{"protocol": "fixed_threshold"}, {"protocol": "wsolevaluation"}]
    with pytest.raises(ValueError):
        format_table(rows)
    with pytest.raises(ValueError):
        write_csv(str(tmp_path / "mixed.csv"), rows)
    assert not list(tmp_path.iterdir())
    assert "wsolevaluation" in format_table([rows[1], {"top1_error": 3.0}])


def test_csv_keeps_every_digit(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    rows = [{"id": 'a, "b"', "iou": 1 / 3.0}, {"id": "c", "iou": None, "rows": []}]
    write_csv(str(path), rows)
    with open(str(path), newline="", encoding="utf-8") as stream:
        read = list(csv.DictReader(stream))
    assert [row["id"] for row in read] == ['a, "b"', "c"]
    assert float(read[0]["iou"]) == 1 / 3.0
    assert read[1] == {"id": "c", "iou": ""}
    assert [entry.name for entry in path.parent.iterdir()] == ["rows.csv"]
