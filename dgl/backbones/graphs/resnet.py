"""Bottleneck ResNets as a graph."""

from collections import OrderedDict
from typing import Sequence

from dgl.backbones.base import BuildOptions, Network
from dgl.tf_compat import tf
from dgl.typing_names import Tensor

from tensorpack.models import (  # isort: skip
    BatchNorm,
    BNReLU,
    Conv2D,
    FullyConnected,
    GlobalAvgPooling,
    MaxPooling,
)
from tensorpack.tfutils.argscope import argscope  # isort: skip

_CHANNELS = (64, 128, 256, 512)
_EXPANSION = 4


def _norm(zero_gamma=False):
    initializer = tf.zeros_initializer() if zero_gamma else tf.ones_initializer()

    def activation(features, name=None):
        return BatchNorm("bn", features, gamma_initializer=initializer)

    return activation


def _squeeze_excite(features, channels, channel_axis):
    squeezed = GlobalAvgPooling("gap", features)
    squeezed = FullyConnected("fc1", squeezed, max(1, channels // 4), activation=tf.nn.relu)
    gate = FullyConnected("fc2", squeezed, channels * _EXPANSION, activation=tf.nn.sigmoid)
    shape = [-1, 1, 1, 1]
    shape[channel_axis] = channels * _EXPANSION
    return features * tf.reshape(gate, shape)


def _bottleneck(features, channels, stride, squeeze_excite, channel_axis):
    """The block's activations by name, its output last."""
    out_channels = channels * _EXPANSION
    parts = OrderedDict()
    parts["conv1"] = Conv2D("conv1", features, channels, 1, activation=BNReLU)
    parts["conv2"] = Conv2D("conv2", parts["conv1"], channels, 3, strides=stride, activation=BNReLU)
    parts["conv3"] = Conv2D(
        "conv3", parts["conv2"], out_channels, 1, activation=_norm(zero_gamma=True)
    )
    out = parts["conv3"]
    if squeeze_excite:
        out = _squeeze_excite(out, channels, channel_axis)
    shortcut = features
    if features.get_shape().as_list()[channel_axis] != out_channels:
        shortcut = Conv2D(
            "convshortcut", features, out_channels, 1, strides=stride, activation=_norm()
        )
    parts["shortcut"] = tf.nn.relu(out + shortcut)
    return parts


def build(
    image: Tensor, options: BuildOptions, blocks: Sequence[int], squeeze_excite: bool
) -> Network:
    """The network on normalised BGR ``image``; see :class:`~dgl.backbones.Backbone`.

    Args:
        image: (N, H, W, 3) float32.
        options: :class:`~dgl.backbones.BuildOptions`.
        blocks: number of blocks of each of the four groups.
        squeeze_excite: bool.
    """
    endpoints = OrderedDict()
    channel_axis = 3 if options.data_format == "channels_last" else 1
    formats = {"data_format": options.data_format}
    with argscope([Conv2D, MaxPooling, GlobalAvgPooling, BatchNorm], **formats), argscope(
        Conv2D, use_bias=False
    ):
        features = Conv2D("conv0", image, options.channels(64), 7, strides=2, activation=BNReLU)
        endpoints["conv0"] = features
        features = MaxPooling("pool0", features, 3, strides=2, padding="SAME")
        endpoints["pool0"] = features
        strides = (1, 2, 1, options.last_stride)
        for group, count in enumerate(blocks):
            for block in range(count):
                scope = "group{}/block{}".format(group, block)
                with tf.variable_scope(scope):
                    parts = _bottleneck(
                        features,
                        options.channels(_CHANNELS[group]),
                        strides[group] if block == 0 else 1,
                        squeeze_excite,
                        channel_axis,
                    )
                for part, features in parts.items():
                    endpoints["{}_{}".format(scope, part)] = features
            endpoints["group{}".format(group)] = features
        pooled = GlobalAvgPooling("gap", features)
    logits = FullyConnected(options.head, pooled, options.classes)
    return Network(logits, endpoints, logits.variables.W)
