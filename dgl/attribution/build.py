"""All requested maps of a network, from one forward pass and shared backward passes."""

from typing import Any, Dict, Optional, Sequence, Tuple, Union

from dgl.attribution.gradients import KERNEL, SharedGradients
from dgl.attribution.registry import (
    ANY,
    CLASS_GRADIENT,
    HEAD_WEIGHTS,
    IMAGE,
    LAST,
    LOSS_GRADIENT,
    Evidence,
    parse_method,
)
from dgl.backbones.registry import Network
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

IMAGE_LAYER = "image"
CHANNELS_LAST, CHANNELS_FIRST = "channels_last", "channels_first"


def build_maps(
    network: Network,
    methods: Sequence[str],
    layers: Sequence[str],
    last_layer: Optional[str],
    class_index: Tensor,
    alpha: Union[float, Tensor] = 10.0,
    semantics: str = KERNEL,
    image_size: int = 224,
    data_format: str = CHANNELS_LAST,
) -> Dict[Tuple[str, str], Tensor]:
    """Ops of every method at every layer.

    There is one backward pass for the class gradients of all layers and one for their loss gradients,
    each only if a method needs it, and one more for all the methods with an alpha of their own. At
    infinite alpha the loss gradient needs no pass but the class gradient's, and ``last_layer`` needs
    none at all. A pass ends at the shallowest layer, and reaches no weight.

    Args:
        network: :class:`~dgl.backbones.Network`. Where its ``head_weights`` are ``None``, no layer is
            taken for the one that is pooled.
        methods: what :func:`~dgl.attribution.registry.parse_method` takes.
        layers: endpoint names; CAM ignores them and always takes ``last_layer``, and so does the center
            Gaussian, whose layer is called ``"image"``.
        last_layer: the endpoint that feeds global average pooling; ``None`` where it is not known.
        class_index: (N,) int32 tensor.
        alpha, semantics: see :func:`~dgl.attribution.gradients.loss_gradients`; a method's own alpha
            goes before.
        image_size: side of the network's input in pixels, that of the center Gaussian.
        data_format: of the endpoints, ``"channels_last"`` or ``"channels_first"``; head weights are
            for channels-last ones only.

    Returns:
        ordered (method, layer) -> (N, H, W) float32 tensor, methods as they were written.

    Raises:
        UserError: unknown method.
        ValueError: alpha out of range or unknown semantics, where a method needs them; a method that
            needs the pooled layer or its weights, which are not there.
    """
    requests = [parse_method(method) for method in methods]
    for request in requests:
        if network.head_weights is None and HEAD_WEIGHTS in request.method.needs:
            raise ValueError(
                f"{request.text}: needs the layer that is pooled and its weights; expected head_weights"
            )
    places: Dict[str, Tuple[Any, ...]] = {
        ANY: tuple(layers),
        LAST: (last_layer,),
        IMAGE: (IMAGE_LAYER,),
    }
    differentiated = {
        layer: network.endpoints[layer]
        for request in requests
        if request.method.needs & {CLASS_GRADIENT, LOSS_GRADIENT}
        for layer in places[request.method.layers]
    }
    gradients = SharedGradients(
        network.logits,
        differentiated,
        class_index,
        None if network.head_weights is None else last_layer,
        network.head_weights,
    )

    def as_evidence(tensor):
        # What a gradient is taken with respect to keeps its type and order; only then may it be changed.
        tensor = tf.cast(tensor, network.logits.dtype)
        return tf.transpose(tensor, [0, 2, 3, 1]) if data_format == CHANNELS_FIRST else tensor

    def evidence(request, layer):
        needs = request.method.needs
        parts = {}
        if request.method.layers != IMAGE:
            parts["activation"] = as_evidence(network.endpoints[layer])
        if CLASS_GRADIENT in needs:
            parts[CLASS_GRADIENT] = as_evidence(gradients.class_gradient(layer))
        if LOSS_GRADIENT in needs:
            if request.alpha is None:
                gradient = gradients.loss_gradient(layer, alpha, semantics)
            else:
                gradient = gradients.loss_gradient_by_linearity(
                    layer, request.alpha, request.semantics or semantics
                )
            parts[LOSS_GRADIENT] = as_evidence(gradient)
        if HEAD_WEIGHTS in needs:
            parts[HEAD_WEIGHTS] = network.head_weights
        return Evidence(
            logits=network.logits, class_index=class_index, image_size=image_size, **parts
        )

    return {
        (request.text, layer): request.method.function(evidence(request, layer))
        for request in requests
        for layer in places[request.method.layers]
    }
