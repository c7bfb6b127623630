"""The speed benchmark's network is the project's own VGG; its multiply-adds, as counted in the graph."""

import os

import numpy as np
import pytest

from benchmarks.speed import network
from benchmarks.speed.arithmetic import count, floor
from benchmarks.speed.frozen_run import MAIN_LAYER, Variables
from dgl.backbones import get_backbone
from dgl.predict.predictor import Predictor


def test_frozen_or_not_it_computes_the_same(tmp_path):
    path = str(tmp_path / "weights.npz")
    network.write(path, width=0.125, classes=7)
    images = np.random.RandomState(0).uniform(0, 255, (2, 48, 48, 3)).astype("float32")
    logits, maps = Variables(path, ("dgl",), size=48)(images)
    with Predictor("vgg", path, [MAIN_LAYER], ("dgl",), image_size=48, gpu="-1") as predictor:
        found = predictor(images)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max())
    expected = maps["dgl", MAIN_LAYER]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.maps["dgl", MAIN_LAYER], expected, atol=1e-4 * scale)


# (side of the image, input channels, output channels), from the input on.
VGG = [
    ("conv1_1", 224, 3, 64), ("conv1_2", 224, 64, 64),
    ("conv2_1", 112, 64, 128), ("conv2_2", 112, 128, 128),
    ("conv3_1", 56, 128, 256), ("conv3_2", 56, 256, 256), ("conv3_3", 56, 256, 256),
    ("conv4_1", 28, 256, 512), ("conv4_2", 28, 512, 512), ("conv4_3", 28, 512, 512),
    ("conv5_1", 14, 512, 512), ("conv5_2", 14, 512, 512), ("conv5_3", 14, 512, 512),
    ("add", 14, 512, 1024),
]  # fmt: skip
NAMES = [name for name, _, _, _ in VGG]


def multiply_adds(layers):
    return sum(9 * side * side * before * after for _, side, before, after in layers)


@pytest.mark.parametrize("layer", ["conv1_1", "conv3_3", "add"])
def test_a_pass_convolves_once_for_every_convolution_above_the_layer(layer):
    forward, backward = count("vgg", [layer])
    assert forward == multiply_adds(VGG)
    assert backward == multiply_adds(VGG[NAMES.index(layer) + 1 :])


def test_floors_of_one_and_of_two_gradients():
    assert floor(["add"]) == 1
    forward, backward = multiply_adds(VGG), multiply_adds(VGG[-2:])
    assert floor(["conv5_2"]) == pytest.approx(1 + 2 * backward / forward)
    assert floor(["conv5_2"], gradients=1) == pytest.approx(1 + backward / forward)


def test_the_page_quotes_the_floors(root):
    with open(os.path.join(root, "docs", "speed.md"), encoding="utf-8") as stream:
        page = stream.read()
    for name, layers in (("conv5_2", ["conv5_2"]), ("all 18", get_backbone("vgg").layers)):
        assert f"| {name} | {floor(layers):.3f} | {floor(layers, gradients=1):.3f} |" in page
