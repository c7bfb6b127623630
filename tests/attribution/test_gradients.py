"""Both gradients against the chain rule by hand, finite differences and TensorFlow's fused kernel."""

import numpy as np
import pytest
from tiny_network import CLASS_INDEX, TinyNetwork, central_differences, one_hot, softmax

from dgl.attribution import class_gradients, dgl_map, loss_gradients
from dgl.tf_compat import tf

TINY = TinyNetwork()
EXACT = {"rtol": 0, "atol": 1e-12}  # float64, gradients of the order of 0.1


def run(make, feed_activation=None, dtype="float64"):
    """Evaluate what ``make(tensors)`` returns."""
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = TINY.tensors(dtype)
        activation = TINY.activation if feed_activation is None else feed_activation
        return session.run(make(tensors), {tensors.activation: activation})


def test_the_two_tiny_networks_are_the_same():
    np.testing.assert_allclose(run(lambda t: t.logits), TINY.logits(), **EXACT)
    # Finite differences would stumble over a ReLU's corner.
    assert np.abs(TINY.before_relu()).min() > 1e-4


def test_class_gradient_by_hand():
    (found,) = run(lambda t: class_gradients(t.logits, [t.activation], CLASS_INDEX))
    np.testing.assert_allclose(found, TINY.class_gradient(), **EXACT)


@pytest.mark.parametrize("semantics", ["kernel", "exact"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 10.0, 100.0])
def test_loss_gradient_by_hand(alpha, semantics):
    (found,) = run(
        lambda t: loss_gradients(t.logits, [t.activation], CLASS_INDEX, alpha, semantics)
    )
    expected = TINY.loss_gradient(alpha, semantics)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * max(1, alpha))


def test_defaults_are_the_published_ones():
    (found,) = run(lambda t: loss_gradients(t.logits, [t.activation], CLASS_INDEX))
    np.testing.assert_allclose(found, TINY.loss_gradient(10.0, "kernel"), rtol=0, atol=1e-11)


def test_class_gradient_by_finite_differences():
    (found,) = run(lambda t: class_gradients(t.logits, [t.activation], CLASS_INDEX))
    numeric = central_differences(
        lambda s: (TINY.logits(s) * one_hot(CLASS_INDEX)).sum(), TINY.activation
    )
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-8)


@pytest.mark.parametrize("semantics", ["kernel", "exact"])
def test_loss_gradient_by_finite_differences(semantics):
    alpha, target = 10.0, one_hot(CLASS_INDEX)

    def loss(activation):
        logits = TINY.logits(activation)
        if semantics == "exact":
            return -(alpha * target * np.log(softmax(logits))).sum()
        # The function whose exact gradient is p - alpha * onehot(c).
        return (np.log(np.exp(logits).sum(1)) - alpha * (target * logits).sum(1)).sum()

    (found,) = run(
        lambda t: loss_gradients(t.logits, [t.activation], CLASS_INDEX, alpha, semantics)
    )
    numeric = central_differences(loss, TINY.activation)
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-7)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 10.0])
def test_kernel_semantics_are_tensorflow_s_fused_cross_entropy(alpha):
    def both(t):
        labels = alpha * tf.one_hot(CLASS_INDEX, TINY.linear.shape[1], dtype=t.logits.dtype)
        loss = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=t.logits)
        (ours,) = loss_gradients(t.logits, [t.activation], CLASS_INDEX, alpha, "kernel")
        return ours, tf.gradients(loss, t.activation)[0]

    ours, kernel = run(both)
    np.testing.assert_allclose(ours, kernel, **EXACT)
    exact = TINY.loss_gradient(alpha, "exact")
    # The trap: with labels that sum to one both semantics agree, otherwise they do not.
    assert np.allclose(kernel, exact, **EXACT) == (alpha == 1.0)


def test_infinite_alpha_is_the_negative_class_gradient():
    (found,) = run(lambda t: loss_gradients(t.logits, [t.activation], CLASS_INDEX, float("inf")))
    np.testing.assert_allclose(found, -TINY.class_gradient(), **EXACT)


@pytest.mark.parametrize("alpha", [10.0, float("inf")])
def test_gradients_are_constants_downstream(alpha):
    with tf.Graph().as_default():
        t = TINY.tensors()
        (g_h,) = class_gradients(t.logits, [t.activation], CLASS_INDEX)
        (g_l,) = loss_gradients(t.logits, [t.activation], CLASS_INDEX, alpha)
        for gradient in (g_h, g_l):
            downstream = tf.reduce_sum(gradient**2)
            assert tf.gradients(downstream, [t.activation, t.weights]) == [None, None]


@pytest.mark.parametrize("alpha", [0, -1, -10.0, float("nan"), -float("inf"), 1e20])
def test_alpha_must_be_positive_and_within_float32(alpha):
    with tf.Graph().as_default():
        t = TINY.tensors()
        with pytest.raises(ValueError, match="expected a positive number up to 1e"):
            loss_gradients(t.logits, [t.activation], CLASS_INDEX, alpha)


def test_unknown_semantics():
    with tf.Graph().as_default():
        t = TINY.tensors()
        with pytest.raises(ValueError, match="'kernel' or 'exact', got 'fused'"):
            loss_gradients(t.logits, [t.activation], CLASS_INDEX, 10.0, "fused")


@pytest.mark.parametrize("function", [class_gradients, loss_gradients])
def test_activation_out_of_reach(function):
    with tf.Graph().as_default():
        t = TINY.tensors()
        beside = tf.nn.relu(t.activation, name="beside")
        with pytest.raises(ValueError, match="do not depend on beside"):
            function(t.logits, [t.activation, beside], CLASS_INDEX)


def test_alpha_cancels_in_the_exact_gradient_at_infinity_too():
    """Only the kernel's gradient turns to that of the class score."""
    with tf.Graph().as_default(), tf.Session() as session:
        t = TINY.tensors()
        maps = [
            dgl_map(t.logits, t.activation, CLASS_INDEX, alpha, semantics)
            for alpha, semantics in (
                (1.0, "exact"),
                (float("inf"), "exact"),
                (float("inf"), "kernel"),
            )
        ]
        exact, limit, kernel = session.run(maps, {t.activation: TINY.activation})
    np.testing.assert_allclose(limit, exact, rtol=1e-9)
    assert np.abs(kernel - exact).max() > 1e-3 * np.abs(exact).max()
