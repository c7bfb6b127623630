"""Grad-CAM++ (Chattopadhay et al., WACV 2018): channels weighted by their positive gradients.

The paper's closed form takes the exponential of the score as the class's output, whose derivatives are
then powers of the score's gradient ``g``: a position weighs ``a = g^2 / (2 g^2 + g^3 * sum over H, W of
S)``, a channel ``w_k = sum over H, W of a * ReLU(g)``, and the map is ``ReLU(sum over C of w_k * S)``.
The exponential itself is one positive number per image and is left out because it overflows.

The derivation takes activations that are not negative, as after a ReLU. Those of a linear bottleneck or of
swish have negative parts, whose sum would make the denominator zero or negative: only the positive part of
``S`` is summed there, so that the map stays defined and the paper's where ``S`` is not negative.
"""

from dgl.attribution.registry import CLASS_GRADIENT, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


@attribution_method(
    "gradcam++", "Grad-CAM++", "Chattopadhay et al., WACV 2018", needs=[CLASS_GRADIENT], order=2
)
def grad_cam_plus_plus(evidence: Evidence) -> Tensor:
    """The Grad-CAM++ map, (N, H, W) float, not negative; activations of either sign."""
    positive = tf.nn.relu(evidence.class_gradient)
    total = tf.reduce_sum(tf.nn.relu(evidence.activation), axis=[1, 2], keepdims=True)
    # a * ReLU(g) with g^2 canceled: the same where g > 0 and zero elsewhere, but the denominator is
    # never below 2 (in the paper's form it is zero where g is, and at g = -2 / total), and neither
    # squares nor cubes of small gradients are lost.
    weights = tf.reduce_sum(positive / (2.0 + total * positive), axis=[1, 2])
    return tf.nn.relu(tf.einsum("nhwc,nc->nhw", evidence.activation, weights))
