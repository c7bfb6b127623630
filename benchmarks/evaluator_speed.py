#!/usr/bin/env python
"""Time the exact MaxBoxAcc hits of one map against tracing all of its thousand masks.

Every way is timed in turn on the same map, in processor time of one thread, which other programs on
the machine disturb least; and all have to agree on every threshold.

    python benchmarks/evaluator_speed.py --out benchmarks/results/evaluator_speed.json
"""

import argparse
import json
import os
import platform
import sys
import time

import cv2
import numpy as np
from tqdm import tqdm

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from dgl.errors import UserError, run_script
from dgl.metrics.box_hits import box_hits
from dgl.predict import postprocess
from dgl.utils.files import write_atomically
from dgl.utils.table import format_table

SIZE = 224
THRESHOLDS = np.arange(0, 1, 0.001)
IOUS = np.array([0.3, 0.5, 0.7])
LARGEST_IOU = 0.5
LAYERS = (0, 1, 2, 3)
GRIDS = (7, 14, 28, 56)
NOISE_MAPS = 2  # one takes many seconds to trace


def _traced(image, threshold):
    mask = cv2.threshold(image, int(threshold * image.max()), 255, cv2.THRESH_BINARY)[1]
    return cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]


def _corners(rectangles):
    boxes = np.array(rectangles, dtype=np.int64)
    boxes[:, 2:] = np.minimum(boxes[:, 2:] + boxes[:, :2], SIZE - 1)
    return boxes


def loop_largest(score_map, true_boxes):
    """One mask a threshold, the largest contour's box only (MaxBoxAcc)."""
    image = (255 * score_map).astype(np.uint8)
    found = []
    for threshold in THRESHOLDS:
        contours = _traced(image, threshold)
        found.append(
            cv2.boundingRect(max(contours, key=cv2.contourArea)) if contours else (0, 0, 0, 0)
        )
    return postprocess.iou(_corners(found), true_boxes).max(axis=1) >= LARGEST_IOU, None


def loop_both(score_map, true_boxes):
    """One mask a threshold, the largest contour's box and those of all (MaxBoxAccV2)."""
    image = (255 * score_map).astype(np.uint8)
    found, starts, largest = [], [], []
    for threshold in THRESHOLDS:
        contours = _traced(image, threshold)
        starts.append(len(found))
        areas = [cv2.contourArea(contour) for contour in contours]
        largest.append(len(found) + (areas.index(max(areas)) if areas else 0))
        found += [cv2.boundingRect(contour) for contour in contours] or [(0, 0, 0, 0)]
    overlap = postprocess.iou(_corners(found), true_boxes).max(axis=1)
    best = np.maximum.reduceat(overlap, starts)
    return overlap[largest] >= LARGEST_IOU, best >= IOUS[:, np.newaxis]


def distinct_masks(score_map, true_boxes):
    """Each distinct mask traced once."""
    found = postprocess.boxes_by_level(score_map, THRESHOLDS)
    overlap = postprocess.iou(found.boxes, true_boxes).max(axis=1)
    best = np.maximum.reduceat(overlap, found.starts) >= IOUS[:, np.newaxis]
    return (overlap[found.largest] >= LARGEST_IOU)[found.mask_of], best[:, found.mask_of]


def component_trees(score_map, true_boxes):
    """The package's own way."""
    return box_hits(score_map, THRESHOLDS, true_boxes, IOUS, LARGEST_IOU)


WAYS = (loop_largest, loop_both, distinct_masks, component_trees)


def measure(score_map, true_boxes, rounds):
    """Time every way on one map.

    Returns:
        list of median seconds, in the order of :data:`WAYS`.

    Raises:
        UserError: two ways differ.
    """
    seconds = np.zeros((rounds, len(WAYS)))
    for own in seconds:
        results = []
        for index, way in enumerate(WAYS):
            start = time.thread_time()
            results.append(way(score_map, true_boxes))
            own[index] = time.thread_time() - start
        for way, (largest, every) in zip(WAYS, results):
            if not np.array_equal(largest, results[1][0]) or (
                every is not None and not np.array_equal(every, results[1][1])
            ):
                raise UserError(f"{way.__name__}: hits differ from those of loop_both")
    return np.median(seconds, axis=0).tolist()


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
    kinds["noise"] = [postprocess.normalize(raw) for raw in noise]
    return kinds


def real_maps(folder):
    """kind -> list of maps of the checkpoint that comes with the project, one an image."""
    from dgl.data import list_images, read_image
    from dgl.data.views import demo_input
    from dgl.datasets import SHIPPED_CHECKPOINT
    from dgl.predict.predictor import Predictor

    kinds = {}
    with Predictor("vgg", SHIPPED_CHECKPOINT, LAYERS, ("dgl", "cam"), gpu="-1") as predictor:
        for path in list_images(folder):
            image = demo_input(read_image(path), predictor.image_size)
            maps = predictor(image[np.newaxis]).maps
            for method, layer in predictor.entries:
                kind = f"birds {method} {layer}"
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
    for index, way in enumerate(WAYS[:-1]):
        ratios = seconds[:, index] / seconds[:, -1]
        row["times_faster_than_" + way.__name__] = {
            name: round(float(value), 2)
            for name, value in zip(("median", "least", "most"), _spread(ratios))
        }
    return row


def _spread(values):
    return np.median(values), values.min(), values.max()


def _print(rows):
    flat = []
    for row in rows:
        cells = {key: value for key, value in row.items() if key in ("kind", "maps")}
        for way in WAYS:
            cells[way.__name__.replace("_", " ") + " ms"] = row[way.__name__ + "_ms"]
        ratio = row["times_faster_than_loop_largest"]
        cells["times faster"] = ratio["median"]
        cells["least-most"] = "{least:.1f}-{most:.1f}".format(**ratio)
        flat.append(cells)
    print(format_table(flat, digits={way.__name__.replace("_", " ") + " ms": 2 for way in WAYS}))
    print("times faster: component trees than loop largest; the hits of all four ways agree")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default=os.path.join(ROOT, "images"), help="real maps' images")
    parser.add_argument("--maps", type=int, default=6, help="random maps of a kind")
    parser.add_argument("--rounds", type=int, default=5, help="timings of a map, for their median")
    parser.add_argument("--out", required=True, help="the JSON to write")
    args = parser.parse_args(argv)
    if args.maps < 1 or args.rounds < 1:
        raise UserError("--maps and --rounds: expected positive numbers")
    cv2.setNumThreads(1)
    kinds = real_maps(args.images)
    kinds.update(random_maps(args.maps))
    rows, rng = [], np.random.RandomState(0)
    for kind, maps in tqdm(kinds.items(), desc="kinds"):
        seconds = [measure(one, true_box(one, rng), args.rounds) for one in maps]
        rows.append(summarize(kind, seconds))
    record = {
        "command": "python benchmarks/evaluator_speed.py " + " ".join(argv or sys.argv[1:]),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
        "map_size": SIZE,
        "thresholds": len(THRESHOLDS),
        "rounds": args.rounds,
        "clock": "processor time of one thread",
        "hits_agree": True,
        "rows": rows,
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    _print(rows)
    return 0


if __name__ == "__main__":
    run_script(main)
