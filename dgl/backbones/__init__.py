"""The backbones: one registry entry each, everything else asks the registry.

The entries are facts only and load quickly; :mod:`dgl.backbones.network` builds graphs.
"""

from dgl.backbones.base import Backbone, BuildOptions, Network
from dgl.backbones.inception import INCEPTION_V3
from dgl.backbones.resnet import RESNETS
from dgl.backbones.vgg import VGG
from dgl.errors import UserError

BACKBONES = {backbone.mode: backbone for backbone in (VGG,) + RESNETS + (INCEPTION_V3,)}

# The four networks of the paper; the deeper ResNets are reached by `--depth`.
PAPER_MODES = ("vgg", "resnet50", "resnet50se", "inceptionv3")


def get_backbone(mode: str) -> Backbone:
    """The registry entry named ``mode``.

    Raises:
        UserError: unknown mode; the message lists the choices.
    """
    try:
        return BACKBONES[mode]
    except KeyError:
        raise UserError(
            "--mode {}: unknown backbone; choose one of {}".format(mode, ", ".join(BACKBONES))
        ) from None


__all__ = [
    "BACKBONES",
    "PAPER_MODES",
    "Backbone",
    "BuildOptions",
    "Network",
    "get_backbone",
]
