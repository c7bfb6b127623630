"""Attention maps of any TF-1-style graph, in one session: `GraphPredictor`."""

from typing import Any, Dict, Mapping, Optional, Sequence, Union

import numpy as np

from dgl.attribution import check_methods, parse_method
from dgl.attribution.build import CHANNELS_LAST
from dgl.attribution.gradients import KERNEL, check_alpha
from dgl.attribution.registry import CLASS_GRADIENT, LOSS_GRADIENT
from dgl.backbones import Network
from dgl.backbones.registry import BINARY, SIGMOID, SOFTMAX
from dgl.errors import ArgumentError, UserError, first_few
from dgl.foreign import head_of, input_of, logits_of, pooled_layer
from dgl.foreign.frozen import copied, needs_copy
from dgl.foreign.heads import two_columns
from dgl.foreign.operations import is_random, layer_name, refuse_chance
from dgl.foreign.tensors import layout_of
from dgl.predict.feeding import image_shape
from dgl.predict.session import (
    MapSession,
    Prediction,
    images_at_once,
    open_session,
    prediction_tensors,
)
from dgl.tf_compat import has_gradient, tf
from dgl.utils.graph_walk import depths, is_placeholder, upstream, without_identities
from dgl.utils.types import ArrayLike, Tensor

_NAME_SCOPE = "dgl"
_GRADIENTS = frozenset((CLASS_GRADIENT, LOSS_GRADIENT))
HEADS = (SOFTMAX, SIGMOID)


class GraphPredictor(MapSession):
    """Maps of a graph, for any methods and layers, in one run per batch.

    A graph with function calls, loops, branches or half precision is copied, and the maps are made of the
    copy, in float32; any other graph gets the maps' operations itself.

    Attributes:
        image: the tensor that batches are fed to.
        entries: list of (method, layer), the order of the maps.
        head: ``"softmax"``, ``"sigmoid"`` or ``"binary"``, see :class:`~dgl.backbones.registry.Network`.
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
        data_format: Optional[str] = None,
        session: Optional[Any] = None,
        feeds: Optional[Mapping[Any, Any]] = None,
        adjustable_alpha: bool = False,
        head: Optional[str] = None,
        image_size: Optional[int] = None,
        name: Optional[str] = None,
    ):
        """Add maps to the graph that ``logits`` belong to, or to a copy of it.

        Args:
            logits: (N, classes) float tensor, before softmax or sigmoid; of probabilities the logits are
                taken (:func:`~dgl.foreign.logits_of`). A single logit ``z`` has two classes: 0 with the
                score ``-z``, and 1 with ``z``.
            activations: ordered name -> (N, H, W, C) float tensor that the logits depend on, after the
                layer's nonlinearity; the first is the pooled one, if there are ``head_weights``.
            image: the tensor to feed; by default the one placeholder of images that the logits
                depend on.
            methods: out of :data:`dgl.attribution.METHODS`.
            alpha, semantics: see :func:`dgl.attribution.loss_gradients`.
            head_weights: (C, classes) float tensor from the spatial mean of the first activation to the
                logits; by default found in the graph. CAM needs them.
            data_format: of the activations, ``"channels_last"`` or ``"channels_first"``; by default as the
                operations around them say, see :func:`~dgl.foreign.tensors.layout_of`.
            session: with the variables' values; by default the current session of that graph,
                else a new one, which suits graphs without variables only.
            feeds: tensor or its name -> value, fed in every run, such as ``{"keep_prob": 1.0}``. A value
                for one image is repeated for each image of a batch.
            adjustable_alpha: whether each call may have an alpha of its own.
            head: ``"softmax"`` or ``"sigmoid"``; by default what reads the logits in the graph.
            image_size: side of the input in pixels where the graph takes any size.
            name: of the classifier in messages; by default the logits'.

        Raises:
            ValueError: alpha out of range, tensors of several graphs or of the wrong rank, an activation
                that the logits do not depend on, no placeholder or several, a method without the head
                weights it needs, variables without a session, or a layout that the graph contradicts.
            UserError: unknown method, a placeholder without a value, an operation without a gradient, or a
                part of the graph that cannot be copied.
        """
        check_alpha(alpha)
        check_methods(methods)
        if head not in (None, *HEADS):
            raise ArgumentError(f"head {head!r}: expected one of {', '.join(HEADS)}")
        activations = dict(activations)
        if not hasattr(logits, "graph"):
            raise ArgumentError(f"logits: {type(logits).__name__}; expected a tensor of a graph")
        graph = logits.graph
        for activation in activations.values():
            if activation.graph is not graph:
                raise ArgumentError(f"{activation.name}: belongs to another graph than the logits")
        self._name = name or logits.name
        current = tf.get_default_session()
        if session is None and current is not None and current.graph is graph:
            session = current
        if session is None and graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
            raise ArgumentError("the graph has variables; expected the session with their values")
        fed = {_tensor_of(graph, key, self._name): value for key, value in (feeds or {}).items()}
        if needs_copy(logits):
            given = [logits, *activations.values(), *fed, image, head_weights]
            tensors = {tensor.name: tensor for tensor in given if tensor is not None}
            made = copied(tensors, session, self._name)
            logits = made[logits.name]
            graph, session = logits.graph, None
            activations = {key: made[tensor.name] for key, tensor in activations.items()}
            fed = {made[tensor.name]: value for tensor, value in fed.items()}
            image = None if image is None else made[image.name]
            head_weights = None if head_weights is None else made[head_weights.name]
        logits = logits_of(logits)
        if not activations:
            raise ArgumentError("activations: expected at least one tensor")
        if logits.shape.as_list()[1] is None:
            raise ArgumentError(
                f"logits {logits.name}: expected shape (N, classes), got {logits.shape}"
            )
        for activation in activations.values():
            if activation.shape.ndims != 4:
                raise ArgumentError(
                    f"{activation.name}: expected an activation of four dimensions, got "
                    f"{activation.shape}"
                )
        self.image = input_of(logits) if image is None else image
        self._check_fed(logits, fed)
        first = next(iter(activations))
        layout = _layout(activations, logits, data_format)
        if head_weights is None and layout == CHANNELS_LAST:
            found = pooled_layer(logits)
            if found is not None and found[0] is without_identities(activations[first]):
                head_weights = found[1]
        own_head = head_of(logits)
        self.head = own_head if head is None or own_head == BINARY else head
        if any(parse_method(method).method.needs & _GRADIENTS for method in methods):
            for activation in activations.values():
                self._check_gradients(logits, activation)
        with graph.as_default(), tf.name_scope(_NAME_SCOPE):
            if self.head == BINARY:
                logits = two_columns(logits)
                if head_weights is not None:
                    head_weights = tf.concat([-head_weights, head_weights], axis=1)
            target, fed_alpha, fetches = prediction_tensors(
                Network(logits, activations, head_weights, head=self.head),
                list(dict.fromkeys(methods)),
                list(activations),
                first,
                alpha,
                semantics,
                adjustable_alpha,
                image_size=max(image_shape(self.image, image_size)),
                data_format=layout,
            )
            owns_session = session is None
            own_session = open_session() if owns_session else session
        super().__init__(
            own_session,
            self.image,
            target,
            fetches,
            self._name,
            fed_alpha,
            owns_session=owns_session,
            feeds=fed,
            at_once=images_at_once(list(activations.values())) if owns_session else None,
        )
        self._is_checked = False
        drawn = (op.node_def for op in upstream(logits) if is_random(op.node_def))
        self._drawn = next(drawn, None)

    def _run(
        self, chosen: Prediction, images: ArrayLike, targets: ArrayLike, feeds: Dict[Any, Any]
    ) -> Prediction:
        found = super()._run(chosen, images, targets, dict(feeds))
        if self._drawn is not None:
            # Dropout is in the graphs of TensorFlow 1, too, where keep_prob turns it off.
            again = super()._run(chosen._replace(maps={}), images, targets, dict(feeds))
            if not np.allclose(found.logits, again.logits, rtol=1e-3, atol=1e-4, equal_nan=True):
                refuse_chance(self._drawn, self._name)
            self._drawn = None
        return found

    def _check_fed(self, logits: Tensor, fed: Mapping[Any, Any]) -> None:
        """Raise :class:`UserError` for placeholders that have neither a value nor a default."""
        known = {self.image.op, *(tensor.op for tensor in fed)}
        lacking = [
            op.outputs[0]
            for op in upstream(logits, stop=self.image)
            if is_placeholder(op) and op.type != "PlaceholderWithDefault" and op not in known
        ]
        if lacking:
            listed = first_few(f"{t.name} ({t.dtype.name} {t.shape})" for t in lacking)
            raise UserError(
                f"{self._name}: expected values for its inputs {listed}; --feed NAME=VALUE or feeds= gives "
                "them"
            )

    def _check_gradients(self, logits: Tensor, activation: Tensor) -> None:
        """Raise for an operation without a gradient between a layer and the logits.

        TensorFlow would find it halfway, with half of the gradient's operations in the graph.
        """
        ops = upstream(logits)
        between = depths(ops, lambda op: op is activation.op)
        if logits.op not in between:
            raise ArgumentError(f"the logits do not depend on {activation.name}")
        for op in ops:
            is_number = any(output.dtype.is_floating for output in op.outputs)
            if op in between and op is not activation.op and is_number and not has_gradient(op):
                raise UserError(
                    f"{self._name}: operation {op.name} of layer {layer_name(op.name)} has no gradient "
                    f"({op.type}), which maps at {activation.op.name} need; choose a layer behind it"
                )


def named(activations: Union[Any, Mapping[str, Any]]) -> Dict[str, Any]:
    """One tensor, a sequence of tensors or a mapping of them, as ordered name -> tensor."""
    if isinstance(activations, Mapping):
        return dict(activations)
    if not isinstance(activations, (list, tuple)):
        activations = [activations]
    return {activation.op.name: activation for activation in activations}


def _tensor_of(graph: Any, key: Any, name: str) -> Tensor:
    """A tensor, given it or its name."""
    if not isinstance(key, str):
        return key
    try:
        return graph.get_tensor_by_name(key if ":" in key else key + ":0")
    except (KeyError, ValueError):
        placeholders = (op.name for op in graph.get_operations() if is_placeholder(op))
        fed = [name for name in placeholders if not name.startswith("dgl")]  # those of maps
        raise UserError(f"{name}: no input {key!r}; it has {first_few(fed) or 'none'}") from None


def _layout(activations: Mapping[str, Tensor], logits: Tensor, wanted: Optional[str]) -> str:
    """The layout that all activations have; raises where they or the graph and ``wanted`` differ."""
    found = set()
    for activation in activations.values():
        told = layout_of(activation, logits)
        if told is not None and wanted is not None and told != wanted:
            raise ArgumentError(
                f"data_format {wanted}: the graph's operations say that {activation.name} is {told}"
            )
        found.add(told or wanted or CHANNELS_LAST)
    if len(found) > 1:
        raise ArgumentError(
            "activations: some have their channels first and some last; expected one kind"
        )
    return found.pop()
