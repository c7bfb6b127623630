"""The DGL map with one of its parts taken away, for measuring what each part brings.

* ``dgl-pcs``: ``sum over C of G_H * S``, pixel-level class selection of the plain activation;
* ``dgl-no-loss``: ``sum over C of G_H * S / ||S||``, the enhanced map without the loss gradient;
* ``dgl-no-class``: ``sum over C of E``, the enhanced map without class selection.

The first is HiResCAM, and the second divides it by ``||S||``, one positive number an image: after min-max
normalization ``dgl-pcs``, ``dgl-no-loss`` and ``hirescam`` are one map, and their figures agree. What the
loss gradient brings is thus DGL against any of the three; dividing by the norm alone brings nothing.
"""

from dgl.attribution.dgl import REFERENCE, enhanced_map, unit
from dgl.attribution.hirescam import hires_cam
from dgl.attribution.registry import (
    ANY,
    CLASS_GRADIENT,
    LOSS_GRADIENT,
    Evidence,
    Method,
    register_method,
)
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


def without_loss(evidence: Evidence) -> Tensor:
    """``sum over C of G_H * S / ||S||``, (N, H, W), from ``activation`` and ``class_gradient``."""
    return tf.reduce_sum(evidence.class_gradient * unit(evidence.activation), axis=3)


def without_class(evidence: Evidence) -> Tensor:
    """``sum over C of S / ||S|| - G_L / ||G_L||``, (N, H, W), from ``activation`` and ``loss_gradient``."""
    return tf.reduce_sum(enhanced_map(evidence.activation, evidence.loss_gradient), axis=3)


DGL_PCS = register_method(
    Method(
        "dgl-pcs",
        "DGL, class selection alone",
        REFERENCE,
        frozenset([CLASS_GRADIENT]),
        hires_cam,
        ANY,
        order=7,
    )
)
DGL_NO_LOSS = register_method(
    Method(
        "dgl-no-loss",
        "DGL without the loss gradient",
        REFERENCE,
        frozenset([CLASS_GRADIENT]),
        without_loss,
        ANY,
        order=8,
    )
)
DGL_NO_CLASS = register_method(
    Method(
        "dgl-no-class",
        "DGL without class selection",
        REFERENCE,
        frozenset([LOSS_GRADIENT]),
        without_class,
        ANY,
        order=9,
    )
)
