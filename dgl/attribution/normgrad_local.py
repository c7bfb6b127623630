"""NormGrad where the class is found: norms of activation and gradient, and a local probability.

``M = sqrt(||S||_C * ||G_H||_C * p_c)``. NormGrad covers whole objects of any class; the local probability
``p_c`` of the target class says which of them is meant. It is the classifier's own answer around each
place: its head, applied not to the mean of the last layer's features over the whole image but to their
mean under a Gaussian window ``g``, as a classifier is slid over an image (Sermanet et al., OverFeat,
ICLR 2014):

    ``z(x) = W^T sum over y of g(x - y) F(y) / sum over y of g(x - y) + b``,  ``p(x) = softmax(z(x))``

``F`` are the features that global average pooling reads, ``W`` and ``b`` the head. It takes one backward
pass, as NormGrad does, and none for the probability. On mosaics of several classes it finds the right one,
which norms alone do not; boxes of single objects hardly change.
"""

from typing import Tuple

from dgl.attribution.normgrad import norm_grad
from dgl.attribution.registry import (
    CLASS_GRADIENT,
    LOCAL_PROBABILITY,
    Evidence,
    attribution_method,
)
from dgl.backbones.registry import SOFTMAX
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

# Standard deviation of the window in pixels of the network's input: about half the side of an image.
WINDOW = 128.0


def local_probability(
    features: Tensor,
    head_weights: Tensor,
    logits: Tensor,
    class_index: Tensor,
    image_size: int,
    head: str = SOFTMAX,
) -> Tensor:
    """The probability of the target class around each place, divided by its maximum over the image.

    Args:
        features: (N, h, w, C) float, what global average pooling reads.
        head_weights: (C, classes) float.
        logits: (N, classes) float, from the mean of the features over the whole image.
        class_index: (N,) int32.
        image_size: int, side of the network's square input in pixels.
        head: as of :class:`~dgl.backbones.registry.Network`; sigmoids take the softmax's place.

    Returns:
        (N, h, w) float in (0, 1]; relative, so that a class that is improbable everywhere has a map too.
    """
    dtype = features.dtype
    height, width = tf.shape(features)[1], tf.shape(features)[2]
    dense = tf.tensordot(features, head_weights, axes=[[3], [0]])
    bias = logits - tf.reduce_mean(dense, axis=[1, 2])
    dense = _along_sides(
        dense, (_window(height, image_size, dtype), _window(width, image_size, dtype))
    )
    dense += bias[:, tf.newaxis, tf.newaxis, :]
    scores = tf.nn.log_softmax(dense) if head == SOFTMAX else tf.log_sigmoid(dense)
    target = tf.one_hot(class_index, tf.shape(scores)[3], dtype=dtype)
    own = tf.reduce_sum(scores * target[:, tf.newaxis, tf.newaxis, :], axis=3)
    return tf.exp(own - tf.reduce_max(own, axis=[1, 2], keepdims=True))


def _window(size: Tensor, image_size: int, dtype: object) -> Tensor:
    """(size, size): row i weighs the places along a side by a Gaussian around place i; it sums to 1."""
    place = tf.cast(tf.range(size), dtype) * (image_size / tf.cast(size, dtype))
    weights = tf.exp(-((place[:, tf.newaxis] - place) ** 2) / (2.0 * WINDOW**2))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def _interpolation(size: Tensor, wanted: Tensor, dtype: object) -> Tensor:
    """(wanted, size): linear interpolation between centers of cells along a side."""
    size, wanted = tf.cast(size, dtype), tf.cast(wanted, dtype)
    place = (tf.range(wanted, dtype=dtype) + 0.5) * size / wanted - 0.5
    place = tf.clip_by_value(place, 0.0, size - 1.0)
    return tf.nn.relu(1.0 - abs(place[:, tf.newaxis] - tf.range(size, dtype=dtype)))


def _along_sides(maps: Tensor, matrices: Tuple[Tensor, Tensor]) -> Tensor:
    """Multiply the rows and the columns of (N, h, w, C) by a matrix each: (N, H, W, C)."""
    maps = tf.einsum("ih,nhwc->niwc", matrices[0], maps)
    return tf.einsum("jw,nhwc->nhjc", matrices[1], maps)


@attribution_method(
    "normgrad-local",
    "NormGrad times local probability",
    "this project, after Rebuffi et al., CVPR 2020",
    needs=[CLASS_GRADIENT, LOCAL_PROBABILITY],
    order=5,
)
def _norm_grad_local(evidence: Evidence) -> Tensor:
    probability = evidence.local_probability
    dtype = probability.dtype
    shape, wanted = tf.shape(probability), tf.shape(evidence.activation)
    matrices = tuple(_interpolation(shape[side], wanted[side], dtype) for side in (1, 2))
    resized = _along_sides(probability[..., tf.newaxis], matrices)[..., 0]
    return norm_grad(evidence) * tf.sqrt(resized)
