"""The bundled checkpoint and images, which `dgl localize` takes by default."""

import json
import os

import numpy as np
import pytest

from dgl.cli.localize import make_parser, run
from dgl.datasets import SHIPPED_CHECKPOINT, SHIPPED_IMAGES, sample_images
from dgl.datasets.birds.data_set import SAMPLE_SIDE, SAMPLES
from dgl.datasets.birds.render import render_bird
from dgl.predict.postprocess import iou
from dgl.weights import open_checkpoint, read_card


@pytest.mark.slow
def test_birds_are_classified_and_most_of_them_localized(tmp_path, root):
    assert os.path.join(root, "images") == SHIPPED_IMAGES
    flags = ["--outdir", str(tmp_path), "--clayer", "conv5_3", "--gpu=-1"]
    assert run(make_parser("demo").parse_args(flags)) == 0
    found = sorted(os.listdir(str(tmp_path)))
    own = [os.path.splitext(os.path.basename(path))[0] for path in sample_images()]
    assert found == sorted(own + ["results.jsonl"])
    overlaps, right = [], 0
    for class_index, seed in SAMPLES:
        name = read_card(SHIPPED_CHECKPOINT).class_names[class_index]
        drawn = render_bird(class_index, np.random.default_rng(seed), SAMPLE_SIDE)
        folder = tmp_path / f"bird_{name.lower()}"
        with open(str(folder / "vgg_conv5_3_dgl.json"), encoding="utf-8") as stream:
            record = json.load(stream)
        right += record["class_name"] == name
        overlaps.append(iou(record["box"], drawn.box)[0, 0])
    assert right >= 5  # of 6
    assert np.median(overlaps) >= 0.5


def test_the_checkpoint_is_small_and_bare():
    assert os.path.getsize(SHIPPED_CHECKPOINT) <= 6e6
    names = open_checkpoint(SHIPPED_CHECKPOINT).shapes
    assert not [name for name in names if "Momentum" in name or "step" in name]
