"""`GraphPredictor`: attention maps of any TF-1-style graph, given its tensors."""

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from dgl.attribution import check_methods
from dgl.attribution.build import CHANNELS_LAST
from dgl.attribution.gradients import KERNEL, check_alpha
from dgl.backbones import Network
from dgl.foreign import input_of, pooled_layer
from dgl.predict.session import MapSession, open_session, prediction_tensors
from dgl.tf_compat import tf
from dgl.utils.graph_walk import without_identities

_NAME_SCOPE = "dgl"


class GraphPredictor(MapSession):
    """Maps of a graph, for any methods and layers, in one run per batch.

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
                layer's ReLU; the first is the pooled one, if there are ``head_weights``.
            image: the tensor to feed; by default the one placeholder of images that the logits
                depend on.
            methods: out of :data:`dgl.attribution.METHODS`.
            alpha, semantics: see :func:`dgl.attribution.loss_gradients`.
            head_weights: (C, classes) float tensor from the spatial mean of the first activation to the
                logits; by default found in the graph. CAM needs them.
            data_format: of the activations, ``"channels_last"`` or ``"channels_first"``.
            session: with the variables' values; by default the current session of that graph,
                else a new one, which suits graphs without variables only.
            feeds: tensor -> value, fed in every run, such as ``{keep_probability: 1.0}``.
            adjustable_alpha: whether each call may have an alpha of its own.

        Raises:
            ValueError: alpha out of range, tensors of several graphs or of the wrong rank, an activation
                that the logits do not depend on, no placeholder or several, a method without the head
                weights it needs, or variables without a session.
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
            target, fed_alpha, fetches = prediction_tensors(
                Network(logits, activations, head_weights),
                list(dict.fromkeys(methods)),
                list(activations),
                first,
                alpha,
                semantics,
                adjustable_alpha,
                image_size=max(image_shape(self.image)),
                data_format=data_format,
            )
        owns_session = False
        if session is None:
            session = _default_session(graph)
        if session is None:
            if graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
                raise ValueError("the graph has variables; expected the session with their values")
            with graph.as_default():
                session = open_session()
            owns_session = True
        super().__init__(
            session,
            self.image,
            target,
            fetches,
            logits.name,
            fed_alpha,
            owns_session=owns_session,
            feeds=feeds,
        )


def named(activations: Union[Any, Mapping[str, Any]]) -> Dict[str, Any]:
    """One tensor, a sequence of tensors or a mapping of them, as ordered name -> tensor."""
    if isinstance(activations, Mapping):
        return dict(activations)
    if not isinstance(activations, (list, tuple)):
        activations = [activations]
    return {activation.op.name: activation for activation in activations}


def _check_tensors(graph: Any, logits: Any, activations: Mapping[str, Any]) -> None:
    if not activations:
        raise ValueError("activations: expected at least one tensor")
    if logits.shape.ndims != 2 or logits.shape.as_list()[1] is None:
        raise ValueError(f"logits {logits.name}: expected shape (N, classes), got {logits.shape}")
    for activation in activations.values():
        if activation.graph is not graph:
            raise ValueError(f"{activation.name}: belongs to another graph than the logits")
        if activation.shape.ndims != 4:
            raise ValueError(
                f"{activation.name}: expected an activation of four dimensions, got {activation.shape}"
            )


def is_channels_first(image: Any) -> bool:
    """Whether an image tensor's shape is (N, 3, H, W)."""
    shape = image.shape.as_list()
    return bool(shape[1] == 3 and shape[3] != 3)


def image_shape(image: Any, default: int = 224) -> Tuple[int, int]:
    """(height, width) of an image tensor in pixels; ``default`` where unknown."""
    if image.shape.ndims != 4:
        return default, default
    shape = image.shape.as_list()
    height, width = shape[2:] if is_channels_first(image) else shape[1:3]
    return height or default, width or default


def _default_session(graph: Any) -> Any:
    session = tf.get_default_session()
    return session if session is not None and session.graph is graph else None
