"""Predictors: attention maps of a checkpoint's network, or of a model that others built, in one session."""

import dataclasses
import logging
from types import SimpleNamespace
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from dgl.attribution import METHODS, check_methods, expand_methods, parse_method
from dgl.attribution.gradients import KERNEL, MAX_ALPHA, check_alpha
from dgl.attribution.registry import (
    ALL,
    ANY,
    FOREGROUND,
    HEAD_WEIGHTS,
    LAST,
    LOCAL_PROBABILITY,
    localize_defaults,
)
from dgl.backbones import get_backbone
from dgl.backbones.foreground import head_layers
from dgl.backbones.registry import Backbone, LocalizeDefaults
from dgl.data.class_names import ClassNames
from dgl.data.views import rgb_to_bgr
from dgl.errors import ArgumentError, UserError
from dgl.foreign import pooled_layer
from dgl.foreign.open_model import open_model
from dgl.foreign.preprocessing import PREPROCESSINGS
from dgl.predict.feeding import ImageFeed
from dgl.predict.frozen import build_inference
from dgl.predict.graph_predictor import GraphPredictor as GraphPredictor  # where it was before
from dgl.predict.precision import check_precision, set_gpu_precision
from dgl.predict.session import (
    Entry,
    MapSession,
    Prediction,
    images_at_once,
    open_session,
    prediction_tensors,
)
from dgl.tf_compat import tf
from dgl.utils.devices import FLOAT32, select_gpus
from dgl.utils.startup import starting
from dgl.utils.types import ArrayLike, Tensor
from dgl.weights import class_names_of, open_weights, options_from, read_card
from dgl.weights.foreign_model import MODE, ForeignModel, model_kind
from dgl.weights.model_card import check_image_size, default_image_size

_logger = logging.getLogger(__name__)


def predictor_of(foreign: Optional[ForeignModel] = None, **arguments: Any) -> Any:
    """A :class:`Predictor`, or a :class:`ModelPredictor` as ``foreign`` says."""
    if model_kind(arguments["load"]) is None:
        return Predictor(**arguments)
    return ModelPredictor(foreign=foreign, **arguments)


def defaults_of(mode: str, load: str, method: str) -> LocalizeDefaults:
    """Layer, threshold and normalization of a backbone, or of a model of others: its last layer."""
    if model_kind(load) is not None:
        return _NONE.localize
    return localize_defaults(get_backbone(mode), method)


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
        every_method = list(dict.fromkeys([*methods, *dict(extra)]))
        for method in every_method:
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
        with starting(), tf.Graph().as_default():
            image = tf.placeholder(tf.float32, [None, size, size, 3], "image")
            network = build_inference(
                self.backbone, checkpoint, image, self.options, gpus, precision
            )
            target, fed_alpha, fetches = prediction_tensors(
                network,
                every_method,
                list(dict.fromkeys([*layers, *(layer for _, layer in extra)])),
                self.backbone.layers[0],
                alpha,
                semantics,
                adjustable_alpha,
                image_size=size,
            )
            wanted = _chosen_maps(fetches.maps, methods, layers, extra)
            session = open_session(gpus)
        used = {layer for _, layer in wanted}
        mapped = [tensor for layer, tensor in network.endpoints.items() if layer in used]
        super().__init__(
            session,
            image,
            target,
            fetches._replace(maps=wanted),
            self.path,
            fed_alpha,
            flip=flip,
            at_once=None if gpus else images_at_once(mapped),
            beside_others=None if gpus else images_at_once(list(network.endpoints.values())),
        )


class ModelPredictor(GraphPredictor):
    """Maps of a file's classifier, fed with what :class:`Predictor` takes.

    Attributes:
        backbone: a :class:`~dgl.backbones.registry.Backbone` with the model's layers; it cannot be built.
        options: ``head``, ``classes``, and ``None`` for ``width`` and ``norm``.
        card: ``None``.
        class_names: :class:`~dgl.data.class_names.ClassNames`.
        image_size: side S of the images that are fed, (N, S, S, 3) BGR in 0..255.
        path: the model's file or folder.
        lacking: tuple of str, methods that the model has no part for.
    """

    def __init__(
        self,
        mode: Optional[str],
        load: str,
        layers: Sequence[Union[int, str]] = (0,),
        methods: Sequence[str] = ("dgl",),
        alpha: float = 10.0,
        semantics: str = KERNEL,
        image_size: Optional[int] = None,
        data_set: Optional[str] = None,
        gpu: Optional[str] = None,
        extra: Sequence[Tuple[str, Any]] = (),
        precision: str = FLOAT32,
        adjustable_alpha: bool = False,
        flip: bool = False,
        foreign: Optional[ForeignModel] = None,
    ):
        """Open the model and add maps to its graph.

        Args:
            mode: ``"model"`` or ``None``.
            load: see :func:`dgl.foreign.open_model.open_model`.
            layers: indices into the model's layers, 0 the last, names or ranges, or ``"all"``.
            methods, alpha, semantics, image_size, gpu, extra, adjustable_alpha, flip: as of
                :class:`Predictor`.
            data_set, precision: of this project's networks only.
            foreign: preprocessing, output and further inputs.

        Raises:
            UserError: as of :func:`~dgl.foreign.open_model.open_model` and
                :class:`~dgl.predict.graph_predictor.GraphPredictor`.
        """
        foreign = foreign or ForeignModel()
        if mode not in (None, MODE):
            raise UserError(
                f"--mode {mode}: expected none with {load}, which brings its network along"
            )
        if precision != FLOAT32:
            raise UserError(f"--precision {precision}: expected {FLOAT32} with a model of others")
        check_methods(method for method in (*methods, *dict(extra)) if method != ALL)
        select_gpus(gpu)
        opened = open_model(load, foreign.output, image_size)
        self.path, self.card = load, None
        pooled = pooled_layer(opened.logits)
        names = dict(opened.layers)
        if pooled is not None and all(tensor is not pooled[0] for tensor in names.values()):
            names = {pooled[0].op.name: pooled[0], **names}
        if not names:
            raise UserError(f"{load}: no activation with height and width, which a map needs")
        last = next((n for n, t in names.items() if pooled is not None and t is pooled[0]), None)
        self.backbone = dataclasses.replace(_NONE, layers=tuple(names))
        methods = [m for m in expand_methods(methods) if ALL not in methods or _fits(m, last)]
        self.lacking = tuple(method for method in METHODS if not _fits(method, last))
        chosen = self.backbone.layer_names(layers)
        extra = [(method, self.backbone.layer_name(layer)) for method, layer in extra]
        every_method = list(dict.fromkeys([*methods, *dict(extra)]))
        for method in every_method:
            if not _fits(method, last):
                raise UserError(
                    f"--method {method}: {load} does not end in global average pooling and one layer of "
                    "weights, or has no foreground head, which it needs"
                )
        every = list(dict.fromkeys([*chosen, *(layer for _, layer in extra)]))
        if last is not None:
            every = [last, *(name for name in every if name != last)]
        try:
            super().__init__(
                opened.logits,
                {name: names[name] for name in every},
                opened.image,
                every_method,
                alpha,
                semantics,
                # A name of --feed is an input's, or a tensor's of the graph.
                feeds={opened.inputs.get(key, key): value for key, value in foreign.feeds},
                adjustable_alpha=adjustable_alpha,
                image_size=image_size,
                name=load,
            )
            self._feed = ImageFeed(self.image, foreign.preprocess or "none", image_size)
        except ArgumentError as error:
            raise UserError(f"{load}: {error}") from None
        wanted = _chosen_maps(self._fetches.maps, methods, chosen, extra)
        self._fetches = self._fetches._replace(maps=wanted)
        self.entries = list(wanted)
        self._flip = flip
        self.image_size = max(self._feed.height, self._feed.width)
        self.options = SimpleNamespace(head=self.head, classes=self.classes, width=None, norm=None)
        names_given = ClassNames.of(foreign.class_names or None, self.classes)
        self.class_names = names_given.check_outputs("--class-names")
        if foreign.preprocess is None:
            _logger.warning(
                "%s: images are fed as RGB in 0..255; --preprocess names what it was trained on (%s)",
                load,
                ", ".join(PREPROCESSINGS),
            )

    def _run(
        self, chosen: Prediction, images: ArrayLike, targets: ArrayLike, feeds: Dict[Any, Any]
    ) -> Prediction:
        views = [rgb_to_bgr(np.asarray(image)) for image in images]  # the order is its own inverse
        sized = [self._feed.view(np.ascontiguousarray(view)) for view in views]
        return super()._run(chosen, self._feed.finish(sized), targets, feeds)


def _cannot_build(*_: Any) -> Any:
    raise NotImplementedError


_NONE = Backbone(
    mode=MODE,
    build=_cannot_build,
    layers=(),
    heads={},
    head_pattern="",
    stem="",
    stem_channels=1,
    pretrained={},
    localize=LocalizeDefaults(layer="0"),
)


def _fits(method: str, last: Optional[str]) -> bool:
    """Whether a model has what a method needs; ``last`` is its pooled layer, where that is known."""
    found = parse_method(method).method
    needs_last = found.layers == LAST or found.needs & {HEAD_WEIGHTS, LOCAL_PROBABILITY}
    return FOREGROUND not in found.needs and (last is not None or not needs_last)


def _chosen_maps(
    maps: Mapping[Entry, Tensor],
    methods: Sequence[str],
    layers: Sequence[str],
    extra: Sequence[Entry],
) -> Dict[Entry, Tensor]:
    """Of all maps: every method at every layer or at its own, and the entries of ``extra``."""
    return {
        (method, layer): tensor
        for (method, layer), tensor in maps.items()
        if (method, layer) in extra
        or (method in methods and (layer in layers or parse_method(method).method.layers != ANY))
    }
