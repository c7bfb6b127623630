"""Layers in the weight files of Keras's applications, by the names that Keras 1 and 2 write."""

import re
from typing import Dict

from dgl.backbones.published import Shapes

# Kind of weight -> leaf names of Keras 2, then of Keras 1, in which `running_std` is a variance.
_KINDS = {
    "kernel": ("kernel", "W"),
    "bias": ("bias", "b"),
    "beta": ("beta",),
    "moving_mean": ("moving_mean", "running_mean"),
    "moving_variance": ("moving_variance", "running_std"),
}


def find_layers(shapes: Shapes) -> Dict[str, Dict[str, str]]:
    """Layer -> {kind of weight: name in the file}, in the file's order."""
    layers: Dict[str, Dict[str, str]] = {}
    for name in shapes:
        layer, _, leaf = name.partition("/")
        leaf = leaf.split("/")[-1].split(":")[0]
        for kind, forms in _KINDS.items():
            # Keras 1 repeats the layer's name in front, and TensorFlow may number the end.
            pattern = "(?:{}_)?(?:{})(?:_\\d+)?$".format(re.escape(layer), "|".join(forms))
            if re.match(pattern, leaf):
                layers.setdefault(layer, {})[kind] = name
    return layers
