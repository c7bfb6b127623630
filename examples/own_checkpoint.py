"""Localize with a checkpoint that this project trained: classes, probabilities and boxes of a folder.

    python examples/own_checkpoint.py --load train_log/vgg_birds --pictures my_pictures

Without arguments it takes the checkpoint and the images that come with the project.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.data.image_files import list_images
from dgl.data.image_io import read_image
from dgl.datasets import SHIPPED_CHECKPOINT, SHIPPED_IMAGES
from dgl.errors import run_script
from dgl.localizer import Localizer
from dgl.predict.overlay import draw_boxes, overlay, write_image


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--load", default=SHIPPED_CHECKPOINT, help="checkpoint, or its folder")
    parser.add_argument("--pictures", default=SHIPPED_IMAGES, help="an image, or a folder")
    parser.add_argument("--layer", default="2", help="index or name of the layer")
    parser.add_argument("--threshold", type=float, default=0.2)
    parser.add_argument("--out", default="output", help="folder to write into")
    args = parser.parse_args(argv)

    paths = list_images(args.pictures)
    with Localizer.from_checkpoint(
        args.load, layer=args.layer, threshold=args.threshold
    ) as localizer:
        for path, found in zip(paths, localizer(paths)):
            name = os.path.splitext(os.path.basename(path))[0]
            label = localizer.class_name(found.class_index)
            print(f"{name:28} {label:22} {found.probability:.3f} {found.box}")
            drawn = draw_boxes(overlay(read_image(path), found.map), found.box)
            write_image(os.path.join(args.out, name + ".png"), drawn)


if __name__ == "__main__":
    run_script(main)
