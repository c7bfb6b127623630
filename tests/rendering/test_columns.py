"""Table cells: what counts as missing, as best, as an interval, and which columns there are."""

import numpy as np
import pytest

from dgl.report.columns import (
    MISSING,
    Cell,
    Column,
    cells,
    interval,
    number,
    protocol_columns,
    protocol_rows,
)


def test_best_passes_over_missing_values():
    rows = [{"a": None}, {"a": float("nan")}, {}, {"a": 9.96}, {"a": 10.0}, {"a": 9.5}]
    table = cells(rows, [Column("a", "A")])
    assert [line[0].text for line in table] == [MISSING] * 3 + ["10.0", "10.0", "9.5"]
    assert [line[0].best for line in table] == [False, False, False, True, True, False]
    assert cells([{"a": 0.3}], [Column("a", "A", 2, False)]) == [[Cell("0.30")]]


def test_interval_of_each_value():
    rows = [{"a": 1.0, "a_interval": [0.5, 1.55]}, {"a": 2.0, "a_interval": None}]
    table = cells(rows, [Column("a", "A")])
    assert [line[0].interval for line in table] == [("0.5", "1.6"), None]


@pytest.mark.parametrize("bounds", [None, [], [1.0], [1.0, None], [float("nan"), 2.0]])
def test_no_interval(bounds):
    assert interval(bounds, 1) is None


@pytest.mark.parametrize(
    "value, text",
    [(1, "1.0"), (np.float32(0.25), "0.2"), (-0.5, "-0.5"), ("x", MISSING), (True, MISSING)],
)
def test_number(value, text):
    assert number(value, 1) == text


def row(**values):
    return dict({"method": "dgl", "layer": "a", "gt_known": 1.0}, **values)


@pytest.mark.parametrize(
    "rows, keys",
    [
        ([row(threshold=0.2), row(threshold=0.2)], ["gt_known"]),
        ([row(threshold=0.2), row(threshold=0.3)], ["gt_known", "threshold"]),
        ([row(images=5), row(images=4)], ["gt_known", "images"]),
        ([row(images=5, skipped=1), row(images=5, skipped=1)], ["gt_known"]),
        ([row(top1_loc=None), row(top1_loc=2.0)], ["gt_known", "top1_loc"]),
    ],
)
def test_fixed_threshold_columns(rows, keys):
    protocol = {"threshold": 0.2, "rows": rows}
    assert [column.key for column in protocol_columns("fixed_threshold", protocol)] == keys


@pytest.mark.parametrize("step, decimals", [(0.01, 2), (0.001, 3), (None, 2)])
def test_thresholds_have_the_decimals_of_their_step(step, decimals):
    protocol = {"step": step, "rows": [row(best_threshold=0.1)]}
    (column,) = protocol_columns("wsolevaluation", protocol)
    assert (column.key, column.decimals, column.contest) == ("best_threshold", decimals, False)


def test_accuracies_by_iou_are_columns():
    rows = [row(max_box_acc_v2_per_iou={"70": 1.0, "30": 3.0}), row()]
    protocol = {"rows": rows}
    keys = [column.key for column in protocol_columns("wsolevaluation", protocol)]
    assert keys == ["max_box_acc_v2_30", "max_box_acc_v2_70"]
    assert protocol_rows(protocol)[0]["max_box_acc_v2_30"] == 3.0
    assert "max_box_acc_v2_per_iou" in rows[0]
