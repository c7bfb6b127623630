"""All requested maps of a network at once: which ones, and that they are what single calls give."""

from collections import Counter, OrderedDict

import numpy as np
import pytest
from tiny_network import CLASS_INDEX, TinyNetwork

from dgl.attribution import METHODS, build_maps, cam_map, check_methods, dgl_map
from dgl.backbones import Network
from dgl.errors import UserError
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=2)
LAYERS = ("activation", "hidden")
LAST = "hidden"


def network_of(tensors):
    endpoints = OrderedDict([("activation", tensors.activation), ("hidden", tensors.hidden)])
    return Network(tensors.logits, endpoints, tensors.weights)


@pytest.mark.parametrize(
    "methods, layers, keys",
    [
        (("dgl",), LAYERS, [("dgl", "activation"), ("dgl", "hidden")]),
        (("dgl",), LAYERS[::-1], [("dgl", "hidden"), ("dgl", "activation")]),
        (("cam",), ("activation",), [("cam", "hidden")]),
        (("cam",), (), [("cam", "hidden")]),
        (("dgl",), (), []),
        (("cam", "dgl"), ("activation",), [("cam", "hidden"), ("dgl", "activation")]),
        ((), LAYERS, []),
    ],
)
def test_entries_and_their_order(methods, layers, keys):
    with tf.Graph().as_default():
        maps = build_maps(network_of(TINY.tensors()), methods, layers, LAST, CLASS_INDEX)
        assert list(maps) == keys
        assert all(op.shape.as_list()[1:] == [4, 5] for op in maps.values())


@pytest.mark.parametrize("alpha, semantics", [(10.0, "kernel"), (2.0, "kernel"), (2.0, "exact")])
def test_maps_are_those_of_single_calls(alpha, semantics):
    with tf.Graph().as_default(), tf.Session() as session:
        t = TINY.tensors()
        together = build_maps(network_of(t), METHODS, LAYERS, LAST, CLASS_INDEX, alpha, semantics)
        alone = {
            ("dgl", name): dgl_map(t.logits, tensor, CLASS_INDEX, alpha, semantics)
            for name, tensor in zip(LAYERS, (t.activation, t.hidden))
        }
        alone["cam", LAST] = cam_map(t.logits, t.hidden, CLASS_INDEX, t.weights)
        together, alone = session.run([together, alone], {t.activation: TINY.activation})
    assert set(together) == set(alone)
    for key in alone:
        np.testing.assert_array_equal(together[key], alone[key])


def _backward_convolutions(layers):
    with tf.Graph().as_default() as graph:
        build_maps(network_of(TINY.tensors()), METHODS, layers, LAST, CLASS_INDEX)
        return Counter(op.type for op in graph.get_operations())["Conv2DBackpropInput"]


def test_layers_share_the_backward_passes():
    assert _backward_convolutions(("activation",)) == 2
    assert _backward_convolutions(LAYERS) == 2


@pytest.mark.parametrize("method", ["gradcam", "DGL", ""])
def test_unknown_method_lists_the_choices(method):
    with pytest.raises(UserError, match="--method {}: choose of dgl, cam".format(method)):
        check_methods(["dgl", method])
    with tf.Graph().as_default(), pytest.raises(UserError, match="--method"):
        build_maps(network_of(TINY.tensors()), [method], LAYERS, LAST, CLASS_INDEX)


def test_known_methods_pass():
    check_methods(METHODS)
    check_methods([])
