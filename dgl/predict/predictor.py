"""Attention maps of a checkpoint of this project's backbones, in one session."""

import logging
from typing import Any, Optional, Sequence, Tuple, Union

from dgl.attribution import check_methods, expand_methods, parse_method
from dgl.attribution.gradients import KERNEL, MAX_ALPHA, check_alpha
from dgl.attribution.registry import ALL, FOREGROUND
from dgl.backbones import get_backbone
from dgl.backbones.foreground import head_layers
from dgl.errors import UserError
from dgl.predict.frozen import build_inference
from dgl.predict.graph_predictor import GraphPredictor as GraphPredictor  # where it was before
from dgl.predict.precision import check_precision, set_gpu_precision
from dgl.predict.session import (
    MapSession,
    chosen_maps,
    images_at_once,
    open_session,
    prediction_tensors,
)
from dgl.tf_compat import tf
from dgl.utils.devices import FLOAT32, select_gpus
from dgl.utils.startup import starting
from dgl.weights import class_names_of, open_weights, options_from, read_card
from dgl.weights.model_card import check_image_size, default_image_size

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
        with starting(), tf.Graph().as_default():
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
            wanted = chosen_maps(fetches.maps, methods, layers, extra)
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
