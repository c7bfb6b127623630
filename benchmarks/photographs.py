#!/usr/bin/env python
"""Draw maps and boxes of several methods on photographs that everybody has, as a figure or a page.

The photographs come with scikit-image and scikit-learn, under free licenses. DGL is drawn as `dgl
localize` draws it. Every other method has the layer and threshold that
`benchmarks/results/ilsvrc_efficientnet_lite0.json` records for it. All were selected on ILSVRC validation
photographs.

    python benchmarks/photographs.py --out fig/photographs.jpg
    python benchmarks/photographs.py --out demo/photographs.jpg --page demo/index.html
"""

import argparse
import html
import importlib.util
import json
import os
import sys

import cv2
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from dgl.attribution import METHODS
from dgl.backbones import get_backbone
from dgl.backbones.registry import LocalizeDefaults
from dgl.data.image_io import read_image
from dgl.data.views import demo_input
from dgl.errors import UserError, run_script
from dgl.predict.overlay import heat_with_region, write_image
from dgl.predict.postprocess import largest_box, parse_normalization, score_map
from dgl.predict.predictor import Predictor
from dgl.utils.files import write_atomically

# Package, file in it, what it shows, who made it under which license.
PHOTOGRAPHS = (
    ("skimage", "data/chelsea.png", "a cat", "Stefan van der Walt, CC0"),
    ("skimage", "data/coffee.png", "a cup of coffee", "Rachel Michetti, no known restrictions"),
    ("skimage", "data/motorcycle_left.png", "a motorcycle", "Daniel Scharstein, CC0"),
    ("skimage", "data/rocket.jpg", "a rocket", "SpaceX, CC0"),
    ("sklearn", "datasets/images/flower.jpg", "a flower", "vultilion, CC BY 2.0"),
    ("sklearn", "datasets/images/china.jpg", "a pagoda", "danielbuechele, CC BY 2.0"),
)
SHOWN = ("cam", "gradcam", "layercam", "dgl")
RECORD = os.path.join(ROOT, "benchmarks", "results", "ilsvrc_{}.json")
_TILE, _ROW, _GAP, _HEAD = 240, 164, 8, 30


def find_photographs():
    """(path, title, credit) of each photograph whose package is installed."""
    found = []
    for package, name, title, credit in PHOTOGRAPHS:
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations if spec else ():
            path = os.path.join(folder, *name.split("/"))
            if os.path.isfile(path):
                found.append((path, title, credit))
    if not found:
        raise UserError(
            "photographs: expected scikit-image or scikit-learn (requirements/demo.txt)"
        )
    return found


def selected(record, mode):
    """method -> :class:`LocalizeDefaults` that a record of `benchmarks/localization.py` selected."""
    rows = {row["method"]: row for row in record["chosen"]["wsolevaluation"]}
    found = {
        name: LocalizeDefaults(rows[name]["layers"][0], rows[name]["thresholds"][0])
        for name in SHOWN
    }
    return {**found, "dgl": get_backbone(mode).localize}


def tiles(predictor, path, settings):
    """The photograph, then map and box of each method; and the class's name and probability."""
    image = read_image(path)
    height, width = image.shape[:2]
    prediction = predictor(demo_input(image, predictor.image_size)[np.newaxis])
    drawn = [image]
    for method, (layer, threshold, normalize) in settings.items():
        normalization = parse_normalization(normalize)
        found = score_map(prediction.maps[method, layer][0], height, width, normalization)
        box = largest_box(found, threshold)
        # The color bar at the right is left out: the columns of the figure share one.
        drawn.append(heat_with_region(image, found, threshold, box)[:, :width])
    index = int(prediction.class_index[0])
    return drawn, predictor.class_name(index), float(prediction.probability[0, index])


def _fit(image):
    """The image in the middle of a white tile."""
    height, width = image.shape[:2]
    scale = min(_TILE / width, _ROW / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tile = np.full((_ROW, _TILE, 3), 255, np.uint8)
    top, left = (_ROW - size[1]) // 2, (_TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


def _text(image, text, x, y, scale=0.55):
    cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (30, 30, 30), 1, cv2.LINE_AA)


def figure(rows, headings):
    """One image: a row a photograph under the headings, its class below the photograph."""
    width = len(headings) * (_TILE + _GAP) - _GAP
    parts = [np.full((_HEAD, width, 3), 255, np.uint8)]
    for column, heading in enumerate(headings):
        _text(parts[0], heading, column * (_TILE + _GAP) + 4, 20)
    for drawn, name, probability in rows:
        row = np.full((_ROW + _HEAD, width, 3), 255, np.uint8)
        for column, image in enumerate(drawn):
            left = column * (_TILE + _GAP)
            row[:_ROW, left : left + _TILE] = _fit(image)
        _text(row, f"{name} {probability:.2f}", 4, _ROW + 18)
        parts.append(row)
    return np.vstack(parts)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>DGL on photographs</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:1260px;margin:2em auto;padding:0 1em;color:#222}}
img{{max-width:100%}}</style></head><body>
<h1>Where does the classifier look?</h1>
<p>{mode} with ImageNet weights has seen no box. Each column is a method, at the layer and threshold
selected for it on other photographs: the map, the outline of what counts as object, and the box of its
largest region.</p>
<p><img src="{image}" alt="Photographs with maps and boxes by method"></p>
<p>Photographs: {credits}.</p>
<p><a href="birds/index.html">Training and evaluation on drawn birds</a>, with true boxes and masks.</p>
</body></html>
"""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", default="efficientnet_lite0")
    parser.add_argument("--out", default=os.path.join(ROOT, "fig", "photographs.jpg"))
    parser.add_argument("--page", help="also write an HTML page about the figure")
    parser.add_argument("--rows", type=int, default=len(PHOTOGRAPHS), help="photographs to draw")
    args = parser.parse_args(argv)
    with open(RECORD.format(args.mode), encoding="utf-8") as stream:
        settings = selected(json.load(stream), args.mode)
    photographs = find_photographs()[: args.rows]
    extra = [(method, found.layer) for method, found in settings.items()]
    with Predictor(args.mode, args.mode, [0], ["cam"], extra=extra, gpu="-1") as predictor:
        rows = [tiles(predictor, path, settings) for path, _, _ in photographs]
    headings = ["photograph"]
    headings += [f"{METHODS[name].title}, {one.layer}" for name, one in settings.items()]
    write_image(args.out, figure(rows, headings))
    if args.page:
        credits = "; ".join(f"{title} by {credit}" for _, title, credit in photographs)
        page = _PAGE.format(
            mode=html.escape(args.mode),
            image=html.escape(os.path.relpath(args.out, os.path.dirname(args.page) or ".")),
            credits=html.escape(credits),
        )
        write_atomically(args.page, page.encode("utf-8"))
        print("open " + args.page)
    return 0


if __name__ == "__main__":
    run_script(main)
