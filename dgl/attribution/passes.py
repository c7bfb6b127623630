"""Gradients that several maps share: each backward pass is built once, and only when a map asks for it.

Backpropagation is linear in what is sent back from the logits. With ``G_H`` from ``onehot(c)`` and ``R``
from ``p - onehot(c)``, the loss gradient of no alpha needs a pass of its own:

* kernel semantics: ``p - alpha * onehot = (p - onehot) + (1 - alpha) * onehot``, so
  ``G_L = R + (1 - alpha) * G_H``;
* exact semantics: ``G_L = alpha * R``.

A pass of ``p`` would do as well (``G_P = R + G_H``), but near alpha = 1 the terms of ``G_P - alpha * G_H``
cancel when the network is sure of the class, and with them float32's digits.

The layer that feeds global average pooling needs no pass: see
:func:`~dgl.attribution.gradients.pooled_gradient`.
"""

from typing import Any, Dict, Mapping, Optional, Tuple, Union

from dgl.attribution.gradients import (
    EXACT,
    KERNEL,
    backward,
    check_alpha,
    check_semantics,
    class_signal,
    finite,
    is_infinite,
    loss_signal,
    pooled_gradient,
)
from dgl.typing_names import Tensor


class SharedGradients(object):
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
