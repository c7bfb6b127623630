"""Maps of a taught foreground head: alone, and with DGL's map and the probability of a class.

`dgl refine` teaches a checkpoint's head (:mod:`dgl.backbones.foreground`) which places belong to any
object, by DGL's maps. It finds the whole object where a map finds its telling part, but it does not know
classes: ``foreground`` is the same for every class, and takes no gradient.

``refined`` multiplies the head's probability ``p`` with the local probability of the class ``p_c``
(:func:`~dgl.attribution.normgrad_local.local_probability`), relative to its maximum, and with DGL's map
``m`` of the layer:

    ``M = p * p_c * sqrt(max(m, 0) / max m)``

The root keeps the weaker parts of an object. Where images have a single object, ``foreground`` is about as
good; among many classes, and where several objects are in an image, the class counts.
"""

from dgl.attribution.dgl import combine
from dgl.attribution.registry import (
    CLASS_GRADIENT,
    FOREGROUND,
    IMAGE,
    LOCAL_PROBABILITY,
    LOSS_GRADIENT,
    Evidence,
    attribution_method,
)
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

_REFERENCE = "a head taught by maps"
_EPSILON = 1e-12


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    """(N, h, w) at the size and of the type of (N, H, W)."""
    if maps.shape.as_list()[1:] == like.shape.as_list()[1:]:
        return maps
    side = tf.shape(like)[1:]
    maps = tf.image.resize_bilinear(maps[..., tf.newaxis], side, half_pixel_centers=True)
    return tf.cast(maps[..., 0], like.dtype)


# Thresholds of both: within a point of the best for images that the head did not learn from, of
# CUB-200-2011's training split and of ILSVRC's validation set.
@attribution_method(
    "refined",
    "Foreground head, of the class",
    _REFERENCE,
    needs=[CLASS_GRADIENT, LOSS_GRADIENT, FOREGROUND, LOCAL_PROBABILITY],
    order=11,
    threshold=0.08,
)
def refined_map(evidence: Evidence) -> Tensor:
    """The foreground head times the class's local probability and the root of DGL's map.

    (N, H, W) float in [0, 1], of the size of ``foreground``.
    """
    raw = tf.nn.relu(combine(evidence.activation, evidence.class_gradient, evidence.loss_gradient))
    largest = tf.reduce_max(raw, axis=[1, 2], keepdims=True)
    foreground = evidence.foreground
    dgl = _resized(raw / tf.maximum(largest, _EPSILON), foreground)
    return foreground * _resized(evidence.local_probability, foreground) * tf.sqrt(dgl)


@attribution_method(
    "foreground",
    "Foreground head",
    _REFERENCE,
    needs=[FOREGROUND],
    layers=IMAGE,
    order=12,
    threshold=0.3,
)
def foreground_map(evidence: Evidence) -> Tensor:
    """The foreground head's probability, (N, H, W) float in [0, 1], the same for every class."""
    return evidence.foreground
