"""The registry of methods, and all requested maps of a network from shared gradients."""

from collections import OrderedDict

from dgl.attribution.cam import cam_map
from dgl.attribution.dual_gradients import combine
from dgl.attribution.gradients import KERNEL, class_gradients, loss_gradients
from dgl.errors import UserError

METHODS = ("dgl", "cam")


def check_methods(methods):
    """Raise :class:`UserError` for a method that is not in the registry."""
    for method in methods:
        if method not in METHODS:
            raise UserError("--method {}: choose of {}".format(method, ", ".join(METHODS)))


def build_maps(network, methods, layers, last_layer, class_index, alpha=10.0, semantics=KERNEL):
    """Ops of every method at every layer, from one forward and at most two backward passes.

    Args:
        network: :class:`~dgl.backbones.Network` with channels-last endpoints.
        methods: names out of :data:`METHODS`.
        layers: endpoint names; CAM ignores them and always takes ``last_layer``.
        last_layer: the endpoint that feeds global average pooling.
        class_index: (N,) int32 tensor.
        alpha, semantics: see :func:`~dgl.attribution.gradients.loss_gradients`.

    Returns:
        ordered (method, layer) -> (N, H, W) float32 tensor.

    Raises:
        UserError: unknown method.
    """
    check_methods(methods)
    maps = OrderedDict()
    activations = [network.endpoints[layer] for layer in layers]
    for method in methods:
        if method == "cam":
            maps["cam", last_layer] = cam_map(
                network.logits, network.endpoints[last_layer], class_index, network.head_weights
            )
        elif activations:
            selection = class_gradients(network.logits, activations, class_index)
            loss = loss_gradients(network.logits, activations, class_index, alpha, semantics)
            for layer, activation, g_h, g_l in zip(layers, activations, selection, loss):
                maps["dgl", layer] = combine(activation, g_h, g_l)
    return maps
