"""The report of an evaluation: one page that opens from disk, without a network or a script.

Fixed-threshold results and wsolevaluation results stand in two tables, each under its own name;
they are different protocols and their numbers are not comparable.
"""

import math
import os
from urllib.parse import quote

import jinja2

from dgl.errors import UserError
from dgl.files import write_atomically
from dgl.rendering.charts import entry_name, layer_bars, threshold_curves

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_TEMPLATE = "report.html.j2"
_PLOTS = "plots"
_MISSING = "\u2013"

# key, heading, decimals, whether the highest value is the best one
_FIXED_COLUMNS = (
    ("gt_known", "GT-known", 1, True),
    ("top1_loc", "Top-1 Loc", 1, True),
    ("top5_loc", "Top-5 Loc", 1, True),
)
_WSOL_COLUMNS = (
    ("max_box_acc", "MaxBoxAcc", 1, True),
    ("best_threshold", "at threshold", 2, False),
    ("max_box_acc_v2", "MaxBoxAccV2", 1, True),
)


def write_report(out_dir, metrics, gallery):
    """Write ``index.html`` and its plots.

    Args:
        out_dir: str, the folder of the report; the gallery's pictures are in it already.
        metrics: dict of ``metrics.json``: ``command``, ``versions``, ``model``, ``data``,
            ``classification`` and ``protocols`` with ``fixed_threshold`` and ``wsolevaluation``
            (one of the two may be missing). Accuracies and errors are in percent, thresholds and
            IoUs in [0, 1].
        gallery: list of dicts ``file`` (path below ``out_dir``, ``/`` between its parts), ``id``,
            ``true_class``, ``predicted_class``, ``probability`` in [0, 1], ``correct`` (bool) and
            ``ious`` (entry name -> IoU or ``None``).

    Returns:
        str, the path of ``index.html``.

    Raises:
        UserError: a key is missing, a picture of the gallery is not there, nowhere to write.
    """
    index = os.path.join(str(out_dir), "index.html")
    try:
        page = _render(str(out_dir), metrics, gallery)
    except KeyError as error:
        raise UserError(
            "{}: the metrics or the gallery lack {}, expected a complete record".format(
                index, error
            )
        ) from error
    # A file name that is no valid text must not keep the rest of the report from being written.
    write_atomically(index, page.encode("utf-8", "replace"))
    return index


def best_cells(rows, columns):
    """Table cells, the best value of each column marked; what prints the same is equally good.

    Args:
        rows: list of dicts, value by key; a value may be missing, ``None`` or NaN.
        columns: sequence of (key, heading, decimals, higher_is_better); columns that are no
            contest have ``False`` last and nothing marked.

    Returns:
        list (rows) of lists (columns) of dicts ``text`` (str) and ``best`` (bool).
    """
    table = [[_number(row.get(key), decimals) for key, _, decimals, _ in columns] for row in rows]
    best = []
    for position, (_, _, _, contest) in enumerate(columns):
        present = [line[position] for line in table if line[position] != _MISSING]
        best.append(max(present, key=float) if contest and present else None)
    return [
        [{"text": text, "best": text == best[position]} for position, text in enumerate(line)]
        for line in table
    ]


def _render(out_dir, metrics, gallery):
    protocols = metrics["protocols"]
    sections = []
    if protocols.get("fixed_threshold"):
        sections.append(_fixed_section(out_dir, protocols["fixed_threshold"]))
    if protocols.get("wsolevaluation"):
        sections.append(_wsol_section(out_dir, protocols["wsolevaluation"]))
    if not sections:
        raise KeyError("protocols")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    errors = metrics.get("classification") or {}
    classification = [
        ("Top-{} error".format(k), "{} %".format(_number(errors["top{}_error".format(k)], 1)))
        for k in (1, 5)
        if errors.get("top{}_error".format(k)) is not None
    ]
    return environment.get_template(_TEMPLATE).render(
        command=metrics["command"],
        facts=_facts(metrics),
        summary=_summary(metrics),
        classification=classification,
        sections=sections,
        pictures=[_picture(out_dir, item) for item in gallery],
    )


def _summary(metrics):
    model, data = metrics["model"], metrics["data"]
    return "{} on {}, {}: {} images, {} classes".format(
        model["mode"], data["name"], data["split"], data["images"], model["classes"]
    )


def _facts(metrics):
    """(heading, [(name, value)]) of what was run; whatever the record holds is shown."""

    def pairs(values):
        return [(name.replace("_", " "), value) for name, value in values.items()]

    return [
        ("Model", pairs(metrics["model"])),
        ("Data", pairs(metrics["data"])),
        ("Versions", list(metrics["versions"].items())),
    ]


def _fixed_section(out_dir, protocol):
    rows = protocol["rows"]
    columns = [c for c in _FIXED_COLUMNS if any(row.get(c[0]) is not None for row in rows)]
    plots = []
    if rows:
        layer_bars(rows, os.path.join(out_dir, _PLOTS, "fixed_threshold_layers.png"), "gt_known")
        plots.append(("fixed_threshold_layers.png", "GT-known localization by layer"))
    return _section(
        "Fixed threshold",
        "One threshold for every map: {} of its maximum. The largest contour's box is right at "
        "IoU {} or more. {}".format(
            protocol["threshold"], protocol["iou"], _sentence(protocol.get("geometry"))
        ),
        rows,
        columns,
        plots,
    )


def _wsol_section(out_dir, protocol):
    rows = [dict(row) for row in protocol["rows"]]
    by_iou = []
    for row in rows:
        for iou, value in (row.get("max_box_acc_v2_per_iou") or {}).items():
            key = "v2@{}".format(iou)
            row[key] = value
            column = (key, "V2 at IoU 0.{}".format(iou), 1, True)
            if column not in by_iou:
                by_iou.append(column)
    plots = []
    if rows:
        layer_bars(rows, os.path.join(out_dir, _PLOTS, "wsol_layers.png"), "max_box_acc")
        plots.append(("wsol_layers.png", "MaxBoxAcc by layer"))
    if any(row.get("curve") for row in rows):
        drawn = [row for row in rows if row.get("curve")]
        threshold_curves(drawn, os.path.join(out_dir, _PLOTS, "wsol_thresholds.png"))
        plots.append(("wsol_thresholds.png", "Box accuracy at IoU 0.5 by threshold"))
    return _section(
        "wsolevaluation",
        "Every entry at its own best threshold, searched in steps of {}. MaxBoxAcc: the largest "
        "contour at IoU 0.5; MaxBoxAccV2: any contour, mean over the IoUs. {}".format(
            protocol["step"], _sentence(protocol.get("geometry"))
        ),
        rows,
        _WSOL_COLUMNS + tuple(sorted(by_iou)),
        plots,
    )


def _section(title, rule, rows, columns, plots):
    return {
        "title": title,
        "rule": rule,
        "headings": [heading for _, heading, _, _ in columns],
        "rows": [
            {"method": row["method"], "layer": row["layer"], "cells": cells}
            for row, cells in zip(rows, best_cells(rows, columns))
        ],
        "plots": [
            {"src": "{}/{}".format(_PLOTS, name), "alt": "{}: {}".format(title, caption)}
            for name, caption in plots
        ],
        "entries": [entry_name(row) for row in rows],
    }


def _picture(out_dir, item):
    path = os.path.join(out_dir, *item["file"].split("/"))
    if not os.path.isfile(path):
        raise UserError("{}: not found, expected a picture of the gallery".format(path))
    probability = item["probability"]
    return {
        # Quoted, since a "#", a "?" or a "%" in a file name means something else in an address.
        "src": quote(item["file"].encode("utf-8", "surrogateescape"), safe="/"),
        "id": item["id"],
        "true_class": item["true_class"],
        "predicted_class": item["predicted_class"],
        "probability": "" if probability is None else "{:.1f} %".format(100 * probability),
        "correct": bool(item["correct"]),
        "ious": [
            {
                "name": name,
                "text": _number(iou, 2),
                "right": iou is not None and iou >= 0.5,
            }
            for name, iou in item["ious"].items()
        ],
    }


def _number(value, decimals):
    if value is None or math.isnan(value):
        return _MISSING
    return "{:.{}f}".format(value, decimals)


def _sentence(text):
    text = (text or "").strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else text + "."
