"""Every method against its formula in NumPy, in float64."""

import numpy as np
import pytest
from tiny_network import CLASS_INDEX, H, N, TinyNetwork, W, normalize, softmax, unit

from dgl.attribution import METHODS, Evidence
from dgl.attribution.center import SIGMA, gaussian
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=8)
S, G = TINY.activation, TINY.class_gradient()
CLOSE = {"rtol": 0, "atol": 1e-12}  # maps of the order of 0.1
INF = float("inf")


def grad_cam_plus_plus(activation, gradient):
    """The paper's closed form, a position counted as zero where the denominator is."""
    total = activation.sum((1, 2), keepdims=True)
    denominator = 2 * gradient**2 + total * gradient**3
    weight = np.zeros_like(gradient)
    np.divide(gradient**2, denominator, out=weight, where=denominator != 0)
    weights = (weight * np.maximum(gradient, 0)).sum((1, 2), keepdims=True)
    return np.maximum((weights * activation).sum(3), 0)


def x_grad_cam(activation, gradient):
    """A channel weighs its gradient, averaged with its activation's size as weights."""
    weights = (activation * gradient).sum((1, 2)) / abs(activation).sum((1, 2))
    return np.maximum(np.einsum("nhwc,nc->nhw", activation, weights), 0)


def eigen_cam(activation):
    """Each image's (H * W, C) matrix on its first right singular vector, by SVD."""
    maps = []
    for image in np.asarray(activation, "float64"):
        matrix = image.reshape(-1, image.shape[2])
        vector = np.linalg.svd(matrix, full_matrices=False)[2][0]
        maps.append((matrix @ (vector * np.sign(vector.sum()))).reshape(image.shape[:2]))
    return np.stack(maps)


def local_probability():
    """The head on the mean of the hidden layer under a window at each place, 128 pixels of 224 wide."""
    hidden, found = TINY.hidden(), np.zeros((N, H, W))
    for i, j in np.ndindex(H, W):
        rows, columns = (np.arange(n) * 224 / n for n in (H, W))
        weights = np.exp(-((rows - rows[i]) ** 2)[:, None] / (2 * 128**2))
        weights = weights * np.exp(-((columns - columns[j]) ** 2) / (2 * 128**2))
        mean = (hidden * weights[..., None]).sum((1, 2)) / weights.sum()
        scores = softmax(mean @ TINY.linear + TINY.linear_bias)
        found[:, i, j] = scores[range(N), CLASS_INDEX]
    return found / found.max((1, 2), keepdims=True)


NORMS = np.linalg.norm(S, axis=3) * np.linalg.norm(G, axis=3)
FORMULAS = {
    "gradcam": np.maximum((G.mean((1, 2), keepdims=True) * S).sum(3), 0),
    "gradcam++": grad_cam_plus_plus(S, G),
    "xgradcam": x_grad_cam(S, G),
    "layercam": (np.maximum(G, 0) * S).sum(3),
    "hirescam": (G * S).sum(3),
    "eigencam": eigen_cam(S),
    "normgrad": np.sqrt(NORMS),
    "normgrad-local": np.sqrt(NORMS * local_probability()),
    "dgl": TINY.dgl(),
    "dgl-pcs": (G * S).sum(3),
    "dgl-no-loss": (G * unit(S)).sum(3),
    "dgl-no-class": (unit(S) - unit(TINY.loss_gradient(10.0))).sum(3),
    "dgl(pa=2,exact)": TINY.dgl(2.0, "exact"),
    "dgl-no-class(pa=2)": (unit(S) - unit(TINY.loss_gradient(2.0))).sum(3),
    "dgl-no-class(pa=2,exact)": (unit(S) - unit(TINY.loss_gradient(2.0, "exact"))).sum(3),
    "dgl-no-class(pa=inf)": (unit(S) + unit(G)).sum(3),
}
LAST = {
    "cam": TINY.cam(),
    "gradcam": np.maximum(TINY.cam(), 0) / (H * W),
    "hirescam": TINY.cam() / (H * W),
    "eigencam": eigen_cam(TINY.hidden()),
}


WITHOUT_LAYER = {"center", "foreground"}


@pytest.fixture(scope="module")
def maps():
    return TINY.maps(sorted({*FORMULAS, *LAST, *WITHOUT_LAYER, "refined"}))


def test_every_method_has_a_formula():
    found = {name.split("(")[0] for name in {**FORMULAS, **LAST}} | WITHOUT_LAYER
    assert found == set(METHODS) - {"refined"}


@pytest.mark.parametrize(
    "layer, method", [("activation", m) for m in FORMULAS] + [("hidden", m) for m in LAST]
)
def test_formula(maps, layer, method):
    expected = FORMULAS[method] if layer == "activation" else LAST[method]
    assert np.ptp(expected, axis=(1, 2)).min() > 0.01
    np.testing.assert_allclose(maps[method, layer], expected, **CLOSE)


def test_refined_is_the_foreground_where_the_class_is(maps):
    dgl = np.maximum(FORMULAS["dgl"], 0)
    dgl /= dgl.max(axis=(1, 2), keepdims=True)
    expected = TINY.foreground() * local_probability() * np.sqrt(dgl)
    assert np.ptp(expected, axis=(1, 2)).min() > 0.01
    # TensorFlow 1.15 resizes in float32.
    np.testing.assert_allclose(maps["refined", "activation"], expected, rtol=0, atol=1e-6)


def test_hirescam_sums_to_the_score_without_its_bias(maps):
    scores = (TINY.logits() - TINY.linear_bias)[range(N), CLASS_INDEX]
    np.testing.assert_allclose(maps["hirescam", "hidden"].sum((1, 2)), scores, **CLOSE)


def test_dgl_without_loss_is_hirescam(maps):
    found = [maps[name, "activation"] for name in ("dgl-pcs", "dgl-no-loss", "hirescam")]
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 0.1  # they differ by the norm
    np.testing.assert_allclose(normalize(found[0]), normalize(found[1]), **CLOSE)


def test_every_part_of_dgl_matters(maps):
    found = [normalize(maps[name, "activation"]) for name in ("dgl", "dgl-pcs", "dgl-no-class")]
    for i, first in enumerate(found):
        for second in found[:i]:
            assert np.abs(first - second).max((1, 2)).min() > 0.05


def run(method, activation, gradient=None, shape=None):
    """A method's map of arrays; the activation's static shape may be unknown."""
    with tf.Graph().as_default(), tf.Session() as session:
        tensor = tf.placeholder(activation.dtype, shape or activation.shape)
        parts = {} if gradient is None else {"class_gradient": tf.constant(gradient)}
        found = METHODS[method].function(Evidence(activation=tensor, **parts))
        return session.run(found, {tensor: activation})


def test_layercam_rectifies_the_sum():
    # Visible only for an activation of either sign.
    found = run("layercam", np.array([[[[-2.0, 1.0], [-1.0, 3.0]]]]), np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(found, [[[0.0, 2.0]]])


def test_grad_cam_plus_plus():
    for scale in (1e-3, 1.0, 30.0):  # the formula is not linear in the gradient
        expected = grad_cam_plus_plus(S, scale * G)
        np.testing.assert_allclose(run("gradcam++", S, scale * G), expected, rtol=1e-10, atol=0)
    # Zero denominators.
    activation, gradient = np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2, 3))
    gradient[0, 0, 0] = -0.5  # 2 g^2 + 4 g^3 is zero
    np.testing.assert_array_equal(run("gradcam++", activation, gradient), np.zeros((1, 2, 2)))
    gradient[0, 1, 1, 2] = 3.0
    np.testing.assert_allclose(run("gradcam++", activation, gradient), 3.0 / 14.0, rtol=1e-12)
    # Squares that vanish in float32: half a gradient at each of four positions, in three channels.
    gradient = np.full((1, 2, 2, 3), 1e-25, "float32")
    found = run("gradcam++", activation.astype("float32"), gradient)
    np.testing.assert_allclose(found, np.full((1, 2, 2), 6e-25), rtol=1e-5)


def rectified(*shape):
    return np.maximum(np.random.RandomState(0).standard_normal(shape) + 0.3, 0)


@pytest.mark.parametrize("shape", [(2, 3, 4, 40), (2, 3, 4, 12), (2, 9, 7, 5), (1, 1, 1, 3)])
@pytest.mark.parametrize("static", [True, False])
def test_eigencam_by_either_gram_matrix(shape, static):
    activation = rectified(*shape)
    found = run("eigencam", activation, shape=None if static else [None, None, None, shape[3]])
    np.testing.assert_allclose(found, eigen_cam(activation), **CLOSE)


def test_eigencam_does_not_center_and_of_nothing_is_nothing():
    # A constant channel decides the map; centering would remove it.
    activation = rectified(1, 5, 5, 4)
    activation[..., 0] = 10.0
    assert run("eigencam", activation).min() > 9.0
    for channels in (4, 8):  # a dead activation, by either matrix
        zeros = np.zeros((1, 2, 3, channels))
        np.testing.assert_array_equal(run("eigencam", zeros), zeros[..., 0])


def test_eigencam_of_a_network_s_size_in_float32():
    activation = rectified(1, 28, 28, 1024).astype("float32")
    found, expected = run("eigencam", activation), eigen_cam(activation)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max())


def test_center(maps):
    for side in (1, 2, 7, 8, 224):
        offset = np.arange(side) - (side - 1) / 2
        squared = offset[:, None] ** 2 + offset**2
        expected = np.exp(-squared / (2 * (SIGMA * side) ** 2))
        np.testing.assert_allclose(gaussian(side), expected, rtol=1e-12)
    for dtype in ("float32", "float64"):  # one map an image, of the input's size
        found = TINY.maps(["center"], dtype=dtype, image_size=32)
        assert list(found) == [("center", "image")]
        assert found["center", "image"].dtype == dtype
        np.testing.assert_allclose(found["center", "image"], [gaussian(32)] * N, rtol=1e-6)
    assert maps["center", "image"].shape == (N, 224, 224)
