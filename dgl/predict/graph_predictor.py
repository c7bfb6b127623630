"""Attention maps of a classifier that this project did not build: any TF-1-style graph, by its tensors."""

from typing import Any, Dict, Mapping, Optional, Sequence, Union

from dgl.attribution import build_maps, check_methods
from dgl.attribution.build import CHANNELS_LAST
from dgl.attribution.gradients import KERNEL, check_alpha
from dgl.backbones import Network
from dgl.foreign import input_of, pooled_layer
from dgl.predict.map_session import MapSession, Prediction, alpha_input, target_class
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.utils.graph_walk import without_identities

_NAME_SCOPE = "dgl"


class GraphPredictor(MapSession):
    """Maps of a graph, for any methods and layers, in one run a batch.

    Attributes:
        image: the tensor that batches are fed to.
        entries: list of (method, layer), the order of the maps.
    """

    def __init__(
        self,
        logits: Any,
        activations: Mapping[str, Any],
        image: Optional[Any] = None,
        methods: Sequence[str] = ("dgl",),
        alpha: float = 10.0,
        semantics: str = KERNEL,
        head_weights: Optional[Any] = None,
        data_format: str = CHANNELS_LAST,
        session: Optional[Any] = None,
        feeds: Optional[Mapping[Any, Any]] = None,
        adjustable_alpha: bool = False,
    ):
        """Add maps to the graph that ``logits`` belong to.

        Args:
            logits: (N, classes) float tensor, before softmax.
            activations: ordered name -> (N, H, W, C) float tensor that the logits depend on, after the
                layer's ReLU; the first is the one that is pooled, where there are ``head_weights``.
            image: the tensor to feed; by default the one placeholder of images that the logits
                depend on.
            methods: out of :data:`dgl.attribution.METHODS`.
            alpha, semantics: see :func:`dgl.attribution.loss_gradients`.
            head_weights: (C, classes) float tensor from the spatial mean of the first activation to the
                logits; by default looked for in the graph. Without, there is no CAM.
            data_format: of the activations, ``"channels_last"`` or ``"channels_first"``.
            session: with the variables' values; by default the present default session of that graph,
                else a new one, which suits graphs without variables only.
            feeds: tensor -> value, what else every run needs, such as ``{keep_probability: 1.0}``.
            adjustable_alpha: whether each call may bring an alpha of its own.

        Raises:
            ValueError: alpha out of range, tensors of several graphs or of the wrong rank, an activation
                that the logits do not depend on, no placeholder or several, a method that needs what is
                not there, or variables without a session.
            UserError: unknown method.
        """
        check_alpha(alpha)
        check_methods(methods)
        activations = dict(activations)
        graph = logits.graph
        _check_tensors(graph, logits, activations)
        self.image = input_of(logits) if image is None else image
        first = next(iter(activations))
        if head_weights is None and data_format == CHANNELS_LAST:
            found = pooled_layer(logits)
            if found is not None and found[0] is without_identities(activations[first]):
                head_weights = found[1]
        with graph.as_default(), tf.name_scope(_NAME_SCOPE):
            target, class_index = target_class(logits)
            fed_alpha = alpha_input(alpha) if adjustable_alpha else None
            maps = build_maps(
                Network(logits, activations, head_weights),
                list(dict.fromkeys(methods)),
                list(activations),
                first,
                class_index,
                fed_alpha if adjustable_alpha else alpha,
                semantics,
                image_size=_side(self.image),
                data_format=data_format,
            )
            fetches = Prediction(class_index, tf.nn.softmax(logits), logits, maps)
        own = None
        if session is None:
            session = _default_session(graph)
        if session is None:
            if graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
                raise ValueError("the graph has variables; expected the session with their values")
            with graph.as_default():
                session = own = open_session()
        super().__init__(
            session,
            self.image,
            target,
            fetches,
            logits.name,
            fed_alpha,
            owns_session=own is not None,
            feeds=feeds,
        )


def named(activations: Union[Any, Mapping[str, Any]]) -> Dict[str, Any]:
    """One tensor, a sequence of tensors or a mapping of them, as ordered name -> tensor."""
    if isinstance(activations, Mapping):
        return dict(activations)
    if not isinstance(activations, (list, tuple)):
        activations = [activations]
    return {activation.op.name: activation for activation in activations}


def _check_tensors(graph, logits, activations):
    if not activations:
        raise ValueError("activations: expected at least one tensor")
    if logits.shape.ndims != 2 or logits.shape.as_list()[1] is None:
        raise ValueError(f"logits {logits.name}: expected shape (N, classes), got {logits.shape}")
    for activation in activations.values():
        if activation.graph is not graph:
            raise ValueError(f"{activation.name}: is of another graph than the logits")
        if activation.shape.ndims != 4:
            raise ValueError(
                f"{activation.name}: expected an activation of four dimensions, got shape {activation.shape}"
            )


def _side(image):
    """The longer side of the input in pixels, 224 where its shape does not tell."""
    height, width = image_shape(image)
    return max(height, width)


def is_channels_first(image: Any) -> bool:
    """Whether an image tensor's shape is (N, 3, H, W)."""
    shape = image.shape.as_list()
    return shape[1] == 3 and shape[3] != 3


def image_shape(image: Any, default: int = 224) -> Any:
    """(height, width) of an image tensor in pixels; ``default`` where its shape does not tell."""
    if image.shape.ndims != 4:
        return default, default
    shape = image.shape.as_list()
    height, width = shape[2:] if is_channels_first(image) else shape[1:3]
    return height or default, width or default


def _default_session(graph):
    session = tf.get_default_session()
    return session if session is not None and session.graph is graph else None
