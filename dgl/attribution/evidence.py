"""What every attribution method takes, and what a method is: the one interface behind all maps."""

from typing import Any, Callable, FrozenSet, NamedTuple

CLASS_GRADIENT, LOSS_GRADIENT, HEAD_WEIGHTS = "class_gradient", "loss_gradient", "head_weights"
NEEDS = frozenset((CLASS_GRADIENT, LOSS_GRADIENT, HEAD_WEIGHTS))

ANY, LAST, IMAGE = "any", "last", "image"


class Evidence(NamedTuple):
    """One layer of one network as graph tensors; ``None`` where the method has no need of a part.

    Attributes:
        activation: (N, H, W, C) float, after the layer's ReLU, so not negative.
        class_gradient: (N, H, W, C) float, ``G_H = d z_c / d S``.
        loss_gradient: (N, H, W, C) float, ``G_L = d J / d S``.
        logits: (N, classes) float.
        class_index: (N,) int32, the target class of each image.
        head_weights: (C, classes) float, from the pooled features of the last layer to the logits.
        image_size: int, side of the network's square input in pixels.
    """

    activation: Any = None
    class_gradient: Any = None
    loss_gradient: Any = None
    logits: Any = None
    class_index: Any = None
    head_weights: Any = None
    image_size: Any = None


class Method(NamedTuple):
    """An attribution method.

    Attributes:
        name: what ``--method`` calls it.
        title: its name in prose and tables.
        reference: authors, venue and year.
        needs: subset of :data:`NEEDS`, the parts of the evidence besides activation and logits.
        function: :class:`Evidence` -> (N, H, W) float tensor, unnormalised.
        layers: ``"any"``; ``"last"``, for the layer that feeds global average pooling only; or
            ``"image"``, for a map that is of no layer.
    """

    name: str
    title: str
    reference: str
    needs: FrozenSet[str]
    function: Callable[[Evidence], Any]
    layers: str
