"""Every method on every backbone, and what holds at the layer that feeds pooling."""

import functools

import numpy as np
import pytest
from networks import fill, options_of
from sample_images import blob_image
from tiny_network import normalize

from dgl.attribution import METHODS, build_maps, expand_methods
from dgl.backbones import BACKBONES, PAPER_MODES, get_backbone
from dgl.backbones.network import build_network
from dgl.tf_compat import tf

POSITIVE = ("gradcam", "gradcam++", "xgradcam", "layercam", "eigencam", "center")
WIDTH = 0.0625
CLASS_INDEX = [1, 4]
NAMES = expand_methods(["all"])  # of a network without a foreground head

# Of these the last layers are enough: they repeat the blocks of others, which are tried down to the first.
# One deeper ResNet stands for the four.
ALIKE = {"resnet50se", "resnet101se", "efficientnet_lite1", "efficientnet_lite2"}
MODES = [
    m if m in PAPER_MODES else pytest.param(m, marks=pytest.mark.slow)
    for m in BACKBONES
    if m not in ("resnet101", "resnet152", "resnet152se")
]

pytestmark = pytest.mark.filterwarnings("ignore:.*batch_normalization")


def size_of(mode):
    """Pixels a side that leave the last layer more than one place."""
    return 64 if mode.startswith("efficientnet") else 32


@functools.lru_cache(maxsize=None)
def run(mode):
    """Maps of all methods and the activations at some layers from the last on, logits and head's bias."""
    backbone = get_backbone(mode)
    names = backbone.layers
    layers = names[:3] if mode in ALIKE else (*names[:2], names[len(names) // 2], names[-1])
    step = 256 // size_of(mode)
    images = np.stack([blob_image(seed)[:256:step, :256:step] for seed in (1, 2)]).astype("float32")
    with tf.Graph().as_default(), tf.Session() as session:
        network = build_network(backbone, tf.constant(images), options_of(mode, width=WIDTH))
        assert set(names) <= set(network.endpoints)
        settings = (layers, layers[0], tf.constant(CLASS_INDEX))
        maps = build_maps(network, NAMES, *settings, image_size=size_of(mode))
        fill(session)
        bias = tf.global_variables()[-1]
        assert bias.op.name.endswith(("linear/b", "biases"))
        activations = {layer: network.endpoints[layer] for layer in layers}
        return session.run([maps, activations, network.logits, bias])


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("mode", MODES)
def test_shapes_and_numbers(mode, method):
    maps, activations, _, _ = run(mode)
    found = {layer: value for (name, layer), value in maps.items() if name == method}
    kind = METHODS[method].layers
    layers = list(activations)
    assert list(found) == {"any": layers, "last": layers[:1], "image": ["image"]}[kind]
    for layer, value in found.items():
        side = size_of(mode)
        shape = (2, side, side) if kind == "image" else activations[layer].shape[:3]
        assert value.shape == shape and value.dtype == np.float32
        assert np.isfinite(value).all()
    if method.startswith("normgrad") or method in POSITIVE:
        assert min(value.min() for value in found.values()) >= 0


@pytest.mark.parametrize("mode", MODES)
def test_at_the_last_layer(mode):
    maps, activations, logits, bias = run(mode)
    last, before = list(activations)[:2]
    cam = maps["cam", last]
    places = cam.shape[1] * cam.shape[2]
    close = {"rtol": 0, "atol": 1e-5 * np.abs(cam).max()}  # float32
    scores = logits[[0, 1], CLASS_INDEX] - bias[CLASS_INDEX]
    np.testing.assert_allclose(cam.mean((1, 2)), scores, **close)
    np.testing.assert_allclose(places * maps["gradcam", last], np.maximum(cam, 0), **close)
    np.testing.assert_allclose(places * maps["hirescam", last], cam, **close)
    for method in ("dgl", "dgl-pcs", "dgl-no-loss"):
        found = normalize(maps[method, last])
        np.testing.assert_allclose(found, normalize(cam), rtol=0, atol=1e-4)
    if mode in PAPER_MODES:  # one layer before, DGL is another map
        assert np.abs(normalize(maps["dgl", before]) - normalize(cam)).max() > 0.05
