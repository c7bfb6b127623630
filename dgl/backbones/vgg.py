"""VGG16 with global average pooling: conv1_1..conv5_3 without pool5, `add`, GAP, `linear`."""

from collections import OrderedDict

from dgl.backbones.base import Backbone, Network
from dgl.tf_compat import tf  # noqa: F401  (chosen before tensorpack loads TensorFlow)

from tensorpack.models import (  # isort: skip
    BNReLU,
    Conv2D,
    FullyConnected,
    GlobalAvgPooling,
    MaxPooling,
)
from tensorpack.tfutils.argscope import argscope  # isort: skip

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_ADD_CHANNELS = 1024


def _build(image, options):
    # type: (object, BuildOptions) -> Network
    endpoints = OrderedDict()
    batch_norm = options.norm == "bn"

    def conv(name, features, channels):
        activation = BNReLU if batch_norm else tf.nn.relu
        out = Conv2D(
            name,
            features,
            options.channels(channels),
            3,
            activation=activation,
            use_bias=not batch_norm,
        )
        endpoints[name] = out
        return out

    features = image
    formats = {"data_format": options.data_format}
    with argscope([Conv2D, MaxPooling, GlobalAvgPooling], **formats):
        for block, (channels, repeats) in enumerate(_BLOCKS, 1):
            for index in range(1, repeats + 1):
                features = conv("conv{}_{}".format(block, index), features, channels)
            if block < len(_BLOCKS):
                name = "pool{}".format(block)
                features = endpoints[name] = MaxPooling(name, features, 2)
        features = conv("add", features, _ADD_CHANNELS)
        pooled = GlobalAvgPooling("gap", features)
    logits = FullyConnected(options.head, pooled, options.classes)
    return Network(logits, endpoints, logits.variables.W)


VGG = Backbone(
    mode="vgg",
    build=_build,
    layers=(
        "add",
        "conv5_3",
        "conv5_2",
        "conv5_1",
        "pool4",
        "conv4_3",
        "conv4_2",
        "conv4_1",
        "pool3",
        "conv3_3",
        "conv3_2",
        "conv3_1",
        "pool2",
        "conv2_2",
        "conv2_1",
        "pool1",
        "conv1_2",
        "conv1_1",
    ),
    heads={"imagenet": "linear", "cub": "linear_cub"},
    head_pattern=r"(linear[^/]*)/W",
    stem="conv1_1/W",
    stem_channels=64,
    pretrained={"vgg": "vgg16.npz", "vgg16": "vgg16.npz"},
    gradient_multipliers=(
        (r"conv.*/W", 1.0),
        (r"conv.*/b", 2.0),
        (r"add.*/W", 10.0),
        (r"add.*/b", 20.0),
        (r"linear.*/W", 10.0),
        (r"linear.*/b", 20.0),
    ),
    weight_decay=(r".*/W", 5e-4),
    norms=("none", "bn"),
    norm_marker={"bn": "conv1_1/bn/gamma"},
)
