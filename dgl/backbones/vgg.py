"""VGG16 with global average pooling: conv1_1..conv5_3 without pool5, `add`, GAP, `linear`."""

import re
from typing import Any, Dict, Optional, Sequence

import numpy as np

from dgl.backbones.published import (
    CAFFE,
    CODE_APACHE,
    EXACT,
    KERAS,
    OURS,
    TENSORPACK,
    TORCHVISION,
    Piece,
    PublishedNames,
    Shapes,
    find_keras_layers,
    keras_files,
    released_checkpoint,
    same_names,
    tensorpack_file,
    torch_names,
    torchvision_file,
)
from dgl.backbones.registry import Backbone, BuildOptions, Network, register_backbone
from dgl.errors import UserError
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_ADD_CHANNELS = 1024


def _build(image: Tensor, options: BuildOptions) -> Network:
    """The network on normalized BGR ``image``; see :class:`~dgl.backbones.Backbone`."""
    endpoints = {}
    batch_norm = options.norm == "bn"
    activation = tp.BNReLU if batch_norm else tf.nn.relu

    def conv(name: str, features: Tensor, channels: int) -> Tensor:
        width = options.channels(channels)
        endpoints[name] = tp.Conv2D(
            name, features, width, 3, activation=activation, use_bias=not batch_norm
        )
        return endpoints[name]

    features = image
    windows = [tp.Conv2D, tp.MaxPooling, tp.GlobalAvgPooling]
    with tp.argscope(windows, data_format=options.data_format):
        for block, (channels, repeats) in enumerate(_BLOCKS, 1):
            for index in range(1, repeats + 1):
                features = conv(f"conv{block}_{index}", features, channels)
            if block < len(_BLOCKS):
                name = f"pool{block}"
                features = endpoints[name] = tp.MaxPooling(name, features, 2)
        features = conv("add", features, _ADD_CHANNELS)
        pooled = tp.GlobalAvgPooling("gap", features)
    logits = tp.FullyConnected(options.head, pooled, options.classes)
    return Network(logits, endpoints, logits.variables.W)


# VGG19 and VGG16 with BatchNorm have the names of VGG16 and more.
_OTHER_IN_TENSORPACK = ("conv3_4/W", "conv1_1_bn/gamma", "conv1_1/bn/gamma")
# Index of each convolution in torchvision's `features`, which counts ReLUs and pools too.
_TORCH_INDICES = zip(
    [f"conv{b}_{i}/" for b, (_, n) in enumerate(_BLOCKS, 1) for i in range(1, n + 1)],
    (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
)
_NAME = re.compile(r"conv(\d)_(\d)/(W|b)$")
_DIFFERS = "pool5 and fc6-fc8 are left out; `add` and `linear` start anew"
_OXFORD = "CC BY 4.0 (VGG, Oxford)"
_KERAS_CHECKS = (
    ("64373286793e3c8b2b4e3219cbf3544b", 553.5),
    ("6d6bbae143d832006294945121d1f1fc", 58.9),
)


def _fits_tensorpack(shapes: Shapes) -> Optional[str]:
    # Without its fully connected layers a VGG is not the published file.
    found = "conv1_1/W" in shapes and "fc6/W" in shapes
    return EXACT if found and not any(n in shapes for n in _OTHER_IN_TENSORPACK) else None


def _fits_keras(shapes: Shapes) -> Optional[str]:
    layers = find_keras_layers(shapes)
    found = "block1_conv1" in layers and "block5_conv3" in layers
    return EXACT if found and "block3_conv4" not in layers else None  # VGG19 has that one


def _fits_torchvision(shapes: Shapes) -> Optional[str]:
    found = "features.0.weight" in shapes and "features.28.weight" in shapes
    # BatchNorm shifts the indices; VGG19 has more than 28.
    others = any(f"features.{index}.weight" in shapes for index in (1, 30, 34))
    return EXACT if found and not others else None


def _keras_pieces(shapes: Shapes, names: Sequence[str]) -> Dict[str, Piece]:
    layers, pieces = find_keras_layers(shapes), {}
    for name in names:
        match = _NAME.match(name)
        assert match is not None, name
        block, index, kind = match.groups()
        layer, kind = f"block{block}_conv{index}", "kernel" if kind == "W" else "bias"
        pieces[name] = Piece(layers.get(layer, {}).get(kind, f"{layer}/{kind}"))
    return pieces


def _check_torchvision(checkpoint: Any) -> None:
    # `vgg16_features-amdegroot-88682ab5.pth` has the same names but Caffe's weights, which expect other
    # means and scales; its classifier is filled with NaN.
    bias = "classifier.6.bias"
    value = checkpoint.read(bias) if bias in checkpoint.shapes else np.zeros(0)
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise UserError(
            f"{checkpoint.path}: {bias} holds NaN or infinity: not torchvision's vgg16-397923af.pth (its "
            "features-only weights expect other means and are not supported)"
        )


register_backbone(
    Backbone(
        mode="vgg",
        build=_build,
        layers=tuple(
            "add conv5_3 conv5_2 conv5_1 pool4 conv4_3 conv4_2 conv4_1 pool3 conv3_3 conv3_2 conv3_1 pool2 "
            "conv2_2 conv2_1 pool1 conv1_2 conv1_1".split()
        ),
        heads={"imagenet": "linear", "cub": "linear_cub"},
        head_pattern=r"(linear[^/]*)/W",
        stem="conv1_1/W",
        stem_channels=64,
        pretrained={"vgg": "vgg16.npz", "vgg16": "vgg16.npz", "vgg16-dgl": "vgg16-dgl.npz"},
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
        own_layers=r"(add|linear[^/]*)/",
        # The authors of the Caffe model ask for BGR and tensorpack's loadcaffe keeps the order;
        # docs/weights.md has the dissenting example.
        published_files=(
            tensorpack_file("Caffe-Converted", "vgg16.npz", CAFFE, _OXFORD, _DIFFERS),
            tensorpack_file("ImageNetModels", "VGG16.npz", OURS, CODE_APACHE, _DIFFERS),
            *keras_files("vgg16", CAFFE, _OXFORD, _DIFFERS, _KERAS_CHECKS),
            torchvision_file("vgg16-397923af.pth", _DIFFERS, 527.796),
        ),
        released=released_checkpoint("vgg16-dgl", "10Mf5bpqMOZGO_gHLi5PBhVXb98b9mpTO"),
        published_names=(
            PublishedNames(TENSORPACK, _fits_tensorpack, same_names),
            PublishedNames(KERAS, _fits_keras, _keras_pieces),
            PublishedNames(
                TORCHVISION,
                _fits_torchvision,
                torch_names(*((layer, f"features.{index}/") for layer, index in _TORCH_INDICES)),
                _check_torchvision,
            ),
        ),
    )
)
