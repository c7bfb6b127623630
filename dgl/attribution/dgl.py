"""The DGL map, class-aware enhanced map times pixel-level class selection, and its ablations.

``E = S / ||S|| - G_L / ||G_L||`` and ``M = sum over C of G_H * E``; the norms run over H, W and C together,
per image. No ReLU.

Three more methods leave out one part each, to measure what it contributes:

* ``dgl-pcs``: ``sum over C of G_H * S``, pixel-level class selection of the plain activation;
* ``dgl-no-loss``: ``sum over C of G_H * S / ||S||``, the enhanced map without the loss gradient;
* ``dgl-no-class``: ``sum over C of E``, the enhanced map without class selection.

The first is HiResCAM, and the second divides it by ``||S||``, one positive number per image: after min-
max normalization ``dgl-pcs``, ``dgl-no-loss`` and ``hirescam`` are the same map. Their difference to
``dgl`` is the contribution of the loss gradient.
"""

from typing import Union

from dgl.attribution.gradients import KERNEL, class_gradients, loss_gradients
from dgl.attribution.hirescam import hires_cam
from dgl.attribution.registry import CLASS_GRADIENT, LOSS_GRADIENT, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

_REFERENCE = "Tan et al., ACM MM 2020"

_EPSILON = 1e-12  # inside the square root, as in tf.nn.l2_normalize


def unit(tensor: Tensor) -> Tensor:
    """``T / ||T||``, (N, H, W, C), the norm over H, W and C of each image."""
    return tf.nn.l2_normalize(tensor, axis=[1, 2, 3], epsilon=_EPSILON)


def enhanced_map(activation: Tensor, loss_gradient: Tensor) -> Tensor:
    """``E = S / ||S|| - G_L / ||G_L||``, (N, H, W, C)."""
    return unit(activation) - unit(loss_gradient)


def combine(activation: Tensor, class_gradient: Tensor, loss_gradient: Tensor) -> Tensor:
    """``M = sum over C of G_H * E``, (N, H, W), of activation and gradients, (N, H, W, C) float32."""
    enhanced = enhanced_map(activation, loss_gradient)
    return tf.reduce_sum(class_gradient * enhanced, axis=3)


def dgl_map(
    logits: Tensor,
    activation: Tensor,
    class_index: Tensor,
    alpha: Union[float, Tensor] = 10.0,
    semantics: str = KERNEL,
) -> Tensor:
    """The DGL map of one layer of any TF-1-style graph.

    Args:
        logits: (N, classes) float32.
        activation: (N, H, W, C) float32, after the layer's ReLU.
        class_index: (N,) int32.
        alpha: target score of the loss.
        semantics: see :func:`~dgl.attribution.gradients.loss_gradients`.

    Returns:
        (N, H, W) float32, unnormalized.
    """
    (class_gradient,) = class_gradients(logits, [activation], class_index)
    (loss_gradient,) = loss_gradients(logits, [activation], class_index, alpha, semantics)
    return combine(activation, class_gradient, loss_gradient)


@attribution_method("dgl", "DGL", _REFERENCE, needs=[CLASS_GRADIENT, LOSS_GRADIENT], order=6)
def _dgl(evidence: Evidence) -> Tensor:
    return combine(evidence.activation, evidence.class_gradient, evidence.loss_gradient)


attribution_method(
    "dgl-pcs", "DGL, class selection alone", _REFERENCE, needs=[CLASS_GRADIENT], order=7
)(hires_cam)


@attribution_method(
    "dgl-no-loss", "DGL without the loss gradient", _REFERENCE, needs=[CLASS_GRADIENT], order=8
)
def _without_loss(evidence: Evidence) -> Tensor:
    return tf.reduce_sum(evidence.class_gradient * unit(evidence.activation), axis=3)


@attribution_method(
    "dgl-no-class", "DGL without class selection", _REFERENCE, needs=[LOSS_GRADIENT], order=9
)
def _without_class(evidence: Evidence) -> Tensor:
    return tf.reduce_sum(enhanced_map(evidence.activation, evidence.loss_gradient), axis=3)
