#!/usr/bin/env python
"""Print the README's result tables, and draw its matrix, from what `benchmarks/localization.py` recorded.

python benchmarks/tables.py benchmarks/results/photos5_vgg.json [--matrix fig/photos5_matrix.png]
"""

import argparse
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.recorded import markdown
from dgl.errors import run_script
from dgl.report.charts import layer_method_matrix, layer_profile

_WSOL, _FIXED = "wsolevaluation", "fixed_threshold"
_COLUMNS = (
    ("GT-known", _FIXED, "gt_known"),
    ("Top-1 Loc", _FIXED, "top1_loc"),
    ("BoxAcc", _WSOL, "box_acc"),
    ("MaxBoxAcc", _WSOL, "max_box_acc"),
    ("MaxBoxAccV2", _WSOL, "max_box_acc_v2"),
)
_WITH_INTERVAL = ("gt_known", "box_acc")


def read(path):
    """A record of `benchmarks/localization.py`."""
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def methods_table(record):
    """Markdown: a row a method, each seed at the layer and threshold selected on the other split.

    Returns:
        str, lines of a Markdown table; the best mean of each column is bold.
    """
    rows = {(p, row["method"]): row for p in (_FIXED, _WSOL) for row in record["chosen"][p]}
    methods = [row["method"] for row in record["chosen"][_WSOL]]
    methods.sort(key=lambda method: -rows[_WSOL, method]["box_acc"]["mean"])
    tests = {
        row["b"]: row
        for row in record["comparisons"][_WSOL]
        if (row["a"], row["figure"]) == ("dgl", "box_acc")
    }
    heading = (
        ["method", "layer by seed"]
        + [title for title, _, _ in _COLUMNS]
        + ["DGL - it, BoxAcc", "p"]
    )
    lines = [heading]
    for method in methods:
        layers = rows[_WSOL, method]["layers"]
        cells = [method, layers[0] if len(set(layers)) == 1 else ", ".join(layers)]
        for _, protocol, figure in _COLUMNS:
            value = rows[protocol, method][figure]
            best = max(row[figure]["mean"] for (p, _), row in rows.items() if p == protocol)
            text = "{:.1f}".format(value["mean"])
            text = f"**{text}**" if text == f"{best:.1f}" else text
            if figure in _WITH_INTERVAL:
                text += " ({:.1f} to {:.1f})".format(*value["interval"])
            cells.append(text)
        test = tests.get(method)
        cells.append("" if test is None else "{:+.1f} ({:+.1f} to {:+.1f})".format(
            test["difference"], *test["interval"]
        ))  # fmt: skip
        cells.append("" if test is None else "{:.3f}".format(test["p_value"]))
        lines.append(cells)
    return markdown(lines)


def seeds_table(record):
    """Markdown: BoxAcc of each seed, by method, for how far trainings lie apart."""
    rows = sorted(record["chosen"][_WSOL], key=lambda row: -row["box_acc"]["mean"])
    heading = ["BoxAcc"] + [f"seed {seed}" for seed in record["seeds"]]
    lines = [heading]
    lines += [[row["method"]] + [f"{v:.1f}" for v in row["box_acc"]["seeds"]] for row in rows]
    return markdown(lines)


def backbones_table(records, methods=("dgl", "cam", "center")):
    """Markdown: a row a backbone and method, for records of the same data."""
    heading = ["backbone", "seeds", "top-1 error", "method", "layer by seed"]
    heading += ["GT-known", "BoxAcc", "MaxBoxAcc", "MaxBoxAccV2"]
    lines = [heading]
    for record in records:
        for method in methods:
            rows = {
                protocol: next(r for r in record["chosen"][protocol] if r["method"] == method)
                for protocol in (_FIXED, _WSOL)
            }
            cells = [record["model"]["mode"], str(len(record["seeds"]))]
            cells += ["{:.1f}".format(record["top1_error"]["mean"]), method]
            cells.append(", ".join(dict.fromkeys(rows[_WSOL]["layers"])))
            for protocol, figure in (
                (_FIXED, "gt_known"),
                (_WSOL, "box_acc"),
                (_WSOL, "max_box_acc"),
                (_WSOL, "max_box_acc_v2"),
            ):
                value = rows[protocol][figure]
                text = "{:.1f}".format(value["mean"])
                if figure in _WITH_INTERVAL:
                    text += " ({:.1f} to {:.1f})".format(*value["interval"])
                cells.append(text)
            lines.append(cells)
    return markdown(lines)


def alpha_table(record):
    """Markdown: MaxBoxAcc at one layer by alpha and gradient."""
    rows = record["alpha"][_WSOL]
    names = [row["method"][len("dgl(pa=") : -1] for row in rows]
    alphas = [name for name in names if not name.endswith(",exact")]
    value = {name: row["max_box_acc"]["mean"] for name, row in zip(names, rows)}
    lines = [["alpha"] + alphas]
    for title, end in (("kernel's gradient", ""), ("exact gradient", ",exact")):
        lines.append([title] + [f"{value[alpha + end]:.1f}" for alpha in alphas])
    return markdown(lines)


def checkpoint_table(metrics):
    """Markdown: a row an entry of one evaluation's `metrics.json`, both protocols side by side."""
    heading = ["method", "layer"]
    heading += ["GT-known", "Top-1 Loc", "MaxBoxAcc", "MaxBoxAccV2", "PxAP"]
    lines = [heading]
    tables = [metrics["protocols"][name]["rows"] for name in (_FIXED, _WSOL)]
    for fixed, wsol in zip(*tables):
        cells = [fixed["method"], fixed["layer"]]
        for row, figure in (
            (fixed, "gt_known"),
            (fixed, "top1_loc"),
            (wsol, "max_box_acc"),
            (wsol, "max_box_acc_v2"),
            (wsol, "pxap"),
        ):
            text = f"{row[figure]:.1f}"
            if figure in ("gt_known", "max_box_acc", "pxap"):
                text += " ({:.1f} to {:.1f})".format(*row[figure + "_interval"])
            cells.append(text)
        lines.append(cells)
    return markdown(lines)


def speed_table(record):
    """Markdown: milliseconds a map of `benchmarks/evaluator_speed.py`."""
    heading = ["maps", "published, MaxBoxAccV2", "here, both figures", "times faster"]
    lines = [[*heading, "published for both / here"]]
    for row in record["rows"]:
        cells = [row["kind"]]
        cells += [f"{row[key]:.1f} ms" for key in ("published_every_ms", "component_trees_ms")]
        for key in ("times_faster_than_published_every", "times_faster_than_both"):
            cells.append("{median:.1f} ({least:.1f} to {most:.1f})".format(**row[key]))
        lines.append(cells)
    return markdown(lines)


def draw_matrix(record, path, figure="max_box_acc"):
    """Draw the layer-by-method matrix of the means over the seeds."""
    rows = [
        dict(method=row["method"], layer=row["layer"], **{figure: row[figure]["mean"]})
        for row in record["matrix"][_WSOL]
    ]
    layer_method_matrix(rows, path, figure)


def _depth(layer):
    """Sorts the layers of an EfficientNet-Lite from the head to the image; others stay as they are."""
    match = re.match(r"block(\d+)(?:_(depthwise|expand))?$", layer)
    if match is None:
        return -1000, 0
    return -int(match.group(1)), (None, "depthwise", "expand").index(match.group(2))


def draw_profile(record, path, methods, figure="max_box_acc"):
    """Draw accuracy by layer, a line a method with its 95 % intervals, without fused layers."""
    rows = [
        {
            "method": row["method"],
            "layer": row["layer"],
            figure: row[figure]["mean"],
            figure + "_interval": row[figure]["interval"],
        }
        for row in record["matrix"][_WSOL]
        if row["method"] in methods and "(" not in row["layer"]
    ]
    rows.sort(key=lambda row: _depth(row["layer"]))
    layer_profile(rows, path, figure, with_bands=True)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "records", nargs="+", help="JSON; of several, one of each backbone, one table"
    )
    parser.add_argument("--matrix", help="PNG to draw")
    parser.add_argument("--profile", help="PNG to draw: accuracy by layer")
    parser.add_argument("--methods", nargs="+", default=["dgl", "layercam", "gradcam", "cam"])
    args = parser.parse_args(argv)
    records = [read(path) for path in args.records]
    if len(records) > 1:
        print(backbones_table(records))
    elif "protocols" in records[0]:
        print(checkpoint_table(records[0]))
    elif "thresholds" in records[0]:
        print(speed_table(records[0]))
    elif _FIXED in records[0]["matrix"]:
        tables = [methods_table(records[0]), seeds_table(records[0]), alpha_table(records[0])]
        print("\n\n".join(tables))
    if args.matrix:
        draw_matrix(records[0], args.matrix)
    if args.profile:
        draw_profile(records[0], args.profile, args.methods)
    return 0


if __name__ == "__main__":
    run_script(main)
