"""Inception-V3 up to Mixed_6e at output stride 8, then `Logits/add2`, `Logits/add1`, GAP, 1 x 1 conv.

Variables carry TF-slim's names, so slim's ImageNet checkpoint restores without renaming. Padding is
SAME everywhere and Mixed_6a keeps its input's resolution.
"""

from dgl.backbones.base import Backbone

_SCOPE = "InceptionV3"
_HEAD = "Logits/Conv2d_1c_1x1_{}"


def _build(image, options):
    from dgl.backbones.graphs.inception import build  # loads TensorFlow

    return build(image, options)


INCEPTION_V3 = Backbone(
    mode="inceptionv3",
    build=_build,
    layers=(
        "add1",
        "add2",
        "Mixed_6e",
        "Mixed_6d",
        "Mixed_6c",
        "Mixed_6b",
        "Mixed_6e_branch_0",
        "Mixed_6e_branch_1",
        "Mixed_6e_branch_2",
        "Mixed_6e_branch_3",
        "Mixed_6a",
        "Mixed_5d",
        "Mixed_5c",
        "Mixed_5b",
        "MaxPool_5a_3x3",
        "Conv2d_4a_3x3",
        "Conv2d_3b_1x1",
        "MaxPool_3a_3x3",
        "Conv2d_2b_3x3",
        "Conv2d_2a_3x3",
        "Conv2d_1a_3x3",
    ),
    heads={"imagenet": _HEAD, "cub": _HEAD},
    head_pattern=_SCOPE + r"/(Logits/Conv2d_1c_1x1_[^/]+)/weights",
    stem=_SCOPE + "/Conv2d_1a_3x3/weights",
    stem_channels=32,
    pretrained={"inceptionv3": "inception_v3.ckpt", "inception_v3": "inception_v3.ckpt"},
    weight_pattern=r".*/weights",
    own_layers=_SCOPE + r"/Logits/",
    gradient_multipliers=(
        (_SCOPE + r"/(Conv2d|Mixed)_.*/weights", 1.0),
        (_SCOPE + r"/(Conv2d|Mixed)_.*/beta", 2.0),
        (_SCOPE + r"/Logits/.*/weights", 10.0),
        (_SCOPE + r"/Logits/.*/biases", 20.0),
    ),
)
