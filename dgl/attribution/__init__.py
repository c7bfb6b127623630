"""Attribution: functions of graph tensors that say where a class is seen.

One module a method, each with the same interface (:mod:`dgl.attribution.evidence`).
"""

from dgl.attribution.build import build_maps
from dgl.attribution.cam import cam_map
from dgl.attribution.dual_gradients import combine, dgl_map, enhanced_map
from dgl.attribution.evidence import Evidence, Method
from dgl.attribution.gradients import class_gradients, loss_gradients
from dgl.attribution.methods import METHODS, check_methods, expand_methods, parse_method

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
]
