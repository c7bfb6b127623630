"""Gradients that several maps share: each backward pass is built once, and only when a map asks for it.

Backpropagation is linear in what is sent back from the logits. With ``G_H`` from ``onehot(c)`` and ``R``
from ``p - onehot(c)``, the loss gradient of no alpha needs a pass of its own:

* kernel semantics: ``p - alpha * onehot = (p - onehot) + (1 - alpha) * onehot``, so
  ``G_L = R + (1 - alpha) * G_H``;
* exact semantics: ``G_L = alpha * R``.

A pass of ``p`` would do as well (``G_P = R + G_H``), but near alpha = 1 the terms of ``G_P - alpha * G_H``
cancel when the network is sure of the class, and with them float32's digits.
"""

import math

from dgl.attribution.gradients import (
    EXACT,
    KERNEL,
    check_alpha,
    check_semantics,
    class_gradients,
    finite,
    loss_gradients,
)


class SharedGradients(object):
    """Both gradients of one network at several layers."""

    def __init__(self, logits, activations, class_index):
        """Nothing is built yet.

        Args:
            logits: (N, classes) float.
            activations: ordered name -> (N, H, W, C) float tensor, every layer that any map needs.
            class_index: (N,) int32.
        """
        self._logits = logits
        self._activations = activations
        self._class_index = class_index
        self._passes = {}

    def class_gradient(self, layer):
        """``G_H`` of the layer named."""
        return self._built("class", class_gradients)[layer]

    def loss_gradient(self, layer, alpha, semantics):
        """``G_L`` of the layer named, from a pass of its own for each alpha and semantics.

        At infinite alpha the kernel's is ``-G_H``, which costs no pass where ``G_H`` is there.

        Raises:
            ValueError: alpha out of range or unknown semantics.
        """
        check_alpha(alpha)
        check_semantics(semantics)
        if math.isinf(alpha) and semantics == KERNEL:
            return -self.class_gradient(layer)
        return self._built(("loss", alpha, semantics), loss_gradients, alpha, semantics)[layer]

    def loss_gradient_by_linearity(self, layer, alpha, semantics):
        """``G_L`` of the layer named, from passes that serve every alpha and both semantics.

        Raises:
            ValueError: as :meth:`loss_gradient`.
        """
        check_alpha(alpha)
        check_semantics(semantics)
        if math.isinf(alpha) and semantics == KERNEL:
            return -self.class_gradient(layer)
        residual = self._built("residual", loss_gradients, 1.0, EXACT)[layer]
        if semantics == EXACT:
            return finite(alpha) * residual
        return residual + (1.0 - alpha) * self.class_gradient(layer)

    def _built(self, key, make, *arguments):
        if key not in self._passes:
            tensors = list(self._activations.values())
            gradients = make(self._logits, tensors, self._class_index, *arguments)
            self._passes[key] = dict(zip(self._activations, gradients))
        return self._passes[key]
