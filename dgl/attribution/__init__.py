"""Attribution methods: functions of graph tensors that return one map per image.

Every file in this folder is imported, and functions decorated with
:func:`~dgl.attribution.registry.attribution_method` are registered in :data:`METHODS`, which the command
line, the documentation, the page and the tests read. TensorFlow is not loaded until a map is built.
"""

import importlib
import pkgutil

from dgl.attribution.build import build_maps
from dgl.attribution.cam import cam_map
from dgl.attribution.dgl import combine, dgl_map, enhanced_map
from dgl.attribution.gradients import class_gradients, loss_gradients
from dgl.attribution.registry import (
    METHODS,
    Evidence,
    Method,
    attribution_method,
    check_methods,
    expand_methods,
    parse_method,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(__name__ + "." + _module.name)

__all__ = [
    "METHODS",
    "Evidence",
    "Method",
    "attribution_method",
    "build_maps",
    "cam_map",
    "check_methods",
    "class_gradients",
    "combine",
    "dgl_map",
    "enhanced_map",
    "expand_methods",
    "loss_gradients",
    "parse_method",
]
