"""A backbone in one file: a convolution and a classifier, published under PyTorch's kind of names."""

from dgl.backbones.published import (
    EXACT,
    TORCH,
    TORCHVISION,
    Piece,
    PublishedFile,
    PublishedNames,
)
from dgl.backbones.registry import Backbone, Network, register_backbone
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf

PIECES = {
    "toy/W": Piece("first.weight", (2, 3, 1, 0)),
    "toy/b": Piece("first.bias"),
    "linear_toy/W": Piece("last.weight", (1, 0)),
    "linear_toy/b": Piece("last.bias"),
}


def _build(image, options):
    features = tp.Conv2D("toy", image, options.channels(16), 3, strides=2, activation=tf.nn.relu)
    logits = tp.FullyConnected(options.head, tp.GlobalAvgPooling("gap", features), options.classes)
    return Network(logits, {"toy": features}, logits.variables.W)


FILE = PublishedFile(TORCHVISION, "toy-1.pth", "https://toys.test/toy-1.pth", TORCH, "MIT", "-")
NAMES = PublishedNames(
    TORCHVISION,
    lambda shapes: EXACT if "first.weight" in shapes else None,
    lambda shapes, names: {name: PIECES[name] for name in names},
)
register_backbone(
    Backbone(
        mode="toy",
        build=_build,
        layers=("toy",),
        heads={"imagenet": "linear_toy", "cub": "linear_toy"},
        head_pattern=r"(linear_toy)/W",
        stem="toy/W",
        stem_channels=16,
        pretrained={"toy": "toy.npz"},
        published_files=(FILE,),
        published_names=(NAMES,),
    )
)
