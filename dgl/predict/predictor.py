"""Attention maps in one session: `Predictor` of a checkpoint, `GraphPredictor` of any TF-1-style graph."""

import logging
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from dgl.attribution import check_methods, expand_methods, parse_method
from dgl.attribution.build import CHANNELS_LAST
from dgl.attribution.gradients import KERNEL, MAX_ALPHA, check_alpha
from dgl.attribution.registry import ALL, ANY, FOREGROUND
from dgl.backbones import Network, get_backbone
from dgl.backbones.foreground import head_layers
from dgl.errors import UserError
from dgl.foreign import input_of, pooled_layer
from dgl.predict.frozen import build_inference
from dgl.predict.precision import check_precision, set_gpu_precision
from dgl.predict.session import MapSession, open_session, prediction_tensors
from dgl.tf_compat import tf
from dgl.utils.devices import FLOAT32, select_gpus
from dgl.utils.graph_walk import without_identities
from dgl.weights import class_names_of, open_weights, options_from, read_card
from dgl.weights.model_card import check_image_size, default_image_size

_NAME_SCOPE = "dgl"

_logger = logging.getLogger(__name__)


class Predictor(MapSession):
    """Maps of a checkpoint, for any methods and layers, in one run per batch.

    Attributes:
        backbone: registry entry.
        options: how the network was built (classes, head, width, norm).
        card: :class:`~dgl.weights.ModelCard` or ``None``.
        class_names: :class:`~dgl.data.class_names.ClassNames`, empty where names are not known.
        image_size: side S of the square input in pixels.
        entries: list of (method, layer), the order of the maps.
        path: the checkpoint's file or prefix.
    """

    def __init__(
        self,
        mode: str,
        load: str,
        layers: Sequence[Union[int, str]] = (2,),
        methods: Sequence[str] = ("dgl", "cam"),
        alpha: float = 10.0,
        semantics: str = KERNEL,
        image_size: Optional[int] = None,
        data_set: Optional[str] = None,
        width: Optional[float] = None,
        norm: Optional[str] = None,
        gpu: Optional[str] = None,
        extra: Sequence[Tuple[str, Any]] = (),
        precision: str = FLOAT32,
        adjustable_alpha: bool = False,
        flip: bool = False,
    ):
        """Build the graph and fill it.

        Args:
            mode: backbone name.
            load: checkpoint path, or a short name for ImageNet weights.
            layers: indices, names or ranges of ``--clayer``, or ``"all"``.
            methods: out of :data:`dgl.attribution.METHODS`, or ``"all"``.
            alpha, semantics: see :func:`dgl.attribution.loss_gradients`.
            image_size: side of the input; by default the model card's, else the backbone's.
            data_set: ``"imagenet"`` or ``"cub"``, decides between several heads of a checkpoint.
            width, norm: expected of the checkpoint; by default read from it.
            gpu: value of ``--gpu``: indices, ``"-1"`` for the CPU, ``None`` for every GPU there is.
            extra: more entries, (method, layer) each, beyond every method at every layer.
            precision: ``"float32"`` or ``"bf16"``, see :mod:`dgl.predict.precision`.
            adjustable_alpha: whether each call may have an alpha of its own. It costs a backward
                pass that infinite alpha would not need.
            flip: whether each map is averaged with that of the mirrored image, mirrored back; classes
                and probabilities are those of the image itself.

        Raises:
            UserError: unknown mode, layer or method, a checkpoint that is missing, does not fit or lacks
                the foreground head that a method needs, or a precision that the hardware lacks.
        """
        self.backbone = get_backbone(mode)
        check_image_size(image_size)
        try:
            check_alpha(alpha)
        except ValueError:
            raise UserError(
                f"--pa {alpha}: expected a positive number up to {MAX_ALPHA:g}, or inf"
            ) from None
        layers = self.backbone.layer_names(layers)
        extra = [(method, self.backbone.layer_name(layer)) for method, layer in extra]
        check_methods(method for method in (*methods, *dict(extra)) if method != ALL)
        checkpoint = open_weights(self.backbone, load)
        self.path = checkpoint.path
        has_foreground = bool(head_layers(checkpoint.shapes))
        methods = expand_methods(methods, has_foreground)
        for method in (*methods, *dict(extra)):
            if FOREGROUND in parse_method(method).method.needs and not has_foreground:
                raise UserError(
                    f"--method {method}: {self.path} has no foreground head; expected a checkpoint that "
                    "`dgl refine` wrote"
                )
        self.card = read_card(self.path)
        self.image_size = image_size or default_image_size(self.backbone, self.card)
        self.options = options_from(self.backbone, checkpoint, data_set, width, norm, self.card)
        self.class_names = class_names_of(
            self.card, self.backbone, self.options.head, self.options.classes
        )
        if self.card is None and load not in self.backbone.pretrained and not self.class_names:
            _logger.warning(
                "%s: no model card beside it, so the input is %d pixels (%s) and classes have no names",
                self.path,
                self.image_size,
                "--image_size" if image_size else f"the usual size of {mode}; --image_size sets it",
            )
        set_gpu_precision(precision)
        gpus = select_gpus(gpu)
        check_precision(precision, gpus)
        size = self.image_size
        with tf.Graph().as_default():
            image = tf.placeholder(tf.float32, [None, size, size, 3], "image")
            network = build_inference(
                self.backbone, checkpoint, image, self.options, gpus, precision
            )
            target, fed_alpha, fetches = prediction_tensors(
                network,
                list(dict.fromkeys(list(methods) + [method for method, _ in extra])),
                list(dict.fromkeys(list(layers) + [layer for _, layer in extra])),
                self.backbone.layers[0],
                alpha,
                semantics,
                adjustable_alpha,
                image_size=size,
            )
            # The graph combines the methods and layers of `extra` with all others; run only the
            # requested maps.
            has_own_layer = {m for m in methods if parse_method(m).method.layers != ANY}
            wanted = {
                entry: tensor
                for entry, tensor in fetches.maps.items()
                if entry in extra
                or (entry[0] in methods and (entry[1] in layers or entry[0] in has_own_layer))
            }
            session = open_session(gpus)
        super().__init__(
            session, image, target, fetches._replace(maps=wanted), self.path, fed_alpha, flip=flip
        )

    def class_name(self, class_index: int) -> str:
        """The class's name, or its index as text where names are not known."""
        return self.class_names.name(class_index)


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
