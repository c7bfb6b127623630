"""VGG16 with global average pooling as a graph."""

from collections import OrderedDict

from dgl.backbones.base import BuildOptions, Network
from dgl.tf_compat import tf  # noqa: F401  (chosen before tensorpack loads TensorFlow)
from dgl.typing_names import Tensor

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


def build(image: Tensor, options: BuildOptions) -> Network:
    """The network on normalised BGR ``image``; see :class:`~dgl.backbones.Backbone`."""
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
