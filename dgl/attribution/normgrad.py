"""NormGrad (Rebuffi et al., CVPR 2020): how strong activation and gradient are at each place.

``M = sqrt(||S||_C * ||G_H||_C)``, the norms running over the channels of each place. The product is the
paper's NormGrad of a virtual identity 1 x 1 convolution behind the layer: the gradient of its weights is
a sum over places of the outer product of ``G_H`` and ``S``, whose Frobenius norm is the product of the two
norms. The square root is not the paper's. It changes no ranking of places but spreads their values, so that
evenly spaced thresholds tell more of them apart.

Norms forget signs: a place that speaks against the class counts like one that speaks for it. The map covers
objects well and tells classes apart badly.
"""

from dgl.attribution.registry import CLASS_GRADIENT, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


@attribution_method(
    "normgrad", "NormGrad", "Rebuffi et al., CVPR 2020", needs=[CLASS_GRADIENT], order=5
)
def norm_grad(evidence: Evidence) -> Tensor:
    """The square root of the NormGrad map, (N, H, W) float, not negative; activations of either sign."""
    norms = [tf.norm(part, axis=3) for part in (evidence.activation, evidence.class_gradient)]
    return tf.sqrt(norms[0] * norms[1])
