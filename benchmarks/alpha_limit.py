#!/usr/bin/env python
"""Compare maps and boxes at finite alpha with those at infinite alpha, layer by layer.

python benchmarks/alpha_limit.py --load dgl/pretrained/birds_vgg.npz --data data/birds \
    --out benchmarks/results/alpha_limit_birds.json
python benchmarks/alpha_limit.py --table benchmarks/results/alpha_limit_birds.json
"""

import argparse
import json
import os
import sys

import numpy as np
from tqdm import tqdm

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.recorded import shown
from dgl.data import load_data, read_image
from dgl.data.views import GEOMETRIES
from dgl.errors import UserError, run_script
from dgl.evaluation.plan import WSOL
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.predict import postprocess
from dgl.utils.files import write_atomically
from dgl.utils.table import format_table

ALPHAS = ("1", "3", "10", "30", "100")
LIMIT = "inf"
BATCH = 16


def distance(raw, limit):
    """Largest and mean difference of two maps, each min-max normalized at the layer's resolution."""
    difference = np.abs(postprocess.normalize(raw) - postprocess.normalize(limit))
    return float(difference.max()), float(difference.mean())


def measure(predictor, samples, layers, alphas):
    """One row a layer and alpha.

    Args:
        predictor: its maps are ``dgl(pa=ALPHA)`` for every alpha and :data:`LIMIT`, at every layer.
        samples: images with boxes.
        layers: names.
        alphas: texts.

    Returns:
        list of ordered dicts: ``layer``, ``alpha``, ``max_box_acc``, and the median and the largest over
        images of the largest difference, with the mean of the mean one.
    """
    names = {alpha: f"dgl(pa={alpha})" for alpha in list(alphas) + [LIMIT]}
    boxes = {(layer, alpha): MaxBoxAccEvaluator(0.01) for layer in layers for alpha in names}
    apart = {(layer, alpha): [] for layer in layers for alpha in alphas}
    for start in tqdm(range(0, len(samples), BATCH), unit=" batches", desc="alpha"):
        batch = samples[start : start + BATCH]
        views = [
            GEOMETRIES[WSOL].view(read_image(sample.path), sample.boxes, predictor.image_size)
            for sample in batch
        ]
        images = np.stack([view.image[..., ::-1] for view in views])
        maps = predictor(images, [sample.class_index for sample in batch]).maps
        for (layer, alpha), evaluator in boxes.items():
            raw = maps[names[alpha], layer]
            score_maps = [
                postprocess.normalize(postprocess.score_map(one, v.map_size, v.map_size))
                for one, v in zip(raw, views)
            ]
            evaluator.add(score_maps, [view.boxes for view in views])
            if alpha != LIMIT:
                limit = maps[names[LIMIT], layer]
                apart[layer, alpha].extend(distance(*pair) for pair in zip(raw, limit))
    rows = []
    for (layer, alpha), evaluator in boxes.items():
        row = {"layer": layer, "alpha": alpha}
        row["max_box_acc"] = round(evaluator.result()["max_box_acc"], 2)
        if alpha != LIMIT:
            largest, mean = np.transpose(apart[layer, alpha])
            row["median_largest_difference"] = round(float(np.median(largest)), 5)
            row["most_largest_difference"] = round(float(largest.max()), 5)
            row["mean_difference"] = round(float(mean.mean()), 6)
        rows.append(row)
    return rows


def table(record, alpha="10"):
    """Markdown: a row a layer, maps at one alpha against those at infinity."""
    rows = {(row["layer"], row["alpha"]): row for row in record["rows"]}
    lines = [
        f"| layer | median | largest | mean | MaxBoxAcc at {alpha} | at inf |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for layer in dict.fromkeys(row["layer"] for row in record["rows"]):
        row, limit = rows[layer, alpha], rows[layer, LIMIT]
        lines.append(
            "| {} | {:.5f} | {:.3f} | {:.5f} | {:.1f} | {:.1f} |".format(
                layer,
                row["median_largest_difference"],
                row["most_largest_difference"],
                row["mean_difference"],
                row["max_box_acc"],
                limit["max_box_acc"],
            )
        )
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", help="measure nothing; print the table of this record")
    parser.add_argument("--load", help="checkpoint")
    parser.add_argument("--data", help="data set with boxes")
    parser.add_argument("--data-format", help="its layout, if not recognized")
    parser.add_argument("--split", default="test", help="its split")
    parser.add_argument("--mode", default="vgg", help="backbone")
    parser.add_argument("--clayer", nargs="+", default=["0-8"], help="layers")
    parser.add_argument("--alphas", nargs="+", default=list(ALPHAS), help="values of --pa")
    parser.add_argument("--out", help="the JSON to write")
    args = parser.parse_args(argv)
    if shown(args, table):
        return 0
    dataset = load_data(args.data, args.split, None, args.data_format)
    samples = [sample for sample in dataset.samples if sample.boxes]
    if not samples:
        raise UserError(f"--data {args.data}: no image has a box")
    from dgl.predict.predictor import Predictor

    methods = [f"dgl(pa={alpha})" for alpha in args.alphas + [LIMIT]]
    with Predictor(args.mode, args.load, args.clayer, methods) as predictor:
        layers = list(dict.fromkeys(layer for _, layer in predictor.entries))
        rows = measure(predictor, samples, layers, args.alphas)
    record = {
        "command": "python benchmarks/alpha_limit.py " + " ".join(argv or sys.argv[1:]),
        "data": dataset.name,
        "images": len(samples),
        "mode": args.mode,
        "rows": rows,
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    print(format_table(rows, digits=4))
    return 0


if __name__ == "__main__":
    run_script(main)
