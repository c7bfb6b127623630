"""Grad-CAM and what came of it: maps of an activation ``S`` and its class gradient ``G_H`` alone.

All take activations of either sign. Maps are (N, H, W) float, not negative but for HiResCAM's.
"""

from dgl.attribution.registry import CLASS_GRADIENT, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


def _weighted(activation: Tensor, weights: Tensor) -> Tensor:
    """``ReLU(sum over C of w_k * S)`` of weights of channels, (N, C)."""
    return tf.nn.relu(tf.einsum("nhwc,nc->nhw", activation, weights))


@attribution_method(
    "gradcam", "Grad-CAM", "Selvaraju et al., ICCV 2017", needs=[CLASS_GRADIENT], order=1
)
def grad_cam(evidence: Evidence) -> Tensor:
    """Channels weighted by their mean gradient (eq. 1 and 2): ``w_k = mean over H, W of G_H``."""
    return _weighted(evidence.activation, tf.reduce_mean(evidence.class_gradient, axis=[1, 2]))


@attribution_method(
    "gradcam++", "Grad-CAM++", "Chattopadhay et al., WACV 2018", needs=[CLASS_GRADIENT], order=2
)
def grad_cam_plus_plus(evidence: Evidence) -> Tensor:
    """Channels weighted by their positive gradients.

    The paper's closed form takes the exponential of the score as the class's output, whose derivatives
    are then powers of the score's gradient ``g``: a position weighs ``a = g^2 / (2 g^2 + g^3 * sum over
    H, W of S)`` and a channel ``w_k = sum over H, W of a * ReLU(g)``. The exponential itself is one
    positive number per image and is left out because it overflows.

    The derivation takes activations that are not negative, as after a ReLU. Those of a linear bottleneck
    or of swish have negative parts, whose sum would make the denominator zero or negative: only the
    positive part of ``S`` is summed there, so that the map stays defined and the paper's where ``S`` is
    not negative.
    """
    positive = tf.nn.relu(evidence.class_gradient)
    total = tf.reduce_sum(tf.nn.relu(evidence.activation), axis=[1, 2], keepdims=True)
    # a * ReLU(g) with g^2 canceled: the same where g > 0 and zero elsewhere, but the denominator is
    # never below 2 (in the paper's form it is zero where g is, and at g = -2 / total), and neither
    # squares nor cubes of small gradients are lost.
    weights = tf.reduce_sum(positive / (2.0 + total * positive), axis=[1, 2])
    return _weighted(evidence.activation, weights)


@attribution_method(
    "xgradcam", "XGrad-CAM", "Fu et al., BMVC 2020", needs=[CLASS_GRADIENT], order=2
)
def x_grad_cam(evidence: Evidence) -> Tensor:
    """Channels weighted by their gradient, averaged where they are active.

    ``w_k = sum over H, W of S * G_H / sum over H, W of S``. Activations of either sign can cancel in the
    denominator, so their absolute values are summed: the same where ``S`` is not negative, and no weight
    is larger than the channel's largest gradient.
    """
    product = evidence.activation * evidence.class_gradient
    weights = tf.math.divide_no_nan(
        tf.reduce_sum(product, axis=[1, 2]), tf.reduce_sum(abs(evidence.activation), axis=[1, 2])
    )
    return _weighted(evidence.activation, weights)


@attribution_method(
    "layercam", "LayerCAM", "Jiang et al., IEEE TIP 2021", needs=[CLASS_GRADIENT], order=3
)
def layer_cam(evidence: Evidence) -> Tensor:
    """Every position weighted by its own positive gradient: ``ReLU(sum over C of ReLU(G_H) * S)``."""
    weighted = tf.nn.relu(evidence.class_gradient) * evidence.activation
    return tf.nn.relu(tf.reduce_sum(weighted, axis=3))


@attribution_method(
    "hirescam", "HiResCAM", "Draelos and Carin, arXiv 2020", needs=[CLASS_GRADIENT], order=4
)
def hires_cam(evidence: Evidence) -> Tensor:
    """The gradient times the activation, ``sum over C of G_H * S``, of either sign.

    No ReLU on the gradient or on the products (that would be Grad-CAM Elementwise), and none on the sum,
    so at the last layer it is CAM divided by the number of places. Up to a factor per image it is also the
    DGL map without its loss term: see :mod:`dgl.attribution.dgl`.
    """
    return tf.reduce_sum(evidence.class_gradient * evidence.activation, axis=3)
