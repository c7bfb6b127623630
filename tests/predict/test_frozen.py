"""The frozen classifier computes what the variables' graph does, gradients included, on every backbone."""

import numpy as np
import pytest
from predict.frozen_networks import SIZE, flat, frozen, options, variables

from dgl.backbones import get_backbone
from dgl.errors import UserError
from dgl.predict import frozen as build_module
from dgl.predict.frozen import build_inference
from dgl.tf_compat import tf

one_network = pytest.mark.parametrize("network", [("vgg", "bn")], indirect=True)


def is_close(found, expected, exact):
    """Most places agree to rounding; where arithmetic is rearranged a ReLU here and there may switch."""
    error = np.abs(found - expected) / max(np.abs(expected).max(), 1e-30)
    return error.max() < 1e-5 if exact else np.mean(error < 1e-4) > 0.99 and error.max() < 0.05


@pytest.fixture(scope="module")
def computed(network):
    """What the frozen network computes, and its operations."""
    mode, norm, _, checkpoint = network
    return frozen(mode, norm, checkpoint)


def test_computes_the_same(network, computed):
    mode, norm, _, _ = network
    found, operations = computed
    expected, _ = variables(mode, norm)
    exact = norm == "none" and mode == "vgg"
    pairs = list(zip(flat(found), flat(expected)))
    assert len(pairs) == 2 + 3 * len(get_backbone(mode).layers)
    for one, other in pairs:
        assert one.shape == other.shape
        assert is_close(one, other, exact)
    assert not any("BatchNorm" in op.type or "Variable" in op.type for op in operations)


def test_every_plain_convolution_backpropagates_as_a_convolution(computed):
    left = [op for op in computed[1] if op.type == "Conv2DBackpropInput"]
    assert all(op.get_attr("strides") != [1, 1, 1, 1] for op in left)


def test_the_reference_s_rounding_is_not_rearranged(network, monkeypatch):
    mode, norm, _, checkpoint = network
    monkeypatch.setattr(build_module, "reference_kernels", lambda: True)
    found, operations = frozen(mode, norm, checkpoint, with_gradients=False)
    expected, expected_operations = variables(mode, norm)

    def norms(of):
        return sum("BatchNorm" in op.type and "Grad" not in op.type for op in of)

    assert norms(operations) == norms(expected_operations)
    assert all(is_close(a, b, True) for a, b in zip(flat(found), flat(expected[:3])))


@one_network
def test_gpus_are_left_their_own_gradients(network):
    mode, norm, _, checkpoint = network
    _, operations = frozen(mode, norm, checkpoint, gpus=1)
    assert "Conv2DBackpropInput" in {op.type for op in operations}


@one_network
def test_a_variable_that_no_constant_can_hold(network, monkeypatch):
    mode, norm, _, checkpoint = network
    monkeypatch.setattr(build_module, "_MOST_BYTES", 100)
    with tf.Graph().as_default(), pytest.raises(UserError) as caught:
        image = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])
        build_inference(get_backbone(mode), checkpoint, image, options(mode, norm))
    assert str(caught.value).startswith(checkpoint.path + ": ")
    assert str(caught.value).endswith("GiB large; expected less than 2")
