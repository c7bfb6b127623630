"""Maps of a taught foreground head: alone, and times the probability of a class around each place.

`dgl refine` teaches a checkpoint's head (:mod:`dgl.backbones.foreground`) which places belong to any
object, by DGL's maps. It finds the whole object where a map finds its telling part, but it does not know
classes. ``refined`` multiplies it with the local probability of the class
(:func:`~dgl.attribution.normgrad_local.local_probability`), relative to its maximum: ``p * p_c``. Neither
takes a gradient.
"""

from dgl.attribution.registry import (
    FOREGROUND,
    IMAGE,
    LOCAL_PROBABILITY,
    Evidence,
    attribution_method,
)
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

_REFERENCE = "a head taught by maps"
_THRESHOLD = 0.5


@attribution_method(
    "refined",
    "Foreground head, of the class",
    _REFERENCE,
    needs=[FOREGROUND, LOCAL_PROBABILITY],
    layers=IMAGE,
    order=11,
    threshold=_THRESHOLD,
)
def refined_map(evidence: Evidence) -> Tensor:
    """The foreground head times the class's local probability.

    Args:
        evidence: :class:`~dgl.attribution.registry.Evidence` with ``foreground`` and
            ``local_probability``.

    Returns:
        (N, H, W) float in [0, 1], of the size of ``foreground``.
    """
    foreground, local = evidence.foreground, evidence.local_probability
    if local.shape.as_list()[1:] != foreground.shape.as_list()[1:]:
        side = tf.shape(foreground)[1:]
        local = tf.image.resize_bilinear(local[..., tf.newaxis], side, half_pixel_centers=True)
        local = tf.cast(local[..., 0], foreground.dtype)
    return foreground * local


@attribution_method(
    "foreground",
    "Foreground head",
    _REFERENCE,
    needs=[FOREGROUND],
    layers=IMAGE,
    order=12,
    threshold=_THRESHOLD,
)
def foreground_map(evidence: Evidence) -> Tensor:
    """The foreground head's probability, (N, H, W) float in [0, 1], the same for every class."""
    return evidence.foreground
