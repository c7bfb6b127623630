"""Eigen-CAM (Muhammad and Yeasin, IJCNN 2020): the activation on its first right singular vector.

With the activation as a matrix ``A`` (H * W, C), not centered, ``A = U D V^T`` and ``M = A v_1``. Neither a
gradient nor a class enters. ``v_1`` is an eigenvector of ``A^T A`` and ``M`` is one of ``A A^T``; of the
two Gram matrices the smaller is taken, so the cost goes by the smaller of C and H * W.
"""

from dgl.attribution.registry import ANY, Evidence, Method, register_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


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
    # A Gram matrix of numbers that are not negative has a first eigenvector without negative entries:
    # taking absolute values only undoes the solver's choice of sign.
    if height is not None and width is not None and height * width < channels:
        values, vectors = tf.linalg.eigh(tf.einsum("npc,nqc->npq", matrix, matrix))
        projection = abs(vectors[:, :, -1]) * values[:, -1:] ** 0.5
    else:
        _, vectors = tf.linalg.eigh(tf.einsum("npc,npd->ncd", matrix, matrix))
        projection = tf.einsum("npc,nc->np", matrix, abs(vectors[:, :, -1]))
    found = tf.reshape(projection, shape[:3])
    found.set_shape(activation.shape[:3])
    return found


EIGENCAM = register_method(
    Method(
        "eigencam",
        "Eigen-CAM",
        "Muhammad and Yeasin, IJCNN 2020",
        frozenset(),
        eigen_cam,
        ANY,
        order=5,
    )
)
