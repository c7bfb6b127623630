#!/usr/bin/env python
"""Measure distances between maps of two TensorFlow versions, or of two kinds of kernels, layer by layer.

In each environment, then anywhere:

    python benchmarks/fidelity.py maps tf115.npz
    TF_ENABLE_ONEDNN_OPTS=0 python benchmarks/fidelity.py maps tf221.npz
    python benchmarks/fidelity.py compare tf115.npz tf221.npz

Weights and images are those of the tests: they depend on nothing but names and seeds.
"""

import argparse
import os
import sys
import tempfile

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

from dgl.errors import UserError, run_script
from dgl.predict.postprocess import normalize

SEEDS = (1, 7)
SIZE = 224


def write_maps(path):
    """Raw DGL maps of every layer of the paper's networks, as ``mode|index|layer|seed``."""
    from networks import values_of, write_npz
    from sample_images import blob_image

    from dgl.backbones import PAPER_MODES, get_backbone
    from dgl.data.views import demo_input
    from dgl.predict.predictor import Predictor

    found = {}
    for mode in tqdm(PAPER_MODES, desc="networks"):
        layers = get_backbone(mode).layers
        with tempfile.TemporaryDirectory() as folder:
            weights = os.path.join(folder, "weights.npz")
            write_npz(weights, values_of(mode, SIZE, classes=1000))
            with Predictor(mode, weights, layers, ("dgl",), image_size=SIZE, gpu="-1") as predictor:
                for seed in SEEDS:
                    maps = predictor(demo_input(blob_image(seed), SIZE)[np.newaxis]).maps
                    for index, layer in enumerate(layers):
                        key = f"{mode}|{index:02d}|{layer}|{seed}"
                        found[key.replace("/", ":")] = maps["dgl", layer][0]
    np.savez_compressed(path, **found)


def compare(one, other):
    """Rows of (network, layer, largest difference of each image, largest mean difference)."""
    with np.load(one) as first, np.load(other) as second:
        if set(first.files) != set(second.files):
            raise UserError(f"{one} and {other}: maps of different layers")
        off = {key: np.abs(normalize(first[key]) - normalize(second[key])) for key in first.files}
    rows = []
    for key in sorted(off):
        mode, index, layer, seed = key.split("|")
        if int(seed) == SEEDS[0]:
            both = [off["|".join((mode, index, layer, str(s)))] for s in SEEDS]
            rows.append(
                [mode, "{} {}".format(int(index), layer.replace(":", "/"))]
                + [f"{d.max():.0e}" for d in both]
                + [f"{max(d.mean() for d in both):.0e}"]
            )
    return rows


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    commands.add_parser("maps", help="write the maps of this environment").add_argument("out")
    both = commands.add_parser("compare", help="print how far two files of maps lie apart")
    both.add_argument("one")
    both.add_argument("other")
    args = parser.parse_args(argv)
    if args.command == "maps":
        write_maps(args.out)
        return 0
    heading = ["network", "layer"] + [f"image {s}" for s in SEEDS] + ["mean"]
    print(tabulate(compare(args.one, args.other), heading, disable_numparse=True))
    return 0


if __name__ == "__main__":
    run_script(main)
