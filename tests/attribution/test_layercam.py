"""LayerCAM against its formula, place by place."""

import numpy as np
from tiny_network import C, H, N, TinyNetwork, W

from dgl.attribution import METHODS, Evidence
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=5)
CLOSE = {"rtol": 0, "atol": 1e-12}  # float64, maps of the order of 0.1


def test_formula():
    gradient = TINY.class_gradient()
    expected = np.zeros((N, H, W))
    for index in np.ndindex(N, H, W, C):
        expected[index[:3]] += max(gradient[index], 0) * TINY.activation[index]
    assert np.abs(expected - (gradient * TINY.activation).sum(3)).max() > 0.01
    found = TINY.maps(["layercam"], ["activation"])["layercam", "activation"]
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_sum_is_rectified():
    # Only an activation of either sign shows it.
    with tf.Graph().as_default(), tf.Session() as session:
        evidence = Evidence(
            activation=tf.constant([[[[-2.0, 1.0], [-1.0, 3.0]]]]),
            class_gradient=tf.ones([1, 1, 2, 2]),
        )
        found = session.run(METHODS["layercam"].function(evidence))
    np.testing.assert_array_equal(found, [[[0.0, 2.0]]])
