"""Grad-CAM against its equations, place by place, and as CAM where pooling is fed."""

import numpy as np
from tiny_network import HIDDEN, C, H, N, TinyNetwork, W

TINY = TinyNetwork(seed=3)
CLOSE = {"rtol": 0, "atol": 1e-12}  # float64, maps of the order of 0.1


def test_formula():
    gradient = TINY.class_gradient()
    expected = np.zeros((N, H, W))
    for image in range(N):
        for channel in range(C):
            weight = gradient[image, :, :, channel].sum() / (H * W)
            expected[image] += weight * TINY.activation[image, :, :, channel]
    assert expected.min() < -0.01  # the ReLU has something to do
    found = TINY.maps(["gradcam"], ["activation"])["gradcam", "activation"]
    np.testing.assert_allclose(found, np.maximum(expected, 0), **CLOSE)


def test_is_the_positive_part_of_cam_at_the_last_layer():
    found = TINY.maps(["gradcam"], ["hidden"])["gradcam", "hidden"]
    cam = TINY.cam()
    assert cam.min() < -0.1 and TINY.hidden().shape[3] == HIDDEN
    np.testing.assert_allclose(found * H * W, np.maximum(cam, 0), **CLOSE)
