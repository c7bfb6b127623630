"""VGG16 with global average pooling: conv1_1..conv5_3 without pool5, `add`, GAP, `linear`."""

from dgl.backbones.base import Backbone


def _build(image, options):
    from dgl.backbones.graphs.vgg import build  # loads TensorFlow

    return build(image, options)


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
    own_layers=r"(add|linear[^/]*)/",
)
