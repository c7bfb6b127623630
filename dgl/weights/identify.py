"""Which backbone a checkpoint is of, from the names of its variables."""

import re
from typing import Any, Optional

from dgl.backbones import BACKBONES
from dgl.backbones.inception import INCEPTION_V3
from dgl.backbones.registry import Backbone, Shapes
from dgl.backbones.resnet import BLOCKS_BY_DEPTH
from dgl.backbones.vgg import VGG
from dgl.errors import UserError
from dgl.weights.checkpoint import is_checkpoint, open_checkpoint
from dgl.weights.formats.common import quoted
from dgl.weights.model_card import read_card
from dgl.weights.published import PUBLISHERS
from dgl.weights.sources import recognize

_RESNET_STEM = "conv0/W"
_BLOCK = re.compile(r"group2/block(\d{1,4})/")
_GATE = "group0/block0/fc1/W"  # of squeeze-excite
_NAMED = 4


def _resnet_mode(shapes: Shapes) -> Optional[str]:
    """The ResNet whose third group, the one in which depths differ, ends at the deepest block there."""
    blocks = [int(match.group(1)) for match in map(_BLOCK.match, shapes) if match]
    count = max(blocks) + 1 if blocks else 0
    for depth, counts in BLOCKS_BY_DEPTH.items():
        if counts[2] == count:
            return "resnet{}{}".format(depth, "se" if _GATE in shapes else "")
    return None


def mode_of(shapes: Shapes) -> Optional[str]:
    """The backbone whose names these are, or ``None``.

    Args:
        shapes: variable name -> shape, under this project's names. ResNets are told apart by their
            deepest block, squeeze-excite by the first block's gate.
    """
    for backbone in (VGG, INCEPTION_V3):
        if backbone.stem in shapes:
            return backbone.mode
    return _resnet_mode(shapes) if _RESNET_STEM in shapes else None


def identify(checkpoint: Any) -> str:
    """The backbone that a checkpoint is of.

    Args:
        checkpoint: :class:`~dgl.weights.checkpoint.Checkpoint`.

    Returns:
        str, a name in :data:`dgl.backbones.BACKBONES`.

    Raises:
        UserError: none of them; the message says what was found instead.
    """
    mode = mode_of(checkpoint.shapes)
    if mode is None:
        raise UserError(f"{checkpoint.path}: {_what_instead(checkpoint)}")
    return mode


def by_short_name(load: str) -> Optional[Backbone]:
    """The backbone whose ImageNet weights ``load`` is a short name of, ``None`` where it is a path."""
    if is_checkpoint(load):
        return None
    return next((one for one in BACKBONES.values() if load in one.pretrained), None)


def mode_for(load: str) -> str:
    """The backbone that ``--load`` asks for where no ``--mode`` is given.

    Args:
        load: a short name for ImageNet weights, or a checkpoint's path. What its model card says goes
            before what :func:`identify` finds.

    Raises:
        UserError: no such checkpoint, or none of a backbone of this project's.
    """
    backbone = by_short_name(load)
    if backbone is not None:
        return backbone.mode
    card = read_card(load)
    if card is not None and card.mode in BACKBONES:
        return card.mode
    return identify(open_checkpoint(load))


def _what_instead(checkpoint):
    if _RESNET_STEM in checkpoint.shapes:
        depths = ", ".join(
            f"{counts[2]} in a ResNet-{depth}" for depth, counts in sorted(BLOCKS_BY_DEPTH.items())
        )
        found = sorted({int(m.group(1)) for m in map(_BLOCK.match, checkpoint.shapes) if m})
        return "has {} but {} blocks in group2, expected {}".format(
            _RESNET_STEM, found[-1] + 1 if found else "no", depths
        )
    recognized = recognize(checkpoint.shapes)
    if recognized is not None:
        return (
            "holds weights of {} under the names of {}; `dgl convert {}` makes a file for --load "
            "of it".format(
                " or ".join(recognized[1]), PUBLISHERS[recognized[0].key], checkpoint.path
            )
        )
    names = ", ".join(quoted(name) for name in list(checkpoint.shapes)[:_NAMED])
    return "holds no backbone of this project's ({}); it begins with {}".format(
        ", ".join(BACKBONES), names or "nothing"
    )
