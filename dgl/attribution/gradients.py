"""The two gradients of the Dual-Gradients framework, for any number of layers in one backward pass.

With logits ``z``, ``p = softmax(z)``, target class ``c`` and an activation ``S``:

* ``G_H = d z_c / d S``: pixel-level class selection;
* ``G_L = d J(p, alpha * onehot(c)) / d S``: gradient of the loss.

TensorFlow's fused softmax cross-entropy returns ``p - labels`` as the gradient with respect to the
logits even when the labels do not sum to one. The method is defined by that kernel, so the gradient that
flows back for ``G_L`` is ``p - alpha * onehot(c)``. Exact calculus gives ``alpha * (p - onehot(c))``, whose
alpha would cancel in the normalization that follows. Here the vector is written out and sent back
through the network, so the definition does not hang on a kernel.
"""

import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

KERNEL, EXACT = "kernel", "exact"

# Beyond it the squares in the norm of float32 gradients overflow; infinity is a formula of its own.
MAX_ALPHA = 1e9


def check_alpha(alpha: Union[float, Tensor]) -> None:
    """Raise ``ValueError`` unless ``0 < alpha <= MAX_ALPHA``, alpha is infinite, or a tensor."""
    if is_adjustable(alpha):
        return  # whoever feeds it checks the number
    if not (0 < alpha <= MAX_ALPHA or alpha == float("inf")):
        raise ValueError(f"alpha {alpha}: expected a positive number up to {MAX_ALPHA:g}, or inf")


def is_adjustable(alpha: Union[float, Tensor]) -> bool:
    """Whether alpha is a tensor: a number that is given to each run, not to the graph."""
    return tf.is_tensor(alpha)


def is_infinite(alpha: Union[float, Tensor]) -> bool:
    """Whether alpha is known to be infinite when the graph is built."""
    return not is_adjustable(alpha) and math.isinf(alpha)


def finite(alpha: Union[float, Tensor]) -> Union[float, Tensor]:
    """Alpha as a factor that is lost in the normalization: 1 stands in for infinity."""
    if is_adjustable(alpha):
        return tf.where(tf.is_inf(alpha), tf.ones_like(alpha), alpha)
    return 1.0 if math.isinf(alpha) else alpha


def check_semantics(semantics: str) -> None:
    """Raise ``ValueError`` unless semantics is one of the two words."""
    if semantics not in (KERNEL, EXACT):
        raise ValueError(f"semantics must be 'kernel' or 'exact', got {semantics!r}")


def _one_hot(logits, class_index):
    return tf.one_hot(class_index, tf.shape(logits)[1], dtype=logits.dtype)


def class_signal(logits: Tensor, class_index: Tensor) -> Tensor:
    """What flows back from the logits for ``G_H``: ``onehot(c)``, (N, classes)."""
    return _one_hot(logits, class_index)


def loss_signal(
    logits: Tensor, class_index: Tensor, alpha: Union[float, Tensor] = 10.0, semantics: str = KERNEL
) -> Tensor:
    """What flows back from the logits for ``G_L``, (N, classes); see :func:`loss_gradients`.

    Raises:
        ValueError: alpha out of range or unknown semantics.
    """
    check_alpha(alpha)
    check_semantics(semantics)
    target = _one_hot(logits, class_index)
    if is_infinite(alpha) and semantics == KERNEL:
        return -target
    probability = tf.nn.softmax(logits)
    if semantics == KERNEL:
        if is_adjustable(alpha):
            # At infinity the target alone is left.
            probability *= 1.0 - tf.cast(tf.is_inf(alpha), probability.dtype)
        return probability - finite(alpha) * target
    return finite(alpha) * (probability - target)


def backward(
    logits: Tensor, activations: Sequence[Tensor], signal: Tensor, name: str
) -> List[Tensor]:
    """Send ``signal``, (N, classes), back from the logits to every activation, in one pass.

    Returns:
        list of tensors shaped like ``activations``, constants to anything downstream.

    Raises:
        ValueError: the logits do not depend on one of the activations.
    """
    gradients = tf.gradients(logits, activations, grad_ys=tf.stop_gradient(signal), name=name)
    for activation, gradient in zip(activations, gradients):
        if gradient is None:
            raise ValueError(f"the logits do not depend on {activation.name}")
    # Nothing may flow back through either gradient.
    return [tf.stop_gradient(gradient) for gradient in gradients]


def pooled_gradient(activation: Tensor, signal: Tensor, head_weights: Tensor) -> Tensor:
    """The gradient at the layer whose spatial mean the linear classifier reads, without a pass.

    ``z = W^T mean over H, W of S + b``, so what flows back, ``g``, arrives as ``W g / (H W)`` at every
    place.

    Args:
        activation: (N, H, W, C) float.
        signal: (N, classes) float.
        head_weights: (C, classes) float.

    Returns:
        tensor shaped like ``activation``, of the signal's type, constant to anything downstream.
    """
    shape = tf.shape(activation)
    places = tf.cast(shape[1] * shape[2], signal.dtype)
    gradient = tf.matmul(signal, head_weights, transpose_b=True) / places
    gradient = tf.broadcast_to(gradient[:, tf.newaxis, tf.newaxis, :], shape)
    return tf.stop_gradient(gradient)


def class_gradients(
    logits: Tensor, activations: Sequence[Tensor], class_index: Tensor
) -> List[Tensor]:
    """``G_H = d z_c / d S`` for every activation, one backward pass in all.

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
    alpha: Union[float, Tensor] = 10.0,
    semantics: str = KERNEL,
) -> List[Tensor]:
    """``G_L = d J(softmax(z), alpha * onehot(c)) / d S`` for every activation.

    Args:
        logits, activations, class_index: as in :func:`class_gradients`.
        alpha: target score of the loss (``--pa``), positive; a float, or a scalar float32 tensor to
            give each run its own. At infinity only the direction is defined: ``-G_H`` has it for the
            kernel; the exact gradient's is the same for every alpha.
        semantics: ``"kernel"`` sends back ``p - alpha * onehot(c)`` (TensorFlow's fused kernel, the
            published method), ``"exact"`` sends back ``alpha * (p - onehot(c))``.

    Returns:
        list of tensors shaped like ``activations``.

    Raises:
        ValueError: alpha out of range, unknown semantics, or an activation out of reach.
    """
    signal = loss_signal(logits, class_index, alpha, semantics)
    return backward(logits, activations, signal, "loss_gradient")


# Gradients that several maps share: each backward pass is built once, and only when a map asks for it.


class SharedGradients:
    """Both gradients of one network at several layers."""

    def __init__(
        self,
        logits: Tensor,
        activations: Mapping[str, Tensor],
        class_index: Tensor,
        pooled: Optional[str] = None,
        head_weights: Optional[Tensor] = None,
    ):
        """Nothing is built yet.

        Args:
            logits: (N, classes) float.
            activations: ordered name -> (N, H, W, C) float tensor, every layer that any map needs.
            class_index: (N,) int32.
            pooled: name of the layer whose spatial mean the classifier reads, or ``None`` where no
                layer may be taken for one.
            head_weights: (C, classes) float, the classifier's weights, with ``pooled``.
        """
        self._logits = logits
        self._pooled = pooled
        self._head_weights = head_weights
        self._activations = activations
        self._class_index = class_index
        self._passes: Dict[Tuple[Any, ...], Dict[str, Tensor]] = {}

    def class_gradient(self, layer: str) -> Tensor:
        """``G_H`` of the layer named."""
        return self._built("class_gradient", layer, class_signal)

    def loss_gradient(self, layer: str, alpha: Union[float, Tensor], semantics: str) -> Tensor:
        """``G_L`` of the layer named, from a pass of its own for each alpha and semantics.

        At infinite alpha the kernel's is ``-G_H``, which costs no pass where ``G_H`` is there.

        Raises:
            ValueError: alpha out of range or unknown semantics.
        """
        check_alpha(alpha)
        check_semantics(semantics)
        if is_infinite(alpha) and semantics == KERNEL:
            return -self.class_gradient(layer)
        return self._built("loss_gradient", layer, loss_signal, alpha, semantics)

    def loss_gradient_by_linearity(self, layer: str, alpha: float, semantics: str) -> Tensor:
        """``G_L`` of the layer named, from passes that serve every alpha and both semantics.

        Raises:
            ValueError: as :meth:`loss_gradient`.
        """
        check_alpha(alpha)
        check_semantics(semantics)
        if is_infinite(alpha) and semantics == KERNEL:
            return -self.class_gradient(layer)
        residual = self._built("residual", layer, loss_signal, 1.0, EXACT)
        if semantics == EXACT:
            return finite(alpha) * residual
        return residual + (1.0 - alpha) * self.class_gradient(layer)

    def _built(self, name, layer, make_signal, *settings):
        """The gradient at one layer of the pass that ``make_signal`` begins; each pass is built once."""
        key = (name,) + settings
        if key not in self._passes:
            signal = make_signal(self._logits, self._class_index, *settings)
            self._passes[key] = self._pass(name, signal)
        return self._passes[key][layer]

    def _pass(self, name, signal):
        layers = [other for other in self._activations if other != self._pooled]
        tensors = [self._activations[other] for other in layers]
        gradients = {}
        if tensors:
            gradients.update(zip(layers, backward(self._logits, tensors, signal, name)))
        if self._pooled in self._activations:
            gradients[self._pooled] = pooled_gradient(
                self._activations[self._pooled], signal, self._head_weights
            )
        return gradients
