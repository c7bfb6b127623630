"""Bottleneck ResNets (50, 101, 152), plain and with squeeze-excite, at output stride 8.

The paper's have strides 1, 2, 1, 1 in the 3 x 3 convolutions of groups 0-3, and the last BatchNorm of a
block starts with a zero gamma. Published ImageNet weights were trained with strides 1, 2, 2, 2 and classify
well only with those, or with dilation in their place: :data:`STRIDES`.
"""

import re
from dataclasses import replace
from functools import partial
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

from dgl.backbones.published import (
    CODE_APACHE,
    EXACT,
    NEAR,
    OURS,
    OWN_STRIDES,
    TENSORPACK,
    TORCHVISION,
    PublishedNames,
    Shapes,
    released_checkpoint,
    same_names,
    tensorpack_file,
    torch_names,
    torchvision_file,
)
from dgl.backbones.registry import Backbone, BuildOptions, Network, register_backbone
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

BLOCKS_BY_DEPTH = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class Strides(NamedTuple):
    """How groups 0-3 go from stride 4 on."""

    steps: Tuple[int, int, int, int]  # stride of each group's first block
    dilations: Tuple[int, int, int, int] = (1, 1, 1, 1)  # of each group's 3 x 3 convolutions
    # Whether the stride is that of a block's first 1 x 1 convolution, not of its 3 x 3
    in_first: bool = False
    # Whether strided layers pad both sides alike, not bottom and right first
    symmetric: bool = True


# Values of --strides. Dilation in place of strides: the weights see what they were trained on,
# at output stride 8 (Yu, Koltun and Funkhouser, "Dilated Residual Networks", CVPR 2017).
STRIDES = {
    OWN_STRIDES: Strides((1, 2, 1, 1), symmetric=False),
    "published": Strides((1, 2, 2, 2)),
    "published-1x1": Strides((1, 2, 2, 2), in_first=True),
    "dilated": Strides((1, 2, 1, 1), (1, 1, 2, 4)),
    "dilated-1x1": Strides((1, 2, 1, 1), (1, 1, 2, 4), in_first=True),
}

_CHANNELS = (64, 128, 256, 512)
_EXPANSION = 4


def _norm(zero_gamma: bool = False) -> Any:
    initializer = tf.zeros_initializer() if zero_gamma else tf.ones_initializer()

    def activation(features: Tensor, name: Optional[str] = None) -> Tensor:
        return tp.BatchNorm("bn", features, gamma_initializer=initializer)

    return activation


def _squeeze_excite(features: Tensor, channels: int, channel_axis: int) -> Tensor:
    squeezed = tp.GlobalAvgPooling("gap", features)
    squeezed = tp.FullyConnected("fc1", squeezed, max(1, channels // 4), activation=tf.nn.relu)
    gate = tp.FullyConnected("fc2", squeezed, channels * _EXPANSION, activation=tf.nn.sigmoid)
    shape = [-1, 1, 1, 1]
    shape[channel_axis] = channels * _EXPANSION
    return features * tf.reshape(gate, shape)


def _pad(features: Tensor, size: int, channel_axis: int) -> Tensor:
    """Zeros on all sides, as many as keep the center of a ``size`` x ``size`` kernel inside."""
    around = [[0, 0], [size // 2, size // 2], [size // 2, size // 2]]
    around.insert(channel_axis, [0, 0])
    return tf.pad(features, around)


def _bottleneck(
    features: Tensor,
    channels: int,
    squeeze_excite: bool,
    channel_axis: int,
    strides: Strides,
    stride: int,
    dilation: int,
) -> Dict[str, Tensor]:
    """The block's activations by name, its output last."""
    out_channels = channels * _EXPANSION
    parts = {}
    first, second = (stride, 1) if strides.in_first else (1, stride)
    parts["conv1"] = tp.Conv2D("conv1", features, channels, 1, strides=first, activation=tp.BNReLU)
    padded, padding = parts["conv1"], "SAME"
    if second > 1 and strides.symmetric:
        padded, padding = _pad(padded, 3, channel_axis), "VALID"
    parts["conv2"] = tp.Conv2D(
        "conv2", padded, channels, 3, strides=second, padding=padding,
        dilation_rate=dilation, activation=tp.BNReLU,
    )  # fmt: skip
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
    """The network on normalized BGR ``image``, with so many ``blocks`` in its four groups."""
    endpoints = {}
    strides = STRIDES[options.strides]
    channel_axis = 3 if options.data_format == "channels_last" else 1
    layers = [tp.Conv2D, tp.MaxPooling, tp.GlobalAvgPooling, tp.BatchNorm]
    formats = tp.argscope(layers, data_format=options.data_format)
    with formats, tp.argscope(tp.Conv2D, use_bias=False):
        padding = "SAME"
        if strides.symmetric:
            image, padding = _pad(image, 7, channel_axis), "VALID"
        features = tp.Conv2D(
            "conv0", image, options.channels(64), 7, strides=2, padding=padding,
            activation=tp.BNReLU,
        )  # fmt: skip
        endpoints["conv0"] = features
        if strides.symmetric:  # zeros are below no activation, which a ReLU left
            features = _pad(features, 3, channel_axis)
        features = tp.MaxPooling("pool0", features, 3, strides=2, padding=padding)
        endpoints["pool0"] = features
        steps = (*strides.steps[:3], strides.steps[3] * options.last_stride)
        for group, count in enumerate(blocks):
            for block in range(count):
                scope = f"group{group}/block{block}"
                # A stride in the 3 x 3 convolution comes after its own kernel.
                from_group = group - 1 if block == 0 and not strides.in_first else group
                dilation = strides.dilations[max(from_group, 0)]
                with tf.variable_scope(scope):
                    parts = _bottleneck(
                        features,
                        options.channels(_CHANNELS[group]),
                        squeeze_excite,
                        channel_axis,
                        strides,
                        steps[group] if block == 0 else 1,
                        dilation,
                    )
                for part, features in parts.items():
                    endpoints[f"{scope}_{part}"] = features
            endpoints[f"group{group}"] = features
        pooled = tp.GlobalAvgPooling("gap", features)
    logits = tp.FullyConnected(options.head, pooled, options.classes)
    return Network(logits, endpoints, logits.variables.W)


def _layers(depth: int) -> Tuple[str, ...]:
    """Block outputs from the last one down to group1/block1, the order of ``--clayer``."""
    names = [
        f"group{group}/block{block}_shortcut"
        for group, blocks in enumerate(BLOCKS_BY_DEPTH[depth])
        for block in range(blocks)
    ]
    return tuple(reversed(names[names.index("group1/block1_shortcut") :]))


_GATE = "group0/block0/fc1/W"  # of squeeze-excite
# Outside the blocks ours counts from 0 where torchvision counts from 1.
_TORCHVISION = torch_names(
    ("^conv0/bn/", "bn1/"),
    ("^conv0/", "conv1/"),
    *((f"^group{group}/block", f"layer{group + 1}.") for group in range(4)),
    ("/convshortcut/bn/", ".downsample.1/"),
    ("/convshortcut/", ".downsample.0/"),
    (r"/conv(\d)/bn/", r".bn\1/"),
    ("/conv", ".conv"),
    ("^linear/", "fc/"),
)
_DIFFERS = "stride 2 of the last two groups becomes 1 (`--strides published` keeps it)"
_DIFFERS_FROM_TORCH = _DIFFERS + "; so does the padding of stride-2 layers"
# Names and mebibytes.
_TORCHVISION_FILES = {
    50: (("resnet50-0676ba61.pth", 97.781), ("resnet50-11ad3fa6.pth", 97.79)),
    101: (("resnet101-63fe2227.pth", 170.511), ("resnet101-cd907fc2.pth", 170.53)),
    152: (("resnet152-394f9c45.pth", 230.434), ("resnet152-f82ba261.pth", 230.474)),
}
_RELEASED = {
    "resnet50": "1vnkV4plmf7bcyN-1nzY1xv54QExGzitf",
    "resnet50se": "1I9jSV6-TzRssfL0RiWWZzRuhQ1zR0tQP",
}


def _count_blocks(shapes: Shapes, template: str, first: int = 0) -> Tuple[int, ...]:
    """Blocks in each of four groups: how many of ``template.format(group, block)`` there are."""
    return tuple(
        sum(template.format(group, block) in shapes for block in range(len(shapes)))
        for group in range(first, first + 4)
    )


def _fit(blocks: Tuple[int, ...], depth: int) -> Optional[str]:
    """A damaged file that has the blocks of no depth is near all of them."""
    if blocks == BLOCKS_BY_DEPTH[depth]:
        return EXACT
    return None if blocks in BLOCKS_BY_DEPTH.values() else NEAR


def _fits_tensorpack(shapes: Shapes, depth: int, squeeze_excite: bool) -> Optional[str]:
    family = "conv0/W" in shapes and "group0/block0/conv3/W" in shapes
    if not family or (_GATE in shapes) != squeeze_excite:
        return None
    return _fit(_count_blocks(shapes, "group{}/block{}/conv3/W"), depth)


def _fits_torchvision(shapes: Shapes, depth: int) -> Optional[str]:
    if "conv1.weight" not in shapes or "layer1.0.conv3.weight" not in shapes:
        return None
    return _fit(_count_blocks(shapes, "layer{}.{}.conv3.weight", first=1), depth)


def _recognize(shapes: Shapes, depth: int, squeeze_excite: bool) -> bool:
    """The deepest block of group 2, the one in which depths differ, and the gate tell ResNets apart."""
    if "conv0/W" not in shapes or (_GATE in shapes) != squeeze_excite:
        return False
    found = [int(match.group(1)) for match in map(_DEEPEST.match, shapes) if match]
    return bool(found) and max(found) + 1 == BLOCKS_BY_DEPTH[depth][2]


_DEEPEST = re.compile(r"group2/block(\d{1,4})/")


def _resnet(depth: int, squeeze_excite: bool) -> Backbone:
    mode = "resnet{}{}".format(depth, "se" if squeeze_excite else "")
    file_name = "ImageNet-ResNet{}{}.npz".format(depth, "-SE" if squeeze_excite else "")
    fits = partial(_fits_tensorpack, depth=depth, squeeze_excite=squeeze_excite)
    names, files = [PublishedNames(TENSORPACK, fits, same_names)], []
    # Squeeze-excite ResNets of the other depths are not published.
    if depth == 50 or not squeeze_excite:
        files.append(tensorpack_file("ResNet", file_name, OURS, CODE_APACHE, _DIFFERS))
    if not squeeze_excite:
        fits = partial(_fits_torchvision, depth=depth)
        names.append(PublishedNames(TORCHVISION, fits, _TORCHVISION))
        files += [
            torchvision_file(own, _DIFFERS_FROM_TORCH, mebibytes)
            for own, mebibytes in _TORCHVISION_FILES[depth]
        ]
    pretrained = {mode: file_name}
    released = None
    if mode in _RELEASED:
        released = released_checkpoint(mode + "-dgl", _RELEASED[mode])
        pretrained[mode + "-dgl"] = released.file_name
    return Backbone(
        mode=mode,
        build=partial(_build, blocks=BLOCKS_BY_DEPTH[depth], squeeze_excite=squeeze_excite),
        layers=_layers(depth),
        heads={"imagenet": "linear", "cub": "linearcub"},
        head_pattern=r"(linear[^/]*)/W",
        strides=tuple(STRIDES),
        stem="conv0/W",
        stem_channels=64,
        pretrained=pretrained,
        gradient_multipliers=((r"(conv0|group[0-2])/.*beta", 2.0), (r"linear/b", 2.0)),
        published_files=tuple(replace(file, strides="published") for file in files),
        published_names=tuple(names),
        released=released,
        recognize=partial(_recognize, depth=depth, squeeze_excite=squeeze_excite),
    )


for _depth in sorted(BLOCKS_BY_DEPTH):
    for _squeeze_excited in (False, True):
        register_backbone(_resnet(_depth, _squeeze_excited))
