"""Write the parts of the pages that come from records and code, between two comments each.

    python docs/hooks/generated.py            # writes them anew
    python docs/hooks/generated.py --check    # names the pages that are not up to date

A part begins with ``<!-- generated: NAME ARGUMENTS -->`` and ends with ``<!-- end -->``; NAME is a function
of this module or imported here. A test holds the pages to it.
"""

import argparse
import glob
import importlib
import json
import os
import re
import sys

HOOKS = os.path.dirname(os.path.abspath(__file__))
DOCS = os.path.dirname(HOOKS)
ROOT = os.path.dirname(DOCS)
sys.path[:0] = [ROOT, HOOKS]

from head_and_label_tables import (  # noqa: F401
    label_boxes,
    label_detector,
    label_masks,
    refined,
    refined_tests,
    refined_times,
    teachers,
)
from records import record_of, table, tested

_PART = re.compile(r"(<!-- generated: ([^\n]+?) -->\n\n)(.*?)(\n*<!-- end -->)", re.DOTALL)
_WSOL, _FIXED = "wsolevaluation", "fixed_threshold"
_FIGURES = (("BoxAcc", "box_acc"), ("MaxBoxAcc", "max_box_acc"), ("MaxBoxAccV2", "max_box_acc_v2"))
_IMAGES = {"cub20": "birds", "ILSVRC": "ILSVRC"}
_THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


def methods(name, *shown):
    """A row a method at the layer and threshold selected on the other split, means over the seeds."""
    record = record_of(name)
    lines = [["method", "GT-known", "BoxAcc", "MaxBoxAcc", "MaxBoxAccV2"]]
    for method in shown:
        rows = {
            protocol: next(row for row in record["chosen"][protocol] if row["method"] == method)
            for protocol in (_FIXED, _WSOL)
        }
        cells = [method]
        for figure, protocol in (("gt_known", _FIXED), ("box_acc", _WSOL)):
            value = rows[protocol][figure]
            cells.append("{:.1f} ({:.1f} to {:.1f})".format(value["mean"], *value["interval"]))
        for figure in ("max_box_acc", "max_box_acc_v2"):
            cells.append("{:.1f}".format(rows[_WSOL][figure]["mean"]))
        lines.append(cells)
    return table(lines)


def _taught_row(method, name):
    record = record_of(name)
    row = next(row for row in record["rows"] if row["method"] == method)
    cells = [method, f"head taught by {record['teacher']}"]
    cells.append(
        "{:.1f} ({:.1f} to {:.1f})".format(row["box_acc"]["mean"], *row["box_acc"]["interval"])
    )
    cells += ["{:.1f}".format(row[f"iou_{iou}"]["mean"]) for iou in ("30", "50", "70")]
    v2 = row["max_box_acc_v2"]
    return [*cells, "{:.1f} ({:.1f} to {:.1f})".format(v2["mean"], *v2["interval"]), "", ""]


def photographs(name, *shown):
    """A row a method of a study of photographs, at the layer and threshold selected on other images.

    ``shown`` are methods, by default all; DGL's difference from the others is tested. ``METHOD@RECORD`` is
    a method of a head that `dgl refine` taught, from a record of `benchmarks/refine.py`.
    """
    record = record_of(name)
    taught = [_taught_row(*entry.split("@")) for entry in shown if "@" in entry]
    rows = [row for row in record["chosen"][_WSOL] if not shown or row["method"] in shown]
    rows.sort(key=lambda row: -row["max_box_acc_v2"]["mean"])
    tests = {
        row["b"]: row
        for row in record["comparisons"][_WSOL]
        if (row["a"], row["figure"]) == ("dgl", "max_box_acc_v2")
    }
    lines = [["method", "layer", "BoxAcc", "IoU 0.3", "0.5", "0.7", "MaxBoxAccV2"]]
    lines[0] += ["DGL - it, V2", "p"]
    for row in rows:
        own, v2, test = row["box_acc"], row["max_box_acc_v2"], tests.get(row["method"])
        cells = [row["method"], ", ".join(dict.fromkeys(row["layers"]))]
        cells.append("{:.1f} ({:.1f} to {:.1f})".format(own["mean"], *own["interval"]))
        cells += [f"{row['per_iou'][iou]:.1f}" for iou in ("30", "50", "70")]
        cells.append("{:.1f} ({:.1f} to {:.1f})".format(v2["mean"], *v2["interval"]))
        if test is None:
            cells += ["", ""]
        else:
            cells += tested(test)[2:]
        lines.append(cells)
    lines[1:1] = taught
    if shown:
        return table(lines)
    errors = ", ".join(f"{value:.1f}" for value in record["top1_error"]["seeds"])
    return table(lines) + f"\n\nTop-1 error of the classifier: {errors} %."


_KINDS = (
    ("head, not negative", r"head"),
    ("block outputs, signed", r"block\d+"),
    ("expansions, not negative", r"block\d+_expand"),
    ("depthwise, not negative", r"block\d+_depthwise"),
)


def layer_kinds(name):
    """A row a method: its best MaxBoxAccV2 among the layers of each kind of an EfficientNet-Lite."""
    found = {}
    for row in record_of(name)["matrix"][_WSOL]:
        for kind, pattern in _KINDS:
            if re.fullmatch(pattern, row["layer"]):
                best = found.setdefault(row["method"], {})
                value = (row["max_box_acc_v2"]["mean"], row["layer"])
                best[kind] = max(best.get(kind, value), value)
    lines = [["method"] + [kind for kind, _ in _KINDS]]
    for method, best in found.items():
        cells = ["{:.1f} ({})".format(*best[kind]) if kind in best else "" for kind, _ in _KINDS]
        lines.append([method] + cells)
    return table(lines)


def mosaics(name):
    """A row an entry of an evaluation with mosaics: boxes beside how well classes are told apart."""
    record = record_of(name)
    boxes = {(row["method"], row["layer"]): row for row in record["protocols"][_WSOL]["rows"]}
    lines = [["method", "layer", "MaxBoxAcc", "MaxBoxAccV2", "share", "positive share", "hit"]]
    for row in record["mosaic"]["rows"]:
        box = boxes[row["method"], row["layer"]]
        cells = [row["method"], row["layer"]]
        cells += [f"{box[figure]:.1f}" for figure in ("max_box_acc", "max_box_acc_v2")]
        cells.append("{:.1f} ({:.1f} to {:.1f})".format(row["share"], *row["share_interval"]))
        cells += [f"{row[figure]:.1f}" for figure in ("positive_share", "hit")]
        lines.append(cells)
    return table(lines)


def layer_rows(name, figure="max_box_acc"):
    """A row a method, a column a layer: means over the seeds of one figure; fused layers left out."""
    rows = [row for row in record_of(name)["matrix"][_WSOL] if "(" not in row["layer"]]
    layers = list(dict.fromkeys(row["layer"] for row in rows if row["method"] == "dgl"))
    found = {(row["method"], row["layer"]): row[figure]["mean"] for row in rows}
    lines = [["method", *layers]]
    for method in dict.fromkeys(method for method, layer in found if layer in layers):
        values = [found.get((method, layer)) for layer in layers]
        lines.append([method] + ["" if value is None else f"{value:.1f}" for value in values])
    return table(lines)


def layers(*names):
    """A row a layer: DGL's BoxAcc and MaxBoxAccV2 in each record of one backbone; the best are bold.

    Layers inside blocks and fused layers are left out.
    """
    from dgl.backbones import get_backbone

    records = [record_of(name) for name in names]
    (mode,) = {record["model"]["mode"] for record in records}
    order = get_backbone(mode).layers
    lines, columns = [["index", "layer"]], []
    for record in records:
        rows = {row["layer"]: row for row in record["matrix"][_WSOL] if row["method"] == "dgl"}
        for title, key in (_FIGURES[0], _FIGURES[2]):
            shown = [layer for layer in order if layer in rows and _is_output(layer, order)]
            lines[0].append(f"{_IMAGES[record['data']['name']]}, {title}")
            columns.append({layer: rows[layer][key]["mean"] for layer in shown})
    for index, layer in enumerate(order):
        values = [column.get(layer) for column in columns]
        if any(value is not None for value in values):
            cells = [str(index), layer]
            for value, column in zip(values, columns):
                text = "" if value is None else f"{value:.1f}"
                cells.append(f"**{text}**" if value == max(column.values()) else text)
            lines.append(cells)
    return table(lines)


def _is_output(layer, order):
    """Whether a layer is not inside a block, as ``block3_expand`` is."""
    return layer.rpartition("_")[0] not in order


def selected(*names):
    """A row a study: the layer and threshold that were selected for DGL on other images."""
    lines = [["network", "images", "`--normalize`", "layer", "threshold", "BoxAcc"]]
    for name in names:
        record = record_of(name)
        row = next(row for row in record["chosen"][_WSOL] if row["method"] == "dgl")
        cells = [*_setting(name), ", ".join(dict.fromkeys(row["layers"]))]
        ends = sorted({min(row["thresholds"]), max(row["thresholds"])})
        cells.append(" to ".join(f"{value:g}" for value in ends))
        own = row["box_acc"]
        cells.append("{:.1f} ({:.1f} to {:.1f})".format(own["mean"], *own["interval"]))
        lines.append(cells)
    return table(lines)


def fused(*names):
    """A row a study: DGL's BoxAcc at its best single layer and at each fusion of layers."""
    lines = [["network", "images", "`--normalize`", "best single layer", "fused layers"]]
    for name in names:
        record = record_of(name)
        rows = [row for row in record["matrix"][_WSOL] if row["method"] == "dgl"]
        rows.sort(key=lambda row: -row["box_acc"]["mean"])
        texts = ["{:.1f} {}".format(row["box_acc"]["mean"], row["layer"]) for row in rows]
        lines.append([*_setting(name), next(t for t in texts if "(" not in t)])
        lines[-1].append(", ".join(text for text in texts if "(" in text))
    return table(lines)


def _setting(name):
    """Network, images and normalization of a study."""
    record = record_of(name)
    normalization = "pas" if name.endswith("_pas") else "minmax"
    return [record["model"]["mode"], _IMAGES[record["data"]["name"]], normalization]


def thresholds(name):
    """A row a threshold: BoxAcc of every entry of one evaluation."""
    rows = record_of(name)["protocols"][_WSOL]["rows"]
    lines = [["threshold"] + ["{} {}".format(row["method"], row["layer"]) for row in rows]]
    for threshold in _THRESHOLDS:
        cells = [f"{threshold:g}"]
        for row in rows:
            place = min(
                range(len(row["thresholds"])), key=lambda i: abs(row["thresholds"][i] - threshold)
            )
            cells.append("{:.1f}".format(row["curve"][place]))
        lines.append(cells)
    best = ["best ({:g})".format(round(row["best_threshold"], 3)) for row in rows]
    lines.append(
        ["best of all (where)"]
        + ["{:.1f} ({})".format(row["max_box_acc"], b[6:-1]) for row, b in zip(rows, best)]
    )
    return table(lines)


def literature():
    """Published results, as `dgl.report.page` has them."""
    from dgl.report.page import LITERATURE

    lines = [["method", "backbone", "data set", "Top-1 Loc", "GT-known"]]
    for *names, top1_loc, gt_known in LITERATURE:
        known = "" if gt_known is None else f"{gt_known:.1f}"
        lines.append([*names, f"{top1_loc:.1f}", known])
    return table(lines)


def speed():
    """Times of other tools over DGL's at conv5_2, batch 8, from the speed benchmark."""
    with open(os.path.join(ROOT, "benchmarks", "results.json"), encoding="utf-8") as stream:
        rows = json.load(stream)["sections"]["peers"]["rows"]
    lines = [["times as long as DGL, conv5_2", "batch 8", "batch 1"]]
    names = []
    for row in rows:
        if row["layer"] == "conv5_2" and row["name"].endswith(" / DGL") and "ratio" in row:
            name = row["name"][: -len(" / DGL")]
            if not name.startswith("DGL") and name not in names:
                names.append(name)
    for name in names:
        cells = [name]
        for batch in (8, 1):
            ratio = next(
                row["ratio"]
                for row in rows
                if (row["name"], row["layer"], row["batch"]) == (name + " / DGL", "conv5_2", batch)
            )
            cells.append("{median:.2f} ({least:.2f} to {most:.2f})".format(**ratio))
        lines.append(cells)
    return table(lines)


def recorded(kind, *names):
    """A table of `benchmarks/tables.py`: checkpoint, methods, seeds, backbones, alpha or speed."""
    from benchmarks import tables

    records = [record_of(name) for name in names]
    return getattr(tables, kind + "_table")(records[0] if len(records) == 1 else records)


def benchmark(module, name, kind="table"):
    """A table that a benchmark makes of its own record."""
    return getattr(importlib.import_module("benchmarks." + module), kind)(record_of(name))


def section(name):
    """The tables of one section of the speed benchmark."""
    from benchmarks.speed import record, sections

    measured = record.read(os.path.join(ROOT, "benchmarks", "results.json"))
    return sections.load(name).table(measured[name])


def commands():
    """The reference of the `dgl` command, from its parsers."""
    import command_line

    return command_line.reference()


def fill(text):
    """A page's text with every generated part made anew."""

    def make(match):
        words = match.group(2).split()
        maker = globals().get(words[0])
        if maker is None:
            raise ValueError(f"no generated part is called {words[0]}")
        return match.group(1) + maker(*words[1:]).strip("\n") + "\n\n<!-- end -->"

    return _PART.sub(make, text)


def pages():
    """Paths of all pages with generated parts."""
    found = sorted(glob.glob(os.path.join(DOCS, "*.md"))) + [os.path.join(ROOT, "README.md")]
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if stale")
    check = parser.parse_args(argv).check
    stale = []
    for path in pages():
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        filled = fill(text)
        if filled != text:
            stale.append(os.path.relpath(path, ROOT))
            if not check:
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write(filled)
    for path in stale:
        print(path)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
