#!/usr/bin/env python
"""Measure what `dgl refine` brings: boxes of the taught head beside those of the maps that taught it.

Each checkpoint (one a seed) is taught by its training images without their boxes and measured on the other
split. The threshold of BoxAcc is selected on the boxes of every fifth training image. A checkpoint that is
there already is not taught again.

    python benchmarks/refine.py --load lite2_s1 lite2_s2 lite2_s3 --data cub20 --work refined \
        --out benchmarks/results/refine_lite2.json
"""

import argparse
import json
import os
import resource
import sys
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.replicates import Replicates
from dgl.data.annotations import read_mask
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import GEOMETRIES, WSOL_MAP_SIZE, rgb_to_bgr
from dgl.errors import run_script
from dgl.evaluation.plan import WSOL
from dgl.metrics.bootstrap import compare, intervals
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator
from dgl.predict.postprocess import MINMAX, parse_normalization, score_map
from dgl.utils.files import write_atomically
from dgl.utils.parallel import chunks_of
from dgl.weights.identify import mode_for

METHODS = ("dgl", "refined", "foreground")
# DGL's map has a second row with the default networks' normalization, which finds more.
ROWS = {
    "dgl": ("dgl", MINMAX),
    "dgl, pas": ("dgl", parse_normalization("pas")),
    "refined": ("refined", MINMAX),
    "foreground": ("foreground", MINMAX),
}
TAUGHT = ("refined", "foreground")
RUNS = 30
FIGURE = "max_box_acc_v2"


def taught(load, data, out, seed, flags):
    """Teach a checkpoint unless it is there; returns the facts of the teaching."""
    facts = out[: -len(".npz")] + ".teaching.json"
    if not os.path.exists(facts):
        from dgl.training.refine import refine

        dataset = load_data(data, flags.train_split, with_boxes=False)
        start, cpu = time.perf_counter(), time.process_time()
        refined = refine(load, dataset, out, seed=seed, method=flags.teacher, layer=flags.layer)
        found = {
            "seconds": time.perf_counter() - start,
            "processor_seconds": time.process_time() - cpu,
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "images": refined.images,
            "without_object": refined.without_object,
            "layers": list(refined.layers),
        }
        write_atomically(facts, json.dumps(found).encode("utf-8"))
    with open(facts, encoding="utf-8") as stream:
        return json.load(stream)


def measure(predictor, samples, thresholds=None):
    """(row -> evaluator of boxes, row -> evaluator of masks) of its maps of the true classes.

    The geometry is wsolevaluation's; without masks the second is empty.
    """
    thresholds = thresholds or {}
    found = {name: MaxBoxAccEvaluator(operating_threshold=thresholds.get(name)) for name in ROWS}
    pixels = {name: PixelApEvaluator() for name in ROWS if any(one.mask_paths for one in samples)}
    for chunk in chunks_of(samples, 8):
        views = [
            GEOMETRIES[WSOL].view(read_image(one.path), one.boxes, predictor.image_size)
            for one in chunk
        ]
        images = rgb_to_bgr(np.stack([view.image for view in views]))
        maps = predictor(images, [one.class_index for one in chunk]).maps
        own = {method: raw for (method, _), raw in maps.items()}
        ids, boxes = [one.id for one in chunk], [view.boxes for view in views]
        for name, (method, rule) in ROWS.items():
            scores = [
                score_map(m, v.map_size, v.map_size, rule) for m, v in zip(own[method], views)
            ]
            found[name].add(scores, boxes, ids)
            if pixels:
                pixels[name].add(scores, [_mask(one) for one in chunk], ids)
    return found, pixels


def _mask(sample):
    if not sample.mask_paths:
        return None
    return read_mask(sample.mask_paths, sample.ignore_path, WSOL_MAP_SIZE)


def times(predictor):
    """Method -> shortest time of a batch of 8 over that of the logits alone."""
    size = predictor.image_size
    images = np.random.RandomState(0).randint(0, 256, (8, size, size, 3)).astype("uint8")
    wanted = {"forward": []}
    wanted.update((entry[0], [entry]) for entry in predictor.entries)
    seconds = {name: [] for name in wanted}
    for _ in range(RUNS):
        for name, entries in wanted.items():
            start = time.perf_counter()
            predictor(images, [0] * 8, entries)
            seconds[name].append(time.perf_counter() - start)
    shortest = {name: min(own) for name, own in seconds.items()}
    return {name: own / shortest["forward"] for name, own in shortest.items()}


def main(argv=None):
    """Teach and measure every checkpoint; writes the record."""
    args = make_parser().parse_args(argv)
    from dgl.predict.predictor import Predictor

    os.makedirs(args.work, exist_ok=True)
    train, test = load_data(args.data, args.train_split), load_data(args.data, "test")
    seeds, masks, teachings, selected = [], [], [], []
    for seed, load in enumerate(args.load, 1):
        name = os.path.basename(os.path.normpath(load)) + f"_{args.teacher}.npz"
        out = os.path.join(args.work, name)
        teachings.append(taught(load, args.data, out, seed, args))
        mode = mode_for(out)
        with Predictor(mode, out, [args.layer], METHODS, flip=args.flip) as predictor:
            tuned, _ = measure(predictor, train.samples[::5])
            best = {method: own.result()["best_threshold"] for method, own in tuned.items()}
            selected.append(best)
            boxes, pixels = measure(predictor, test.samples, best)
            seeds.append(boxes)
            masks.append(pixels)
            if seed == len(args.load):
                ratios = times(predictor)
        print(name, {m: e.result()["max_box_acc_v2_per_iou"] for m, e in seeds[-1].items()}, best)
    record = {
        "data": test.name,
        "train_split": args.train_split,
        "images": len(test),
        "mode": mode,
        "teacher": args.teacher,
        "layer": args.layer,
        "flip": args.flip,
        "teaching": teachings,
        "time_over_forward": ratios,
        "rows": [row(name, seeds, selected, args.resamples, masks) for name in ROWS],
        "comparisons": [
            compare(_each(seeds, head), _each(seeds, name), FIGURE, args.resamples).record(
                head, name, FIGURE
            )
            for head in TAUGHT
            for name in ROWS
            if name not in TAUGHT
        ],
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    return 0


def _each(seeds, name):
    return Replicates([found[name] for found in seeds])


def row(method, seeds, selected, resamples, masks=()):
    """The figures of one row: mean, each seed's own, and the interval of the mean over images."""
    row = {"method": method, "thresholds": [best[method] for best in selected]}
    for both in [_each(found, method) for found in (seeds, masks) if all(found) and found]:
        ranges = intervals(both, resamples)
        for figure, values in both.each().items():
            row[figure] = {
                "mean": float(np.mean(values)),
                "seeds": values,
                "interval": list(ranges[figure]),
            }
    per_iou = [found[method].result()["max_box_acc_v2_per_iou"] for found in seeds]
    for iou in per_iou[0]:
        values = [own[iou] for own in per_iou]
        row["iou_" + iou] = {"mean": float(np.mean(values)), "seeds": values}
    return row


def parser_of(description):
    """The flags that the benchmarks of `dgl refine` share."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--load", nargs="+", required=True, help="checkpoints, one a seed")
    parser.add_argument("--data", required=True, help="data set with boxes")
    parser.add_argument("--train-split", default="train", help="teaches, and selects thresholds")
    parser.add_argument("--work", required=True, help="folder for what is computed and taught")
    parser.add_argument("--out", required=True, help="record to write")
    parser.add_argument("--resamples", type=int, default=1000)
    return parser


def make_parser():
    parser = parser_of(__doc__)
    parser.add_argument("--teacher", default="dgl", help="method of the maps that teach")
    parser.add_argument("--layer", required=True, help="layer of all maps")
    parser.add_argument(
        "--flip", action="store_true", help="average maps with those of the mirrored image"
    )
    return parser


if __name__ == "__main__":
    run_script(main)
