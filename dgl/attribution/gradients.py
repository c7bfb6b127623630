"""The two gradients of the Dual-Gradients framework, for any number of layers in one backward pass.

With logits ``z``, ``p = softmax(z)``, target class ``c`` and an activation ``S``:

* ``G_H = d z_c / d S``: pixel-level class selection;
* ``G_L = d J(p, alpha * onehot(c)) / d S``: gradient of the loss.

TensorFlow's fused softmax cross-entropy returns ``p - labels`` as the gradient with respect to the
logits even when the labels do not sum to one. The method is defined by that kernel, so the gradient that
flows back for ``G_L`` is ``p - alpha * onehot(c)``. Exact calculus gives ``alpha * (p - onehot(c))``, whose
alpha would cancel in the normalization that follows. Here that vector is written out and propagated back
through the network, so the result does not depend on a kernel.

A classifier that ends in sigmoids is trained with the sigmoid cross-entropy, whose gradient with respect
to the logits is ``sigmoid(z) - labels`` whatever the labels are: ``sigmoid(z) - alpha * onehot(c)`` flows
back, and kernel and calculus agree. With a single logit only the term of the class that is asked for
flows back, because both columns are the same logit.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from dgl.backbones.registry import BINARY, SOFTMAX
from dgl.errors import ArgumentError
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

KERNEL, EXACT = "kernel", "exact"

# Beyond it the squares in the norm of float32 gradients overflow; infinity has a formula of its own.
MAX_ALPHA = 1e9
DEFAULT_ALPHA = 10.0  # of the paper


def check_alpha(alpha: Union[float, Tensor]) -> None:
    """Raise ``ValueError`` unless ``0 < alpha <= MAX_ALPHA``, alpha is infinite, or a tensor."""
    if is_adjustable(alpha):
        return  # checked when it is fed
    if not (0 < alpha <= MAX_ALPHA or alpha == float("inf")):
        raise ArgumentError(
            f"alpha {alpha}: expected a positive number up to {MAX_ALPHA:g}, or inf"
        )


def is_adjustable(alpha: Union[float, Tensor]) -> bool:
    """Whether alpha is a tensor, fed in each run, rather than a number in the graph."""
    return bool(tf.is_tensor(alpha))


def is_infinite(alpha: Union[float, Tensor]) -> bool:
    """Whether alpha is known to be infinite when the graph is built."""
    return not is_adjustable(alpha) and math.isinf(alpha)


def finite(alpha: Union[float, Tensor]) -> Union[float, Tensor]:
    """Alpha as a factor, which the normalization cancels: 1 in place of infinity."""
    if is_adjustable(alpha):
        return tf.where(tf.is_inf(alpha), tf.ones_like(alpha), alpha)
    return 1.0 if math.isinf(alpha) else alpha


def check_semantics(semantics: str) -> None:
    """Raise ``ValueError`` unless semantics is ``"kernel"`` or ``"exact"``."""
    if semantics not in (KERNEL, EXACT):
        raise ArgumentError(f"semantics must be 'kernel' or 'exact', got {semantics!r}")


def class_signal(logits: Tensor, class_index: Tensor) -> Tensor:
    """What flows back from the logits for ``G_H``: ``onehot(c)``, (N, classes)."""
    return tf.one_hot(class_index, tf.shape(logits)[1], dtype=logits.dtype)


def probabilities(logits: Tensor, head: str = SOFTMAX) -> Tensor:
    """(N, classes) probabilities of logits; ``head`` as of :class:`~dgl.backbones.registry.Network`."""
    return tf.nn.softmax(logits) if head == SOFTMAX else tf.nn.sigmoid(logits)


def loss_signal(
    logits: Tensor, class_index: Tensor, alpha: Union[float, Tensor], semantics: str, head: str
) -> Tensor:
    """What flows back from the logits for ``G_L``, (N, classes); as :func:`loss_gradients`."""
    check_alpha(alpha)
    check_semantics(semantics)
    target = class_signal(logits, class_index)
    if head != SOFTMAX:
        semantics = KERNEL  # which is exact for sigmoids
    if is_infinite(alpha) and semantics == KERNEL:
        return -target
    probability = probabilities(logits, head)
    if head == BINARY:
        probability *= target
    if semantics == KERNEL:
        if is_adjustable(alpha):
            # At infinity only the target remains.
            probability *= 1.0 - tf.cast(tf.is_inf(alpha), probability.dtype)
        return probability - finite(alpha) * target
    return finite(alpha) * (probability - target)


def backward(
    logits: Tensor, activations: Sequence[Tensor], signal: Tensor, name: str
) -> List[Tensor]:
    """Propagate ``signal``, (N, classes), back from the logits to every activation in one pass.

    The results are constants to anything downstream.

    Raises:
        ValueError: the logits do not depend on one of the activations.
    """
    gradients = tf.gradients(logits, activations, grad_ys=tf.stop_gradient(signal), name=name)
    for activation, gradient in zip(activations, gradients):
        if gradient is None:
            raise ArgumentError(f"the logits do not depend on {activation.name}")
    return [tf.stop_gradient(gradient) for gradient in gradients]


def pooled_gradient(activation: Tensor, signal: Tensor, head_weights: Tensor) -> Tensor:
    """The gradient at the pooled layer in closed form, without a backward pass.

    ``z = W^T mean over H, W of S + b``, so a signal ``g`` (N, classes) at the logits is ``W g / (H W)`` at
    every position of the activation (N, H, W, C); ``W`` are the head's weights (C, classes).
    """
    shape = tf.shape(activation)
    positions = tf.cast(shape[1] * shape[2], signal.dtype)
    gradient = tf.matmul(signal, head_weights, transpose_b=True) / positions
    gradient = tf.broadcast_to(gradient[:, tf.newaxis, tf.newaxis, :], shape)
    return tf.stop_gradient(gradient)


def class_gradients(
    logits: Tensor, activations: Sequence[Tensor], class_index: Tensor
) -> List[Tensor]:
    """``G_H = d z_c / d S`` for every activation, in one backward pass.

    Args:
        logits: (N, classes) float.
        activations: list of (N, ..., C) float tensors that the logits depend on.
        class_index: (N,) int32, the target class ``c`` of each image.

    Returns:
        list of tensors shaped like ``activations``, constants to anything downstream.

    Raises:
        ValueError: the logits do not depend on one of the activations.
    """
    return backward(logits, activations, class_signal(logits, class_index), "class_gradient")


def loss_gradients(
    logits: Tensor,
    activations: Sequence[Tensor],
    class_index: Tensor,
    alpha: Union[float, Tensor] = DEFAULT_ALPHA,
    semantics: str = KERNEL,
    head: str = SOFTMAX,
) -> List[Tensor]:
    """``G_L = d J(softmax(z), alpha * onehot(c)) / d S`` for every activation.

    Args:
        logits, activations, class_index: as in :func:`class_gradients`.
        alpha: target score of the loss (``--pa``), positive; a float, or a scalar float32 tensor
            that is fed. At infinity only the direction is defined: that of ``-G_H`` for the kernel; that
            of the exact gradient is the same for every alpha.
        semantics: ``"kernel"`` propagates ``p - alpha * onehot(c)`` (TensorFlow's fused kernel, the
            published method), ``"exact"`` propagates ``alpha * (p - onehot(c))``.
        head: ``"softmax"``, ``"sigmoid"`` or ``"binary"``, see :class:`~dgl.backbones.registry.Network`.

    Returns:
        list of tensors shaped like ``activations``.

    Raises:
        ValueError: alpha out of range, unknown semantics, or an activation that does not reach the
            logits.
    """
    signal = loss_signal(logits, class_index, alpha, semantics, head)
    return backward(logits, activations, signal, "loss_gradient")


@dataclass
class SharedGradients:
    """Both gradients of a network at several layers, each backward pass built once, at first use."""

    logits: Tensor  # (N, classes) float
    # Name -> (N, H, W, C) float, every layer that any map needs
    activations: Mapping[str, Tensor]
    class_index: Tensor  # (N,) int32
    # Name of the layer that global average pooling reads, `None` where it is not known
    pooled: Optional[str] = None
    head_weights: Optional[Tensor] = None  # (C, classes) float, the classifier's, with `pooled`
    head: str = SOFTMAX  # as of loss_gradients()
    _passes: Dict[Tuple[Any, ...], Dict[str, Tensor]] = field(default_factory=dict, init=False)

    def class_gradient(self, layer: str) -> Tensor:
        """``G_H`` of a layer."""
        return self._built("class_gradient", layer, class_signal)

    def loss_gradient(
        self, layer: str, alpha: Union[float, Tensor], semantics: str, is_shared: bool = False
    ) -> Tensor:
        """``G_L`` of a layer; ``-G_H`` for the kernel at infinity.

        It comes from one pass per alpha and semantics or, ``is_shared``, by linearity from passes that
        serve every alpha (then a number) and both semantics.

        Raises:
            ValueError: alpha out of range or unknown semantics.
        """
        check_alpha(alpha)
        check_semantics(semantics)
        semantics = semantics if self.head == SOFTMAX else KERNEL
        if is_infinite(alpha) and semantics == KERNEL:
            return -self.class_gradient(layer)
        if not is_shared:
            settings = alpha, semantics, self.head
            return self._built("loss_gradient", layer, loss_signal, *settings)
        residual = self._built("residual", layer, loss_signal, 1.0, EXACT, self.head)
        if semantics == EXACT:
            return finite(alpha) * residual
        return residual + (1.0 - alpha) * self.class_gradient(layer)

    def _built(
        self, name: str, layer: str, make_signal: Callable[..., Tensor], *settings: Any
    ) -> Tensor:
        """The gradient at one layer of the pass of ``make_signal`` with these settings."""
        key = (name, *settings)
        if key not in self._passes:
            signal = make_signal(self.logits, self.class_index, *settings)
            layers = {k: tensor for k, tensor in self.activations.items() if k != self.pooled}
            tensors = list(layers.values())
            found = backward(self.logits, tensors, signal, name) if layers else []
            self._passes[key] = dict(zip(layers, found))
            if self.pooled is not None and self.pooled in self.activations:
                self._passes[key][self.pooled] = pooled_gradient(
                    self.activations[self.pooled], signal, self.head_weights
                )
        return self._passes[key][layer]
