"""Sections of the report page with tables and charts: protocols, selection, alpha, failure cases.

A section is a dict ``title``, ``text``, ``tables`` and ``plots``. A table is a dict ``caption``,
``names`` and ``headings`` (lists of str), ``rows`` (dicts ``names`` and ``cells``), ``tall`` (whether
it scrolls) and ``folded`` (whether it is closed at first). A plot is a dict ``name`` (of the PNG,
which is written here and embedded by the page) and ``caption``.
"""

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from dgl.evaluation.summary import RANKING, best_rows
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
    PROTOCOLS,
    Cell,
    Column,
    alpha_threshold,
    cells,
    compared_entries,
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


def plain_table(
    names: Sequence[str],
    headings: Sequence[str],
    rows: Sequence[Tuple[Sequence[str], Sequence[Any]]],
    caption: str = "",
    folded: bool = False,
) -> Dict[str, Any]:
    """A table for the template, see above.

    ``names`` and ``headings`` are those of the columns of names and of numbers; ``rows`` are (names,
    values) each, the values str, int or :class:`~dgl.report.tables.Cell`.
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


def _section(
    title: str, text: str, tables: List[Dict[str, Any]], plots: Sequence[Dict[str, str]] = ()
) -> Section:
    return {"title": title, "text": text, "tables": tables, "plots": list(plots)}


def protocol_sections(metrics: Mapping[str, Any], folder: str) -> List[Section]:
    """A section per protocol that was evaluated; charts are written into ``folder``."""
    return [
        _section(
            "Protocol: " + title,
            f"{_rule(name, metrics['protocols'][name])} {_IN_PERCENT}",
            _protocol_tables(name, metrics["protocols"][name], compared_entries(metrics)),
            _protocol_plots(name, metrics["protocols"][name]["rows"], folder),
        )
        for name, title in PROTOCOLS.items()
        if name in metrics["protocols"]
    ]


def selection_section(metrics: Mapping[str, Any]) -> Optional[Section]:
    """How layers and thresholds were selected, by wsolevaluation's box accuracy, or ``None``."""
    selection = metrics.get("selection")
    if selection is None:
        return None
    rows, split = selection["rows"], selection["split"]
    measured = {
        (row["method"], row["layer"]): row
        for row in metrics["protocols"].get("wsolevaluation", {}).get("rows", ())
    }
    chosen = []
    for row in rows:
        if row["chosen"]:
            here = measured.get((row["method"], row["layer"]), {})
            chosen.append(
                dict(row, here=here.get("box_acc"), here_interval=here.get("box_acc_interval"))
            )
    columns = [
        Column("threshold", "threshold", 2, False),
        Column("box_acc", "BoxAcc on " + split),
        Column("here", "BoxAcc on the images evaluated"),
    ]
    if not measured:
        del columns[-1]
    elsewhere = "" if split == metrics["data"].get("split") else ", not on those evaluated"
    return _section(
        "Selection",
        f"The layer and threshold of each method were chosen on the split {split} "
        f"({selection['images']} images){elsewhere}. {_sentence(selection['rule'])} {_IN_PERCENT}",
        [
            _entry_table(chosen, columns, "The layer chosen for each method"),
            _entry_table(rows, columns[:2], f"All {len(rows)} candidates", folded=True),
        ],
    )


def mosaic_section(metrics: Mapping[str, Any]) -> Optional[Section]:
    """The grid pointing game, or ``None``."""
    mosaic = metrics.get("mosaic")
    if mosaic is None:
        return None
    columns = [Column(key, key.replace("_", " ")) for key in ("share", "positive_share", "hit")]
    text = (
        "{mosaics} mosaics of {grid} images of different classes; chance is {chance:.1f} %. Share: of the "
        "class's map less its minimum, the part in the tile of that class. Positive share: the same of the "
        "positive part of the map as it is. Hit: the maximum lies in the tile. Images: {images}."
    ).format(**mosaic)
    tables = [_entry_table(mosaic["rows"], columns)]
    return _section("Grid pointing game", f"{text} {_IN_PERCENT}", tables)


def alpha_section(metrics: Mapping[str, Any], folder: str) -> Optional[Section]:
    """Accuracy by alpha, or ``None``; charts are written into ``folder``."""
    study = metrics.get("alpha")
    if study is None:
        return None
    rows, plots, tables = study["rows"], [], []
    gradients = {"kernel": "TensorFlow's kernel", "exact": "exact"}
    names = [
        [f"{float(row['alpha']):g}".replace("inf", "\u221e"), gradients[row["semantics"]]]
        for row in rows
    ]
    # A table per metric, since the two belong to different protocols.
    for figure, protocol in (("max_box_acc", "wsolevaluation"), ("gt_known", "fixed_threshold")):
        if figure not in rows[0]:
            continue
        heading = HEADINGS[figure]
        title = f"{heading} ({PROTOCOLS[protocol]}) {alpha_threshold(metrics, figure)}"
        name = f"alpha_{figure}.png"
        alpha_chart(rows, os.path.join(folder, name), figure)
        plots.append(_plot(name, title + ", by alpha"))
        lines = list(zip(names, cells(rows, [Column(figure, heading)])))
        tables.append(plain_table(["Alpha", "Gradient"], [heading], lines, title, True))
    text = (
        "Alpha is the target's score in the loss gradient. With the gradient of TensorFlow's fused "
        "loss, p \u2212 \u03b1\u00b7y, it changes the map; in exact calculus, "
        "\u03b1\u00b7(p \u2212 y), it cancels."
    )
    if "selection" in metrics:
        text += " Thresholds selected on {split} are not used here.".format(**metrics["selection"])
    return _section(f"Alpha at {study['layer']}", f"{text} {_IN_PERCENT}", tables, plots)


def case_section(
    metrics: Mapping[str, Any], gallery: Sequence[Mapping[str, Any]]
) -> Optional[Section]:
    """How boxes fail, over all images and over those of the gallery, or ``None``."""
    tables = []
    rows = protocol_rows(metrics["protocols"].get("fixed_threshold", {"rows": []}))
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
    return _section("Failure cases", text, tables)


def _rule(name: str, protocol: Mapping[str, Any]) -> str:
    rows = protocol["rows"]
    if name == "fixed_threshold":
        own = thresholds(protocol)
        parts = [
            f"One threshold for every map: {own[0]:g} of its maximum."
            if len(own) == 1
            else "Each entry has one threshold for all maps, given in its row.",
            f"The largest contour's box is right at IoU {protocol['iou']:g} or more.",
        ]
    else:
        parts = [
            f"Each entry at its own best threshold, searched in steps of {protocol['step']:g}.",
            "MaxBoxAcc: the largest contour at IoU 0.5; MaxBoxAccV2: any contour, mean over the IoUs.",
        ]
        if any("box_acc" in row for row in rows):
            parts.append("BoxAcc: at the threshold that was tuned on other images.")
    parts.append(_sentence(protocol["geometry"]))
    counts = {(row.get("images"), row.get("skipped", 0)) for row in rows}
    if len(counts) == 1:
        images, skipped = counts.pop()
        if images is not None:
            left_out = f", {skipped} without a box left out" if skipped else ""
            parts.append(f"{images} images{left_out}.")
    return " ".join(parts)


def _protocol_tables(name: str, protocol: Mapping[str, Any], compared: str) -> List[Dict[str, Any]]:
    rows = protocol_rows(protocol)
    tables = [_entry_table(rows, protocol_columns(name, protocol))]
    comparisons = protocol.get("comparisons")
    if comparisons:
        tables.append(
            plain_table(
                ["A", "B", "Figure"],
                ["A \u2212 B", "95 % interval", "p"],
                [_comparison(row) for row in comparisons],
                "Differences on the same images, in percentage points" + compared,
            )
        )
    return tables


def _comparison(row: Row) -> Tuple[List[str], List[str]]:
    p = "< 0.001" if row["p_value"] < 0.001 else number(row["p_value"], 3)
    low, high = map(_signed, row["interval"])
    names = [row["a"], row["b"], HEADINGS[row["figure"]]]
    return names, [_signed(row["difference"]), f"{low} to {high}", p]


def _signed(value: float) -> str:
    text = f"{value:+.1f}"
    return text.replace("-", "\u2212") if float(text) else "0.0"


def _protocol_plots(name: str, rows: Sequence[Row], folder: str) -> List[Dict[str, str]]:
    figure, plots = RANKING[name], []

    def path(file_name: str) -> str:
        return os.path.join(folder, file_name)

    curves = [row for row in rows if row.get("curve")]
    if curves:
        text = "Box accuracy at IoU 0.5 by threshold"
        drawn = curves_to_draw(curves, figure)
        if len(drawn) < len(curves):
            has_all = len(drawn) < MOST_CURVES
            whose = "each method at its" if has_all else f"the {len(drawn)} best methods at their"
            text += f", for {whose} best layer ({len(drawn)} of {len(curves)} lines)"
        threshold_curves(drawn, path(name + "_thresholds.png"))
        plots.append(_plot(name + "_thresholds.png", text))
    measured = [row for row in rows if figure in row]
    if measured:
        draw = layer_bars if len(measured) <= MOST_BARS else layer_profile
        draw(measured, path(name + "_layers.png"), figure)
        plots.append(_plot(name + "_layers.png", f"{HEADINGS[figure]} by layer"))
    for key in _MATRICES[name]:
        measured = [row for row in rows if key in row]
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
    best = best_rows(rows, figure)
    # CAM, the baseline, is always drawn.
    highest = sorted(best, key=lambda method: (method != "cam", -best[method][figure]))
    return [row for method, row in best.items() if method in highest[:MOST_CURVES]]


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


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else text + "."
