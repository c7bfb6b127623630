"""Frozen classifiers of every backbone: the variables' graph in float32 and nearly so in bfloat16."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from networks import fill, options_of, value, write_npz
from refusals import refusal

from dgl.attribution import METHODS, build_maps
from dgl.attribution.gradients import class_gradients, loss_gradients
from dgl.attribution.registry import FOREGROUND
from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.predict import frozen as build_module
from dgl.predict.frozen import build_inference
from dgl.predict.precision import has_bfloat16_kernels
from dgl.predict.session import inference_config
from dgl.tf_compat import tf
from dgl.utils.devices import session_config
from dgl.weights import open_checkpoint

SIZE, CLASSES, TARGET, WIDTH = 32, 5, [1, 3], 0.0625
IMAGES = np.random.RandomState(0).uniform(0, 255, (2, SIZE, SIZE, 3))
# A ResNet with squeeze-excite has all that one without has, and a few blocks have all that many have.
NETWORKS = [("vgg", "none"), ("resnet50se", "none"), ("inceptionv3", "none"), ("vgg", "bn")]
NETWORKS.append(("efficientnet_lite0", "none"))
BLOCKS = (1, 2, 1, 1)
LAYERS = ("group3/block0_shortcut", "group2/block0_shortcut", "group1/block1_shortcut")
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput")
# Those that need no head of `dgl refine`.
HEADLESS = [name for name, method in METHODS.items() if FOREGROUND not in method.needs]

one_network = pytest.mark.parametrize("classifier", [("vgg", "bn")], indirect=True)


class Classifier:
    """One of the networks: its options, a checkpoint, and as it is trained, with weights in variables."""

    def __init__(self, mode, norm, folder):
        self.backbone, self.norm = get_backbone(mode), norm
        if mode.startswith("resnet"):
            few = partial(self.backbone.build, blocks=BLOCKS)
            self.backbone = replace(self.backbone, build=few, layers=LAYERS)
        width = self.backbone.round_width(WIDTH)
        self.options = options_of(mode, classes=CLASSES, width=width, norm=norm)
        self.trained = Built(self, self._in_variables, with_maps=False)
        with self.trained.graph.as_default():
            variables = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
        values = {name: value(name, shape) for name, shape in variables.items()}
        self.checkpoint = open_checkpoint(write_npz(folder / "a.npz", values))

    def _in_variables(self, image):
        return build_network(self.backbone, image, self.options)

    def frozen(self, image, *settings):
        return build_inference(self.backbone, self.checkpoint, image, self.options, *settings)


class Built:
    """Logits, head weights, activations of all layers and their gradients; maps of three; operations."""

    def __init__(self, classifier, make, *settings, with_gradients=True, with_maps=True):
        with tf.Graph().as_default() as self.graph:
            self.image = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])
            network, names = make(self.image, *settings), classifier.backbone.layers
            self.network = network
            layers = [network.endpoints[name] for name in names]
            self.fetches, self.maps = [network.logits, network.head_weights, layers], {}
            target = tf.constant(TARGET)
            if with_gradients:
                self.fetches.append(class_gradients(network.logits, layers, target))
                self.fetches.append(loss_gradients(network.logits, layers, target))
            if with_gradients and with_maps:
                self.maps = build_maps(network, HEADLESS, names[:3], names[0], target)
            self.operations = self.graph.get_operations()

    def run(self, what, config=None, prepare=lambda session: None):
        with self.graph.as_default(), tf.Session(config=config or session_config(0)) as session:
            prepare(session)
            return session.run(what, {self.image: IMAGES})

    def types(self):
        return {op.type for op in self.operations}


def is_close(found, expected, exact):
    """Most places agree to rounding; where arithmetic is rearranged a ReLU here and there may switch."""
    error = np.abs(found - expected) / max(np.abs(expected).max(), 1e-30)
    return error.max() < 1e-5 if exact else np.mean(error < 1e-4) > 0.99 and error.max() < 0.05


@pytest.fixture(scope="module", params=NETWORKS, ids=["-".join(n) for n in NETWORKS])
def classifier(request, tmp_path_factory):
    return Classifier(*request.param, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def expected(classifier):
    """What the network as it is trained computes."""
    return classifier.trained.run(classifier.trained.fetches, prepare=fill)


@pytest.fixture(scope="module")
def frozen(classifier):
    return Built(classifier, classifier.frozen)


def test_computes_the_same(classifier, expected, frozen):
    found, maps = frozen.run([frozen.fetches, frozen.maps])
    exact = classifier.norm == "none" and classifier.backbone.mode == "vgg"
    pairs = list(zip(tf.nest.flatten(found), tf.nest.flatten(expected)))
    assert len(pairs) == 2 + 3 * len(classifier.backbone.layers)
    for one, other in pairs:
        assert one.shape == other.shape
        assert is_close(one, other, exact)
    assert not any("BatchNorm" in kind or "Variable" in kind for kind in frozen.types())
    # Every plain convolution backpropagates as a convolution.
    for op in frozen.operations:
        assert op.type != "Conv2DBackpropInput" or op.get_attr("strides") != [1, 1, 1, 1]
    # The rewriting of graphs that inference is spared changes no bit.
    spared = frozen.run(frozen.maps, inference_config())
    for entry in maps:
        # Rewriting joins NormGrad's square roots, which rounds once less.
        rtol = 1e-6 if entry[0].startswith("normgrad") else 0
        np.testing.assert_allclose(maps[entry], spared[entry], rtol=rtol, atol=0)


@pytest.mark.skipif(not has_bfloat16_kernels(), reason="this TensorFlow has no bfloat16")
def test_bfloat16_points_where_float32_does_and_maps_are_in_float32(classifier, expected):
    lowered = Built(classifier, classifier.frozen, 0, "bf16-anywhere")
    for one, other in zip(tf.nest.flatten(lowered.run(lowered.fetches)), tf.nest.flatten(expected)):
        one, other = one.astype("float64").ravel(), other.astype("float64").ravel()
        assert np.isfinite(one).all()
        # Near 0.95 to 0.999; weights at random switch more ReLUs than trained ones.
        assert np.dot(one, other) > 0.9 * np.linalg.norm(one) * np.linalg.norm(other)
    network, layers = lowered.network, classifier.backbone.layers
    assert {network.endpoints[layer].dtype for layer in layers} == {tf.bfloat16}
    assert {tensor.dtype for tensor in lowered.maps.values()} == {tf.float32}
    assert (network.logits.dtype, network.head_weights.dtype) == (tf.float32, tf.float32)
    found = [op for op in lowered.operations if op.type in CONVOLUTIONS]
    assert len(found) > 15
    for op in found:
        kind = tf.float32 if classifier.options.head in op.name else tf.bfloat16
        assert op.outputs[0].dtype == kind, op.name
    # No filter but the classifier's is left in float32.
    for tensor in [op.outputs[0] for op in lowered.operations if op.type == "Const"]:
        if tensor.shape.ndims == 4 and tensor.dtype == tf.float32:
            assert CLASSES in tensor.shape.as_list()[2:]


def test_the_reference_s_rounding_is_not_rearranged(classifier, expected, monkeypatch):
    monkeypatch.setattr(build_module, "reference_kernels", lambda: True)
    built = Built(classifier, classifier.frozen, with_gradients=False)

    def norms(of):
        return sum("BatchNorm" in op.type and "Grad" not in op.type for op in of)

    assert norms(built.operations) == norms(classifier.trained.operations)
    found = tf.nest.flatten(built.run(built.fetches))
    assert all(is_close(a, b, True) for a, b in zip(found, tf.nest.flatten(expected[:3])))


@one_network
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_gpus_are_left_their_own_gradients_and_a_float32_graph(classifier, precision):
    built = Built(classifier, classifier.frozen, 1, precision, with_maps=False)
    assert "Conv2DBackpropInput" in built.types()
    assert tf.bfloat16 not in {tensor.dtype for op in built.operations for tensor in op.outputs}


@one_network
def test_a_variable_that_no_constant_can_hold(classifier, monkeypatch):
    monkeypatch.setattr(build_module, "_MOST_BYTES", 100)
    assert refusal(Built, classifier, classifier.frozen).startswith(classifier.checkpoint.path)
