"""Maps of a taught foreground head: alone, and times DGL's map of a class.

`dgl refine` teaches a checkpoint's head (:mod:`dgl.backbones.foreground`) which places belong to any
object. It finds the whole object where a map finds its telling part, and it needs no gradient, but it
does not know classes. ``refined`` multiplies it with DGL's map ``M`` of the class,
``p * sqrt(min(ReLU(M) / q, 1))``, where ``q`` is what three in a hundred places of the map exceed:
a map's peaks say which object it is, and should not weigh its parts.
"""

from dgl.attribution.dgl import combine
from dgl.attribution.registry import (
    CLASS_GRADIENT,
    FOREGROUND,
    IMAGE,
    LOSS_GRADIENT,
    Evidence,
    attribution_method,
)
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

_REFERENCE = "a head taught by maps"
_EPSILON = 1e-12
_PEAKS = 0.03  # as the normalization `pas`


@attribution_method(
    "refined",
    "DGL, refined",
    _REFERENCE,
    needs=[CLASS_GRADIENT, LOSS_GRADIENT, FOREGROUND],
    order=11,
)
def refined_map(evidence: Evidence) -> Tensor:
    """The foreground head times DGL's map of the class.

    Args:
        evidence: :class:`~dgl.attribution.registry.Evidence` with ``activation``, both gradients and
            ``foreground``.

    Returns:
        (N, H, W) float in [0, 1], of the size of ``foreground``.
    """
    foreground = evidence.foreground
    dgl = tf.nn.relu(combine(evidence.activation, evidence.class_gradient, evidence.loss_gradient))
    dgl = tf.sqrt(tf.minimum(dgl / tf.maximum(_high_value(dgl), _EPSILON), 1.0))
    if dgl.shape.as_list()[1:] != foreground.shape.as_list()[1:]:
        side = tf.shape(foreground)[1:]
        dgl = tf.image.resize_bilinear(dgl[..., tf.newaxis], side, half_pixel_centers=True)
        dgl = tf.cast(dgl[..., 0], foreground.dtype)
    return foreground * dgl


def _high_value(maps: Tensor) -> Tensor:
    """(N, 1, 1): what the highest 3 % of a map's places reach; its maximum where that is not positive."""
    shape = tf.shape(maps)
    places = shape[1] * shape[2]
    count = tf.cast(tf.math.ceil(_PEAKS * tf.cast(places, tf.float32)), tf.int32)
    highest = tf.nn.top_k(tf.reshape(maps, [-1, places]), count).values
    found = tf.where(highest[:, -1] > 0, highest[:, -1], highest[:, 0])
    return found[:, tf.newaxis, tf.newaxis]


@attribution_method(
    "foreground",
    "Foreground head",
    _REFERENCE,
    needs=[FOREGROUND],
    layers=IMAGE,
    order=12,
    threshold=0.5,
)
def foreground_map(evidence: Evidence) -> Tensor:
    """The foreground head's probability, (N, H, W) float in [0, 1], the same for every class."""
    return evidence.foreground
