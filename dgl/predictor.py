"""A trained classifier that says where: checkpoint in, attention maps out, one session for all pictures."""

from collections import OrderedDict
from typing import Dict, NamedTuple, Tuple

import numpy as np

from dgl.attribution import build_maps, check_methods, expand_methods, parse_method
from dgl.attribution.evidence import ANY
from dgl.attribution.gradients import KERNEL, MAX_ALPHA, check_alpha
from dgl.backbones import get_backbone
from dgl.devices import select_gpus
from dgl.errors import UserError
from dgl.inference import build_inference, open_session
from dgl.inference.precision import settle_gpu_precision
from dgl.precisions import FLOAT32
from dgl.tf_compat import tf
from dgl.weights import find_weights, open_checkpoint, options_from, read_card

DEFAULT_IMAGE_SIZE = 224
ARG_MAX = -1


class Prediction(NamedTuple):
    """What the classifier sees in a batch.

    Attributes:
        class_index: (N,) int32, the class that the maps are of.
        probability: (N, classes) float32, softmax of the logits.
        logits: (N, classes) float32.
        maps: (method, layer) -> (N, H, W) float32, raw, at the layer's own resolution.
    """

    class_index: np.ndarray
    probability: np.ndarray
    logits: np.ndarray
    maps: Dict[Tuple[str, str], np.ndarray]


class Predictor(object):
    """Maps of a checkpoint, for any methods and layers, in one run a batch.

    Attributes:
        backbone: registry entry.
        options: how the network was built (classes, head, width, norm).
        card: :class:`~dgl.weights.ModelCard` or ``None``.
        image_size: side S of the square input in pixels.
        entries: list of (method, layer), the order of the maps.
    """

    def __init__(
        self,
        mode,
        load,
        layers=(2,),
        methods=("dgl", "cam"),
        alpha=10.0,
        semantics=KERNEL,
        image_size=None,
        data_set=None,
        width=None,
        norm=None,
        gpu=None,
        extra=(),
        precision=FLOAT32,
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
            width, norm: what the checkpoint has to be; by default whatever it is.
            gpu: as ``--gpu``: indices, ``"-1"`` for the CPU, ``None`` for every GPU there is.
            extra: more entries, (method, layer) each, beyond every method at every layer.
            precision: ``"float32"`` or ``"bf16"``, see :mod:`dgl.inference.precision`.

        Raises:
            UserError: unknown mode, layer or method, a checkpoint that is missing or does not fit, or
                a precision that the hardware lacks.
        """
        self.backbone = get_backbone(mode)
        try:
            check_alpha(alpha)
        except ValueError:
            raise UserError(
                "--pa {}: expected a positive number up to {:g}, or inf".format(alpha, MAX_ALPHA)
            ) from None
        methods = expand_methods(methods)
        layers = self.backbone.layer_names(layers)
        extra = [(method, self.backbone.layer_name(layer)) for method, layer in extra]
        check_methods(list(methods) + [method for method, _ in extra])
        path = find_weights(self.backbone, load)
        checkpoint = open_checkpoint(path)
        self._path = path
        self.card = read_card(path)
        self.image_size = image_size or (self.card.image_size if self.card else DEFAULT_IMAGE_SIZE)
        last_stride = self.card.last_stride if self.card else 1
        self.options = options_from(
            self.backbone, checkpoint, data_set, width, norm, last_stride=last_stride
        )
        settle_gpu_precision(precision)
        gpus = select_gpus(gpu)
        size = self.image_size
        with tf.Graph().as_default():
            self._image = tf.placeholder(tf.float32, [None, size, size, 3], "image")
            self._target = tf.placeholder(tf.int32, [None], "target")
            network = build_inference(self.backbone, checkpoint, self._image, self.options, gpus)
            best = tf.argmax(network.logits, axis=1, output_type=tf.int32)
            class_index = tf.where(tf.equal(self._target, ARG_MAX), best, self._target)
            maps = build_maps(
                network,
                list(OrderedDict.fromkeys(list(methods) + [method for method, _ in extra])),
                list(OrderedDict.fromkeys(list(layers) + [layer for _, layer in extra])),
                self.backbone.layers[0],
                class_index,
                alpha,
                semantics,
                image_size=size,
            )
            # In the graph the methods and layers of `extra` meet all others; what nobody asked for
            # is not run.
            has_own_layer = {m for m in methods if parse_method(m).method.layers != ANY}
            wanted = [
                (method, layer)
                for method, layer in maps
                if (method, layer) in extra
                or (method in methods and (layer in layers or method in has_own_layer))
            ]
            self._fetches = Prediction(
                class_index,
                tf.nn.softmax(network.logits),
                network.logits,
                OrderedDict((entry, maps[entry]) for entry in wanted),
            )
            self._session = open_session(gpus, precision)
        self.entries = wanted

    @property
    def path(self):
        """str: the checkpoint's file or prefix."""
        return self._path

    @property
    def classes(self):
        """Number of logits."""
        return self.options.classes

    def class_name(self, class_index):
        """The class's name from the model card, or its number as text."""
        names = self.card.class_names if self.card else None
        return names[class_index] if names and class_index < len(names) else str(class_index)

    def __call__(self, images, class_index=None):
        """Run a batch.

        Args:
            images: (N, S, S, 3) BGR in 0..255, uint8 or float32.
            class_index: (N,) ints, the target classes; ``None`` takes the arg-max of each picture.

        Returns:
            :class:`Prediction`.

        Raises:
            UserError: a class that the classifier does not have, or maps with NaN or infinity.
        """
        if class_index is None:
            class_index = np.full(len(images), ARG_MAX)
        elif np.any(np.asarray(class_index) >= self.classes) or np.any(np.asarray(class_index) < 0):
            wrong = next(c for c in class_index if not 0 <= c < self.classes)
            raise UserError(
                "class {} is out of range: the checkpoint has classes 0 to {}".format(
                    wrong, self.classes - 1
                )
            )
        feeds = {self._image: images, self._target: class_index}
        prediction = self._session.run(self._fetches, feeds)
        if not all(np.isfinite(raw).all() for raw in prediction.maps.values()):
            raise UserError(
                "{}: its maps are not finite; expected finite weights and a moderate --pa".format(
                    self._path
                )
            )
        return prediction

    def close(self):
        """Free the session."""
        self._session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
