"""Grad-CAM (Selvaraju et al., ICCV 2017, eq. 1 and 2): channels weighted by their mean gradient.

``w_k = mean over H, W of G_H`` and ``M = ReLU(sum over C of w_k * S)``.
"""

from dgl.attribution.registry import CLASS_GRADIENT, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


@attribution_method(
    "gradcam", "Grad-CAM", "Selvaraju et al., ICCV 2017", needs=[CLASS_GRADIENT], order=1
)
def grad_cam(evidence: Evidence) -> Tensor:
    """The Grad-CAM map, (N, H, W) float, not negative."""
    weights = tf.reduce_mean(evidence.class_gradient, axis=[1, 2])
    return tf.nn.relu(tf.einsum("nhwc,nc->nhw", evidence.activation, weights))
