"""All requested maps of a network, from one forward pass and shared backward passes."""

from collections import OrderedDict

from dgl.attribution.evidence import (
    ANY,
    CLASS_GRADIENT,
    HEAD_WEIGHTS,
    IMAGE,
    LAST,
    LOSS_GRADIENT,
    Evidence,
)
from dgl.attribution.gradients import KERNEL
from dgl.attribution.methods import parse_method
from dgl.attribution.passes import SharedGradients

IMAGE_LAYER = "image"


def build_maps(
    network,
    methods,
    layers,
    last_layer,
    class_index,
    alpha=10.0,
    semantics=KERNEL,
    image_size=224,
):
    """Ops of every method at every layer.

    There is one backward pass for the class gradients of all layers and one for their loss gradients,
    each only if a method needs it, and one more for all the methods with an alpha of their own. At
    infinite alpha the loss gradient needs no pass but the class gradient's, and ``last_layer`` needs
    none at all. A pass ends at the shallowest layer, and reaches no weight.

    Args:
        network: :class:`~dgl.backbones.Network` with channels-last endpoints.
        methods: what :func:`~dgl.attribution.methods.parse_method` takes.
        layers: endpoint names; CAM ignores them and always takes ``last_layer``, and so does the centre
            Gaussian, whose layer is called ``"image"``.
        last_layer: the endpoint that feeds global average pooling.
        class_index: (N,) int32 tensor.
        alpha, semantics: see :func:`~dgl.attribution.gradients.loss_gradients`; a method's own alpha
            goes before.
        image_size: side of the network's input in pixels, that of the centre Gaussian.

    Returns:
        ordered (method, layer) -> (N, H, W) float32 tensor, methods as they were written.

    Raises:
        UserError: unknown method.
        ValueError: alpha out of range or unknown semantics, where a method needs them.
    """
    requests = [parse_method(method) for method in methods]
    places = {ANY: tuple(layers), LAST: (last_layer,), IMAGE: (IMAGE_LAYER,)}
    differentiated = OrderedDict(
        (layer, network.endpoints[layer])
        for request in requests
        if request.method.needs & {CLASS_GRADIENT, LOSS_GRADIENT}
        for layer in places[request.method.layers]
    )
    gradients = SharedGradients(
        network.logits, differentiated, class_index, last_layer, network.head_weights
    )

    def evidence(request, layer):
        needs = request.method.needs
        parts = {}
        if request.method.layers != IMAGE:
            parts["activation"] = network.endpoints[layer]
        if CLASS_GRADIENT in needs:
            parts[CLASS_GRADIENT] = gradients.class_gradient(layer)
        if LOSS_GRADIENT in needs and request.alpha is None:
            parts[LOSS_GRADIENT] = gradients.loss_gradient(layer, alpha, semantics)
        elif LOSS_GRADIENT in needs:
            parts[LOSS_GRADIENT] = gradients.loss_gradient_by_linearity(
                layer, request.alpha, request.semantics or semantics
            )
        if HEAD_WEIGHTS in needs:
            parts[HEAD_WEIGHTS] = network.head_weights
        return Evidence(
            logits=network.logits, class_index=class_index, image_size=image_size, **parts
        )

    return OrderedDict(
        ((request.text, layer), request.method.function(evidence(request, layer)))
        for request in requests
        for layer in places[request.method.layers]
    )
