"""Backbones: one file a network, with its graph and its registry entry.

A file in this folder that calls :func:`~dgl.backbones.registry.register_backbone` is found by itself; the
command line, the documentation and the tests read the registry. Entries load TensorFlow when they build.
"""

import importlib
import pkgutil

from dgl.backbones.registry import (
    BACKBONES,
    Backbone,
    BuildOptions,
    Network,
    get_backbone,
    register_backbone,
)

# The four networks of the paper; the deeper ResNets are reached by `--depth`.
PAPER_MODES = ("vgg", "resnet50", "resnet50se", "inceptionv3")
# The network of `dgl localize` and `Localizer()`, whose ImageNet weights are installed with the package.
DEFAULT_MODE = "efficientnet_lite0"

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(__name__ + "." + _module.name)

__all__ = [
    "BACKBONES",
    "DEFAULT_MODE",
    "PAPER_MODES",
    "Backbone",
    "BuildOptions",
    "Network",
    "get_backbone",
    "register_backbone",
]
