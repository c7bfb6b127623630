"""Facts about a checkpoint for `dgl info`: from its names, shapes and card, without its weights."""

import glob
import os
import shlex
from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from dgl.backbones import get_backbone
from dgl.backbones.foreground import head_layers
from dgl.backbones.published import PUBLISHERS, TENSORPACK, Shapes
from dgl.backbones.registry import Backbone
from dgl.data.class_names import ClassNames
from dgl.weights.checkpoint import Checkpoint, open_checkpoint
from dgl.weights.identify import by_short_name, mode_of, recognize, under_our_names
from dgl.weights.model_card import ModelCard, class_names_of, read_card
from dgl.weights.restore import find_weights
from dgl.weights.sources import published_files

_STEP = "global_step"


class Facts(NamedTuple):
    """What is known of a checkpoint; ``None`` or empty where it does not tell."""

    path: str  # its file or prefix
    format: str  # for people
    bytes: int  # size of its files
    mode: Optional[str]  # backbone, when its names are this project's
    heads: Dict[str, int]  # scope of a classification layer -> number of classes
    foreground: Tuple[str, ...]  # layers that its head from `dgl refine` reads
    # width, norm: as for `--width` and `--norm`
    width: Optional[float]
    norm: Optional[str]
    card: Optional[ModelCard]  # its model card
    class_names: Tuple[str, ...]  # of its classes; empty where they are not known
    step: Optional[int]  # training step that it was saved at
    variables: int  # number of variables, optimizer state included
    parameters: int  # numbers in them, optimizer state and single numbers left out
    slots: Dict[str, int]  # name of an optimizer's slot -> number of variables that have it
    publisher: Optional[str]  # who published it
    fits: Tuple[str, ...]  # backbones that the publisher's names fit
    first_names: List[str]  # what it begins with

    @property
    def next_command(self) -> Optional[str]:
        """What may be done with it, as a command line, or ``None``."""
        path = shlex.quote(self.path)
        if self.mode is not None and self.heads:
            method = " --method foreground" if self.foreground else ""
            return f"dgl localize IMAGE --load {path}{method}"
        if self.fits:
            choice = "" if len(self.fits) == 1 else " --mode " + self.fits[0]
            return f"dgl convert {path}{choice}"
        if self.mode is not None:
            return f"dgl train --mode {self.mode} --load {path} --data DATA"
        return None


def read_facts(load: str) -> Facts:
    """Find out what a checkpoint is, given as ``--load`` takes it.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    backbone = by_short_name(load)
    if backbone is not None:
        load = find_weights(backbone, load)
    checkpoint = under_our_names(open_checkpoint(load))
    shapes = checkpoint.shapes
    mode = mode_of(shapes)
    backbone = get_backbone(mode) if mode else None
    heads = backbone.find_heads(shapes) if backbone else {}
    card = read_card(checkpoint.path)
    parts = glob.escape(checkpoint.path)
    files = glob.glob(parts + ".index") + glob.glob(parts + ".data-*")  # of TensorFlow's
    slots = _slots(shapes)
    publisher, fits = _publisher(checkpoint, mode, bool(slots))
    return Facts(
        path=checkpoint.path,
        format=checkpoint.format,
        bytes=sum(map(os.path.getsize, files or [checkpoint.path])),
        mode=mode,
        heads=heads,
        foreground=tuple(head_layers(shapes)),
        width=backbone.find_width(shapes, checkpoint.path) if backbone else None,
        norm=backbone.find_norm(shapes) if backbone and len(backbone.norms) > 1 else None,
        card=card,
        class_names=_class_names(card, backbone, heads),
        step=_step_of(checkpoint),
        variables=len(shapes),
        parameters=sum(
            int(np.prod(np.array(shape, object)))  # beyond int64 too
            for name, shape in shapes.items()
            if shape and name not in slots
        ),
        slots=dict(Counter(slots.values())),
        publisher=publisher,
        fits=fits,
        first_names=list(shapes)[:4],
    )


def _class_names(
    card: Optional[ModelCard], backbone: Optional[Backbone], heads: Dict[str, int]
) -> Tuple[str, ...]:
    """The card's names, or those of the first head whose classes have names."""
    if card is not None and card.class_names:
        return ClassNames.of(card.class_names).names
    if backbone is None:
        return ()
    found = (class_names_of(card, backbone, *head).names for head in heads.items())
    return next(filter(None, found), ())


def _slots(shapes: Shapes) -> Dict[str, str]:
    """Variable of an optimizer -> its slot: one of the shape of another variable, named below it."""
    found = {}
    for name, shape in shapes.items():
        base, _, slot = name.rpartition("/")
        if shape and shapes.get(base) == shape:
            found[name] = slot
    return found


def _step_of(checkpoint: Checkpoint) -> Optional[int]:
    if checkpoint.shapes.get(_STEP) != ():
        return None
    value = np.asarray(checkpoint.read(_STEP))
    return int(value) if value.dtype.kind in "iu" else None


def _publisher(
    checkpoint: Checkpoint, mode: Optional[str], is_training: bool
) -> Tuple[Optional[str], Tuple[str, ...]]:
    """(name of the publisher, backbones that the names fit).

    Tensorpack's ResNets have this project's own names; they are recognized by the name of the file.
    """
    found = recognize(checkpoint.shapes)
    if found is None:
        return None, ()
    if found.publisher == TENSORPACK and mode != "vgg":
        files = [file for fit in found.modes for file in published_files(fit, found.publisher)]
        names = {file.file_name for file in files}
        if is_training or os.path.basename(checkpoint.path) not in names:
            return None, ()
    return PUBLISHERS[found.publisher], found.modes
