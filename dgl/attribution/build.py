"""Build the maps of all requested methods and layers from one forward pass and shared backward passes."""

from typing import Any, Dict, Optional, Sequence, Tuple, Union

from dgl.attribution.gradients import KERNEL, SharedGradients
from dgl.attribution.normgrad_local import local_probability
from dgl.attribution.registry import (
    ANY,
    CLASS_GRADIENT,
    FOREGROUND,
    HEAD_WEIGHTS,
    IMAGE,
    LAST,
    LOCAL_PROBABILITY,
    LOSS_GRADIENT,
    Evidence,
    Request,
    parse_method,
)
from dgl.backbones.registry import Network
from dgl.errors import ArgumentError
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

    One backward pass gives the class gradients of all layers and one their loss gradients, each only if
    a method needs it, and one more serves all methods with an alpha of their own. At infinite alpha the
    loss gradient reuses the pass of the class gradient, and ``last_layer`` needs no pass. A pass ends at
    the shallowest layer and computes no gradients of weights.

    Args:
        network: :class:`~dgl.backbones.Network`; ``head_weights`` of ``None`` mean that the pooled layer
            is not known.
        methods: values of ``--method``, see :func:`~dgl.attribution.registry.parse_method`.
        layers: endpoint names; CAM ignores them and takes ``last_layer``; the center Gaussian and the
            foreground head have a layer of their own, ``"image"``.
        last_layer: the endpoint that feeds global average pooling; ``None`` where it is not known.
        class_index: (N,) int32 tensor.
        alpha, semantics: see :func:`~dgl.attribution.gradients.loss_gradients`; a method's own alpha
            takes precedence.
        image_size: side of the network's input in pixels, that of the center Gaussian.
        data_format: of the endpoints, ``"channels_last"`` or ``"channels_first"``; head weights are
            for channels-last ones only.

    Returns:
        ordered (method, layer) -> (N, H, W) float32 tensor, methods as written.

    Raises:
        UserError: unknown method.
        ValueError: alpha out of range or unknown semantics, where a method needs them; a method that
            needs the weights of the pooled layer, or a foreground head, where there is none.
    """
    requests = [parse_method(method) for method in methods]
    for request in requests:
        needs = request.method.needs
        if network.head_weights is None and needs & {HEAD_WEIGHTS, LOCAL_PROBABILITY}:
            raise ArgumentError(
                f"{request.text}: needs the pooled layer and its weights; expected head_weights"
            )
        if network.foreground is None and FOREGROUND in needs:
            raise ArgumentError(
                f"{request.text}: needs a foreground head; expected network.foreground"
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
        network.head,
    )

    probability = None
    if last_layer and any(LOCAL_PROBABILITY in request.method.needs for request in requests):
        probability = local_probability(
            tf.cast(network.endpoints[last_layer], network.logits.dtype),
            tf.cast(network.head_weights, network.logits.dtype),
            network.logits,
            class_index,
            image_size,
            network.head,
        )

    def as_evidence(tensor: Tensor) -> Tensor:
        # Gradients are taken of the endpoints as they are; casts and transposes come after.
        tensor = tf.cast(tensor, network.logits.dtype)
        return tf.transpose(tensor, [0, 2, 3, 1]) if data_format == CHANNELS_FIRST else tensor

    given = {
        HEAD_WEIGHTS: network.head_weights,
        FOREGROUND: network.foreground,
        LOCAL_PROBABILITY: probability,
    }

    def evidence(request: Request, layer: str) -> Evidence:
        needs = request.method.needs
        parts: Dict[str, Tensor] = {need: given[need] for need in needs if need in given}
        if request.method.layers != IMAGE:
            parts["activation"] = as_evidence(network.endpoints[layer])
        if CLASS_GRADIENT in needs:
            parts[CLASS_GRADIENT] = as_evidence(gradients.class_gradient(layer))
        if LOSS_GRADIENT in needs:
            is_own = request.alpha is not None
            gradient = gradients.loss_gradient(
                layer, request.alpha if is_own else alpha, request.semantics or semantics, is_own
            )
            parts[LOSS_GRADIENT] = as_evidence(gradient)
        return Evidence(
            logits=network.logits, class_index=class_index, image_size=image_size, **parts
        )

    return {
        (request.text, layer): request.method.function(evidence(request, layer))
        for request in requests
        for layer in places[request.method.layers]
    }
