"""Grad-CAM++ against the paper's closed form with its squares and cubes, where that can be divided."""

import numpy as np
import pytest
from tiny_network import TinyNetwork

from dgl.attribution import METHODS, Evidence
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=4)


def closed_form(activation, gradient):
    """The paper's map in float64, a place counted as zero where the denominator is."""
    total = activation.sum((1, 2), keepdims=True)
    denominator = 2 * gradient**2 + total * gradient**3
    share = np.zeros_like(gradient)
    np.divide(gradient**2, denominator, out=share, where=denominator != 0)
    weights = (share * np.maximum(gradient, 0)).sum((1, 2), keepdims=True)
    return np.maximum((weights * activation).sum(3), 0)


def run(activation, gradient):
    with tf.Graph().as_default(), tf.Session() as session:
        evidence = Evidence(
            activation=tf.constant(activation), class_gradient=tf.constant(gradient)
        )
        return session.run(METHODS["gradcam++"].function(evidence))


def test_formula():
    expected = closed_form(TINY.activation, TINY.class_gradient())
    assert expected.min() >= 0 and np.ptp(expected, axis=(1, 2)).min() > 0.05
    found = TINY.maps(["gradcam++"], ["activation"])["gradcam++", "activation"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_formula_at_other_sizes_of_gradient(scale):
    # The form is not linear in the gradient.
    gradient = scale * TINY.class_gradient()
    expected = closed_form(TINY.activation, gradient)
    found = run(TINY.activation, gradient)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=0)


def test_zero_denominators():
    activation = np.ones((1, 2, 2, 3))
    gradient = np.zeros((1, 2, 2, 3))
    gradient[0, 0, 0] = -0.5  # 2 g^2 + 4 g^3 is zero
    np.testing.assert_array_equal(run(activation, gradient), np.zeros((1, 2, 2)))
    gradient[0, 1, 1, 2] = 3.0
    np.testing.assert_allclose(run(activation, gradient), 3.0 / (2 + 4 * 3.0), rtol=1e-12)


def test_gradients_whose_squares_vanish_in_float32():
    gradient = np.full((1, 2, 2, 3), 1e-25, "float32")
    found = run(np.ones((1, 2, 2, 3), "float32"), gradient)
    # Half a gradient at each of four places, in three channels.
    np.testing.assert_allclose(found, np.full((1, 2, 2), 6e-25), rtol=1e-5)
