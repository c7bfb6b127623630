"""Maps of a graph by its tensors: against closed forms, channels first, and what does not fit."""

import numpy as np
import pytest
from tiny_network import CLASS_INDEX, C, H, N, TinyNetwork, W, softmax

from dgl.localizer import Localizer
from dgl.predict.graph_predictor import GraphPredictor
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=4)


@pytest.fixture(autouse=True)
def tensors():
    with tf.Graph().as_default():
        yield TINY.tensors()


def make(tensors, **settings):
    layers = {"activation": tensors.activation}
    return GraphPredictor(tensors.logits, layers, tensors.activation, **settings)


@pytest.mark.parametrize("alpha", [0.5, 10.0, float("inf")])
def test_dgl_is_the_closed_form(alpha, tensors):
    with make(tensors, alpha=alpha) as predictor:
        prediction = predictor(TINY.activation, CLASS_INDEX)
        free = predictor(TINY.activation)
    assert predictor.entries == [("dgl", "activation")]
    raw = prediction.maps["dgl", "activation"]
    np.testing.assert_allclose(raw, TINY.dgl(alpha), rtol=0, atol=1e-12)
    np.testing.assert_allclose(prediction.logits, TINY.logits(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(prediction.probability, TINY.probability(), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(free.class_index, TINY.logits().argmax(1))


def test_cam_is_of_the_layer_that_is_pooled(tensors):
    layers = {"hidden": tensors.hidden}
    with GraphPredictor(tensors.logits, layers, tensors.activation, ["cam"]) as predictor:
        found = predictor(TINY.activation, CLASS_INDEX)
    np.testing.assert_allclose(found.maps["cam", "hidden"], TINY.cam(), rtol=0, atol=1e-12)


def test_channels_first_gives_the_same_maps(tensors):
    settings = {"methods": ["dgl", "gradcam", "layercam", "eigencam"]}
    with make(tensors, **settings) as predictor:
        expected = predictor(TINY.activation, CLASS_INDEX).maps
    # Without a convolution: CPUs have none for this order.
    image = tf.placeholder(tf.float64, [None, C, H, W], "first")
    hidden = tf.einsum("nchw,cd->ndhw", image, tf.constant(TINY.kernel))
    hidden = tf.nn.relu(hidden + TINY.bias[:, None, None])
    logits = tf.matmul(tf.reduce_mean(hidden, axis=[2, 3]), tf.constant(TINY.linear))
    logits, settings["data_format"] = logits + TINY.linear_bias, "channels_first"
    with GraphPredictor(logits, {"activation": image}, image, **settings) as predictor:
        found = predictor(TINY.activation.transpose(0, 3, 1, 2), CLASS_INDEX).maps
    assert len(found) == 4
    for entry, raw in found.items():
        assert raw.shape == (N, H, W)
        np.testing.assert_allclose(raw, expected[entry], rtol=0, atol=1e-12, err_msg=str(entry))


def test_variables_and_more_feeds_come_with_the_session():
    image = tf.placeholder(tf.float32, [None, 16, 20, 3], "image")
    activation = tf.layers.conv2d(image, 6, 3, padding="same", activation=tf.nn.relu, name="conv")
    keep, white = tf.placeholder(tf.float32, [], "keep"), np.ones((1, 16, 20, 3))
    logits = tf.layers.dense(tf.nn.dropout(tf.reduce_mean(activation, [1, 2]), keep), 4)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        by_hand = session.run(logits, {image: white, keep: 1.0})
        settings = {"session": session, "preprocess": lambda batch: batch / 127.5 - 1.0}
        with Localizer.from_graph(logits, activation, feeds={keep: 1.0}, **settings) as localizer:
            prediction = localizer.predictor(white)
            (found,) = localizer([np.full((50, 70, 3), 255, "uint8")])
        np.testing.assert_allclose(prediction.logits, by_hand, rtol=0, atol=1e-6)
        assert found.class_index == by_hand[0].argmax()
        assert found.probability == pytest.approx(softmax(by_hand).max(), abs=1e-6)
        assert found.map.shape == (50, 70)
        session.run(activation, {image: white})  # still open: it is not ours
    with pytest.raises(ValueError, match="variables; expected the session"):
        Localizer.from_graph(logits, activation)


@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32, tf.float64])
def test_what_is_fed_has_the_type_of_the_placeholder(dtype):
    image = tf.placeholder(dtype, [None, 8, 8, 3], "image")
    activation = tf.nn.relu(tf.cast(image, tf.float32) - 100.0)
    logits = tf.matmul(tf.reduce_mean(activation, [1, 2]), tf.eye(3))
    with Localizer.from_graph(logits, activation) as localizer:
        (found,) = localizer([np.full((8, 8, 3), (101, 120, 150), "uint8")])
    assert found.class_index == 2


def elsewhere():
    with tf.Graph().as_default():
        return TINY.tensors().activation


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda t: (t.logits, {}), "at least one"),
        (lambda t: (t.hidden, {"a": t.activation}), r"of shape \(N, classes\)"),
        (lambda t: (t.logits, {"a": t.logits}), "four dimensions"),
        (lambda t: (t.logits, {"a": tf.nn.relu(t.activation)}), "do not depend"),
        (lambda t: (t.logits, {"a": elsewhere()}), "another graph"),
    ],
)
def test_tensors_and_settings_that_do_not_fit(spoil, words, tensors):
    with pytest.raises(ValueError, match=words):
        GraphPredictor(*spoil(tensors))
