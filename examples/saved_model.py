"""Localize with a SavedModel, of TF 1, TF 2 or Keras: the methods side by side at one layer.

    python examples/saved_model.py --model my_saved_model --preprocess tf --picture a.jpg

Without --model it takes the project's own small classifier of birds, written as a SavedModel.
"""

import argparse
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np

from dgl.data.image_io import read_image
from dgl.datasets import sample_images
from dgl.errors import run_script
from dgl.foreign import layers_of, load_saved_model, logits_of, pooled_layer
from dgl.foreign.preprocessing import PREPROCESSINGS
from dgl.localizer import Localizer
from dgl.predict.overlay import draw_boxes, overlay, write_image
from examples.shipped_model import write_saved_model


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="SavedModel's folder; default: the project's classifier")
    parser.add_argument("--signature", help="where there are several; default: serving_default")
    parser.add_argument("--output", help="name of the output, where the signature has several")
    parser.add_argument("--preprocess", choices=list(PREPROCESSINGS), default="bgr")
    parser.add_argument("--picture", default=sample_images()[0])
    parser.add_argument("--out", default="output", help="folder to write into")
    args = parser.parse_args(argv)

    with tempfile.TemporaryDirectory() as folder:
        model = args.model or write_saved_model(os.path.join(folder, "birds"))
        loaded = load_saved_model(model, args.signature)
    logits = logits_of(loaded.output(args.output))
    pooled = pooled_layer(logits)  # CAM is defined where global average pooling ends the network
    last = next(iter(layers_of(logits).values()))
    methods = ["dgl", "gradcam", "layercam"] + (["cam"] if pooled else [])

    image, drawn = read_image(args.picture), []
    for method in methods:
        preprocess = PREPROCESSINGS[args.preprocess]
        layer = pooled[0] if pooled else last
        with Localizer.from_graph(logits, layer, preprocess=preprocess, method=method) as localizer:
            (found,) = localizer([image])
        print(f"{method:8} class {found.class_index} box {found.box}")
        drawn.append(draw_boxes(overlay(image, found.map), found.box))
    write_image(os.path.join(args.out, "saved_model.png"), np.concatenate(drawn, axis=1))


if __name__ == "__main__":
    run_script(main)
