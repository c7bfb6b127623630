"""EfficientNet-Lite of the speed benchmark: the same network for every library, layers by their strides."""

import importlib

import numpy as np
import pytest

from benchmarks.speed import contenders, lite, photos
from benchmarks.speed.arithmetic import count
from benchmarks.speed.sections import lite as section
from benchmarks.speed.workers import Setup
from dgl.backbones import BuildOptions, get_backbone
from dgl.backbones.network import build_network
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf

MODES = sorted(section.MODES)


@pytest.fixture(scope="module", params=MODES)
def network(request, tmp_path_factory):
    """(mode, path of the weights)."""
    package = get_backbone(request.param).package
    pytest.importorskip(package.module)
    path = str(tmp_path_factory.mktemp("lite") / "weights.npz")
    lite.write(path, request.param)
    return request.param, path


def test_coarse_layers_are_the_outputs_of_strides_16_and_32():
    mode = MODES[-1]
    with tf.Graph().as_default():
        size = get_backbone(mode).image_size
        image = tf.placeholder(tf.float32, [1, size, size, 3])
        endpoints = build_network(get_backbone(mode), image, BuildOptions(10, "linear")).endpoints
    sides = {name: endpoints[name].shape.as_list()[1] for name in endpoints if "_" not in name}
    coarse = {name for name, side in sides.items() if side <= size / 16 + 1}
    assert set(lite.coarse_layers(mode)) == coarse


def test_every_multiply_add_is_there(network):
    mode, path = network
    stages, _, _ = lite.read(path, mode)
    size, found = get_backbone(mode).image_size, 0
    for one in (one for stage in stages for one in stage.convolutions):
        size = (size + sum(one.padding) - one.kernel.shape[0]) // one.stride + 1
        found += size * size * one.kernel.size
    assert found == count(mode, size=get_backbone(mode).image_size)[0]


@pytest.mark.peer
@pytest.mark.parametrize("library", ["pytorch", "onnx_runtime", "autograd"])
def test_every_library_has_the_same_logits(network, library, tmp_path):
    pytest.importorskip("onnxruntime" if library == "onnx_runtime" else "torch")
    module = importlib.import_module("benchmarks.speed.workers." + library)
    mode, path = network
    images, stored = photos.batch(2, get_backbone(mode).image_size), str(tmp_path / "images.npy")
    np.save(stored, images)
    uses = ("the forward pass alone", "a layer's gradient", "every gradient")
    made = module.Library(Setup(path, stored, 2, mode, dict.fromkeys(uses, "channels last")))
    found, _, _ = contenders.lite_contenders(mode)
    with Predictor(mode, path, ["block14"], ["gradcam", "layercam"], gpu="-1") as predictor:
        expected = predictor(images, [1, 2])
    for one in found.values():
        if one.library != library or one.options.get("compiled") or one.missing():
            continue
        outcome = made.prepare(one.case(2), images, [1, 2])()
        if outcome.logits is not None:
            np.testing.assert_allclose(outcome.logits, expected.logits, atol=2e-3)
    if library == "autograd":
        one = found[contenders.FROZEN, "block14"]
        outcome = made.prepare(one.case(2), images, [1, 2])()
        wanted = expected.maps["layercam", "block14"]
        np.testing.assert_allclose(outcome.maps, wanted, atol=1e-3 * wanted.max())
