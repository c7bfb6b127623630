"""Running the `dgl` command in this process, and small files for it."""

import contextlib
import io
import os
from typing import NamedTuple

import numpy as np
from demo_runs import CLASSES
from networks import vgg_variables
from sample_images import TESTS, blob_image, write_list

from dgl.cli import entry
from dgl.tf_compat import tf
from dgl.weights import save_npz

ROOT = os.path.dirname(TESTS)


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def dgl(*words):
    """The command in this process."""
    return ended(lambda: entry([str(word) for word in words]))


def ended(call):
    """What a command line, called in this process, ended with and wrote."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            call()
        except SystemExit as end:
            code = end.code or 0
    return Ended(code, out.getvalue(), err.getvalue())


def write_zoo_vgg(folder):
    """VGG16 as tensorpack's model zoo has it, but tiny; returns its path."""
    values = {k: v for k, v in vgg_variables(CLASSES).items() if k.startswith("conv")}
    below = 4 * values["conv5_3/b"].size
    for name, shape in (("fc6", (below, 16)), ("fc7", (16, 16)), ("fc8", (16, CLASSES))):
        values[name + "/W"] = np.ones(shape, "float32")
        values[name + "/b"] = np.ones(shape[-1:], "float32")
    save_npz(str(folder / "vgg16.npz"), values)
    return str(folder / "vgg16.npz")


def write_graph(path):
    """The current graph as a frozen classifier's file; returns its path."""
    path.write_bytes(tf.get_default_graph().as_graph_def().SerializeToString())
    return str(path)


def write_data(folder):
    """Five images to train on and five to validate, with boxes; returns the folder."""
    for split, seed in (("train", 50), ("val", 0)):
        rows = [
            (f"{split}{i}.jpg", blob_image(seed + i + 1, 90, 120), i, [(20, 10, 90, 70)])
            for i in range(5)
        ]
        write_list(folder / "data", split, rows)
    return str(folder / "data")
