#!/usr/bin/env python
"""Draw the documentation's figures: the same images at several layers, and at several values of alpha.

python benchmarks/docs_figures.py

The images are those of `images/`, the classifier is the one that comes with the project; the boxes are of
the threshold 0.2.
"""

import argparse
import io
import os
import sys

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from dgl.data import read_image
from dgl.data.views import demo_input
from dgl.datasets import SHIPPED_CHECKPOINT
from dgl.errors import run_script
from dgl.predict.overlay import draw_boxes, overlay
from dgl.predict.postprocess import largest_box, score_map
from dgl.predict.predictor import Predictor
from dgl.utils.files import write_atomically

IMAGES = ("bird_golden_cap.jpg", "bird_crimson_crest.jpg", "bird_masked_hookbill.jpg")
LAYERS = ("add", "conv5_3", "conv5_2", "conv5_1", "pool4", "conv3_3")
ALPHAS = ("0.1", "1", "10", "inf")
ALPHA_LAYER = "conv5_2"
_SIDE = 2.0  # inches
_DPI = 100
_QUALITY = 88


def _panel(image, raw):
    """The map over the image, and the box that it gives."""
    height, width = image.shape[:2]
    attention = score_map(raw, height, width)
    return draw_boxes(overlay(image, attention), largest_box(attention))


def draw(path, images, columns, titles):
    """A row an image, a column an entry; ``columns`` are raw maps, one list a column."""
    rows = [
        [image] + [_panel(image, raw) for raw in maps] for image, *maps in zip(images, *columns)
    ]
    titles = ["image"] + list(titles)
    figure = Figure(figsize=(_SIDE * len(titles), (_SIDE + 0.1) * len(rows) + 0.3), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for line, panels in zip(axes, rows):
        for axis, panel in zip(line, panels):
            axis.imshow(panel)
            axis.set_axis_off()
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=12)
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.93, wspace=0.03, hspace=0.03)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    stream = io.BytesIO()
    pixels.save(stream, "JPEG", quality=_QUALITY)
    write_atomically(path, stream.getvalue())


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(ROOT, "fig"), help="folder")
    out = parser.parse_args(argv).out
    images = [read_image(os.path.join(ROOT, "images", name)) for name in IMAGES]
    alphas = [f"dgl(pa={alpha})" for alpha in ALPHAS] + ["dgl(pa=10,exact)"]
    extra = [(method, ALPHA_LAYER) for method in alphas]
    with Predictor("vgg", SHIPPED_CHECKPOINT, LAYERS, ["dgl"], extra=extra) as predictor:
        views = np.stack([demo_input(image, predictor.image_size) for image in images])
        maps = predictor(views).maps
    draw(
        os.path.join(out, "layers.jpg"),
        images,
        [maps["dgl", layer] for layer in LAYERS],
        LAYERS,
    )
    draw(
        os.path.join(out, "alpha.jpg"),
        images,
        [maps[entry] for entry in extra],
        [f"alpha {alpha}" for alpha in ALPHAS] + ["exact gradient"],
    )
    return 0


if __name__ == "__main__":
    run_script(main)
