"""Eigen-CAM (Muhammad and Yeasin, IJCNN 2020): the activation projected on its first singular vector.

With the activation as a matrix ``A`` (H * W, C), not centered, ``A = U D V^T`` and ``M = A v_1``. It uses
neither a gradient nor a class. ``v_1`` is an eigenvector of ``A^T A`` and ``M`` is one of ``A A^T``; the
smaller of the two Gram matrices is decomposed.

A singular vector has no sign of its own. That of an activation that is not negative has no negative part
and neither has the map; for activations of either sign (linear bottlenecks, swish, tanh) the sign is the
one with which the map's sum is positive.
"""

from dgl.attribution.registry import Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


@attribution_method("eigencam", "Eigen-CAM", "Muhammad and Yeasin, IJCNN 2020", order=5)
def eigen_cam(evidence: Evidence) -> Tensor:
    """The map, (N, H, W) float, of an activation of either sign, NaN where that is not finite.

    It is not negative where the activation is not.
    """
    activation = evidence.activation
    height, width, channels = activation.shape.as_list()[1:]
    shape = tf.shape(activation)
    matrix = tf.reshape(activation, [shape[0], shape[1] * shape[2], channels])
    # The solver ends the whole run at a value that is not finite, and squares must not overflow.
    largest = tf.reduce_max(abs(matrix), axis=[1, 2], keepdims=True)
    is_finite = tf.reduce_all(tf.is_finite(matrix), axis=[1, 2], keepdims=True)
    usable = tf.logical_and(is_finite, largest > 0)
    scale = tf.where(usable, largest, tf.ones_like(largest))
    matrix = tf.where(tf.is_finite(matrix), matrix, tf.zeros_like(matrix)) / scale
    if height is not None and width is not None and height * width < channels:
        values, vectors = tf.linalg.eigh(tf.einsum("npc,nqc->npq", matrix, matrix))
        projection = vectors[:, :, -1] * tf.nn.relu(values[:, -1:]) ** 0.5
    else:
        _, vectors = tf.linalg.eigh(tf.einsum("npc,npd->ncd", matrix, matrix))
        projection = tf.einsum("npc,nc->np", matrix, vectors[:, :, -1])
    total = tf.reduce_sum(projection, axis=1, keepdims=True)
    projection = tf.where(total[:, 0] < 0, -projection, projection)
    # Without a negative value, what is negative here is rounding.
    is_positive = tf.reduce_min(matrix, axis=[1, 2]) >= 0
    projection = tf.where(is_positive, abs(projection), projection) * scale[:, 0]
    nothing = tf.fill(tf.shape(projection), tf.cast(float("nan"), projection.dtype))
    projection = tf.where(is_finite[:, 0, 0], projection, nothing)
    found = tf.reshape(projection, shape[:3])
    found.set_shape(activation.shape[:3])
    return found
