"""Both gradients by hand, by differences, by TensorFlow's fused kernel, and by ways that spare passes."""

import numpy as np
import pytest
from map_formulas import softmax, unit
from tiny_network import CLASS_INDEX, LAYERS, TinyNetwork, central_differences, one_hot

from dgl.attribution import class_gradients, loss_gradients
from dgl.attribution.gradients import SharedGradients
from dgl.tf_compat import tf

TINY = TinyNetwork()
EXACT = {"rtol": 0, "atol": 1e-12}  # float64, gradients of the order of 0.1
INF = float("inf")
ALPHAS = [0.01, 0.5, 1.0, 10.0, 100.0, 1e6, INF]

both_semantics = pytest.mark.parametrize("semantics", ["kernel", "exact"])


def shared(t):
    layers = {"activation": t.activation, "hidden": t.hidden}
    return SharedGradients(t.logits, layers, CLASS_INDEX)


def class_gradient(t):
    return class_gradients(t.logits, [t.activation], CLASS_INDEX)[0]


def loss_gradient(t, *settings):
    return loss_gradients(t.logits, [t.activation], CLASS_INDEX, *settings)[0]


def test_class_gradient_by_hand_and_by_finite_differences():
    found = TINY.run(class_gradient)
    np.testing.assert_allclose(found, TINY.class_gradient(), **EXACT)
    numeric = central_differences(
        lambda s: (TINY.logits(s) * one_hot(CLASS_INDEX)).sum(), TINY.activation
    )
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-8)


@both_semantics
def test_loss_gradients_by_hand_by_a_pass_and_by_linearity(semantics):
    def all_ways(t):
        one, keys = shared(t), [(layer, alpha) for layer in LAYERS for alpha in ALPHAS]
        own = {key: one.loss_gradient(*key, semantics) for key in keys}
        linear = {key: one.loss_gradient(*key, semantics, True) for key in keys}
        alone = {alpha: loss_gradient(t, alpha, semantics) for alpha in ALPHAS}
        return own, linear, {**alone, "default": loss_gradient(t)}

    own, linear, alone = TINY.run(all_ways)
    for key, value in own.items():
        atol = 1e-13 * max(1, np.abs(value).max())
        np.testing.assert_allclose(linear[key], value, rtol=0, atol=atol)
    for alpha in ALPHAS:
        expected = TINY.loss_gradient(alpha, semantics)
        atol = 1e-12 * (1 if np.isinf(alpha) else max(1, alpha))
        for found in (linear["activation", alpha], alone[alpha]):
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
    published = TINY.loss_gradient(10.0, "kernel")
    np.testing.assert_allclose(alone["default"], published, rtol=0, atol=1e-11)


@both_semantics
def test_loss_gradient_by_finite_differences(semantics):
    alpha, target = 10.0, one_hot(CLASS_INDEX)

    def loss(activation):
        logits = TINY.logits(activation)
        if semantics == "exact":
            return -(alpha * target * np.log(softmax(logits))).sum()
        # The function whose exact gradient is p - alpha * onehot(c).
        return (np.log(np.exp(logits).sum(1)) - alpha * (target * logits).sum(1)).sum()

    found = TINY.run(lambda t: loss_gradient(t, alpha, semantics))
    numeric = central_differences(loss, TINY.activation)
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-7)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 10.0])
def test_kernel_semantics_are_tensorflow_s_fused_cross_entropy(alpha):
    def both(t):
        labels = alpha * tf.one_hot(CLASS_INDEX, TINY.linear.shape[1], dtype=t.logits.dtype)
        loss = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=t.logits)
        return loss_gradient(t, alpha, "kernel"), tf.gradients(loss, t.activation)[0]

    ours, kernel = TINY.run(both)
    np.testing.assert_allclose(ours, kernel, **EXACT)
    exact = TINY.loss_gradient(alpha, "exact")
    # The trap: with labels that sum to one both semantics agree, otherwise they do not.
    assert np.allclose(kernel, exact, **EXACT) == (alpha == 1.0)


@both_semantics
def test_nothing_cancels_where_the_network_is_sure(semantics):
    tiny = TinyNetwork(seed=10)
    tiny.linear *= 0.2
    tiny.activation = tiny.activation[[0, 0, 0]]
    tiny.linear_bias[CLASS_INDEX[0]] += 12.0
    assert 0 < 1 - tiny.probability()[0, CLASS_INDEX[0]] < 1e-4

    def both(t):
        settings = ("activation", 1.0, semantics)
        return shared(t).loss_gradient(*settings, True), shared(t).loss_gradient(*settings)

    found, own = tiny.run(both, "float32")
    # The difference of a pass of p and one of onehot is off by 3e-4 here.
    np.testing.assert_allclose(unit(found[:1]), unit(own[:1]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("alpha", [10.0, INF])
def test_gradients_are_constants_downstream(alpha):
    with tf.Graph().as_default():
        t = TINY.tensors()
        for gradient in (class_gradient(t), loss_gradient(t, alpha)):
            assert tf.gradients(gradient**2, [t.activation, t.weights]) == [None, None]
        with pytest.raises(ValueError, match="do not depend on"):
            class_gradients(t.logits, [tf.nn.relu(t.activation)], CLASS_INDEX)


@pytest.mark.parametrize(
    "alpha, semantics", [(0, "kernel"), (np.nan, "exact"), (1e20, "kernel"), (1, "fused")]
)
def test_bad_alpha_and_semantics(alpha, semantics):
    with tf.Graph().as_default(), pytest.raises(ValueError):
        loss_gradient(TINY.tensors(), alpha, semantics)


@pytest.mark.parametrize("signal", ["class", "loss", "exact"])
def test_the_layer_that_feeds_pooling_needs_no_pass(signal):
    """Against TensorFlow's own backward pass, and no backward op is built for it."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        t = TINY.tensors()

        def gradient(*more):
            one = SharedGradients(t.logits, {"last": t.hidden}, tf.constant(CLASS_INDEX), *more)
            if signal == "class":
                return one.class_gradient("last")
            return one.loss_gradient("last", 3.0, "kernel" if signal == "loss" else "exact")

        closed = gradient("last", t.weights)
        built = [op.name for op in graph.get_operations()]
        assert not any("gradient" in name.lower() for name in built if "stop" not in name.lower())
        fetches = [t.hidden, gradient(), closed]
        hidden, expected, found = session.run(fetches, {t.activation: TINY.activation})
    assert found.shape == hidden.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12)
