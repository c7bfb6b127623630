"""`Predictor`: attention maps of a checkpoint, in one session for all images."""

from typing import Any, Optional, Sequence, Tuple, Union

from dgl.attribution import check_methods, expand_methods, parse_method
from dgl.attribution.gradients import KERNEL, MAX_ALPHA, check_alpha
from dgl.attribution.registry import ANY
from dgl.backbones import get_backbone
from dgl.errors import UserError
from dgl.predict.frozen import build_inference
from dgl.predict.precision import check_precision, set_gpu_precision
from dgl.predict.session import MapSession, open_session, prediction_tensors
from dgl.tf_compat import tf
from dgl.utils.cpu import FLOAT32
from dgl.utils.devices import select_gpus
from dgl.weights import find_weights, open_checkpoint, options_from, read_card

DEFAULT_IMAGE_SIZE = 224


class Predictor(MapSession):
    """Maps of a checkpoint, for any methods and layers, in one run per batch.

    Attributes:
        backbone: registry entry.
        options: how the network was built (classes, head, width, norm).
        card: :class:`~dgl.weights.ModelCard` or ``None``.
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
    ):
        """Build the graph and fill it.

        Args:
            mode: backbone name.
            load: checkpoint path, or a short name for ImageNet weights.
            layers: indices, names or ranges of ``--clayer``, or ``"all"``.
            methods: out of :data:`dgl.attribution.METHODS`, or ``"all"``.
            alpha, semantics: see :func:`dgl.attribution.loss_gradients`.
            image_size: side of the input; by default the model card's, else 224.
            data_set: ``"imagenet"`` or ``"cub"``, decides between several heads of a checkpoint.
            width, norm: expected of the checkpoint; by default read from it.
            gpu: value of ``--gpu``: indices, ``"-1"`` for the CPU, ``None`` for every GPU there is.
            extra: more entries, (method, layer) each, beyond every method at every layer.
            precision: ``"float32"`` or ``"bf16"``, see :mod:`dgl.predict.precision`.
            adjustable_alpha: whether each call may have an alpha of its own. It costs a backward
                pass that infinite alpha would not need.

        Raises:
            UserError: unknown mode, layer or method, a checkpoint that is missing or does not fit, or
                a precision that the hardware lacks.
        """
        self.backbone = get_backbone(mode)
        try:
            check_alpha(alpha)
        except ValueError:
            raise UserError(
                f"--pa {alpha}: expected a positive number up to {MAX_ALPHA:g}, or inf"
            ) from None
        methods = expand_methods(methods)
        layers = self.backbone.layer_names(layers)
        extra = [(method, self.backbone.layer_name(layer)) for method, layer in extra]
        check_methods(list(methods) + [method for method, _ in extra])
        self.path = find_weights(self.backbone, load)
        checkpoint = open_checkpoint(self.path)
        self.card = read_card(self.path)
        self.image_size = image_size or (self.card.image_size if self.card else DEFAULT_IMAGE_SIZE)
        last_stride = self.card.last_stride if self.card else 1
        self.options = options_from(
            self.backbone, checkpoint, data_set, width, norm, last_stride=last_stride
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
            session, image, target, fetches._replace(maps=wanted), self.path, fed_alpha
        )

    def class_name(self, class_index: int) -> str:
        """The class's name from the model card, or its number as text."""
        names = self.card.class_names if self.card else None
        return names[class_index] if names and class_index < len(names) else str(class_index)
