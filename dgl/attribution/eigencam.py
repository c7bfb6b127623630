"""Eigen-CAM (Muhammad and Yeasin, IJCNN 2020): the activation projected on its first singular vector.

With the activation as a matrix ``A`` (H * W, C), not centered, ``A = U D V^T`` and ``M = A v_1``. It uses
neither a gradient nor a class. ``v_1`` is an eigenvector of ``A^T A`` and ``M`` is one of ``A A^T``; the
smaller of the two Gram matrices is decomposed.
"""

from dgl.attribution.registry import Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


@attribution_method("eigencam", "Eigen-CAM", "Muhammad and Yeasin, IJCNN 2020", order=5)
def eigen_cam(evidence: Evidence) -> Tensor:
    """The Eigen-CAM map.

    Args:
        evidence: :class:`~dgl.attribution.registry.Evidence` with ``activation``, not negative.

    Returns:
        (N, H, W) float, not negative.
    """
    activation = evidence.activation
    height, width, channels = activation.shape.as_list()[1:]
    shape = tf.shape(activation)
    matrix = tf.reshape(activation, [shape[0], shape[1] * shape[2], channels])
    # The first eigenvector of a non-negative Gram matrix has no negative entries: absolute values only
    # undo the solver's choice of sign.
    if height is not None and width is not None and height * width < channels:
        values, vectors = tf.linalg.eigh(tf.einsum("npc,nqc->npq", matrix, matrix))
        projection = abs(vectors[:, :, -1]) * values[:, -1:] ** 0.5
    else:
        _, vectors = tf.linalg.eigh(tf.einsum("npc,npd->ncd", matrix, matrix))
        projection = tf.einsum("npc,nc->np", matrix, abs(vectors[:, :, -1]))
    found = tf.reshape(projection, shape[:3])
    found.set_shape(activation.shape[:3])
    return found
