"""The benchmark's network is the project's own VGG, and its batch is eight different photographs."""

import numpy as np
from networks import vgg_shapes

from benchmarks.speed import network, photos
from benchmarks.speed.frozen_run import MAIN_LAYER, Variables
from dgl.backbones import get_backbone
from dgl.predict.predictor import Predictor

WIDTH, CLASSES = 0.125, 7


def test_names_and_shapes_are_those_of_the_backbone():
    found = network.weights(width=WIDTH, classes=CLASSES)
    assert {name: value.shape for name, value in found.items()} == vgg_shapes(CLASSES)
    assert all(value.dtype == np.float32 for value in found.values())


def test_pools_follow_the_last_convolution_of_a_block():
    layers = []
    for name, _ in network.convolutions():
        layers += [name] + [pool for pool in [network.pool_after(name)] if pool]
    assert layers[::-1] == list(get_backbone("vgg").layers)


def test_predictor_loads_it_without_maps_and_with(tmp_path):
    path = str(tmp_path / "weights.npz")
    network.write(path, width=WIDTH, classes=CLASSES)
    images = photos.batch(2, size=64)
    with Predictor("vgg", path, layers=["add"], methods=(), image_size=64, gpu="-1") as predictor:
        alone = predictor(images, [1, 2])
    with Predictor("vgg", path, layers=["conv5_2"], methods=("dgl",), image_size=64) as predictor:
        assert predictor.classes == CLASSES
        both = predictor(images, [1, 2])
    assert not alone.maps and list(both.maps) == [("dgl", "conv5_2")]
    np.testing.assert_allclose(alone.logits, both.logits, rtol=1e-4, atol=1e-5)
    assert 0.01 < alone.logits.std() < 100


def test_frozen_or_not_it_computes_the_same(tmp_path):
    path = str(tmp_path / "weights.npz")
    network.write(path, width=WIDTH, classes=CLASSES)
    images = np.random.RandomState(0).uniform(0, 255, (2, 48, 48, 3)).astype("float32")
    logits, maps = Variables(path, ("dgl",), size=48)(images)
    with Predictor("vgg", path, [MAIN_LAYER], ("dgl",), image_size=48, gpu="-1") as predictor:
        found = predictor(images)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max())
    expected = maps["dgl", MAIN_LAYER]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.maps["dgl", MAIN_LAYER], expected, atol=1e-4 * scale)
