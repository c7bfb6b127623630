"""The DGL map: class-aware enhanced map times pixel-level class selection.

``E = S / ||S|| - G_L / ||G_L||`` and ``M = sum over C of G_H * E``; the norms run over H, W and C together,
per image. No ReLU.
"""

from typing import Union

from dgl.attribution.gradients import KERNEL, class_gradients, loss_gradients
from dgl.attribution.registry import ANY, CLASS_GRADIENT, LOSS_GRADIENT, Method, register_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

REFERENCE = "Tan et al., ACM MM 2020"

_EPSILON = 1e-12  # inside the square root, as in tf.nn.l2_normalize


def unit(tensor: Tensor) -> Tensor:
    """``T / ||T||``, (N, H, W, C), the norm over H, W and C of each image."""
    return tf.nn.l2_normalize(tensor, axis=[1, 2, 3], epsilon=_EPSILON)


def enhanced_map(activation: Tensor, loss_gradient: Tensor) -> Tensor:
    """``E = S / ||S|| - G_L / ||G_L||``, (N, H, W, C)."""
    return unit(activation) - unit(loss_gradient)


def combine(activation: Tensor, class_gradient: Tensor, loss_gradient: Tensor) -> Tensor:
    """``M = sum over C of G_H * E`` from gradients already at hand.

    Args:
        activation, class_gradient, loss_gradient: (N, H, W, C) float32.

    Returns:
        (N, H, W) float32, unnormalized.
    """
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


def _dgl(evidence):
    return combine(evidence.activation, evidence.class_gradient, evidence.loss_gradient)


DGL = register_method(
    Method("dgl", "DGL", REFERENCE, frozenset([CLASS_GRADIENT, LOSS_GRADIENT]), _dgl, ANY, order=6)
)
