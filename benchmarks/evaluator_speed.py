#!/usr/bin/env python
"""Time the exact MaxBoxAcc hits of a map against the published procedure, a mask for each threshold.

Every way is timed in turn on the same map, in processor time of one thread, which other programs on
the machine disturb least; and all have to agree on every threshold.

    python benchmarks/evaluator_speed.py --data ../shared/data/cub20 \
        --out benchmarks/results/evaluator_speed.json
"""

import argparse
import json
import os
import platform
import sys
import time

import cv2
import numba
import numpy as np
from tqdm import tqdm

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.speed.spread import spread
from benchmarks.tables import speed_table
from dgl.errors import UserError, run_script
from dgl.metrics.box_hits import box_hits
from dgl.predict import postprocess
from dgl.utils.files import write_atomically

COMMAND = (
    "python benchmarks/evaluator_speed.py --data ../shared/data/cub20 "
    "--out benchmarks/results/evaluator_speed.json"
)
SIZE = 224
THRESHOLDS = np.arange(0, 1, 0.001)
IOUS = np.array([0.3, 0.5, 0.7])
LARGEST_IOU = 0.5
MODE = "efficientnet_lite2"
LAYERS = ("head", "block20", "block14", "block10")
IMAGES = 12  # of real maps
GRIDS = (7, 14, 28, 56)
NOISE_MAPS = 1  # it takes many seconds to trace


def _published(score_map, true_boxes, every):
    """One run of wsolevaluation's evaluator, step by step as it is published, in own words.

    A mask, its contours and an array of boxes for each threshold; all boxes then against the true ones;
    and for each threshold the best of its part of all boxes' best overlaps.

    Returns:
        float64 (T,): the best overlap at each threshold, of the largest contour or of ``every``.
    """
    if np.isnan(score_map).any() or score_map.min() < 0 or score_map.max() > 1:
        raise UserError("expected a map from 0 to 1")
    height, width = score_map.shape
    image = (255 * score_map).astype(np.uint8)[..., np.newaxis]
    found, counts = [], []
    for threshold in THRESHOLDS:
        level = int(threshold * np.max(image))
        mask = cv2.threshold(image, level, 255, cv2.THRESH_BINARY)[1]
        contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
        if contours and not every:
            contours = [max(contours, key=cv2.contourArea)]
        boxes = []
        for contour in contours:
            left, top, wide, high = cv2.boundingRect(contour)
            boxes.append([left, top, min(left + wide, width - 1), min(top + high, height - 1)])
        found.append(np.array(boxes or [[0, 0, 0, 0]]))
        counts.append(len(found[-1]))
    overlap = postprocess.iou(np.concatenate(found), true_boxes)
    best, start = [], 0
    for count in counts:
        best.append(max(overlap.max(1)[start : start + count]))
        start += count
    return np.array(best)


def published_largest(score_map, true_boxes):
    """The published procedure for MaxBoxAcc, the largest contour of each mask."""
    return _published(score_map, true_boxes, False) >= LARGEST_IOU, None


def published_every(score_map, true_boxes):
    """The published procedure for MaxBoxAccV2, every contour of each mask."""
    best = _published(score_map, true_boxes, True)
    return None, best >= IOUS[:, np.newaxis]


def distinct_masks(score_map, true_boxes):
    """Each distinct mask traced once."""
    image, levels, mask_of = postprocess.distinct_masks(score_map, THRESHOLDS)
    boxes, starts, largest = postprocess.trace_levels(image, levels)
    overlap = postprocess.iou(boxes, true_boxes).max(axis=1)
    best = np.maximum.reduceat(overlap, starts) >= IOUS[:, np.newaxis]
    return (overlap[largest] >= LARGEST_IOU)[mask_of], best[:, mask_of]


def component_trees(score_map, true_boxes):
    """The package's own way."""
    return box_hits(score_map, THRESHOLDS, true_boxes, IOUS, LARGEST_IOU)


WAYS = (published_largest, published_every, distinct_masks, component_trees)


def measure(maps, boxes, rounds):
    """Time every way on the maps of a kind, one way after the other in each round.

    Args:
        maps: score maps.
        boxes: true boxes of each.
        rounds: int.

    Returns:
        list (maps, 4) of median seconds, in the order of :data:`WAYS`.

    Raises:
        UserError: two ways differ.
    """
    seconds = np.zeros((rounds, len(WAYS), len(maps)))
    for own in seconds:
        hits = [[None, None] for _ in maps]
        for way, times in zip(WAYS, own):
            for index, (score_map, true_boxes) in enumerate(zip(maps, boxes)):
                start = time.thread_time()
                found = way(score_map, true_boxes)
                times[index] = time.thread_time() - start
                for part, part_found in enumerate(found):
                    if hits[index][part] is None:
                        hits[index][part] = part_found
                    elif part_found is not None and (hits[index][part] != part_found).any():
                        raise UserError(f"{way.__name__}: hits differ from the published ones")
    return np.median(seconds, axis=0).T.tolist()


def _upsampled(raw):
    return postprocess.normalize(postprocess.score_map(raw, SIZE, SIZE))


def random_maps(maps):
    """kind -> list of maps from random grids, as they are and blurred by one cell, and of noise."""
    kinds = {}
    for grid in GRIDS:
        for name, blur in (("{0}x{0} blurred", 1.0), ("{0}x{0} random", 0)):
            rng = np.random.RandomState(grid)
            grids = rng.uniform(size=(maps, grid, grid)).astype(np.float32)
            if blur:
                grids = [cv2.GaussianBlur(raw, (0, 0), blur) for raw in grids]
            kinds[name.format(grid)] = [_upsampled(raw) for raw in grids]
    noise = np.random.RandomState(0).uniform(size=(min(maps, NOISE_MAPS), SIZE, SIZE))
    kinds["noise"] = [postprocess.normalize(raw) for raw in noise.astype(np.float32)]
    return kinds


def real_maps(data, load):
    """kind -> list of maps of a checkpoint, by default the ImageNet weights, one an image."""
    from dgl.data import read_image
    from dgl.data.layouts import load_data
    from dgl.data.views import demo_input
    from dgl.predict.predictor import Predictor
    from dgl.weights.identify import default_weights

    samples = load_data(data, split="val").samples
    samples = samples[:: max(1, len(samples) // IMAGES)][:IMAGES]
    kinds = {}
    mode, load = default_weights(MODE, load)
    with Predictor(mode, load, LAYERS, ("dgl", "cam"), gpu="-1") as predictor:
        for sample in samples:
            image = demo_input(read_image(sample.path), predictor.image_size)
            maps = predictor(image[np.newaxis]).maps
            for method, layer in predictor.entries:
                kind = f"{mode} {method} {layer}"
                kinds.setdefault(kind, []).append(_upsampled(maps[method, layer][0]))
    return kinds


def true_box(score_map, rng):
    """A true box as a map may have it: that of some threshold, each side moved by up to a fifth."""
    box = postprocess.largest_box(score_map, rng.uniform(0.2, 0.6)).astype(float)
    sides = np.tile(box[2:] - box[:2], 2)
    return np.clip(np.round(box + rng.uniform(-0.2, 0.2, 4) * sides), 0, SIZE - 1)[np.newaxis]


def summarize(kind, seconds):
    """One row: median milliseconds of every way, and how many times as fast the package's way is.

    Args:
        kind: str.
        seconds: numbers (maps, 4), in the order of :data:`WAYS`.
    """
    seconds = np.asarray(seconds)
    row = {"kind": kind, "maps": len(seconds)}
    for way, values in zip(WAYS, seconds.T):
        row[way.__name__ + "_ms"] = round(1000 * float(np.median(values)), 3)
    largest, every, _, own = seconds.T
    row["times_faster_than_published_every"] = spread(every / own, 2)
    row["times_faster_than_both"] = spread((largest + every) / own, 2)
    return row


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="data set of the real maps")
    parser.add_argument("--load", help="EfficientNet-Lite2 checkpoint, else its ImageNet weights")
    parser.add_argument("--maps", type=int, default=6, help="random maps of a kind")
    parser.add_argument("--rounds", type=int, default=5, help="timings of a map, for their median")
    parser.add_argument("--out", required=True, help="the JSON to write")
    args = parser.parse_args(argv)
    if args.maps < 1 or args.rounds < 1:
        raise UserError("--maps and --rounds: expected positive numbers")
    cv2.setNumThreads(1)
    kinds = real_maps(args.data, args.load)
    kinds.update(random_maps(args.maps))
    rows, rng = [], np.random.RandomState(0)
    for kind, maps in tqdm(kinds.items(), desc="kinds"):
        rounds = args.rounds if kind != "noise" else 1
        seconds = measure(maps, [true_box(one, rng) for one in maps], rounds)
        rows.append(summarize(kind, seconds))
    record = {
        "command": COMMAND,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "numba": numba.__version__,
        },
        "map_size": SIZE,
        "thresholds": len(THRESHOLDS),
        "rounds": args.rounds,
        "clock": "processor time of one thread",
        "hits_agree": True,
        "rows": rows,
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    print(speed_table(record))
    return 0


if __name__ == "__main__":
    run_script(main)
