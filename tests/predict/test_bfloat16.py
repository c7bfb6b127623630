"""Graphs lowered to bfloat16: rounded after every operation, and only where it is meant."""

import numpy as np
import pytest

from dgl.predict.precision import has_bfloat16_kernels, lower_precision
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.utils.graph_walk import reachable

pytestmark = pytest.mark.skipif(
    not has_bfloat16_kernels(), reason="this TensorFlow has no bfloat16"
)


def rounded(tensor):
    return tf.cast(tf.cast(tensor, tf.bfloat16), tf.float32)


def every_op(image, weights, rounding):
    """A network of everything that bfloat16 goes through; ``rounding`` after each operation."""

    def layer(x, name, strides=1):
        x = tf.nn.conv2d(x, rounding(weights[name]), [1, strides, strides, 1], "SAME")
        x = tf.nn.bias_add(rounding(x), rounding(weights[name + "_bias"]))
        return tf.nn.relu(rounding(x))

    first = layer(rounding(image / 7.0), "a")
    down = tf.nn.max_pool2d(first, 2, 2, "SAME")
    down = rounding(tf.nn.avg_pool2d(down, 3, 1, "SAME"))
    deep = layer(down, "b", 2)
    deep = rounding(deep + layer(deep, "c"))
    gate = tf.sigmoid(tf.reduce_mean(deep, [1, 2], keepdims=True))
    deep = rounding(deep * rounding(gate))
    deep = tf.pad(tf.concat([deep, tf.nn.relu(deep)], 3), [[0, 0], [1, 0], [0, 1], [0, 0]])
    last = layer(deep, "d")
    pooled = tf.reduce_mean(last, [1, 2], keepdims=True)
    return last, tf.squeeze(tf.nn.conv2d(pooled, weights["head"], 1, "SAME"), [1, 2])


@pytest.fixture(scope="module")
def small():
    """Weights and a batch of images."""
    random = np.random.RandomState(0)
    shapes = {"a": (3, 3, 3, 8), "b": (3, 3, 8, 8), "c": (3, 3, 8, 8), "d": (1, 1, 16, 8)}
    weights = {name: random.normal(0, 0.3, shape) for name, shape in shapes.items()}
    weights.update({name + "_bias": random.normal(0, 0.3, 8) for name in shapes})
    weights["head"] = random.normal(0, 0.3, (1, 1, 8, 4))
    images = random.uniform(0, 20, (2, 16, 16, 3)).astype("float32")
    return {name: array.astype("float32") for name, array in weights.items()}, images


def lowered(weights, images):
    """Outputs of the lowered graph, their values, and its operations."""
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, images.shape, "image")
        named = {name: tf.placeholder(tf.float32, v.shape, name) for name, v in weights.items()}
        outputs = every_op(image, named, lambda tensor: tensor)
        names = [tensor.name for tensor in outputs]
    graph_def, values = lower_precision(graph.as_graph_def(), weights)
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, images.shape, "image")
        needed = reachable(graph_def, names)
        mapped = {name + ":0": tf.constant(v) for name, v in values.items() if name in needed}
        tensors = tf.import_graph_def(graph_def, dict(mapped, **{"image:0": image}), names)
        raised = [tf.cast(tensor, tf.float32) for tensor in tensors]
        with open_session() as session:
            found = session.run(raised, {image: images})
    return tensors, found, graph.get_operations()


def test_rounds_after_every_operation(small):
    weights, images = small
    _, found, _ = lowered(weights, images)
    with tf.Graph().as_default(), open_session() as session:
        expected = session.run(every_op(tf.constant(images), weights, rounded))
        exact = session.run(every_op(tf.constant(images), weights, tf.identity))
    # What differs in the last digit of a sum may round the other way, a unit of 8 bits apart, and what
    # follows with it.
    for one, other in zip(found, expected):
        assert np.abs(one - other).max() <= 2**-6 * np.abs(other).max()
    within = 1e-6 * np.abs(expected[0]).max()
    assert np.mean(np.abs(found[0] - expected[0]) <= within) > 0.7
    assert np.mean(np.abs(found[0] - exact[0]) <= within) < 0.6


def test_types_of_the_graph(small):
    (last, logits), _, operations = lowered(*small)
    convolutions = [op.outputs[0].dtype for op in operations if op.type == "Conv2D"]
    assert convolutions == 4 * [tf.bfloat16] + [tf.float32]  # the last one classifies
    assert (last.dtype, logits.dtype) == (tf.bfloat16, tf.float32)
    types = {}
    for op in operations:
        types.setdefault(op.type, set()).update(tensor.dtype for tensor in op.outputs)
    for op in ("BiasAdd", "Relu", "MaxPool", "AvgPool", "AddV2", "ConcatV2", "Pad"):
        assert types[op] == {tf.bfloat16}, op
    for op in ("Mean", "Squeeze", "Sigmoid", "RealDiv"):
        assert types[op] == {tf.float32}, op
