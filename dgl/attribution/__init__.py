"""Attribution: functions of graph tensors that say where a class is seen."""

from dgl.attribution.cam import cam_map
from dgl.attribution.dual_gradients import combine, dgl_map, enhanced_map
from dgl.attribution.gradients import class_gradients, loss_gradients
from dgl.attribution.methods import METHODS, build_maps, check_methods

__all__ = [
    "METHODS",
    "build_maps",
    "cam_map",
    "check_methods",
    "class_gradients",
    "combine",
    "dgl_map",
    "enhanced_map",
    "loss_gradients",
]
