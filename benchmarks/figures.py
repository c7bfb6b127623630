#!/usr/bin/env python
"""Draw the README's figures from the checkpoint that comes with the project and the embedded data.

python benchmarks/figures.py --data data/birds
"""

import argparse
import os
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks import method_figure
from dgl.data import load_data, read_image
from dgl.data.views import GEOMETRIES, demo_input
from dgl.datasets import SHIPPED_CHECKPOINT
from dgl.errors import run_script
from dgl.predict import postprocess
from dgl.predict.overlay import write_image
from dgl.predict.predictor import Predictor
from dgl.report.gallery import Entry, compose_tile

IMAGES = 8  # the first of the test list: one of each class


def _tile(predictor, sample, threshold):
    """The strip of one test image: true box, then DGL and CAM with the boxes they give."""
    geometry = GEOMETRIES["fixed_threshold"]
    view = geometry.view(read_image(sample.path), sample.boxes, predictor.image_size)
    prediction = predictor(view.image[np.newaxis, ..., ::-1], [sample.class_index])
    ratio = view.map_size / float(predictor.image_size)
    entries = []
    for entry in predictor.entries:
        raw = prediction.maps[entry][0]
        score_map = postprocess.score_map(raw, view.map_size, view.map_size)
        box = postprocess.largest_box(score_map, threshold)
        overlap = float(postprocess.iou(box, view.boxes).max())
        entries.append(Entry("@".join(entry), score_map, box / ratio, overlap))
    return compose_tile(view.image, np.asarray(view.boxes) / ratio, entries, panel=200)


def results_figure(path, data, layer, threshold):
    """Two columns of strips, in the order of the test list, none chosen."""
    samples = load_data(data, "val").samples[:IMAGES]
    with Predictor("vgg", SHIPPED_CHECKPOINT, layers=[layer]) as predictor:
        tiles = [_tile(predictor, sample, threshold) for sample in samples]
    height, width = max(t.shape[0] for t in tiles), max(t.shape[1] for t in tiles)
    gap = 16
    rows = (len(tiles) + 1) // 2
    figure = np.full((rows * (height + gap) - gap, 2 * width + gap, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // 2) * (height + gap), (index % 2) * (width + gap)
        figure[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    write_image(path, figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.path.join("data", "birds"))
    parser.add_argument("--clayer", default="1")
    parser.add_argument(
        "--threshold", type=float, default=postprocess.DEFAULT_THRESHOLD, help="of all boxes"
    )
    parser.add_argument("--picture", default=os.path.join(ROOT, "images", "bird_golden_cap.jpg"))
    args = parser.parse_args(argv)
    results_figure(os.path.join(ROOT, "fig", "results.jpg"), args.data, args.clayer, args.threshold)
    image = read_image(args.picture)
    with Predictor("vgg", SHIPPED_CHECKPOINT, layers=[args.clayer]) as predictor:
        prediction = predictor(demo_input(image, predictor.image_size)[np.newaxis])
        raw = prediction.maps[predictor.entries[0]][0]
    method_figure.draw(
        os.path.join(ROOT, "fig", "method.png"), image, raw, threshold=args.threshold
    )
    return 0


if __name__ == "__main__":
    run_script(main)
