"""Torchvision's state dicts of VGG16 and the bottleneck ResNets, from `.pth` or `.safetensors`."""

import re

import numpy as np

from dgl.errors import UserError
from dgl.weights.published import TORCHVISION
from dgl.weights.sources.base import (
    CONVOLUTION_OF_TORCH,
    LINEAR_OF_TORCH,
    Piece,
    Source,
    count_blocks,
    resnet_modes,
)

# Position of each convolution of VGG16 in `features`, where ReLUs and pools are counted too.
_VGG_LAYERS = {
    "conv1_1": 0,
    "conv1_2": 2,
    "conv2_1": 5,
    "conv2_2": 7,
    "conv3_1": 10,
    "conv3_2": 12,
    "conv3_3": 14,
    "conv4_1": 17,
    "conv4_2": 19,
    "conv4_3": 21,
    "conv5_1": 24,
    "conv5_2": 26,
    "conv5_3": 28,
}
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "mean/EMA": "running_mean",
    "variance/EMA": "running_var",
}
_RESNET_NAME = re.compile(r"(?:group(\d)/block(\d+)/)?(conv\d|convshortcut|linear)/(?:bn/)?(.+)")


def _find_modes(shapes):
    if "features.0.weight" in shapes and "features.28.weight" in shapes:
        # BatchNorm shifts the positions; VGG19 goes on after 28.
        other = any(f"features.{i}.weight" in shapes for i in (1, 30, 34))
        return () if other else ("vgg",)
    if "conv1.weight" in shapes and "layer1.0.conv3.weight" in shapes:
        shifted = {re.sub(r"^layer(\d)", _one_less, name): None for name in shapes}
        return resnet_modes(count_blocks(shifted, "layer{}.{}.conv3.weight"))
    return ()


def _one_less(match):
    return f"layer{int(match.group(1)) - 1}"


def _vgg_piece(name):
    layer, kind = name.split("/")
    prefix = f"features.{_VGG_LAYERS[layer]}."
    return Piece(prefix + "weight", CONVOLUTION_OF_TORCH) if kind == "W" else Piece(prefix + "bias")


def _resnet_piece(name):
    group, block, layer, kind = _RESNET_NAME.match(name).groups()
    if layer == "linear":
        return Piece("fc.weight", LINEAR_OF_TORCH) if kind == "W" else Piece("fc.bias")
    prefix = "" if group is None else f"layer{int(group) + 1}.{block}."
    if layer == "convshortcut":
        convolution, norm = "downsample.0", "downsample.1"
    else:
        # Ours counts from 0 where torchvision counts from 1, but only outside the blocks.
        number = int(layer[-1]) + (group is None)
        convolution, norm = f"conv{number}", f"bn{number}"
    if kind == "W":
        return Piece(prefix + convolution + ".weight", CONVOLUTION_OF_TORCH)
    return Piece(prefix + norm + "." + _NORM[kind])


def _pieces(shapes, names):
    piece = _vgg_piece if "features.0.weight" in shapes else _resnet_piece
    return {name: piece(name) for name in names}


def _check(checkpoint):
    # `vgg16_features-amdegroot-88682ab5.pth` has the same names but Caffe's weights, whose means and
    # scale are others; its classifier is filled with NaN.
    bias = "classifier.6.bias"
    value = checkpoint.read(bias) if bias in checkpoint.shapes else np.zeros(0)
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise UserError(
            f"{checkpoint.path}: {bias} holds NaN or infinity: not torchvision's vgg16-397923af.pth (its features-only "
            "weights expect other means and are not supported)"
        )


SOURCE = Source(TORCHVISION, _find_modes, _pieces, _check)
