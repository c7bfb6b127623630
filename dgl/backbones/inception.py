"""The Inception-V3 backbone (Szegedy et al., 2016), cut short and with DGL's layers at its end.

It goes up to Mixed_6e at output stride 8, then through `Logits/add2`, `Logits/add1`, global average pooling
and a 1 x 1 convolution.
Variables carry TF-slim's names, so slim's ImageNet checkpoint restores without renaming. Padding is
SAME everywhere and Mixed_6a keeps its input's resolution.
"""

import itertools
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from dgl.backbones.published import (
    CODE_APACHE,
    EXACT,
    KERAS,
    MINUS_ONE_TO_ONE,
    SLIM,
    Piece,
    PublishedFile,
    PublishedNames,
    Shapes,
    find_keras_layers,
    keras_files,
    released_checkpoint,
    same_names,
)
from dgl.backbones.registry import Backbone, BuildOptions, Network, register_backbone
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

_SCOPE = "InceptionV3"
_HEAD = "Logits/Conv2d_1c_1x1_{}"

_BN_DECAY = 0.999
_BN_EPSILON = 0.001
_DROPOUT = 0.5
_ADD_CHANNELS = 1024


Kernel = Union[int, Tuple[int, int]]
Step = Any  # "avg_pool", or (name, channels, kernel) of a convolution


def _mixed_5(
    pool_channels: int, names: Sequence[str] = ("Conv2d_0a_1x1", "Conv2d_0b_5x5")
) -> Sequence[Sequence[Step]]:
    return (
        (("Conv2d_0a_1x1", 64, 1),),
        ((names[0], 48, 1), (names[1], 64, 5)),
        (("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3), ("Conv2d_0c_3x3", 96, 3)),
        ("avg_pool", ("Conv2d_0b_1x1", pool_channels, 1)),
    )


def _mixed_6(inner: int) -> Sequence[Sequence[Step]]:
    row, column = (1, 7), (7, 1)
    return (
        (("Conv2d_0a_1x1", 192, 1),),
        (
            ("Conv2d_0a_1x1", inner, 1),
            ("Conv2d_0b_1x7", inner, row),
            ("Conv2d_0c_7x1", 192, column),
        ),
        (
            ("Conv2d_0a_1x1", inner, 1),
            ("Conv2d_0b_7x1", inner, column),
            ("Conv2d_0c_1x7", inner, row),
            ("Conv2d_0d_7x1", inner, column),
            ("Conv2d_0e_1x7", 192, row),
        ),
        ("avg_pool", ("Conv2d_0b_1x1", 192, 1)),
    )


# The branches of each block; the odd names of 5c and the "1x1" 3 x 3 convolutions of 6a are slim's.
_MIXED = {
    "Mixed_5b": _mixed_5(32),
    "Mixed_5c": _mixed_5(64, ("Conv2d_0b_1x1", "Conv_1_0c_5x5")),
    "Mixed_5d": _mixed_5(64),
    "Mixed_6a": (
        (("Conv2d_1a_1x1", 384, 3),),
        (("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3), ("Conv2d_1a_1x1", 96, 3)),
        ("max_pool",),
    ),
    "Mixed_6b": _mixed_6(128),
    "Mixed_6c": _mixed_6(160),
    "Mixed_6d": _mixed_6(160),
    "Mixed_6e": _mixed_6(192),
}


class _Layers:
    """Layers under slim's variable names, for one tower."""

    def __init__(self, options: BuildOptions):
        self.options = options
        self.last = options.data_format == "channels_last"
        self.axis = 3 if self.last else 1
        self.layout = "NHWC" if self.last else "NCHW"

    def _window(self, height: int, width: int) -> List[int]:
        return [1, height, width, 1] if self.last else [1, 1, height, width]

    def convolution(
        self,
        features: Tensor,
        name: str,
        channels: int,
        kernel: Kernel,
        stride: int = 1,
        biased: bool = False,
    ) -> Tuple[Tensor, Tensor]:
        """Convolution, then BatchNorm, or biases in the layers that DGL adds; without ReLU.

        Returns:
            (output, weights).
        """
        sides = [kernel, kernel] if isinstance(kernel, int) else list(kernel)
        shape = [*sides, features.get_shape().as_list()[self.axis], channels]
        initial = tf.initializers.variance_scaling(2.0, distribution="untruncated_normal")
        with tf.variable_scope(name):
            weights = tf.get_variable("weights", shape, initializer=initial)
            strides = self._window(stride, stride)
            out = tf.nn.conv2d(features, weights, strides, "SAME", data_format=self.layout)
            if biased:
                biases = tf.get_variable("biases", [channels], initializer=tf.zeros_initializer())
                return tf.nn.bias_add(out, biases, data_format=self.layout), weights
            return self._batch_norm(out), weights

    def _batch_norm(self, features: Tensor) -> Tensor:
        # Every tower normalizes by its own batch; only the first one moves the stored averages.
        main_tower = tp.get_current_tower_context().is_main_training_tower
        kept = tp.tfutils.collection.backup_collection([tf.GraphKeys.UPDATE_OPS])
        out = tf.layers.batch_normalization(
            features,
            axis=self.axis,
            momentum=_BN_DECAY,
            epsilon=_BN_EPSILON,
            scale=False,
            training=self.options.training,
            name="BatchNorm",
            reuse=tf.get_variable_scope().reuse,
        )
        if not main_tower:
            tp.tfutils.collection.restore_collection(kept)
        return out

    def conv(
        self, features: Tensor, name: str, channels: int, kernel: Kernel, stride: int = 1
    ) -> Tensor:
        """Convolution, BatchNorm and ReLU; ``channels`` at width 1."""
        channels = self.options.channels(channels)
        return tf.nn.relu(self.convolution(features, name, channels, kernel, stride)[0])

    def pool(self, features: Tensor, kind: str, stride: int = 1) -> Tensor:
        """A 3 x 3 pool, ``"max_pool"`` or ``"avg_pool"``."""
        function = tf.nn.max_pool if kind == "max_pool" else tf.nn.avg_pool
        window, strides = self._window(3, 3), self._window(stride, stride)
        return function(features, window, strides, "SAME", data_format=self.layout)

    def mixed(
        self, features: Tensor, name: str, branches: Sequence[Sequence[Step]]
    ) -> Tuple[Tensor, List[Tensor]]:
        """Parallel branches; returns the concatenated output and the list of branch outputs."""
        outputs = []
        with tf.variable_scope(name):
            for index, steps in enumerate(branches):
                out = features
                with tf.variable_scope(f"Branch_{index}"):
                    for step in steps:
                        pooled = isinstance(step, str)
                        out = self.pool(out, step) if pooled else self.conv(out, *step)
                outputs.append(out)
        return tf.concat(outputs, axis=self.axis), outputs

    def dropout(self, features: Tensor) -> Tensor:
        """Dropout while training."""
        return tf.nn.dropout(features, rate=_DROPOUT) if self.options.training else features

    def add(self, features: Tensor, name: str) -> Tensor:
        """A 3 x 3 convolution with biases and ReLU, which DGL adds."""
        channels = self.options.channels(_ADD_CHANNELS)
        out, _ = self.convolution(self.dropout(features), name, channels, 3, biased=True)
        return tf.nn.relu(out)


def _build(image: Tensor, options: BuildOptions) -> Network:
    """The network on normalized BGR ``image``; see :class:`~dgl.backbones.Backbone`."""
    layers = _Layers(options)
    points = {}
    with tf.variable_scope(_SCOPE):
        out = points["Conv2d_1a_3x3"] = layers.conv(image, "Conv2d_1a_3x3", 32, 3, stride=2)
        out = points["Conv2d_2a_3x3"] = layers.conv(out, "Conv2d_2a_3x3", 32, 3)
        out = points["Conv2d_2b_3x3"] = layers.conv(out, "Conv2d_2b_3x3", 64, 3)
        out = points["MaxPool_3a_3x3"] = layers.pool(out, "max_pool", stride=2)
        out = points["Conv2d_3b_1x1"] = layers.conv(out, "Conv2d_3b_1x1", 80, 1)
        out = points["Conv2d_4a_3x3"] = layers.conv(out, "Conv2d_4a_3x3", 192, 3)
        out = points["MaxPool_5a_3x3"] = layers.pool(out, "max_pool", stride=2)
        for name, branches in _MIXED.items():
            out, outputs = layers.mixed(out, name, branches)
            if name == "Mixed_6e":
                for index, branch in enumerate(outputs):
                    points[f"Mixed_6e_branch_{index}"] = branch
            points[name] = out
        with tf.variable_scope("Logits"):
            out = points["add2"] = layers.add(out, "add2")
            out = points["add1"] = layers.add(out, "add1")
            spatial = [1, 2] if layers.last else [2, 3]
            out = points["global_pool"] = tf.reduce_mean(out, axis=spatial, keepdims=True)
            out, weights = layers.convolution(
                layers.dropout(out), options.head.split("/")[-1], options.classes, 1, biased=True
            )
            logits = tf.reshape(out, [-1, options.classes])
    points["Logits"] = logits
    points["Predictions"] = tf.nn.softmax(logits)
    return Network(logits, points, tf.squeeze(weights, axis=[0, 1]))


_NUMBERED = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?$")
_CONVOLUTIONS_IN_KERAS = 94
_NAME = re.compile(r"(.+?)/(weights|BatchNorm/(?:beta|moving_mean|moving_variance))$")
_DIFFERS = (
    "unpadded layers become SAME, Mixed_6a's stride 2 becomes 1; what follows Mixed_6e is left out"
)
_KERAS_CHECKS = (
    ("9a0d58056eeedaa3f26cb7ebd46da564", 96.1),
    ("bcbd6486424b2319ff4ef7d526e38f63", 87.9),
)


def _fits_slim(shapes: Shapes) -> Optional[str]:
    # No file of this project has Mixed_7.
    return EXACT if any(name.startswith("InceptionV3/Mixed_7") for name in shapes) else None


def _numbered(layers: Mapping[str, Mapping[str, str]]) -> Dict[str, Dict[int, str]]:
    """Kind of layer -> layer names by number, which is the order in which Keras created them."""
    found: Dict[str, Dict[int, str]] = {"conv2d": {}, "batch_normalization": {}}
    for layer in layers:
        match = _NUMBERED.match(layer)
        if match:
            found[match.group(1)][int(match.group(2) or 0)] = layer
    return found


def _fits_keras(shapes: Shapes) -> Optional[str]:
    numbered = _numbered(find_keras_layers(shapes))
    # Other applications number their layers too, but none has as many convolutions.
    count = len(numbered["conv2d"])
    sound = _CONVOLUTIONS_IN_KERAS // 2 < count <= _CONVOLUTIONS_IN_KERAS
    return EXACT if sound and numbered["batch_normalization"] else None


def _in_order(numbers: Mapping[int, str], kind: str) -> Iterator[str]:
    """Endless names of the numbered layers of a kind, gaps included, which the caller reports."""
    return (numbers.get(number, f"{kind}_{number}") for number in itertools.count(min(numbers)))


def _keras_pieces(shapes: Shapes, names: Sequence[str]) -> Dict[str, Piece]:
    """The layers by number.

    Keras numbers layers as they are created, beginning anywhere (`conv2d_95`, ...). Up to mixed7 they are
    created in the order of the branches in TF-slim's names, which is the order of the network here.
    """
    layers = find_keras_layers(shapes)
    order = {kind: _in_order(numbers, kind) for kind, numbers in _numbered(layers).items()}
    pieces, layer_of = {}, {}
    for name in names:
        match = _NAME.match(name)
        assert match is not None, name
        scope, kind = match.groups()
        if scope not in layer_of:
            layer_of[scope] = (next(order["conv2d"]), next(order["batch_normalization"]))
        convolution, norm = layer_of[scope]
        if kind == "weights":
            layer, kind = convolution, "kernel"
        else:
            layer, kind = norm, kind.split("/")[-1]
        pieces[name] = Piece(layers.get(layer, {}).get(kind, f"{layer}/{kind}"))
    return pieces


register_backbone(
    Backbone(
        mode="inceptionv3",
        build=_build,
        layers=tuple(
            "add1 add2 Mixed_6e Mixed_6d Mixed_6c Mixed_6b Mixed_6e_branch_0 Mixed_6e_branch_1 "
            "Mixed_6e_branch_2 Mixed_6e_branch_3 Mixed_6a Mixed_5d Mixed_5c Mixed_5b MaxPool_5a_3x3 "
            "Conv2d_4a_3x3 Conv2d_3b_1x1 MaxPool_3a_3x3 Conv2d_2b_3x3 Conv2d_2a_3x3 Conv2d_1a_3x3".split()
        ),
        heads={"imagenet": _HEAD, "cub": _HEAD},
        head_pattern=_SCOPE + r"/(Logits/Conv2d_1c_1x1_[^/]+)/weights",
        stem=_SCOPE + "/Conv2d_1a_3x3/weights",
        stem_channels=32,
        pretrained={
            "inceptionv3": "inception_v3.ckpt",
            "inception_v3": "inception_v3.ckpt",
            "inceptionv3-dgl": "inceptionv3-dgl.npz",
        },
        weight_pattern=r".*/weights",
        own_layers=_SCOPE + r"/Logits/",
        gradient_multipliers=(
            (_SCOPE + r"/(Conv2d|Mixed)_.*/weights", 1.0),
            (_SCOPE + r"/(Conv2d|Mixed)_.*/beta", 2.0),
            (_SCOPE + r"/Logits/.*/weights", 10.0),
            (_SCOPE + r"/Logits/.*/biases", 20.0),
        ),
        published_files=(
            PublishedFile(
                SLIM,
                "inception_v3.ckpt",
                "http://download.tensorflow.org/models/inception_v3_2016_08_28.tar.gz",
                MINUS_ONE_TO_ONE,
                CODE_APACHE,
                _DIFFERS,
            ),
            *keras_files("inception_v3", MINUS_ONE_TO_ONE, "Apache-2.0", _DIFFERS, _KERAS_CHECKS),
        ),
        released=released_checkpoint("inceptionv3-dgl", "1wWKgEmvnYLZ4Oia3KbGdc7wyF5yzT-kM"),
        published_names=(
            PublishedNames(SLIM, _fits_slim, same_names),
            PublishedNames(KERAS, _fits_keras, _keras_pieces),
        ),
    )
)
