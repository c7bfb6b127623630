"""HiResCAM (Draelos and Carin, 2020): the gradient times the activation, ``M = sum over C of G_H * S``.

The map keeps its sign: there is no ReLU on the gradient or on the products (with one there, it is another
method of the literature, Grad-CAM Elementwise), and none on the sum, which at the last layer thus is CAM
divided by the number of places. It is also the DGL map of an image without its loss term, up to a
factor: see :mod:`dgl.attribution.ablations`.
"""

from dgl.attribution.registry import ANY, CLASS_GRADIENT, Evidence, Method, register_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


def hires_cam(evidence: Evidence) -> Tensor:
    """The HiResCAM map.

    Args:
        evidence: :class:`~dgl.attribution.registry.Evidence` with ``activation`` and
            ``class_gradient``.

    Returns:
        (N, H, W) float of either sign.
    """
    return tf.reduce_sum(evidence.class_gradient * evidence.activation, axis=3)


HIRESCAM = register_method(
    Method(
        "hirescam",
        "HiResCAM",
        "Draelos and Carin, arXiv 2020",
        frozenset([CLASS_GRADIENT]),
        hires_cam,
        ANY,
        order=4,
    )
)
