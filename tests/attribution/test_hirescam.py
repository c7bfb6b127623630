"""HiResCAM against its formula, and as CAM where pooling is fed."""

import numpy as np
from tiny_network import CLASS_INDEX, C, H, N, TinyNetwork, W

TINY = TinyNetwork(seed=6)
CLOSE = {"rtol": 0, "atol": 1e-12}  # float64, maps of the order of 0.1


def test_formula():
    gradient = TINY.class_gradient()
    expected = np.zeros((N, H, W))
    for index in np.ndindex(N, H, W, C):
        expected[index[:3]] += gradient[index] * TINY.activation[index]
    assert expected.min() < -0.01  # no ReLU
    found = TINY.maps(["hirescam"], ["activation"])["hirescam", "activation"]
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_is_cam_by_places_at_the_last_layer():
    found = TINY.maps(["hirescam"], ["hidden"])["hirescam", "hidden"]
    np.testing.assert_allclose(found * H * W, TINY.cam(), **CLOSE)
    # So the places sum to the score without its bias: nothing is lost or added.
    scores = (TINY.logits() - TINY.linear_bias)[range(N), CLASS_INDEX]
    np.testing.assert_allclose(found.sum((1, 2)), scores, **CLOSE)
