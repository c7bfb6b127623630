"""Localize with a frozen graph (.pb): read it, choose a layer, say what the network takes, draw the box.

    python examples/frozen_graph.py --model classifier.pb --preprocess caffe --layer 2 --picture a.jpg

Without --model it takes the project's own small classifier of birds, written as a frozen graph.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.data.image_io import read_image
from dgl.datasets import sample_images
from dgl.errors import run_script
from dgl.foreign import layers_of, load_frozen, logits_of
from dgl.foreign.preprocessing import PREPROCESSINGS
from dgl.localizer import Localizer
from dgl.predict.overlay import draw_boxes, overlay, write_image
from examples.shipped_model import write_frozen


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="frozen graph; default: the project's own classifier")
    parser.add_argument("--output", help="name of the output, where the graph has several")
    parser.add_argument("--preprocess", choices=list(PREPROCESSINGS), default="bgr")
    parser.add_argument("--layer", type=int, default=2, help="0 is the last layer")
    parser.add_argument("--picture", default=sample_images()[0])
    parser.add_argument("--out", default="output", help="folder to write into")
    args = parser.parse_args(argv)

    model = args.model or write_frozen(os.path.join(args.out, "birds.pb"))
    outputs = [args.output] if args.output else None
    loaded = load_frozen(model, outputs)

    logits = logits_of(loaded.output(args.output))  # before the softmax
    layers = layers_of(logits)
    for index, (name, tensor) in enumerate(layers.items()):
        print(f"layer {index:2} {name} {tensor.shape.as_list()[1:]}")
    activation = list(layers.values())[args.layer]

    preprocess = PREPROCESSINGS[args.preprocess]
    with Localizer.from_graph(logits, activation, preprocess=preprocess) as localizer:
        (found,) = localizer([args.picture])
    print(f"class {found.class_index} with probability {found.probability:.3f}")
    print(f"box {found.box} from layer {activation.op.name}")

    drawn = draw_boxes(overlay(read_image(args.picture), found.map), found.box)
    write_image(os.path.join(args.out, "frozen_graph.png"), drawn)


if __name__ == "__main__":
    run_script(main)
