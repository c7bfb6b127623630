"""Keras's applications VGG16 and InceptionV3 (`.h5`), with and without top.

VGG16's layers have names. InceptionV3's are numbered as they were created, beginning at any number
(`conv2d`, `conv2d_1`, .. or `conv2d_95`, ..); the file's own order is that of the finished graph and says
nothing. Up to mixed7 they are created in the order of the branches that TF-slim's names count, so the
layers sorted by number are this project's in the order of the network.
"""

import re

from dgl.weights.published import KERAS
from dgl.weights.sources.base import Piece, Source

# Leaf names of Keras 2, then of Keras 1, in which `running_std` is a variance.
_KINDS = {
    "kernel": ("kernel", "W"),
    "bias": ("bias", "b"),
    "beta": ("beta",),
    "moving_mean": ("moving_mean", "running_mean"),
    "moving_variance": ("moving_variance", "running_std"),
}
_NUMBERED = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?$")
_INCEPTION_CONVOLUTIONS = 94
_VGG_NAME = re.compile(r"conv(\d)_(\d)/(W|b)$")
_INCEPTION_NAME = re.compile(r"(.+?)/(weights|BatchNorm/(?:beta|moving_mean|moving_variance))$")


def _layers(shapes):
    """Layer -> {kind of weight: name in the file}, in the file's order."""
    layers = {}
    for name in shapes:
        layer, _, leaf = name.partition("/")
        leaf = leaf.split("/")[-1].split(":")[0]
        for kind, forms in _KINDS.items():
            # Keras 1 repeats the layer's name in front, and TensorFlow may number the end.
            pattern = "(?:{}_)?(?:{})(?:_\\d+)?$".format(re.escape(layer), "|".join(forms))
            if re.match(pattern, leaf):
                layers.setdefault(layer, {})[kind] = name
    return layers


def _numbered(layers):
    """Kind of layer -> layer names by their numbers, the order in which they were created."""
    found = {"conv2d": {}, "batch_normalization": {}}
    for layer in layers:
        match = _NUMBERED.match(layer)
        if match:
            found[match.group(1)][int(match.group(2) or 0)] = layer
    return found


def _find_modes(shapes):
    layers = _layers(shapes)
    if "block1_conv1" in layers and "block5_conv3" in layers:
        return () if "block3_conv4" in layers else ("vgg",)  # that one is VGG19's
    numbered = _numbered(layers)
    # Other applications number their layers too; none has as many convolutions but this one.
    if len(numbered["conv2d"]) > _INCEPTION_CONVOLUTIONS // 2:
        same = len(numbered["conv2d"]) <= _INCEPTION_CONVOLUTIONS
        return ("inceptionv3",) if same and numbered["batch_normalization"] else ()
    return ()


def _vgg_pieces(layers, names):
    pieces = {}
    for name in names:
        block, index, kind = _VGG_NAME.match(name).groups()
        layer, kind = f"block{block}_conv{index}", "kernel" if kind == "W" else "bias"
        found = layers.get(layer, {}).get(kind, f"{layer}/{kind}")
        pieces[name] = Piece(found)
    return pieces


def _in_order(numbers, kind):
    """Endless names of the numbered layers of a kind, gaps included, for the caller to miss."""
    number = min(numbers)
    while True:
        yield numbers.get(number, f"{kind}_{number}")
        number += 1


def _inception_pieces(layers, names):
    numbered = _numbered(layers)
    order = {kind: _in_order(numbers, kind) for kind, numbers in numbered.items()}
    pieces, layer_of = {}, {}
    for name in names:
        scope, kind = _INCEPTION_NAME.match(name).groups()
        if scope not in layer_of:
            layer_of[scope] = (next(order["conv2d"]), next(order["batch_normalization"]))
        convolution, norm = layer_of[scope]
        if kind == "weights":
            layer, kind = convolution, "kernel"
        else:
            layer, kind = norm, kind.split("/")[-1]
        pieces[name] = Piece(layers.get(layer, {}).get(kind, f"{layer}/{kind}"))
    return pieces


def _pieces(shapes, names):
    layers = _layers(shapes)
    make = _vgg_pieces if "block1_conv1" in layers else _inception_pieces
    return make(layers, names)


SOURCE = Source(KERAS, _find_modes, _pieces)
