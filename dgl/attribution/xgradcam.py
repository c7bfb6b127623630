"""XGrad-CAM (Fu et al., BMVC 2020): channels weighted by their gradient, averaged where they are active.

``w_k = sum over H, W of S * G_H / sum over H, W of S``, and the map is ``ReLU(sum over C of w_k * S)``.

The denominator takes activations that are not negative, as after a ReLU. Those of a linear bottleneck or of
swish can cancel in it, so their absolute values are summed: the same where ``S`` is not negative, and no
weight is larger than the channel's largest gradient.
"""

from dgl.attribution.registry import CLASS_GRADIENT, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


@attribution_method(
    "xgradcam", "XGrad-CAM", "Fu et al., BMVC 2020", needs=[CLASS_GRADIENT], order=2
)
def x_grad_cam(evidence: Evidence) -> Tensor:
    """The XGrad-CAM map, (N, H, W) float, not negative; activations of either sign."""
    product = evidence.activation * evidence.class_gradient
    weights = tf.math.divide_no_nan(
        tf.reduce_sum(product, axis=[1, 2]), tf.reduce_sum(abs(evidence.activation), axis=[1, 2])
    )
    return tf.nn.relu(tf.einsum("nhwc,nc->nhw", evidence.activation, weights))
