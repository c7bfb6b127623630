"""Tensorpack's model zoo (`.npz`): this project's own names, with more layers."""

from dgl.weights.published import TENSORPACK
from dgl.weights.sources.base import Piece, Source, count_blocks, resnet_modes

# VGG19 and VGG16 with BatchNorm have the names of VGG16 and more.
_OTHER_VGGS = ("conv3_4/W", "conv1_1_bn/gamma", "conv1_1/bn/gamma")


def _find_modes(shapes):
    # Without its fully connected layers a VGG is no longer the published file.
    if "conv1_1/W" in shapes and "fc6/W" in shapes:
        return () if any(name in shapes for name in _OTHER_VGGS) else ("vgg",)
    if "conv0/W" in shapes and "group0/block0/conv3/W" in shapes:
        blocks = count_blocks(shapes, "group{}/block{}/conv3/W")
        return resnet_modes(blocks, "group0/block0/fc1/W" in shapes)
    return ()


def _pieces(shapes, names):
    return {name: Piece(name) for name in names}


SOURCE = Source(TENSORPACK, _find_modes, _pieces)
