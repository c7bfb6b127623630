"""LayerCAM (Jiang et al., IEEE TIP 2021): every position weighted by its own positive gradient.

``M = ReLU(sum over C of ReLU(G_H) * S)``.
"""

from dgl.attribution.registry import CLASS_GRADIENT, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


@attribution_method(
    "layercam", "LayerCAM", "Jiang et al., IEEE TIP 2021", needs=[CLASS_GRADIENT], order=3
)
def layer_cam(evidence: Evidence) -> Tensor:
    """The LayerCAM map, (N, H, W) float, not negative."""
    weighted = tf.nn.relu(evidence.class_gradient) * evidence.activation
    return tf.nn.relu(tf.reduce_sum(weighted, axis=3))
