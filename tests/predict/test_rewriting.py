"""What freezing rewrites computes what it did: BatchNorm, normalization of the image, gradients."""

import numpy as np
import pytest

from dgl.backbones.network import normalize_image
from dgl.backbones.published import Preprocessing
from dgl.predict.frozen import fold_batch_norms, fold_normalization, mark_convolutions
from dgl.tf_compat import tf
from dgl.utils.graph_walk import reachable

CHANNELS = 4
PARAMETERS = ("gamma", "beta", "mean", "variance")


def graph_of(training=False, second_reader=False, data_format="NHWC"):
    """(graph_def, values) of relu(batch_norm(conv(x))), every parameter a variable."""
    rng = np.random.RandomState(0)
    values = {name: rng.uniform(0.5, 2, CHANNELS).astype("float32") for name in PARAMETERS}
    values["W"] = rng.normal(size=(3, 3, 3, CHANNELS)).astype("float32")
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 8, 8, 3], "x")
        variables = {k: tf.get_variable(k, v.shape, use_resource=False) for k, v in values.items()}
        out = tf.nn.conv2d(x, variables["W"], strides=[1] * 4, padding="SAME", name="conv")
        # By its own batch, a norm takes no statistics from outside.
        parameters = [variables[name] for name in PARAMETERS[: 2 if training else 4]]
        more = {"epsilon": 0.01, "is_training": training, "name": "norm"}
        tf.nn.relu(tf.nn.fused_batch_norm(out, *parameters, **more)[0], name="relu")
        if second_reader:
            tf.identity(out, name="other")
    names = ["relu", "other"] if second_reader else ["relu"]
    return tf.graph_util.extract_sub_graph(graph.as_graph_def(), names), values


def run(graph_def, values, fetch="relu:0"):
    kept = tf.GraphDef()
    kept.versions.CopyFrom(graph_def.versions)
    kept.node.extend(node for node in graph_def.node if node.name not in values)
    for node in kept.node:
        node.attr.pop("_class", None)
    used = {name.split(":")[0] for node in graph_def.node for name in node.input}
    with tf.Graph().as_default(), tf.Session() as session:
        mapped = {name + ":0": tf.constant(v) for name, v in values.items() if name in used}
        x, out = tf.import_graph_def(kept, mapped, ["x:0", fetch])
        return session.run(out, {x: np.random.RandomState(1).normal(size=(2, 8, 8, 3))})


def op_types(graph_def):
    return [node.op for node in graph_def.node]


@pytest.mark.parametrize("kept", ["relu", "norm"])
def test_computes_the_same_without_the_norm_and_changes_nothing_given(kept):
    graph_def, values = graph_of()
    before, arrays = graph_def.SerializeToString(deterministic=True), dict(values)
    folded, folded_values = fold_batch_norms(graph_def, values, [kept])
    assert not any("BatchNorm" in op for op in op_types(folded))
    assert op_types(folded).count("BiasAdd") == 1
    assert graph_def.SerializeToString(deterministic=True) == before
    assert list(values) == list(arrays) and all(values[k] is arrays[k] for k in arrays)
    expected = run(graph_def, values, kept + ":0")
    assert expected.max() > 1
    np.testing.assert_allclose(run(folded, folded_values, kept + ":0"), expected, atol=1e-5)


@pytest.mark.parametrize(
    "more, keep",
    [({"training": True}, ["relu"]), ({"second_reader": True}, ["relu"]), ({}, ["relu", "conv"])],
    ids=["by its own batch", "the convolution is read elsewhere", "the convolution is asked for"],
)
def test_what_cannot_be_folded_stays(more, keep):
    graph_def, values = graph_of(**more)
    folded, folded_values = fold_batch_norms(graph_def, values, keep)
    assert op_types(folded) == op_types(graph_def) and set(folded_values) == set(values)


@pytest.mark.parametrize("mean", [(127.0,) * 3, (104.0, 117.0, 124.0)])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_image_s_normalization_goes_into_the_first_filter(mean, order):
    weights = np.random.RandomState(0).normal(size=(3, 3, 3, CHANNELS)).astype("float32")
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 8, 8, 3], "x")
        normalized = normalize_image(x, Preprocessing(order, mean, (128.0, 50.0, 3.0), ""))
        tf.nn.conv2d(normalized, tf.constant(weights), [1, 2, 2, 1], "SAME", name="relu")
        graph_def = graph.as_graph_def()
        tf.identity(normalized, "other")  # which reads it too, so that it stays
    folded, values = fold_normalization(graph.as_graph_def(), {})
    assert not values and list(folded.node) == list(graph.as_graph_def().node)
    folded, values = fold_normalization(graph_def, {})
    used = reachable(folded, ["relu"])
    left = sorted(node.op for node in folded.node if node.name in used and node.op != "Const")
    assert left == ["Conv2D", "Placeholder", "Sub"]
    np.testing.assert_allclose(run(folded, values), run(graph_def, {}), rtol=1e-5, atol=1e-4)


# --- backpropagation as a convolution


def convolution(kernel, strides=(1, 1), padding="SAME", dilations=(1, 1), depthwise=0):
    """(graph_def, filter) of one convolution named ``conv`` of a placeholder ``x``.

    ``depthwise`` is 0, or the number of filters for each channel.
    """
    channels = (3, depthwise) if depthwise else (3, 5)
    weights = np.random.RandomState(1).normal(size=(*kernel, *channels)).astype("float32")
    more = {} if depthwise else {"dilations": [1, *dilations, 1]}
    convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 9, 11, 3], "x")
        constant = tf.identity(tf.constant(weights))
        convolve(x, constant, strides=[1, *strides, 1], padding=padding, name="conv", **more)
    return graph.as_graph_def(), weights


def gradients(graph_def):
    """(input gradient of a random backward signal, op types of the graph)."""
    rng = np.random.RandomState(2)
    with tf.Graph().as_default() as graph:
        x, out = tf.import_graph_def(graph_def, name="", return_elements=["x:0", "conv:0"])
        signal = rng.normal(size=[2] + out.shape.as_list()[1:]).astype("float32")
        (result,) = tf.gradients(out, x, grad_ys=tf.constant(signal))
        with tf.Session() as session:
            found = session.run(result, {x: rng.normal(size=[2] + x.shape.as_list()[1:])})
    return found, [op.type for op in graph.get_operations()]


@pytest.mark.parametrize("depthwise", [0, 1])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 5), (1, 7), (7, 1), (3, 1)])
def test_equals_tensorflow_s_own_gradient(kernel, depthwise):
    graph_def, weights = convolution(kernel, depthwise=depthwise)
    expected, _ = gradients(graph_def)
    mark_convolutions(graph_def, {"conv": weights})
    found, types = gradients(graph_def)
    assert not any("BackpropInput" in op for op in types)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


STRIDES, DILATIONS = {"strides": (2, 2)}, {"dilations": (2, 2)}
OTHERS = [(2, 2, {}), (3, 4, {}), (3, 3, STRIDES), (3, 3, {"padding": "VALID"}), (3, 3, DILATIONS)]
OTHERS += [(2, 2, {"depthwise": 1}), (3, 3, {"depthwise": 2}), (3, 3, {"depthwise": 1, **STRIDES})]


@pytest.mark.parametrize("height, width, more", OTHERS)
def test_any_other_convolution_keeps_tensorflow_s(height, width, more):
    graph_def, weights = convolution((height, width), **more)
    mark_convolutions(graph_def, {"conv": weights})
    assert not any("_gradient_op_type" in node.attr for node in graph_def.node)
    with tf.Graph().as_default() as graph:
        x, out = tf.import_graph_def(graph_def, name="", return_elements=["x:0", "conv:0"])
        tf.gradients(out, x)  # not run: some of these have no kernel on a CPU
        assert any("BackpropInput" in op.type for op in graph.get_operations())
