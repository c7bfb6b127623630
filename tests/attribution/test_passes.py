"""Gradients by linearity against the pass of their own, also where differences of gradients cancel."""

import numpy as np
import pytest
from tiny_network import CLASS_INDEX, TinyNetwork, unit

from dgl.attribution.gradients import SharedGradients
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=10)
ALPHAS = [0.01, 0.5, 1.0, 10.0, 1e6, float("inf")]


def run(make, tiny=TINY, dtype="float64"):
    """Evaluate what ``make(shared)`` returns."""
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = tiny.tensors(dtype)
        layers = {"activation": tensors.activation, "hidden": tensors.hidden}
        shared = SharedGradients(tensors.logits, layers, CLASS_INDEX)
        return session.run(make(shared), {tensors.activation: tiny.activation})


@pytest.mark.parametrize("semantics", ["kernel", "exact"])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_by_linearity_is_the_pass_of_its_own(alpha, semantics):
    for layer in ("activation", "hidden"):
        own, shared = run(
            lambda s, layer=layer: (
                s.loss_gradient(layer, alpha, semantics),
                s.loss_gradient_by_linearity(layer, alpha, semantics),
            )
        )
        np.testing.assert_allclose(shared, own, rtol=0, atol=1e-14 * max(1, np.abs(own).max()) * 10)
    if np.isfinite(alpha):
        expected = TINY.loss_gradient(alpha, semantics)
        own = run(lambda s: s.loss_gradient_by_linearity("activation", alpha, semantics))
        np.testing.assert_allclose(own, expected, rtol=0, atol=1e-12 * max(1, alpha))


def confident_network():
    """Sure of the first target to 5e-5."""
    tiny = TinyNetwork(seed=10)
    tiny.linear_bias = tiny.linear_bias.copy()
    tiny.linear *= 0.2
    tiny.activation = tiny.activation[[0, 0, 0]]
    tiny.linear_bias[CLASS_INDEX[0]] += 12.0
    return tiny


@pytest.mark.parametrize("semantics", ["kernel", "exact"])
def test_nothing_cancels_where_the_network_is_sure(semantics):
    tiny = confident_network()
    assert 0 < 1 - tiny.probability()[0, CLASS_INDEX[0]] < 1e-4
    found = run(
        lambda s: s.loss_gradient_by_linearity("activation", 1.0, semantics), tiny, "float32"
    )
    own = run(lambda s: s.loss_gradient("activation", 1.0, semantics), tiny, "float32")
    # The difference of a pass of p and one of onehot is off by 3e-4 here.
    np.testing.assert_allclose(unit(found[:1]), unit(own[:1]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "alpha, semantics", [(0.0, "kernel"), (-float("inf"), "exact"), (1.0, "own")]
)
@pytest.mark.parametrize("which", ["loss_gradient", "loss_gradient_by_linearity"])
def test_bad_arguments(which, alpha, semantics):
    with pytest.raises(ValueError, match="alpha|semantics"):
        run(lambda s: getattr(s, which)("activation", alpha, semantics))


@pytest.mark.parametrize("signal", ["class", "loss", "exact"])
def test_the_layer_that_feeds_pooling_needs_no_pass(signal):
    """Against TensorFlow's own backward pass, and no backward op is built for it."""
    rng = np.random.RandomState(0)
    activation = rng.uniform(size=(2, 3, 5, 4))
    weights = rng.normal(size=(4, 6))
    with tf.Graph().as_default() as graph, tf.Session() as session:
        layer = tf.constant(activation)
        head = tf.constant(weights)
        logits = tf.matmul(tf.reduce_mean(layer, axis=[1, 2]), head)

        def gradient(*more):
            shared = SharedGradients(logits, {"last": layer}, tf.constant([1, 5]), *more)
            if signal == "class":
                return shared.class_gradient("last")
            return shared.loss_gradient("last", 3.0, "kernel" if signal == "loss" else "exact")

        closed = gradient("last", head)
        built = [op.name for op in graph.get_operations()]
        assert not any("gradient" in name.lower() for name in built if "stop" not in name.lower())
        expected, found = session.run([gradient(), closed])
    assert found.shape == activation.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12)
