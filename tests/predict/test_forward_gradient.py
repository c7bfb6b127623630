"""Backpropagation as a convolution: the same gradient as TensorFlow's, one filter for all passes."""

import numpy as np
import pytest

from dgl.predict.frozen import mark_convolutions
from dgl.tf_compat import tf

CHANNELS = 3, 5


def convolution(kernel, strides=(1, 1), padding="SAME", dilations=(1, 1), depthwise=0):
    """(graph_def, filter) of one convolution named ``conv`` of a placeholder ``x``.

    ``depthwise`` is 0, or the number of filters for each channel.
    """
    channels = (CHANNELS[0], depthwise) if depthwise else CHANNELS
    weights = np.random.RandomState(1).normal(size=tuple(kernel) + channels).astype("float32")
    if depthwise:
        assert dilations == (1, 1)
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 9, 11, CHANNELS[0]], "x")
        more = {} if depthwise else {"dilations": [1] + list(dilations) + [1]}
        convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
        convolve(
            x,
            tf.identity(tf.constant(weights)),
            strides=[1] + list(strides) + [1],
            padding=padding,
            name="conv",
            **more,
        )
    return graph.as_graph_def(), weights


def gradients(graph_def, rounds=1):
    """(input gradients of random backward signals, op types of the graph)."""
    rng = np.random.RandomState(2)
    with tf.Graph().as_default() as graph:
        x, out = tf.import_graph_def(graph_def, name="", return_elements=["x:0", "conv:0"])
        signals = [
            tf.constant(rng.normal(size=[2] + out.shape.as_list()[1:]).astype("float32"))
            for _ in range(rounds)
        ]
        results = [tf.gradients(out, x, grad_ys=signal)[0] for signal in signals]
        with tf.Session() as session:
            feed = {x: rng.normal(size=[2] + x.shape.as_list()[1:])}
            found = session.run(results, feed)
    return found, [op.type for op in graph.get_operations()]


@pytest.mark.parametrize("depthwise", [0, 1])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 5), (1, 7), (7, 1), (3, 1)])
def test_equals_tensorflow_s_own_gradient(kernel, depthwise):
    graph_def, weights = convolution(kernel, depthwise=depthwise)
    expected, _ = gradients(graph_def)
    mark_convolutions(graph_def, {"conv": weights})
    found, types = gradients(graph_def)
    assert not any("BackpropInput" in op for op in types)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "kernel, more",
    [
        ((3, 3), {"strides": (2, 2)}),
        ((3, 3), {"padding": "VALID"}),
        ((3, 3), {"dilations": (2, 2)}),
        ((2, 2), {}),
        ((3, 4), {}),
        ((3, 3), {"depthwise": 2}),
        ((3, 3), {"depthwise": 1, "strides": (2, 2)}),
        ((2, 2), {"depthwise": 1}),
    ],
)
def test_any_other_convolution_keeps_tensorflow_s(kernel, more):
    graph_def, weights = convolution(kernel, **more)
    mark_convolutions(graph_def, {"conv": weights})
    assert not any("_gradient_op_type" in node.attr for node in graph_def.node)
    with tf.Graph().as_default() as graph:
        x, out = tf.import_graph_def(graph_def, name="", return_elements=["x:0", "conv:0"])
        tf.gradients(out, x)  # not run: some of these have no kernel on a CPU
        assert any("BackpropInput" in op.type for op in graph.get_operations())


def test_passes_share_the_turned_filter():
    graph_def, weights = convolution((3, 3))
    mark_convolutions(graph_def, {"conv": weights})
    found, types = gradients(graph_def, rounds=3)
    assert types.count("Conv2D") == 4
    assert types.count("Transpose") == 1
    assert not np.allclose(found[0], found[1])
