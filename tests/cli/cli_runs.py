"""Running the `dgl` command in this process, and small files for it."""

import contextlib
import io
import os
from collections import namedtuple

from sample_images import TESTS, blob_image, write_list

from dgl.cli import entry
from dgl.tf_compat import tf

ROOT = os.path.dirname(TESTS)
Ended = namedtuple("Ended", "code out err")


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
