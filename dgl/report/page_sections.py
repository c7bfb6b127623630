"""Sections of the report page with tables and charts: protocols, selection, alpha, failure cases.

A section is a dict ``title``, ``text``, ``tables`` and ``plots``. A table is a dict ``caption``,
``names`` and ``headings`` (lists of str), ``rows`` (dicts ``names`` and ``cells``), ``tall`` (whether
it scrolls) and ``folded`` (whether it is closed at first). A plot is a dict ``name`` (of the PNG,
which is written here and embedded by the page) and ``caption``.
"""

import math
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from dgl.report.charts import (
    alpha_chart,
    layer_bars,
    layer_method_matrix,
    layer_profile,
    threshold_curves,
)
from dgl.report.gallery import CASES, case_counts
from dgl.report.tables import (
    HEADINGS,
    MISSING,
    PROTOCOLS,
    Cell,
    Column,
    cells,
    number,
    protocol_columns,
    protocol_rows,
    thresholds,
)

Section = Dict[str, Any]
Row = Mapping[str, Any]

MOST_CURVES = 10
MOST_BARS = 30

_TALL = 24  # rows
_IN_PERCENT = "In percent; small: 95 % intervals; the best value of each column is bold."
# The matrices that the page shows; the CSV files have all of them.
_MATRICES = {"fixed_threshold": ("gt_known",), "wsolevaluation": ("max_box_acc", "max_box_acc_v2")}
_BARS = {"fixed_threshold": "gt_known", "wsolevaluation": "max_box_acc"}


def plain_table(
    names: Sequence[str],
    headings: Sequence[str],
    rows: Sequence[Tuple[Sequence[str], Sequence[Any]]],
    caption: str = "",
    folded: bool = False,
) -> Dict[str, Any]:
    """A table for the template.

    Args:
        names: headings of the columns of names.
        headings: headings of the columns of numbers.
        rows: (names, values) each; values are str, int or :class:`~dgl.report.tables.Cell`.
        caption: text above the table.
        folded: whether the table is closed at first.
    """
    return {
        "caption": caption,
        "names": list(names),
        "headings": list(headings),
        "rows": [
            {
                "names": [str(name) for name in own],
                "cells": [v if isinstance(v, Cell) else Cell(str(v)) for v in values],
            }
            for own, values in rows
        ],
        "tall": len(rows) > _TALL,
        "folded": folded,
    }


def protocol_sections(metrics: Mapping[str, Any], folder: str) -> List[Section]:
    """A section per protocol that was evaluated; charts are written into ``folder``."""
    sections = []
    for name, title in PROTOCOLS.items():
        protocol = metrics["protocols"].get(name)
        if protocol:
            sections.append(
                {
                    "title": "Protocol: " + title,
                    "text": f"{_rule(name, protocol)} {_IN_PERCENT}",
                    "tables": _protocol_tables(name, protocol),
                    "plots": _protocol_plots(name, protocol, folder),
                }
            )
    return sections


def selection_section(metrics: Mapping[str, Any]) -> Optional[Section]:
    """How layers and thresholds were selected, by wsolevaluation's box accuracy, or ``None``."""
    selection = metrics.get("selection")
    if not selection or not selection.get("rows"):
        return None
    rows = selection["rows"]
    split = selection.get("split") or "selection"
    wsol = metrics["protocols"].get("wsolevaluation") or {"rows": []}
    measured = {(row["method"], row["layer"]): row for row in wsol["rows"]}
    chosen = []
    for row in rows:
        if row.get("chosen"):
            here = measured.get((row["method"], row["layer"]), {})
            chosen.append(
                dict(row, here=here.get("box_acc"), here_interval=here.get("box_acc_interval"))
            )
    columns = [
        Column("threshold", "threshold", 2, False),
        Column("box_acc", "BoxAcc on " + split),
        Column("here", "BoxAcc on the images evaluated"),
    ]
    if not any(row["here"] is not None for row in chosen):
        del columns[-1]
    tables = []
    if chosen:
        tables.append(_entry_table(chosen, columns, "The layer chosen for each method"))
    tables.append(_entry_table(rows, columns[:2], f"All {len(rows)} candidates", folded=True))
    images = selection.get("images")
    text = "The layer and threshold of each method were chosen on the split {}{}{}.".format(
        split,
        "" if images is None else f" ({images} images)",
        "" if split == (metrics.get("data") or {}).get("split") else ", not on those evaluated",
    )
    return {
        "title": "Selection",
        "text": " ".join([text, _sentence(selection.get("rule")), _IN_PERCENT]),
        "tables": tables,
        "plots": [],
    }


def mosaic_section(metrics: Mapping[str, Any]) -> Optional[Section]:
    """The grid pointing game, or ``None``."""
    mosaic = metrics.get("mosaic")
    if not mosaic or not mosaic.get("rows"):
        return None
    columns = [Column(key, HEADINGS[key]) for key in ("share", "positive_share", "hit")]
    text = (
        "{mosaics} mosaics of {grid} images of different classes; chance is {chance:.1f} %. Share: of the "
        "class's map less its minimum, the part in the tile of that class. Positive share: the same of the "
        "positive part of the map as it is. Hit: the maximum lies in the tile. Images: {images}."
    ).format(**mosaic)
    return {
        "title": "Grid pointing game",
        "text": f"{text} {_IN_PERCENT}",
        "tables": [_entry_table(mosaic["rows"], columns)],
        "plots": [],
    }


def alpha_section(metrics: Mapping[str, Any], folder: str) -> Optional[Section]:
    """Accuracy by alpha, or ``None``; charts are written into ``folder``."""
    study = metrics.get("alpha")
    if not isinstance(study, dict) or not study.get("rows"):
        return None
    plots, tables = [], []
    semantics = {"kernel": "TensorFlow's kernel", "exact": "exact"}
    # A table per metric, since the two belong to different protocols.
    for figure, protocol in (("max_box_acc", "wsolevaluation"), ("gt_known", "fixed_threshold")):
        rows = [row for row in study["rows"] if row.get(figure) is not None]
        if not rows:
            continue
        title = f"{HEADINGS[figure]} ({PROTOCOLS[protocol]})"
        drawn = [row for row in rows if float(row["alpha"]) > 0]
        if drawn:
            name = f"alpha_{figure}.png"
            alpha_chart(drawn, os.path.join(folder, name), figure)
            plots.append(_plot(name, title + " by alpha"))
        line = cells(rows, [Column(figure, HEADINGS[figure])])
        names = [
            [_alpha(row["alpha"]), semantics.get(row.get("semantics"), row.get("semantics") or "")]
            for row in rows
        ]
        tables.append(
            plain_table(
                ["Alpha", "Gradient"], [HEADINGS[figure]], list(zip(names, line)), title, True
            )
        )
    return {
        "title": "Alpha" + (" at {}".format(study["layer"]) if study.get("layer") else ""),
        "text": "Alpha is the target's score in the loss gradient. With the gradient of TensorFlow's "
        "fused loss, p \u2212 \u03b1\u00b7y, it changes the map; in exact calculus, "
        "\u03b1\u00b7(p \u2212 y), it cancels. " + _IN_PERCENT,
        "tables": tables,
        "plots": plots,
    }


def case_section(
    metrics: Mapping[str, Any], gallery: Sequence[Mapping[str, Any]]
) -> Optional[Section]:
    """How boxes fail, over all images and over those of the gallery, or ``None``."""
    tables = []
    protocol = metrics["protocols"].get("fixed_threshold") or {"rows": []}
    rows = [row for row in protocol_rows(protocol) if row.get("case_right") is not None]
    if rows:
        columns = [Column("case_" + case, text, 1, case == "right") for case, text in CASES.items()]
        caption = "Protocol: Fixed threshold, percent of all images with a box"
        tables.append(_entry_table(rows, columns, caption))
    counts = case_counts(gallery)
    if counts:
        headings = [*CASES.values(), "images"]
        counted = [([entry], values) for entry, values in counts]
        caption = "Counts over the images below"
        tables.append(plain_table(["Entry"], headings, counted, caption, bool(rows)))
    if not tables:
        return None
    text = (
        "How the box of each entry lies relative to the object: right, on a part of it, on more than "
        "it, or elsewhere."
    )
    return {"title": "Failure cases", "text": text, "tables": tables, "plots": []}


def _alpha(value: Any) -> str:
    value = float(value)
    return "\u221e" if math.isinf(value) else f"{value:g}"


def _rule(name: str, protocol: Mapping[str, Any]) -> str:
    parts: List[str] = []
    if name == "fixed_threshold":
        own = thresholds(protocol)
        if len(own) > 1:
            parts.append("Each entry has one threshold for all maps, given in its row.")
        elif own:
            parts.append(f"One threshold for every map: {own[0]:g} of its maximum.")
        parts.append(
            "The largest contour's box is right at IoU {:g} or more.".format(
                protocol.get("iou") or 0.5
            )
        )
    else:
        step = protocol.get("step")
        parts.append(
            "Each entry at its own best threshold{}.".format(
                "" if step is None else f", searched in steps of {step:g}"
            )
        )
        parts.append(
            "MaxBoxAcc: the largest contour at IoU 0.5; MaxBoxAccV2: any contour, mean over the IoUs."
        )
        if any(row.get("box_acc") is not None for row in protocol["rows"]):
            parts.append("BoxAcc: at the threshold that was tuned on other images.")
    parts.append(_sentence(protocol.get("geometry")))
    counts = {(row.get("images"), row.get("skipped") or 0) for row in protocol["rows"]}
    if len(counts) == 1:
        images, skipped = counts.pop()
        if images is not None:
            left_out = f", {skipped} without a box left out" if skipped else ""
            parts.append(f"{images} images{left_out}.")
    return " ".join(part for part in parts if part)


def _protocol_tables(name: str, protocol: Mapping[str, Any]) -> List[Dict[str, Any]]:
    rows = protocol_rows(protocol)
    tables = [_entry_table(rows, protocol_columns(name, protocol))]
    comparisons = protocol.get("comparisons")
    if comparisons:
        tables.append(
            plain_table(
                ["A", "B", "Figure"],
                ["A \u2212 B", "95 % interval", "p"],
                [_comparison(row) for row in comparisons],
                "Differences on the same images, in percentage points",
            )
        )
    return tables


def _comparison(row: Row) -> Tuple[List[str], List[str]]:
    bounds = row.get("interval")
    texts = None
    if bounds is not None and len(bounds) == 2:
        texts = f"{_signed(bounds[0])} to {_signed(bounds[1])}"
    p = row.get("p_value")
    small = p is not None and p < 0.001
    figure = row.get("figure") or ""
    return (
        [row["a"], row["b"], HEADINGS.get(figure, figure)],
        [_signed(row.get("difference")), texts or MISSING, "< 0.001" if small else number(p, 3)],
    )


def _signed(value: Any) -> str:
    text = number(value, 1)
    if text == MISSING:
        return text
    return {"-": "\u2212" + text[1:]}.get(text[0], "+" + text) if float(text) else "0.0"


def _protocol_plots(name: str, protocol: Mapping[str, Any], folder: str) -> List[Dict[str, str]]:
    rows, figure = protocol["rows"], _BARS[name]
    plots = []

    def path(file_name: str) -> str:
        return os.path.join(folder, file_name)

    curves = [row for row in rows if row.get("curve")]
    if curves:
        text = "Box accuracy at IoU 0.5 by threshold"
        drawn = curves_to_draw(curves, figure)
        if len(drawn) < len(curves):
            text += ", for {} at {} best layer ({} of {} lines)".format(
                "each method" if len(drawn) < MOST_CURVES else f"the {len(drawn)} best methods",
                "its" if len(drawn) < MOST_CURVES else "their",
                len(drawn),
                len(curves),
            )
        threshold_curves(drawn, path(name + "_thresholds.png"))
        plots.append(_plot(name + "_thresholds.png", text))
    measured = [row for row in rows if _finite(row.get(figure))]
    if measured:
        draw = layer_bars if len(measured) <= MOST_BARS else layer_profile
        draw(measured, path(name + "_layers.png"), figure)
        plots.append(_plot(name + "_layers.png", f"{HEADINGS[figure]} by layer"))
    for key in _MATRICES[name]:
        measured = [row for row in rows if _finite(row.get(key))]
        methods = [row["method"] for row in measured]
        # Of a single method with several layers bars show more.
        if sum(methods.count(method) > 1 for method in set(methods)) > 1:
            file_name = f"{name}_{key}_matrix.png"
            layer_method_matrix(measured, path(file_name), key)
            text = "{} by layer and method; the best layer of each method is framed"
            plots.append(_plot(file_name, text.format(HEADINGS[key])))
    return plots


def curves_to_draw(rows: Sequence[Row], figure: str) -> Sequence[Row]:
    """All rows if one chart holds them, else the best row of each of the best methods."""
    if len(rows) <= MOST_CURVES:
        return rows
    best: Dict[str, Row] = {}
    for row in rows:
        kept = best.setdefault(row["method"], row)
        if _height(row, figure) > _height(kept, figure):
            best[row["method"]] = row
    highest = sorted(best, key=lambda method: -_height(best[method], figure))
    # CAM, the baseline, is always drawn.
    highest.sort(key=lambda method: method != "cam")
    return [row for method, row in best.items() if method in highest[:MOST_CURVES]]


def _height(row: Row, figure: str) -> float:
    return float(row[figure] if _finite(row.get(figure)) else max(row["curve"]))


def _finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _entry_table(
    rows: Sequence[Row], columns: Sequence[Column], caption: str = "", folded: bool = False
) -> Dict[str, Any]:
    return plain_table(
        ["Method", "Layer"],
        [column.heading for column in columns],
        [([row["method"], row["layer"]], line) for row, line in zip(rows, cells(rows, columns))],
        caption,
        folded,
    )


def _plot(name: str, caption: str) -> Dict[str, str]:
    return {"name": name, "caption": caption[0].upper() + caption[1:]}


def _sentence(text: Optional[str]) -> str:
    text = (text or "").strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else text + "."
