"""Bottleneck ResNets (50, 101, 152), plain and with squeeze-excite, at output stride 8.

The stride sits on the 3 x 3 convolution and the last BatchNorm of a block starts with a zero gamma.
Groups 0-3 have strides 1, 2, 1, 1.
"""

from functools import partial

from dgl.backbones.base import Backbone

BLOCKS_BY_DEPTH = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def _build(image, options, depth, squeeze_excite):
    from dgl.backbones.graphs.resnet import build  # loads TensorFlow

    return build(image, options, BLOCKS_BY_DEPTH[depth], squeeze_excite)


def _layers(depth):
    """Block outputs from the last one down to group1/block1, the order of ``--clayer``."""
    names = [
        "group{}/block{}_shortcut".format(group, block)
        for group, blocks in enumerate(BLOCKS_BY_DEPTH[depth])
        for block in range(blocks)
    ]
    return tuple(reversed(names[names.index("group1/block1_shortcut") :]))


def _resnet(depth, squeeze_excite):
    mode = "resnet{}{}".format(depth, "se" if squeeze_excite else "")
    file_name = "ImageNet-ResNet{}{}.npz".format(depth, "-SE" if squeeze_excite else "")
    return Backbone(
        mode=mode,
        build=partial(_build, depth=depth, squeeze_excite=squeeze_excite),
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


RESNETS = tuple(_resnet(depth, se) for depth in sorted(BLOCKS_BY_DEPTH) for se in (False, True))
