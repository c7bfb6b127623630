"""The four networks against the published shapes, and what the registry says about them."""

import functools
import json
import os
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from networks import fill, options_of, shapes_of, vgg_shapes
from refusals import refusal
from sample_images import REFERENCE

from dgl.backbones import BACKBONES, PAPER_MODES, get_backbone
from dgl.backbones.network import build_network, normalize_image
from dgl.tf_compat import tf

from tensorpack.tfutils.gradproc import ScaleGradient  # isort: skip
from tensorpack.tfutils.tower import TowerContext  # isort: skip

WIDTH = 0.25

pytestmark = pytest.mark.filterwarnings("ignore:.*batch_normalization")


@functools.lru_cache(maxsize=None)
def build(mode, size=64, batch=1, training=False, **options):
    """Variables [(name, shape)], endpoints and logits as shapes, and the graph."""
    graph = tf.Graph()
    with graph.as_default(), TowerContext("", is_training=training):
        image = tf.placeholder(tf.float32, [batch, size, size, 3])
        options = options_of(mode, training=training, **options)
        network = build_network(get_backbone(mode), image, options)
        return {
            "graph": graph,
            "variables": [(v.op.name, v.shape.as_list()) for v in tf.global_variables()],
            "trainable": [v.op.name for v in tf.trainable_variables()],
            "endpoints": {k: v.shape.as_list() for k, v in network.endpoints.items()},
            "logits": network.logits.shape.as_list(),
            "head_weights": network.head_weights.shape.as_list(),
        }


# Every other way at once: channels first, any number of images, fewer channels.
NARROW = {"size": 224, "classes": 1000, "width": WIDTH}
NARROW.update({"data_format": "channels_first", "batch": None})


@pytest.fixture
def shallow(monkeypatch):
    """A ResNet-50 of few blocks, for what does not depend on their number."""
    backbone = get_backbone("resnet50")
    few = replace(backbone, build=functools.partial(backbone.build, blocks=(1, 2, 1, 2)))
    monkeypatch.setitem(BACKBONES, "resnet50", few)


@pytest.fixture(scope="module", params=PAPER_MODES)
def reference(request):
    with open(os.path.join(REFERENCE, request.param + ".json")) as stream:
        return json.load(stream)


@pytest.fixture(scope="module")
def full(reference):
    return build(reference["mode"], size=224, classes=1000)


@pytest.fixture(scope="module")
def narrow(reference):
    return build(reference["mode"], **NARROW)


def test_variables_have_the_published_names_shapes_and_order(reference, full):
    assert full["variables"] == [tuple(pair) for pair in reference["variables"].items()]


def test_endpoints_and_logits_have_the_published_shapes(reference, full):
    published = reference["endpoints_at_224"]
    assert {k: v for k, v in full["endpoints"].items() if k in published} == published
    beyond = set(full["endpoints"]) - set(published)
    assert beyond <= set(reference["clayer"])
    layers = get_backbone(reference["mode"]).layers
    assert list(layers) == reference["clayer"]
    assert set(layers) <= set(full["endpoints"])
    assert full["logits"] == [1, 1000]
    assert full["head_weights"] == [full["endpoints"][layers[0]][3], 1000]


def test_width_scales_every_channel_count_with_channels_first_too(reference, full, narrow):
    mode, found = reference["mode"], [(name, tuple(shape)) for name, shape in narrow["variables"]]
    assert found == shapes_of(mode, 224, options_of(mode, 1000, width=WIDTH))
    assert set(narrow["endpoints"]) == set(full["endpoints"])
    for name, shape in full["endpoints"].items():
        assert narrow["endpoints"][name][2:] == shape[1:3] or len(shape) < 4, name
    assert narrow["endpoints"][get_backbone(mode).layers[0]][1] == narrow["head_weights"][0]


@pytest.mark.parametrize("norm", ["none", "bn"])
def test_vgg_with_and_without_batch_norm(norm):
    variables = build("vgg", width=0.125, norm=norm)["variables"]
    assert {name: tuple(shape) for name, shape in variables} == vgg_shapes(5, norm=norm)
    assert get_backbone("vgg").find_norm(dict(variables)) == norm


@pytest.mark.parametrize("depth, blocks", [(50, 16), (101, 33), (152, 50)])
@pytest.mark.parametrize("suffix", ["", "se"])
def test_layers_of_deeper_resnets(depth, blocks, suffix):
    layers = get_backbone(f"resnet{depth}{suffix}").layers
    # Every block but the three of group0 and the first of group1.
    assert len(set(layers)) == len(layers) == blocks - 4
    assert layers[0] == "group3/block2_shortcut"
    assert layers[-1] == "group1/block1_shortcut"


@pytest.mark.slow
def test_last_stride_halves_the_last_group(shallow):
    endpoints = build.__wrapped__("resnet50", width=0.125, last_stride=2)["endpoints"]
    assert endpoints["group2"][1:3] == [8, 8]
    assert endpoints["group3/block0_shortcut"][1:3] == endpoints["group3"][1:3] == [4, 4]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "-1x1"])
def test_dilation_keeps_what_the_strided_network_computes_between_its_places(end, shallow):
    """Every fourth place of the dilated network's last layer is the strided one's."""
    image = np.random.RandomState(0).normal(size=(1, 64, 64, 3)).astype("float32")
    layers = []
    for strides in ("published" + end, "dilated" + end):
        with tf.Graph().as_default(), tf.Session() as session:
            options = options_of("resnet50", width=0.125, strides=strides)
            network = build_network(get_backbone("resnet50"), tf.constant(image), options)
            fill(session)
            layers.append(session.run(network.endpoints["group3"]))
    strided, dilated = layers
    assert (strided.shape[1:3], dilated.shape[1:3]) == ((2, 2), (8, 8))
    np.testing.assert_allclose(dilated[:, ::4, ::4], strided, rtol=1e-4, atol=1e-5 * strided.max())


@pytest.mark.slow
def test_inception_in_training_drops_out_and_updates_averages():
    training = build("inceptionv3", classes=1000, width=WIDTH, training=True)
    still = build("inceptionv3", **NARROW)
    assert training["variables"] == still["variables"]

    def random_ops(graph):
        random = [op for op in graph.get_operations() if op.type == "RandomUniform"]
        return [op for op in random if "dropout" in op.name.lower()]

    # Before add2, before add1 and before the last convolution.
    assert len(random_ops(training["graph"])) == 3
    assert not random_ops(still["graph"])
    norms = sum(name.endswith("BatchNorm/beta") for name, _ in still["variables"])
    updates = training["graph"].get_collection(tf.GraphKeys.UPDATE_OPS)
    assert len(updates) == 2 * norms
    assert not still["graph"].get_collection(tf.GraphKeys.UPDATE_OPS)
    assert not any("moving_" in name for name in training["trainable"])


@pytest.mark.parametrize("layer", ["conv9_9", "18", -1, "", "1.5", None])
def test_unknown_layers_list_the_choices(layer):
    backbone = get_backbone("vgg")
    message = refusal(backbone.layer_name, layer)
    choices = [f"{index} {name}" for index, name in enumerate(backbone.layers)]
    assert str(layer) in message and all(choice in message for choice in choices)


def test_find_width_and_own_layers(reference, full, narrow):
    backbone = get_backbone(reference["mode"])
    assert backbone.find_width(dict(full["variables"])) == 1.0
    assert backbone.find_width(dict(narrow["variables"])) == WIDTH
    own = {name.rsplit("/", 1)[0] for name, _ in full["variables"] if backbone.is_own(name)}
    logits = "InceptionV3/Logits/"
    assert own == {
        "vgg": {"add", "linear"},
        "inceptionv3": {logits + layer for layer in ("add1", "add2", "Conv2d_1c_1x1_1000")},
    }.get(backbone.mode, set())


@pytest.mark.parametrize(
    "mode, width, expected",
    [
        ("vgg", 1.0, 1.0),
        ("vgg", 0.1, 6 / 64),
        ("vgg", 0.3, 19 / 64),
        ("resnet50", 16, 16.0),
        ("inceptionv3", 0.05, 4 / 32),
    ],
)
def test_round_width(mode, width, expected):
    assert get_backbone(mode).round_width(width) == expected


@pytest.mark.parametrize("width", [0, -1, 16.1, 1e300, float("inf"), float("nan")])
def test_absurd_widths(width):
    assert f"--width {width:g}: " in refusal(get_backbone("vgg").round_width, width)


def _published_multiplier(mode, name):
    """The table of the recipe, written out by hand, independent of any regular expression."""
    scope, *_, kind = parts = name.split("/")
    if mode == "vgg":
        return (10 if scope in ("add", "linear") else 1) * {"W": 1, "b": 2}[kind]
    if mode == "inceptionv3":
        return (10 if parts[1] == "Logits" else 1) * (2 if kind in ("biases", "beta") else 1)
    is_doubled = kind == "beta" and scope in ("conv0", "group0", "group1", "group2")
    return 2 if is_doubled or name == "linear/b" else 1


def test_gradient_multipliers(reference):
    mode = reference["mode"]
    names = [name for name in reference["variables"] if "EMA" not in name and "moving_" not in name]
    variables = [SimpleNamespace(op=SimpleNamespace(name=name)) for name in names]
    scale = ScaleGradient(list(get_backbone(mode).gradient_multipliers), verbose=False)
    found = [(v.op.name, factor) for factor, v in scale.process([(1.0, v) for v in variables])]
    assert found == [(name, _published_multiplier(mode, name)) for name in names]


def test_weight_decay(reference):
    decay = get_backbone(reference["mode"]).weight_decay
    assert (decay is None) == (reference["mode"] != "vgg")
    if decay is not None:
        assert decay[1] == 5e-4
        decayed = {name for name in reference["variables"] if re.match(decay[0] + "$", name)}
        assert decayed == {n for n, shape in reference["variables"].items() if len(shape) > 1}


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_normalize_image(dtype):
    image = np.random.RandomState(0).uniform(0, 255, (2, 5, 4, 3)).astype(dtype)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(normalize_image(tf.constant(image)))
    # Float32 against float64, values up to 2.7.
    mean, std = np.array([0.406, 0.456, 0.485]), np.array([0.225, 0.224, 0.229])
    np.testing.assert_allclose(found, (image.astype(float) / 255 - mean) / std, rtol=0, atol=2e-6)
    assert found.dtype == np.float32


# The networks with batch normalization: it must not use the batch.
@pytest.mark.parametrize("mode", ["resnet50", "inceptionv3"])
def test_images_of_a_batch_do_not_touch_each_other(mode, shallow):
    rng = np.random.RandomState(3)
    images = rng.uniform(0, 255, (3, 64, 64, 3)).astype("float32")
    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.placeholder(tf.float32, [None, 64, 64, 3])
        network = build_network(get_backbone(mode), image, options_of(mode, width=0.125))
        fill(session)
        together = session.run(network.logits, {image: images})
        alone = [session.run(network.logits, {image: images[i : i + 1]})[0] for i in range(3)]
    scale = np.abs(together).max()
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4 * scale)
    assert np.abs(together[0] - together[1]).max() > 1e-2 * scale
