#!/usr/bin/env python
"""Measure which part of an object maps cover, by method and layer, and on which images each method fails.

At the threshold with the best boxes on other images, recall is the part of the true boxes' pixels that a
map marks, precision the part of its marked pixels inside the boxes, and mass the part of the whole map
inside them. Images are then grouped by number of objects, by their size and by mass, and the accuracy of
the largest region's box at IoU 0.5 is told for each group.

    python benchmarks/object_coverage.py --mode efficientnet_lite2 --data ilsvrc --tune-split val \
        --entry cam:head layercam:head dgl:block19 --out benchmarks/results/coverage_ilsvrc.json
"""

import argparse
import json
import os
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.recorded import markdown
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import GEOMETRIES, rgb_to_bgr
from dgl.errors import run_script
from dgl.evaluation.plan import WSOL
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.predict.postprocess import binarize, iou, largest_box, score_map
from dgl.utils.files import write_atomically
from dgl.utils.parallel import chunks_of
from dgl.weights.identify import mode_for

IOU = 0.5
WORST = 12
_BATCH = 8


def raw_maps(predictor, samples):
    """Yields sample, boxes (K, 4) by wsolevaluation's geometry, entry -> raw map, and the boxes' side."""
    for chunk in chunks_of(samples, _BATCH):
        views = [
            GEOMETRIES[WSOL].view(read_image(one.path), one.boxes, predictor.image_size)
            for one in chunk
        ]
        images = rgb_to_bgr(np.stack([view.image for view in views]))
        maps = predictor(images, [one.class_index for one in chunk]).maps
        for index, (sample, view) in enumerate(zip(chunk, views)):
            yield sample, view.boxes, {e: m[index] for e, m in maps.items()}, view.map_size


def score_maps(predictor, samples):
    """Yields sample, boxes and entry -> score map."""
    for sample, boxes, maps, side in raw_maps(predictor, samples):
        yield sample, boxes, {e: score_map(raw, side, side) for e, raw in maps.items()}


def best_thresholds(predictor, samples):
    """Entry -> the threshold at which its largest boxes are right most often at IoU 0.5."""
    evaluators = {entry: MaxBoxAccEvaluator(step=0.01) for entry in predictor.entries}
    for _, boxes, maps in score_maps(predictor, samples):
        for entry, one in maps.items():
            evaluators[entry].add(one, boxes)
    return {entry: found.result()["best_threshold"] for entry, found in evaluators.items()}


def measure(one, boxes, threshold):
    """Recall, precision, mass and IoU of one map against its image's boxes."""
    inside = np.zeros(one.shape, bool)
    for x0, y0, x1, y1 in boxes:
        inside[y0 : y1 + 1, x0 : x1 + 1] = True
    marked = binarize(one, threshold) > 0
    both = (inside & marked).sum()
    return {
        "recall": both / inside.sum(),
        "precision": both / max(1, marked.sum()),
        "mass": one[inside].sum() / max(one.sum(), 1e-12),
        "iou": iou(largest_box(one, threshold), boxes).max(),
    }


def groups(facts, masses):
    """Name -> bool (N,): the images of each group."""
    objects = np.array([fact["objects"] for fact in facts])
    area = np.array([fact["area"] for fact in facts])
    low, high = np.percentile(area, (25, 75))
    found = {
        "all": np.ones(len(facts), bool),
        "one object": objects == 1,
        "several objects": objects > 1,
        "smallest quarter": area <= low,
        "largest quarter": area >= high,
        "half of DGL's map or less on the object": masses <= 0.5,
    }
    return {name: mask for name, mask in found.items() if mask.any()}


def table(record):
    """Markdown: recall, precision and mass of each entry."""
    lines = [["method", "layer", "threshold", "recall", "precision", "mass"]]
    for row in record["rows"]:
        cells = [row["method"], row["layer"], f"{row['threshold']:.2f}"]
        lines.append(cells + [f"{row[name]:.1f}" for name in ("recall", "precision", "mass")])
    return markdown(lines)


def group_table(record):
    """Markdown: accuracy of each entry by group of images."""
    lines = [["images", "number"] + [f"{row['method']} {row['layer']}" for row in record["rows"]]]
    for name, count in record["groups"].items():
        lines.append(
            [name, str(count)] + [f"{row['accuracy'][name]:.1f}" for row in record["rows"]]
        )
    return markdown(lines)


def worst_table(record):
    """Markdown: the images on which the last entry's box is farthest from the truth, with every IoU."""
    entries = [f"{row['method']}:{row['layer']}" for row in record["rows"]]
    lines = [
        ["image", "objects", "object, % of the image", *(e.replace(":", " ") for e in entries)]
    ]
    for one in record["worst"]:
        cells = [os.path.basename(one["id"]), str(one["objects"]), f"{100 * one['area']:.0f}"]
        lines.append(cells + [f"{one[entry]:.2f}" for entry in entries])
    return markdown(lines)


def main(argv=None):
    args = make_parser().parse_args(argv)
    predictor, entries, tuning, reported = opened(args)
    facts, found = [], {entry: [] for entry in entries}
    with predictor:
        thresholds = best_thresholds(predictor, tuning)
        for sample, boxes, maps in score_maps(predictor, reported.samples):
            sides = boxes[:, 2:] - boxes[:, :2] + 1
            area = float(sides.prod(1).max() / next(iter(maps.values())).size)
            facts.append({"id": sample.id, "objects": len(boxes), "area": area})
            for entry in entries:
                found[entry].append(measure(maps[entry], boxes, thresholds[entry]))
    columns = {
        entry: {name: np.array([one[name] for one in own]) for name in own[0]}
        for entry, own in found.items()
    }
    main_entry = entries[-1]
    chosen = groups(facts, columns[main_entry]["mass"])
    rows = []
    for entry, own in columns.items():
        row = {"method": entry[0], "layer": entry[1], "threshold": thresholds[entry]}
        row.update(
            (name, 100 * float(own[name].mean())) for name in ("recall", "precision", "mass")
        )
        row["accuracy"] = {
            name: 100 * float((own["iou"][mask] >= IOU).mean()) for name, mask in chosen.items()
        }
        rows.append(row)
    worst = np.argsort(columns[main_entry]["iou"], kind="stable")[:WORST]
    record = {
        "data": reported.name,
        "mode": predictor.backbone.mode,
        "images": len(facts),
        "rows": rows,
        "groups": {name: int(mask.sum()) for name, mask in chosen.items()},
        "worst": [
            dict(facts[i], **{":".join(e): float(own["iou"][i]) for e, own in columns.items()})
            for i in worst
        ],
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    print(table(record), group_table(record), worst_table(record), sep="\n\n")
    return 0


def make_parser(description=__doc__):
    """The parser of this benchmark and of `normalization.py`."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--load", help="checkpoint (default: the weights of --mode)")
    parser.add_argument("--mode", help="backbone (default: the checkpoint's)")
    parser.add_argument("--data", required=True, help="data set with boxes")
    parser.add_argument("--tune-split", default="train", help="selects the thresholds")
    parser.add_argument("--tune-limit", type=int, default=150, help="of its images, at most")
    parser.add_argument(
        "--entry", nargs="+", required=True, metavar="METHOD:LAYER", help="the last one is DGL's"
    )
    parser.add_argument("--out", required=True, help="record to write")
    return parser


def opened(args):
    """Predictor of the flags' entries, the entries, and the images that select and that report."""
    from dgl.predict.predictor import Predictor

    entries = [tuple(word.split(":")) for word in args.entry]
    mode = args.mode or mode_for(args.load)
    reported = load_data(args.data, "test")
    tuning = load_data(args.data, args.tune_split).samples
    tuning = tuning[:: max(1, len(tuning) // args.tune_limit)]
    predictor = Predictor(mode, args.load or mode, [], [], extra=entries)
    return predictor, entries, tuning, reported


if __name__ == "__main__":
    run_script(main)
