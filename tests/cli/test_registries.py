"""A backbone, an attribution method and a layout are one file each, which the command finds by itself."""

import json
import os
import shutil
import subprocess
import sys

import pytest

METHOD = """
from dgl.attribution.registry import attribution_method
from dgl.tf_compat import lazy_tf as tf


@attribution_method("toymap", "Mean activation", "nobody")
def mean_activation(evidence):
    return tf.reduce_mean(evidence.activation, axis=3)
"""

LAYOUT = """
import os

from dgl.data.layouts.registry import register_layout
from dgl.data.sample import Sample


@register_layout("toyset", "toy.txt", lambda data_dir, dataname: os.path.isfile(data_dir + "/toy.txt"))
def load(request):
    return request.data_set([Sample("a.jpg", request.path("a.jpg"), 0)], None, classes=1)
"""

# In one process: the checkpoint, then the commands, as a user types them.
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from networks import values_of, write_npz
from dgl.cli.parser import main
data = sys.argv[2]
write_npz("toy.npz", values_of("toy", 32, classes=5))
flags = ["--load", "toy.npz", "--mode", "toy", "--method", "toymap", "--layer", "toy"]
flags += ["--image_size", "32", "--gpu=-1", "--workers", "1"]
assert main(["localize", data + "/val/val0.jpg", "--out", "localized", *flags]) == 0
quick = ["--resamples", "0", "--gallery", "0", "--batch", "5"]
assert main(["evaluate", "--data", data, "--out", "evaluated", *quick, *flags]) == 0
open("toy.txt", "w").close()
from dgl.data import load_data
assert load_data(".", "val").format == "toyset"
"""


@pytest.mark.slow
def test_a_copy_of_the_package_with_the_three_files(data, root, tmp_path):
    shutil.copytree(os.path.join(root, "dgl"), str(tmp_path / "dgl"))
    toy = os.path.join(root, "tests", "backbones", "toy_backbone.py")
    shutil.copy(toy, str(tmp_path / "dgl" / "backbones" / "toynet.py"))
    (tmp_path / "dgl" / "attribution" / "toymap.py").write_text(METHOD)
    (tmp_path / "dgl" / "data" / "layouts" / "toyset.py").write_text(LAYOUT)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, os.path.join(root, "tests"), data],
        cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    record = json.loads((tmp_path / "localized" / "toy_toy_toymap.json").read_text())
    assert (record["mode"], record["method"], record["layer"]) == ("toy", "toymap", "toy")
    assert record["box"][2] > record["box"][0]
    metrics = json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    for protocol in metrics["protocols"].values():
        (row,) = protocol["rows"]
        assert (row["method"], row["layer"]) == ("toymap", "toy")
