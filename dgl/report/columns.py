"""The columns of a protocol's table and the text of its cells, for the page and for LaTeX alike.

Values are percent, thresholds shares of a map's maximum; the 95 % interval of the value under ``key``
is expected under ``key_interval``.
"""

import math
import numbers
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

MISSING = "\u2013"
PROTOCOLS = {"fixed_threshold": "Fixed threshold", "wsolevaluation": "wsolevaluation"}
# Which figures of a protocol make a layer-by-method matrix.
MATRIX_FIGURES = {
    "fixed_threshold": ("gt_known", "top1_loc", "top5_loc"),
    "wsolevaluation": ("max_box_acc", "max_box_acc_v2", "pxap", "box_acc"),
}
HEADINGS = {
    "gt_known": "GT-known",
    "top1_loc": "Top-1 Loc",
    "top5_loc": "Top-5 Loc",
    "max_box_acc": "MaxBoxAcc",
    "best_threshold": "at threshold",
    "max_box_acc_v2": "MaxBoxAccV2",
    "pxap": "PxAP",
    "box_acc": "BoxAcc",
    "tuned_threshold": "at tuned threshold",
    "threshold": "threshold",
    "images": "images",
    "skipped": "skipped",
}
# How a box lies to the object.
CASES = {
    "right": "right",
    "part": "a part of the object",
    "more": "more than the object",
    "elsewhere": "elsewhere",
}
_PER_IOU = "max_box_acc_v2_per_iou"


class Column(NamedTuple):
    """One column: where its values are and how they are shown.

    Attributes:
        key: str, the key of the value in a row.
        heading: str.
        decimals: int.
        contest: bool, whether the highest value is the best and gets marked.
    """

    key: str
    heading: str
    decimals: int = 1
    contest: bool = True


class Cell(NamedTuple):
    """One cell: ``text``, ``best`` of its column or not, and the interval's (low, high) texts."""

    text: str
    best: bool = False
    interval: Optional[tuple] = None


def protocol_rows(protocol: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Rows with what is by IoU or by case as values of their own: ``max_box_acc_v2_30``, ``case_part``."""
    rows: List[Dict[str, Any]] = []
    for row in protocol["rows"]:
        flat = {k: v for k, v in row.items() if k not in (_PER_IOU, "cases")}
        for iou, value in sorted((row.get(_PER_IOU) or {}).items()):
            flat[f"max_box_acc_v2_{iou}"] = value
        for case, value in (row.get("cases") or {}).items():
            flat[f"case_{case}"] = value
        rows.append(flat)
    return rows


def protocol_columns(name: str, protocol: Mapping[str, Any]) -> List[Column]:
    """The columns that some row has a value for; what all rows share is left to the text.

    Args:
        name: ``"fixed_threshold"`` or ``"wsolevaluation"``.
        protocol: dict with ``rows``.

    Returns:
        list of :class:`Column`.
    """
    rows = protocol_rows(protocol)
    if name == "fixed_threshold":
        columns = [Column(key, HEADINGS[key]) for key in MATRIX_FIGURES[name]]
        if len(thresholds(protocol)) > 1:
            columns.append(Column("threshold", HEADINGS["threshold"], 2, False))
    else:
        decimals = 3 if (protocol.get("step") or 1) < 0.01 else 2
        ious = sorted({iou for row in protocol["rows"] for iou in row.get(_PER_IOU) or ()})
        columns = [
            Column("max_box_acc", HEADINGS["max_box_acc"]),
            Column("best_threshold", HEADINGS["best_threshold"], decimals, False),
            Column("box_acc", HEADINGS["box_acc"]),
            Column("tuned_threshold", HEADINGS["tuned_threshold"], decimals, False),
            Column("max_box_acc_v2", HEADINGS["max_box_acc_v2"]),
        ]
        columns += [Column(f"max_box_acc_v2_{iou}", f"V2 at IoU 0.{iou}") for iou in ious]
        columns.append(Column("pxap", HEADINGS["pxap"]))
    for key in ("images", "skipped"):
        if len({row.get(key) for row in rows}) > 1:
            columns.append(Column(key, HEADINGS[key], 0, False))
    return [c for c in columns if any(row.get(c.key) is not None for row in rows)]


def thresholds(protocol: Mapping[str, Any]) -> List[float]:
    """The different thresholds that the rows of the fixed-threshold protocol were measured at."""
    own = [row.get("threshold") for row in protocol["rows"]]
    given = {value for value in own if value is not None}
    return sorted(given) or [protocol["threshold"]] * (protocol.get("threshold") is not None)


def cells(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> List[List[Cell]]:
    """Table cells, the best value of each column marked; what prints the same is equally good.

    Args:
        rows: list of dicts, value by key; a value may be missing, ``None`` or NaN.
        columns: sequence of :class:`Column`.

    Returns:
        list (rows) of lists (columns) of :class:`Cell`.
    """
    table = [[number(row.get(c.key), c.decimals) for c in columns] for row in rows]
    best = []
    for position, column in enumerate(columns):
        present = [line[position] for line in table if line[position] != MISSING]
        best.append(max(present, key=float) if column.contest and present else None)
    return [
        [
            Cell(text, text == best[position], interval(row.get(c.key + "_interval"), c.decimals))
            for position, (text, c) in enumerate(zip(line, columns))
        ]
        for row, line in zip(rows, table)
    ]


def number(value: Any, decimals: int) -> str:
    """``value`` with that many decimals; an en dash for ``None``, NaN and what is no number."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or math.isnan(value):
        return MISSING
    return "{:.{}f}".format(value, decimals)


def interval(bounds: Optional[Sequence[Any]], decimals: int) -> Optional[Tuple[str, ...]]:
    """(low, high) as texts, or ``None`` where there are no two bounds."""
    if bounds is None or len(bounds) != 2:
        return None
    texts = tuple(number(bound, decimals) for bound in bounds)
    return None if MISSING in texts else texts


def layers_and_methods(rows: Sequence[Mapping[str, Any]]) -> Tuple[List[str], List[str]]:
    """(layers, methods) in order of first appearance."""
    return (
        list(dict.fromkeys(row["layer"] for row in rows)),
        list(dict.fromkeys(row["method"] for row in rows)),
    )
