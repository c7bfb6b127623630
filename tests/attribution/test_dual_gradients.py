"""The DGL map against NumPy, its limits, and the gradient of the map itself."""

import numpy as np
import pytest
from tiny_network import CLASS_INDEX, TinyNetwork, central_differences, unit

from dgl.attribution import combine, dgl_map, enhanced_map
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=1)
CLOSE = {"rtol": 0, "atol": 1e-12}  # float64, maps of the order of 0.1


def run_map(alpha=10.0, semantics="kernel"):
    with tf.Graph().as_default(), tf.Session() as session:
        t = TINY.tensors()
        found = dgl_map(t.logits, t.activation, CLASS_INDEX, alpha, semantics)
        return session.run(found, {t.activation: TINY.activation})


def test_norms_run_over_each_image_by_itself():
    with tf.Graph().as_default(), tf.Session() as session:
        zeros = tf.zeros([3, 4, 5, 6], tf.float64)
        scaled = TINY.activation * np.array([1.0, 5.0, 100.0])[:, None, None, None]
        found = session.run(enhanced_map(tf.constant(scaled), zeros))
    np.testing.assert_allclose((found**2).sum((1, 2, 3)), [1, 1, 1], **CLOSE)
    np.testing.assert_allclose(found, unit(TINY.activation), **CLOSE)


@pytest.mark.parametrize("size, expected", [(0.0, 0.0), (1e-9, 1e-3), (1e-3, 1.0)])
def test_epsilon_bounds_the_norm_below(size, expected):
    # One entry of this size: its norm is never taken as less than sqrt(1e-12).
    activation = np.zeros((1, 2, 2, 3))
    activation[0, 1, 0, 2] = size
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(enhanced_map(tf.constant(activation), tf.zeros_like(activation)))
    np.testing.assert_allclose(found[0, 1, 0, 2], expected, **CLOSE)


@pytest.mark.parametrize("semantics", ["kernel", "exact"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 10.0, 100.0])
def test_map(alpha, semantics):
    np.testing.assert_allclose(run_map(alpha, semantics), TINY.dgl(alpha, semantics), **CLOSE)


def test_combine():
    rng = np.random.RandomState(2)
    parts = [rng.standard_normal((2, 3, 4, 5)) for _ in range(3)]
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(combine(*[tf.constant(part) for part in parts]))
    activation, class_gradient, loss_gradient = parts
    expected = np.einsum("nhwc,nhwc->nhw", class_gradient, unit(activation) - unit(loss_gradient))
    assert expected.min() < -1  # no ReLU
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_alpha_matters_to_the_kernel_and_cancels_in_exact_calculus():
    exact, infinite = run_map(2.0, "exact"), run_map(float("inf"), "exact")
    np.testing.assert_allclose(exact, run_map(50.0, "exact"), **CLOSE)
    np.testing.assert_allclose(exact, infinite, rtol=1e-9)
    assert np.abs(run_map(2.0, "kernel") - run_map(50.0, "kernel")).max() > 1e-3
    np.testing.assert_allclose(run_map(1.0, "kernel"), exact, **CLOSE)


def test_limit_of_large_alpha():
    class_gradient = TINY.class_gradient()
    formula = (class_gradient * (unit(TINY.activation) + unit(class_gradient))).sum(3)
    limit = run_map(float("inf"))
    np.testing.assert_allclose(limit, formula, **CLOSE)
    distances = [np.abs(run_map(alpha) - limit).max() for alpha in (1.0, 10.0, 1e3, 1e6)]
    # The distance falls as 1 / alpha.
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 1e-2
    assert distances[-1] < 1e-6


def test_gradient_of_the_map_passes_through_the_activation_only():
    with tf.Graph().as_default(), tf.Session() as session:
        t = TINY.tensors()
        total = tf.reduce_sum(dgl_map(t.logits, t.activation, CLASS_INDEX))
        # The weights reach the map through G_H and G_L alone.
        assert tf.gradients(total, t.weights) == [None]
        found = session.run(tf.gradients(total, t.activation)[0], {t.activation: TINY.activation})
    class_gradient, loss_gradient = TINY.class_gradient(), TINY.loss_gradient(10.0)
    numeric = central_differences(
        lambda s: (class_gradient * (unit(s) - unit(loss_gradient))).sum(), TINY.activation
    )
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-8)
