"""Heads of one logit, of sigmoids and of probabilities: DGL against the closed form with its own loss."""

import numpy as np
import pytest
from graph_defs import value_of
from map_formulas import formulas
from tiny_network import CLASS_INDEX, H, TinyNetwork, W, one_hot

from dgl.errors import UserError
from dgl.foreign import head_of, logits_of
from dgl.localizer import Localizer
from dgl.predict.graph_predictor import GraphPredictor
from dgl.tf_compat import tf

ALPHA = 10.0
TINY = TinyNetwork(seed=6)
Z = TINY.logits()
METHODS = ("dgl", "dgl(pa=3,exact)", "dgl(pa=inf)", "hirescam")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def expected_maps(of_class, of_loss):
    """The maps, given what flows back from the logits for both gradients."""
    return formulas(TINY.activation, TINY.back(of_class), TINY.back(of_loss))


@pytest.fixture
def tensors():
    return TINY.tensors()


def predictor_of(output, tensors, methods=METHODS, **settings):
    layers = {"activation": tensors.activation}
    return GraphPredictor(output, layers, tensors.activation, methods, ALPHA, **settings)


def stable_softmax(z):
    power = tf.exp(z - tf.reduce_max(z, 1, keepdims=True))
    return power / tf.reduce_sum(power, 1, keepdims=True)


SIGMOIDS = {
    "sigmoid": tf.sigmoid,
    "written out": lambda z: 1.0 / (1.0 + tf.exp(-z)),
    "by tanh": lambda z: 0.5 * (tf.tanh(0.5 * z) + 1.0),
    "hard": lambda z: tf.nn.relu6(z + 3.0) / 6.0,
    "clipped line": lambda z: tf.maximum(tf.minimum(0.2 * z + 0.5, 1.0), 0.0),
    "clipped": lambda z: tf.clip_by_value(tf.sigmoid(z), 1e-7, 1 - 1e-7),
    "logarithm": lambda z: tf.log(tf.sigmoid(z)),
    "stable logarithm": tf.log_sigmoid,
    "one by one": lambda z: tf.concat([tf.sigmoid(z[:, i : i + 1]) for i in range(8)], 1),
    "packed": lambda z: tf.stack([tf.sigmoid(z[:, i]) for i in range(8)], axis=1),
    "reshaped": lambda z: tf.reshape(tf.sigmoid(z), [-1, z.shape.as_list()[1]]),
    "other type": lambda z: tf.cast(tf.sigmoid(tf.cast(z, tf.float32)), tf.float64),
    "(N, 1, 1, classes)": lambda z: tf.sigmoid(tf.reshape(z, [-1, 1, 1, 8])),
    "(N, classes, 1, 1)": lambda z: tf.sigmoid(tf.reshape(z, [-1, 8, 1, 1])),
    "(N, 1, classes)": lambda z: tf.sigmoid(tf.reshape(z, [-1, 1, 8])),
}
SOFTMAXES = {
    "softmax": tf.nn.softmax,
    "temperature": lambda z: tf.nn.softmax(z / 1.0),
    "written out": lambda z: tf.exp(z) / tf.reduce_sum(tf.exp(z), 1, keepdims=True),
    "stable": stable_softmax,
    "logarithm": lambda z: tf.log(tf.clip_by_value(tf.nn.softmax(z), 1e-9, 1.0)),
    "log_softmax written out": lambda z: z - tf.reduce_logsumexp(z, 1, keepdims=True),
    "over another axis": lambda z: tf.nn.softmax(tf.reshape(z, [-1, 8, 1, 1]), 1),
    "twice": lambda z: tf.nn.softmax(tf.nn.softmax(z)),
    "smoothed": lambda z: 0.9 * tf.nn.softmax(z) + 0.1 / 8,
    "other type": lambda z: tf.cast(tf.nn.softmax(z), tf.float32),
    "none": tf.identity,
    "log_softmax": tf.nn.log_softmax,
    "stopped": lambda z: tf.identity(tf.stop_gradient(tf.nn.softmax(tf.identity(z)))),
}
HEADS = {"sigmoid": SIGMOIDS, "softmax": SOFTMAXES}


@pytest.mark.parametrize("head, name", [(head, name) for head in HEADS for name in HEADS[head]])
def test_scores_are_walked_back_to_logits(head, name, tensors):
    logits = logits_of(HEADS[head][name](tensors.logits))
    assert head_of(logits) == head and logits.shape.as_list() == [None, 8]
    found = value_of(logits, {tensors.activation: TINY.activation})
    np.testing.assert_allclose(found, Z, atol=1e-6)


@pytest.mark.parametrize(
    "head, name",
    [
        *(("sigmoid", name) for name in ("sigmoid", "packed", "one by one")),
        *(("softmax", name) for name in ("softmax", "over another axis")),
    ],
)
def test_maps_have_the_loss_of_the_head(head, name, tensors):
    with predictor_of(HEADS[head][name](tensors.logits), tensors) as predictor:
        found = predictor(TINY.activation, CLASS_INDEX)
    assert predictor.head == head
    is_sigmoid, target = head == "sigmoid", one_hot(CLASS_INDEX)
    probability = sigmoid(Z) if is_sigmoid else TINY.probability()
    np.testing.assert_allclose(found.logits, Z, atol=1e-6)
    np.testing.assert_allclose(found.probability, probability, atol=1e-7)
    signals = {
        "dgl": probability - ALPHA * target,
        "dgl(pa=3,exact)": probability - (3 if is_sigmoid else 1) * target,
        "dgl(pa=inf)": -target,
    }
    for method, signal in signals.items():
        raw, expected = found.maps[method, "activation"], expected_maps(target, signal)["dgl"]
        np.testing.assert_allclose(raw, expected, rtol=0, atol=1e-6, err_msg=method)


ONE_LOGIT = {
    "logit": tf.identity,
    **{name: SIGMOIDS[name] for name in ("sigmoid", "written out", "hard", "other type")},
    "pair": lambda z: tf.concat([1.0 - tf.sigmoid(z), tf.sigmoid(z)], axis=1),
    "without an axis": lambda z: tf.sigmoid(tf.reshape(z, [-1])),
}


@pytest.mark.parametrize("name", list(ONE_LOGIT))
def test_one_logit_has_two_classes(name, tensors):
    """Class 1 is localized by the logit, class 0 by its negative; each with a loss of its own."""
    with predictor_of(ONE_LOGIT[name](tensors.logits[:, :1]), tensors) as predictor:
        found, free = (predictor(TINY.activation, given) for given in ([1, 0, 1], None))
    logit = Z[:, 0]
    assert predictor.head == "binary" and predictor.classes == 2
    np.testing.assert_array_equal(free.class_index, (logit > 0).astype(int))
    np.testing.assert_allclose(found.logits, np.stack([-logit, logit], 1), atol=1e-6)
    np.testing.assert_allclose(found.probability[:, 1], sigmoid(logit), atol=1e-6)
    np.testing.assert_allclose(found.probability.sum(1), 1, atol=1e-6)
    sign, column = np.array([1, -1, 1.0]), one_hot(np.zeros(3, int))
    of_class = sign[:, None] * column
    for method, alpha in (("dgl", ALPHA), ("dgl(pa=3,exact)", 3)):
        of_loss = (sign * (sigmoid(sign * logit) - alpha))[:, None] * column
        raw, expected = found.maps[method, "activation"], expected_maps(of_class, of_loss)
        np.testing.assert_allclose(raw, expected["dgl"], rtol=0, atol=1e-6, err_msg=method)
    raw = found.maps["hirescam", "activation"]
    np.testing.assert_allclose(raw, expected["hirescam"], atol=1e-6)


def test_cam_of_one_logit(tensors):
    pooled = tf.reduce_mean(tensors.hidden, [1, 2])
    scores = tf.sigmoid(tf.matmul(pooled, tf.constant(TINY.linear[:, :1])) + 0.1)
    layers = {"hidden": tensors.hidden}
    with GraphPredictor(scores, layers, tensors.activation, ["cam"]) as predictor:
        raw = predictor(TINY.activation, [1, 0, 1]).maps["cam", "hidden"]
    expected = np.einsum("nhwc,c->nhw", TINY.hidden(), TINY.linear[:, 0])
    np.testing.assert_allclose(raw, expected * np.array([1, -1, 1])[:, None, None], atol=1e-9)
    assert raw.shape[1:] == (H, W)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda z: (tf.nn.softmax(z) + tf.nn.softmax(2.0 * z)) / 2.0,
        lambda z: tf.nn.softmax(z) * tf.constant(np.arange(8.0)),
        lambda z: tf.nn.softmax(z)[:, ::-1],
        lambda z: (tf.sigmoid(z) + tf.sigmoid(2.0 * z)) / 2.0,
        lambda z: 1.0 - tf.nn.softmax(z),
        lambda z: tf.nn.softmax(z)[:, 1:],
        lambda z: tf.gather(tf.nn.softmax(z), [3, 1], axis=1),
        lambda z: tf.nn.top_k(tf.nn.softmax(z), 3).values,
        lambda z: tf.concat([tf.nn.softmax(z[:, :3]), tf.nn.softmax(z[:, 3:])], 1),
        lambda z: tf.nn.softmax(z, axis=0),
        lambda z: tf.one_hot(tf.argmax(tf.nn.softmax(z), 1), 8),
    ],
)
def test_what_probabilities_are_made_into_is_refused(spoil, tensors):
    with pytest.raises(ValueError, match="computed from probabilities"):
        logits_of(spoil(tensors.logits))


def test_other_scores_are_refused(tensors):
    with pytest.raises(ValueError, match="expected logits or probabilities"):
        logits_of(tensors.activation)
    with pytest.raises(ValueError, match="int64; expected float logits"):
        logits_of(tf.argmax(tensors.logits, 1))
    # The scores themselves say that they are probabilities: from 0 to 1, their sum 1 in every image.
    squares = tf.square(tensors.logits)
    share = squares / tf.reduce_sum(squares, 1, keepdims=True)
    predictor = predictor_of(share, tensors)
    with predictor, pytest.raises(UserError, match="sum to 1 in every image"):
        predictor(TINY.activation)


@pytest.mark.parametrize(
    "clip", [lambda z: tf.clip_by_value(z, -5.0, 5.0), tf.nn.relu, lambda z: z * tf.sigmoid(z)]
)
def test_what_is_no_sigmoid(clip, tensors):
    """Logits that are cut off, rectified or gated stay logits of a softmax, whatever else reads them."""
    logits = tensors.logits
    tf.sigmoid(logits)
    for scores in (clip(logits), tf.nn.softmax(logits)):
        assert head_of(logits_of(scores)) == "softmax"


def test_the_head_may_be_said(tensors):
    with predictor_of(tensors.logits, tensors, head="sigmoid") as predictor:
        found = predictor(TINY.activation)
    assert predictor.head == "sigmoid"
    np.testing.assert_allclose(found.probability, sigmoid(Z), atol=1e-9)
    with pytest.raises(ValueError, match="one of softmax, sigmoid"):
        Localizer.from_graph(tensors.logits, tensors.activation, tensors.activation, head="tanh")
