"""Bottleneck ResNets (50, 101, 152), plain and with squeeze-excite, at output stride 8.

The stride sits on the 3 x 3 convolution and the last tp.BatchNorm of a block starts with a zero gamma.
Groups 0-3 have strides 1, 2, 1, 1.
"""

from functools import partial
from typing import Sequence

from dgl.backbones.registry import Backbone, BuildOptions, Network, register_backbone
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

BLOCKS_BY_DEPTH = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


_CHANNELS = (64, 128, 256, 512)
_EXPANSION = 4


def _norm(zero_gamma=False):
    initializer = tf.zeros_initializer() if zero_gamma else tf.ones_initializer()

    def activation(features, name=None):
        return tp.BatchNorm("bn", features, gamma_initializer=initializer)

    return activation


def _squeeze_excite(features, channels, channel_axis):
    squeezed = tp.GlobalAvgPooling("gap", features)
    squeezed = tp.FullyConnected("fc1", squeezed, max(1, channels // 4), activation=tf.nn.relu)
    gate = tp.FullyConnected("fc2", squeezed, channels * _EXPANSION, activation=tf.nn.sigmoid)
    shape = [-1, 1, 1, 1]
    shape[channel_axis] = channels * _EXPANSION
    return features * tf.reshape(gate, shape)


def _bottleneck(features, channels, stride, squeeze_excite, channel_axis):
    """The block's activations by name, its output last."""
    out_channels = channels * _EXPANSION
    parts = {}
    parts["conv1"] = tp.Conv2D("conv1", features, channels, 1, activation=tp.BNReLU)
    parts["conv2"] = tp.Conv2D(
        "conv2", parts["conv1"], channels, 3, strides=stride, activation=tp.BNReLU
    )
    parts["conv3"] = tp.Conv2D(
        "conv3", parts["conv2"], out_channels, 1, activation=_norm(zero_gamma=True)
    )
    out = parts["conv3"]
    if squeeze_excite:
        out = _squeeze_excite(out, channels, channel_axis)
    shortcut = features
    if features.get_shape().as_list()[channel_axis] != out_channels:
        shortcut = tp.Conv2D(
            "convshortcut", features, out_channels, 1, strides=stride, activation=_norm()
        )
    parts["shortcut"] = tf.nn.relu(out + shortcut)
    return parts


def _build(
    image: Tensor, options: BuildOptions, blocks: Sequence[int], squeeze_excite: bool
) -> Network:
    """The network on normalized BGR ``image``; see :class:`~dgl.backbones.Backbone`.

    Args:
        image: (N, H, W, 3) float32.
        options: :class:`~dgl.backbones.BuildOptions`.
        blocks: number of blocks of each of the four groups.
        squeeze_excite: bool.
    """
    endpoints = {}
    channel_axis = 3 if options.data_format == "channels_last" else 1
    formats = {"data_format": options.data_format}
    with tp.argscope(
        [tp.Conv2D, tp.MaxPooling, tp.GlobalAvgPooling, tp.BatchNorm], **formats
    ), tp.argscope(tp.Conv2D, use_bias=False):
        features = tp.Conv2D(
            "conv0", image, options.channels(64), 7, strides=2, activation=tp.BNReLU
        )
        endpoints["conv0"] = features
        features = tp.MaxPooling("pool0", features, 3, strides=2, padding="SAME")
        endpoints["pool0"] = features
        strides = (1, 2, 1, options.last_stride)
        for group, count in enumerate(blocks):
            for block in range(count):
                scope = f"group{group}/block{block}"
                with tf.variable_scope(scope):
                    parts = _bottleneck(
                        features,
                        options.channels(_CHANNELS[group]),
                        strides[group] if block == 0 else 1,
                        squeeze_excite,
                        channel_axis,
                    )
                for part, features in parts.items():
                    endpoints[f"{scope}_{part}"] = features
            endpoints[f"group{group}"] = features
        pooled = tp.GlobalAvgPooling("gap", features)
    logits = tp.FullyConnected(options.head, pooled, options.classes)
    return Network(logits, endpoints, logits.variables.W)


def _layers(depth):
    """Block outputs from the last one down to group1/block1, the order of ``--clayer``."""
    names = [
        f"group{group}/block{block}_shortcut"
        for group, blocks in enumerate(BLOCKS_BY_DEPTH[depth])
        for block in range(blocks)
    ]
    return tuple(reversed(names[names.index("group1/block1_shortcut") :]))


def _resnet(depth, squeeze_excite):
    mode = "resnet{}{}".format(depth, "se" if squeeze_excite else "")
    file_name = "ImageNet-ResNet{}{}.npz".format(depth, "-SE" if squeeze_excite else "")
    return Backbone(
        mode=mode,
        build=partial(_build, blocks=BLOCKS_BY_DEPTH[depth], squeeze_excite=squeeze_excite),
        layers=_layers(depth),
        heads={"imagenet": "linear", "cub": "linearcub"},
        head_pattern=r"(linear[^/]*)/W",
        stem="conv0/W",
        stem_channels=64,
        pretrained={mode: file_name},
        gradient_multipliers=(
            (r"(conv0|group[0-2])/.*beta", 2.0),
            (r"linear/b", 2.0),
        ),
    )


RESNETS = tuple(
    register_backbone(_resnet(depth, se))
    for depth in sorted(BLOCKS_BY_DEPTH)
    for se in (False, True)
)
