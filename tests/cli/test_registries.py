"""A backbone, an attribution method and a layout are one file each, which the command finds by itself."""

import json
import os
import shutil
import subprocess
import sys

import pytest

BACKBONE = """
from dgl.backbones.registry import Backbone, Network, register_backbone
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf


def build(image, options):
    features = tp.Conv2D("stem", image, options.channels(16), 3, strides=4, activation=tf.nn.relu)
    pooled = tp.GlobalAvgPooling("gap", features)
    logits = tp.FullyConnected(options.head, pooled, options.classes)
    return Network(logits, {"stem": features}, logits.variables.W)


register_backbone(
    Backbone(
        mode="toynet",
        build=build,
        layers=("stem",),
        heads={"imagenet": "linear", "cub": "linear_cub"},
        head_pattern=r"(linear[^/]*)/W",
        stem="stem/W",
        stem_channels=16,
        pretrained={},
    )
)
"""

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
from dgl.data.sample import DataSet, Sample


@register_layout("toyset", "toy.txt", lambda data_dir, dataname: os.path.isfile(data_dir + "/toy.txt"))
def load(data_dir, split, dataname, classes, with_boxes):
    return DataSet("toys", "toyset", split, [Sample("a.jpg", data_dir + "/a.jpg", 0)], None, 1)
"""

# In one process: the checkpoint, then the commands, as a user types them.
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from networks import values_of, write_npz
from dgl.cli.parser import main
data = sys.argv[2]
write_npz("toy.npz", values_of("toynet", 32, classes=5))
flags = ["--load", "toy.npz", "--mode", "toynet", "--method", "toymap", "--layer", "stem"]
flags += ["--image_size", "32", "--gpu=-1", "--workers", "1"]
assert main(["localize", data + "/val/val0.jpg", "--out", "localized", *flags]) == 0
quick = ["--resamples", "0", "--gallery", "0", "--batch", "5"]
assert main(["evaluate", "--data", data, "--out", "evaluated", *quick, *flags]) == 0
open("toy.txt", "w").close()
from dgl.data import load_data
assert load_data(".", "val").format == "toyset"
for words in (["localize"], ["evaluate"], ["train"]):
    try:
        main(words + ["--help"])
    except SystemExit:
        pass
"""


@pytest.fixture(scope="module")
def runs(data, root, tmp_path_factory):
    """Folder and standard output of the commands, run by a copy of the package with the three files."""
    folder = tmp_path_factory.mktemp("registries")
    shutil.copytree(os.path.join(root, "dgl"), str(folder / "dgl"))
    (folder / "dgl" / "backbones" / "toynet.py").write_text(BACKBONE)
    (folder / "dgl" / "attribution" / "toymap.py").write_text(METHOD)
    (folder / "dgl" / "data" / "layouts" / "toyset.py").write_text(LAYOUT)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, os.path.join(root, "tests"), data],
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return folder, done.stdout


@pytest.mark.slow
def test_localize(runs):
    folder, _ = runs
    record = json.loads((folder / "localized" / "toynet_stem_toymap.json").read_text())
    assert (record["mode"], record["method"], record["layer"]) == ("toynet", "toymap", "stem")
    assert record["box"][2] > record["box"][0]


@pytest.mark.slow
def test_evaluate(runs):
    folder, _ = runs
    metrics = json.loads((folder / "evaluated" / "metrics.json").read_text())
    for protocol in metrics["protocols"].values():
        (row,) = protocol["rows"]
        assert (row["method"], row["layer"]) == ("toymap", "stem")


@pytest.mark.slow
def test_help(runs):
    helps = runs[1].split("usage: dgl ")[1:]
    found = [[name in text for name in ("toynet", "toymap", "toyset")] for text in helps]
    assert found == [[True, True, False], [True, True, True], [True, False, True]]
