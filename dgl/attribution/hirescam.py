"""HiResCAM (Draelos and Carin, 2020): the gradient times the activation, ``M = sum over C of G_H * S``.

The map keeps its sign: no ReLU on the gradient or on the products (that would be Grad-CAM Elementwise),
and none on the sum, so at the last layer it is CAM divided by the number of places. Up to a factor per
image it is also the DGL map without its loss term: see :mod:`dgl.attribution.dgl`.
"""

from dgl.attribution.registry import CLASS_GRADIENT, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


@attribution_method(
    "hirescam", "HiResCAM", "Draelos and Carin, arXiv 2020", needs=[CLASS_GRADIENT], order=4
)
def hires_cam(evidence: Evidence) -> Tensor:
    """The HiResCAM map, (N, H, W) float of either sign."""
    return tf.reduce_sum(evidence.class_gradient * evidence.activation, axis=3)
