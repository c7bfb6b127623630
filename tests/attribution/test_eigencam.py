"""Eigen-CAM against NumPy's singular value decomposition, by either Gram matrix."""

import numpy as np
import pytest
from tiny_network import TinyNetwork

from dgl.attribution import METHODS, Evidence
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=7)


def projection(activation):
    """Each image's (H * W, C) matrix on its first right singular vector, by SVD."""
    maps = []
    for image in np.asarray(activation, "float64"):
        matrix = image.reshape(-1, image.shape[2])
        vector = np.linalg.svd(matrix, full_matrices=False)[2][0]
        maps.append((matrix @ (vector * np.sign(vector.sum()))).reshape(image.shape[:2]))
    return np.stack(maps)


def run(activation, shape=None):
    """The map of a fed activation whose static shape is ``shape``."""
    with tf.Graph().as_default(), tf.Session() as session:
        tensor = tf.placeholder(activation.dtype, shape or activation.shape)
        found = METHODS["eigencam"].function(Evidence(activation=tensor))
        return session.run(found, {tensor: activation})


def rectified(*shape):
    return np.maximum(np.random.RandomState(0).standard_normal(shape) + 0.3, 0)


def test_formula():
    found = TINY.maps(["eigencam"])
    expected = projection(TINY.activation)
    assert np.ptp(expected, axis=(1, 2)).min() > 0.5
    np.testing.assert_allclose(found["eigencam", "activation"], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        found["eigencam", "hidden"], projection(TINY.hidden()), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("shape", [(2, 3, 4, 40), (2, 3, 4, 12), (2, 9, 7, 5), (1, 1, 1, 3)])
def test_either_gram_matrix(shape):
    activation = rectified(*shape)
    np.testing.assert_allclose(run(activation), projection(activation), rtol=0, atol=1e-12)


def test_size_known_only_when_run():
    activation = rectified(2, 3, 4, 40)
    found = run(activation, [None, None, None, 40])
    np.testing.assert_allclose(found, projection(activation), rtol=0, atol=1e-12)


def test_no_centering():
    # A constant channel decides the map; centering would take it away.
    activation = rectified(1, 5, 5, 4)
    activation[..., 0] = 10.0
    found = run(activation)
    assert found.min() > 9.0
    np.testing.assert_allclose(found, projection(activation), rtol=0, atol=1e-12)


def test_float32_of_a_network_s_size():
    activation = rectified(1, 28, 28, 1024).astype(
        "float32"
    )  # 784 places, the larger of both cases
    found = run(activation)
    assert found.dtype == np.float32
    expected = projection(activation)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max())


def test_dead_activation():
    for shape in ((1, 2, 3, 4), (1, 2, 3, 8)):
        np.testing.assert_array_equal(run(np.zeros(shape)), np.zeros((1, 2, 3)))


def test_class_does_not_matter():
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = TINY.tensors()
        function = METHODS["eigencam"].function
        first, second = (
            function(Evidence(activation=tensors.activation, logits=tensors.logits, class_index=c))
            for c in ([0, 0, 0], [1, 2, 3])
        )
        first, second = session.run([first, second], {tensors.activation: TINY.activation})
    np.testing.assert_array_equal(first, second)
