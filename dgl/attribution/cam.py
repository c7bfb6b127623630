"""Class activation map (Zhou et al., CVPR 2016): ``CAM_c = sum over C of W_fc[:, c] * S_last``."""

from dgl.attribution.registry import HEAD_WEIGHTS, LAST, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


def cam_map(
    logits: Tensor, activation: Tensor, class_index: Tensor, head_weights: Tensor
) -> Tensor:
    """The class activation map, (N, H, W) float32, unnormalized.

    Args:
        logits: unused; the signature is that of :func:`dgl_map`.
        activation: (N, H, W, C) float32, the layer that feeds global average pooling.
        class_index: (N,) int32.
        head_weights: (C, classes) float32, the weights from the pooled features to the logits.
    """
    weights = tf.gather(tf.transpose(head_weights), class_index)
    return tf.einsum("nhwc,nc->nhw", activation, weights)


@attribution_method(
    "cam", "CAM", "Zhou et al., CVPR 2016", needs=[HEAD_WEIGHTS], layers=LAST, order=0
)
def _cam(evidence: Evidence) -> Tensor:
    return cam_map(
        evidence.logits, evidence.activation, evidence.class_index, evidence.head_weights
    )
