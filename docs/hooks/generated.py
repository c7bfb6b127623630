"""Write the parts of the pages that come from records and code, between two comments each.

    python docs/hooks/generated.py            # writes them anew
    python docs/hooks/generated.py --check    # names the pages that are not up to date

A part begins with ``<!-- generated: NAME ARGUMENTS -->`` and ends with ``<!-- end -->``; NAME is a function
of this module. A test holds the pages to it.
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

_PART = re.compile(r"(<!-- generated: ([^\n]+?) -->\n\n)(.*?)(\n*<!-- end -->)", re.DOTALL)
_WSOL, _FIXED = "wsolevaluation", "fixed_threshold"
_FIGURES = (("BoxAcc", "box_acc"), ("MaxBoxAcc", "max_box_acc"), ("MaxBoxAccV2", "max_box_acc_v2"))
_THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


def table(rows):
    """Lines of a Markdown table; the first row is the heading."""
    rows = [rows[0], ["---"] * len(rows[0])] + rows[1:]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def _record(name):
    path = os.path.join(ROOT, "benchmarks", "results", name + ".json")
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def methods(name, *shown):
    """A row a method at the layer and threshold selected on the other split, means over the seeds."""
    record = _record(name)
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
    record = _record(name)
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
    record = _record(name)
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
            cells += _tested(test)[2:]
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
    for row in _record(name)["matrix"][_WSOL]:
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
    record = _record(name)
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
    rows = [row for row in _record(name)["matrix"][_WSOL] if "(" not in row["layer"]]
    layers = list(dict.fromkeys(row["layer"] for row in rows if row["method"] == "dgl"))
    found = {(row["method"], row["layer"]): row[figure]["mean"] for row in rows}
    lines = [["method", *layers]]
    for method in dict.fromkeys(method for method, layer in found if layer in layers):
        values = [found.get((method, layer)) for layer in layers]
        lines.append([method] + ["" if value is None else f"{value:.1f}" for value in values])
    return table(lines)


def layers(name, method="dgl"):
    """A row a layer: one method's figures by wsolevaluation, means over the seeds; the best are bold."""
    rows = [row for row in _record(name)["matrix"][_WSOL] if row["method"] == method]
    rows = [row for row in rows if "(" not in row["layer"]]
    best = {key: max(row[key]["mean"] for row in rows) for _, key in _FIGURES}
    lines = [["index", "layer"] + [title for title, _ in _FIGURES]]
    for index, row in enumerate(rows):
        cells = [str(index), row["layer"]]
        for _, key in _FIGURES:
            text = "{:.1f}".format(row[key]["mean"])
            cells.append(f"**{text}**" if row[key]["mean"] == best[key] else text)
        lines.append(cells)
    return table(lines)


def backbones(*names):
    """A row a backbone: DGL's BoxAcc from layer 0 to the last one that was measured."""
    records = [_record(name) for name in names]
    found = []
    for record in records:
        rows = [
            r for r in record["matrix"][_WSOL] if r["method"] == "dgl" and "(" not in r["layer"]
        ]
        found.append([row["box_acc"]["mean"] for row in rows])
    count = min(len(values) for values in found)
    lines = [["backbone"] + [str(index) for index in range(count)]]
    for record, values in zip(records, found):
        best = max(values[:count])
        cells = [f"**{v:.1f}**" if v == best else f"{v:.1f}" for v in values[:count]]
        lines.append([record["model"]["mode"]] + cells)
    return table(lines)


def refined(*names):
    """A row a network and method: boxes of a taught head and of the maps that taught it."""
    lines = [["network", "method", "IoU 0.5", "IoU 0.7", "MaxBoxAccV2", "MaxBoxAcc", "BoxAcc"]]
    records = [_record(name) for name in names]
    masks = all("pxap" in record["rows"][0] for record in records)
    lines[0] += ["PxAP"] * masks
    for record in records:
        for row in record["rows"]:
            cells = [record["mode"], row["method"] + (", --flip" if record.get("flip") else "")]
            cells += ["{:.1f}".format(row[key]["mean"]) for key in ("iou_50", "iou_70")]
            cells += [
                "{:.1f} ({:.1f} to {:.1f})".format(row[key]["mean"], *row[key]["interval"])
                for key in ("max_box_acc_v2", "max_box_acc", "box_acc", *["pxap"] * masks)
            ]
            lines.append(cells)
    return table(lines)


def refined_tests(name):
    """A row a comparison of a taught head's method with DGL's maps, by MaxBoxAccV2."""
    return table([["A", "B", "A - B, points", "p"], *map(_tested, _record(name)["comparisons"])])


def _tested(row):
    difference = "{:+.1f} ({:+.1f} to {:+.1f})".format(row["difference"], *row["interval"])
    return [row["a"], row["b"], difference, "{:.3f}".format(row["p_value"])]


def refined_times(*names):
    """A row a network: times over the forward pass."""
    records = [_record(name) for name in names]
    methods = [method for method in records[0]["time_over_forward"] if method != "forward"]
    lines = [["network", *methods]]
    for record in records:
        ratios = record["time_over_forward"]
        lines.append([record["mode"], *(f"{ratios[method]:.2f}" for method in methods)])
    return table(lines)


def teachers(name):
    """A row a method: boxes of its maps and of the head that they taught, tested against DGL's pupil."""
    record = _record(name)
    tests = {row["b"]: row for row in record["comparisons"] if row["a"] == "dgl's pupil"}
    lines = [["teacher", "layer", "IoU 0.5", "0.7", "V2", "pupil: 0.5", "0.7", "V2"]]
    lines[0] += ["DGL's pupil - it, V2", "p"]
    for row in sorted(record["rows"], key=lambda row: -row["pupil"]["max_box_acc_v2"]["mean"]):
        cells = [row["method"], ", ".join(dict.fromkeys(row["layers"]))]
        for kind in ("teacher", "pupil"):
            cells += ["{:.1f}".format(row[kind][key]["mean"]) for key in ("iou_50", "iou_70")]
            v2 = row[kind]["max_box_acc_v2"]
            cells.append("{:.1f} ({:.1f} to {:.1f})".format(v2["mean"], *v2["interval"]))
        test = tests.get(row["method"] + "'s pupil")
        if test is None:
            cells += ["", ""]
        else:
            cells += _tested(test)[2:]
        lines.append(cells)
    ranks = record["rank_correlation"]
    return table(lines) + (
        "\n\nRank correlation (Spearman) of teachers and pupils: "
        f"{ranks['max_box_acc_v2']:.2f} by V2, {ranks['iou_50']:.2f} at IoU 0.5, "
        f"{ranks['iou_70']:.2f} at 0.7."
    )


def _with_interval(row, key):
    return "{:.1f} ({:.1f} to {:.1f})".format(row[key], *row[key + "_interval"])


def label_boxes(*names):
    """A row a run of `dgl label`: its boxes and confidences beside the true boxes."""
    heading = ["data", "method", "labels", "masks", "IoU 0.5", "IoU 0.7", "calibration error"]
    lines = [[*heading, "IoU 0.5, more and less certain half"]]
    for name in names:
        record = _record(name)
        for row in record["rows"]:
            options, network = row["options"], row["network"]
            cells = [record["data"], network["method"] + (", --flip" if network["flip"] else "")]
            cells += ["predicted" if options["predict"] else "known"]
            cells += ["refined" if options["masks"] else "no"]
            cells += [_with_interval(row, key) for key in ("iou_0.5", "iou_0.7")]
            halves = [row.get(f"right_of_{half}_half") for half in ("confident", "other")]
            error = row.get("expected_calibration_error")
            cells += ["-"] if error is None else [f"{error:.3f}"]
            cells += ["-"] if error is None else ["{:.1f}, {:.1f}".format(*halves)]
            lines.append(cells)
    return table(lines)


def label_masks(*names):
    """A row a network: IoU of the map's region and of the refined mask with the true mask."""
    lines = [["network", "images", "map's region", "refined"]]
    for name in names:
        for row in _record(name)["rows"]:
            cells = [row["mode"], str(row["images"])]
            lines.append(cells + [_with_interval(row, key) for key in ("before", "after")])
    return table(lines)


def label_detector(name):
    """A row a source of training boxes: figures of the regressor trained on them."""
    lines = [
        ["trained on", "of these right", "IoU 0.5", "IoU 0.7", "mean IoU", "of full supervision"]
    ]
    for row in _record(name)["rows"]:
        cells = [row["trained_on"], "{:.1f}".format(row["labels_right"])]
        cells += [_with_interval(row, key) for key in ("iou_0.5", "iou_0.7")]
        cells += ["{:.1f}".format(row["mean_iou"]), _with_interval(row, "of_full_supervision")]
        lines.append(cells)
    return table(lines)


def thresholds(name):
    """A row a threshold: BoxAcc of every entry of one evaluation."""
    rows = _record(name)["protocols"][_WSOL]["rows"]
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
    for row in LITERATURE:
        known = "" if row.gt_known is None else f"{row.gt_known:.1f}"
        lines.append([row.method, row.backbone, row.data_set, f"{row.top1_loc:.1f}", known])
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

    records = [_record(name) for name in names]
    return getattr(tables, kind + "_table")(records[0] if len(records) == 1 else records)


def benchmark(module, name, kind="table"):
    """A table that a benchmark makes of its own record."""
    return getattr(importlib.import_module("benchmarks." + module), kind)(_record(name))


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
