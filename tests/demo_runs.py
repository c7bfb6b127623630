"""Running the demo script's command in this process, and reading what it wrote."""

import json
import os

from networks import vgg_variables, write_npz
from sample_images import TESTS, blob_image

from dgl.cli.localize import make_parser, run
from dgl.weights import ModelCard, write_card

SCRIPT = os.path.join(os.path.dirname(TESTS), "test_code", "dome_image_DGL.py")
SIZE = 64
CLASSES = 5
HEIGHT, WIDTH = 100, 134


def write_vgg(folder):
    """A small VGG with class names; returns its path."""
    path = write_npz(folder / "birds.npz", vgg_variables(CLASSES))
    write_card(str(folder / "birds.json"), ModelCard("vgg", SIZE, tuple("abcde"), "toys"))
    return path


def small_image(seed=1):
    """uint8 RGB (HEIGHT, WIDTH, 3)."""
    return blob_image(seed)[::3, ::3]


def demo(load, data_path, outdir, *more):
    """Run the demo in this process; returns the exit code."""
    flags = ["--load", load, "--data_path", data_path, "--outdir", outdir, "--gpu=-1"]
    return run(make_parser("demo").parse_args([str(flag) for flag in flags + list(more)]))


def record_of(folder, name="vgg_conv5_2_dgl.json"):
    with open(os.path.join(str(folder), name)) as stream:
        return json.load(stream)


def files_in(folder):
    return sorted(os.listdir(str(folder)))
