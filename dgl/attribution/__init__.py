"""Attribution: functions of graph tensors that say where a class is seen, one file a method.

A file in this folder that calls :func:`~dgl.attribution.registry.register_method` is found by itself; the
command line, the documentation, the page and the tests read the registry. Nothing here loads TensorFlow until
a map is built.
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
    check_methods,
    expand_methods,
    parse_method,
    register_method,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(__name__ + "." + _module.name)

__all__ = [
    "METHODS",
    "Evidence",
    "Method",
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
    "register_method",
]
