"""Every method against its formula in NumPy, in float64."""

import numpy as np
import pytest
from map_formulas import eigen_cam, formulas, grad_cam_plus_plus, softmax, unit
from tiny_network import CLASS_INDEX, H, N, TinyNetwork, W, central_differences

from dgl.attribution import METHODS, Evidence, dgl_map, enhanced_map
from dgl.attribution.center import SIGMA, gaussian
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=8)
S, G, L = TINY.activation, TINY.class_gradient(), TINY.loss_gradient(10.0)
CLOSE = {"rtol": 0, "atol": 1e-12}  # maps of the order of 0.1
INF = float("inf")


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


SHARED = formulas(S, G, L)
FORMULAS = {
    **SHARED,
    "normgrad-local": SHARED["normgrad"] * np.sqrt(local_probability()),
    "dgl-pcs": SHARED["hirescam"],
    "dgl-no-loss": (G * unit(S)).sum(3),
    "dgl-no-class": (unit(S) - unit(L)).sum(3),
    "dgl(pa=2,exact)": TINY.dgl(2.0, "exact"),
    "dgl-no-class(pa=2)": (unit(S) - unit(TINY.loss_gradient(2.0))).sum(3),
    "dgl-no-class(pa=2,exact)": (unit(S) - unit(TINY.loss_gradient(2.0, "exact"))).sum(3),
    "dgl-no-class(pa=inf)": (unit(S) + unit(G)).sum(3),
    **{f"dgl(pa={alpha:g})": TINY.dgl(alpha) for alpha in (0.5, 1.0, 100.0, 1e6, INF)},
    **{f"dgl(pa={alpha:g},exact)": TINY.dgl(alpha, "exact") for alpha in (0.5, 1e6, INF)},
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


# --- DGL


@pytest.mark.parametrize("size, expected", [(0.0, 0.0), (1e-9, 1e-3), (1e-3, 1.0)])
def test_epsilon_bounds_the_norm_below(size, expected):
    # One entry of this size: its norm is never taken as less than sqrt(1e-12).
    activation = np.zeros((1, 2, 2, 3))
    activation[0, 1, 0, 2] = size
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(enhanced_map(tf.constant(activation), tf.zeros_like(activation)))
    np.testing.assert_allclose(found[0, 1, 0, 2], expected, **CLOSE)


def test_gradient_of_dgl_passes_through_the_activation_only():
    def gradients(t):
        total = tf.reduce_sum(dgl_map(t.logits, t.activation, CLASS_INDEX))
        # The weights reach the map through G_H and G_L alone.
        assert tf.gradients(total, t.weights) == [None]
        return tf.gradients(total, t.activation)[0]

    numeric = central_differences(lambda s: (G * (unit(s) - unit(L))).sum(), S)
    np.testing.assert_allclose(TINY.run(gradients), numeric, rtol=0, atol=1e-8)


# --- the others


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
    activation, gradient = np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2, 3))
    gradient[0, 0, 0] = -0.5  # the denominator, 2 g^2 + 4 g^3, is zero
    np.testing.assert_array_equal(run("gradcam++", activation, gradient), np.zeros((1, 2, 2)))
    # Squares that vanish in float32: half a gradient at each of four positions, in three channels.
    gradient = np.full((1, 2, 2, 3), 1e-25, "float32")
    found = run("gradcam++", activation.astype("float32"), gradient)
    np.testing.assert_allclose(found, np.full((1, 2, 2), 6e-25), rtol=1e-5)


def rectified(*shape):
    return np.maximum(np.random.RandomState(0).standard_normal(shape) + 0.3, 0)


@pytest.mark.parametrize(
    "shape, dtype",
    [
        *((shape, "f8") for shape in ((2, 3, 4, 40), (2, 3, 4, 12), (2, 9, 7, 5), (1, 1, 1, 3))),
        ((1, 28, 28, 1024), "f4"),
    ],
)
@pytest.mark.parametrize("static", [True, False])
def test_eigencam_by_either_gram_matrix(shape, dtype, static):
    activation = rectified(*shape).astype(dtype)
    found = run("eigencam", activation, shape=None if static else [None, None, None, shape[3]])
    expected = eigen_cam(activation)
    assert found.dtype == dtype
    atol = 1e-12 if dtype == "f8" else 1e-5 * expected.max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def test_eigencam_does_not_center_and_of_nothing_is_nothing():
    # A constant channel decides the map; centering would remove it.
    activation = rectified(1, 5, 5, 4)
    activation[..., 0] = 10.0
    assert run("eigencam", activation).min() > 9.0
    for channels in (4, 8):  # a dead activation, by either matrix
        np.testing.assert_array_equal(run("eigencam", np.zeros((1, 2, 3, channels))), 0)


def test_center(maps):
    for side in (1, 2, 7, 8, 224):
        offset = np.arange(side) - (side - 1) / 2
        squared = offset[:, None] ** 2 + offset**2
        expected = np.exp(-squared / (2 * (SIGMA * side) ** 2))
        np.testing.assert_allclose(gaussian(side), expected, rtol=1e-12)
    np.testing.assert_allclose(maps["center", "image"], [gaussian(224)] * N, rtol=1e-12)
