"""Identify the backbone of a checkpoint, and who published it, from the names of its variables."""

from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from dgl.backbones import BACKBONES, DEFAULT_MODE, get_backbone
from dgl.backbones.published import EXACT, NEAR, PUBLISHERS, TENSORPACK, PublishedNames, Shapes
from dgl.backbones.registry import Backbone
from dgl.errors import UserError
from dgl.weights.checkpoint import Checkpoint, is_checkpoint, open_checkpoint
from dgl.weights.foreign_model import EXPORT, MODE, model_kind
from dgl.weights.model_card import read_card

# Weights of other networks have no graph that could be run.
_OF_PYTORCH = f"; for another network give its graph, an ONNX file: {EXPORT}"
_OF_KERAS = "; for another network give the whole model: model.save('model.keras')"


class Recognized(NamedTuple):
    """Who published a checkpoint."""

    publisher: str  # a key of PUBLISHERS
    modes: Tuple[
        str, ...
    ]  # backbones that its names fit; several for a file whose depth is unclear


def recognize(shapes: Shapes) -> Optional[Recognized]:
    """Recognize published weights by the names of a checkpoint's variables."""
    found: Dict[Tuple[str, Optional[str]], List[str]] = {}
    for backbone in BACKBONES.values():
        for names in backbone.published_names:
            found.setdefault((names.publisher, names.fits(shapes)), []).append(backbone.mode)
    for publisher in PUBLISHERS:
        modes = found.get((publisher, EXACT)) or found.get((publisher, NEAR))
        if modes:
            return Recognized(publisher, tuple(modes))
    return None


def find_loadable(shapes: Shapes) -> Optional[Tuple[Backbone, PublishedNames]]:
    """The backbone whose published file ``--load`` takes as it is, and the names in it."""
    for backbone in BACKBONES.values():
        for names in backbone.published_names:
            if names.variables is not None and names.fits(shapes) == EXACT:
                return backbone, names
    return None


def under_our_names(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint under this project's names, if it is a published file that needs no conversion.

    Any other is returned as it is.
    """
    loadable = find_loadable(checkpoint.shapes)
    if loadable is None:
        return checkpoint
    _, names = loadable
    assert names.variables is not None
    pieces = names.pieces(checkpoint.shapes, names.variables(checkpoint.shapes))
    pieces = {name: piece for name, piece in pieces.items() if piece.name in checkpoint.shapes}

    def read(name: str) -> np.ndarray:
        piece = pieces[name]
        return np.asarray(piece.array(checkpoint.read(piece.name)))

    shapes = {name: piece.ours(checkpoint.shapes[piece.name]) for name, piece in pieces.items()}
    return Checkpoint(checkpoint.path, shapes, read, checkpoint.format)


def mode_of(shapes: Shapes) -> Optional[str]:
    """The backbone that has these variables, under names that ``--load`` takes, or ``None``."""
    found = next((one.mode for one in BACKBONES.values() if one.matches(shapes)), None)
    loadable = None if found else find_loadable(shapes)
    return loadable[0].mode if loadable else found


def identify(checkpoint: Checkpoint) -> str:
    """The mode of a checkpoint's backbone.

    Raises:
        UserError: it is of none; the message says what was found.
    """
    mode = mode_of(checkpoint.shapes)
    if mode is None:
        raise UserError(f"{checkpoint.path}: {_what_instead(checkpoint)}")
    return mode


def by_short_name(load: str) -> Optional[Backbone]:
    """The backbone whose ImageNet weights have the short name ``load``; ``None`` for a path."""
    if is_checkpoint(load):
        return None
    return next((one for one in BACKBONES.values() if load in one.pretrained), None)


def known_mode(load: Optional[str]) -> Optional[str]:
    """The backbone of ``--load`` as far as its short name or model card tells, without TensorFlow."""
    if load is None:
        return DEFAULT_MODE
    backbone = by_short_name(load)
    if backbone is not None:
        return backbone.mode
    if model_kind(load) is not None:
        return None  # a .json beside it is about something else
    card = read_card(load)
    return card.mode if card is not None and card.mode in BACKBONES else None


def mode_for(load: str) -> str:
    """The backbone of ``--load``, a short name or a path, if no ``--mode`` is given.

    The model card takes precedence over the names of variables.

    Raises:
        UserError: no such checkpoint, or one of no backbone of this project.
    """
    return known_mode(load) or identify(open_checkpoint(load))


def default_weights(mode: Optional[str], load: Optional[str]) -> Tuple[str, str]:
    """The (backbone, weights) that ``--mode`` and ``--load`` mean, either of which may be absent.

    The backbone is by default that of ``load``, else :data:`~dgl.backbones.DEFAULT_MODE`; the weights
    are by default its ImageNet weights.

    Raises:
        UserError: see :func:`mode_for`; unknown mode; a mode for a model that others built, whose own is
            :data:`dgl.weights.foreign_model.MODE`.
    """
    if model_kind(load) is not None:
        if mode not in (None, MODE):
            raise UserError(
                f"--mode {mode}: expected none with {load}, which brings its network along"
            )
        return MODE, str(load)
    if load is None:
        mode = mode or DEFAULT_MODE
        return mode, next(iter(get_backbone(mode).pretrained))
    return mode or mode_for(load), load


def _what_instead(checkpoint: Checkpoint) -> str:
    recognized = recognize(checkpoint.shapes)
    if recognized is not None and recognized.publisher != TENSORPACK:
        return (
            f"holds weights of {' or '.join(recognized.modes)} under the names of "
            f"{PUBLISHERS[recognized.publisher]}; `dgl convert {checkpoint.path}` makes a file for --load "
            "of it"
        )
    near = [one for one in BACKBONES.values() if one.stem in checkpoint.shapes]
    if near:
        modes = ", ".join(one.mode for one in near)
        return f"has {near[0].stem} but not the blocks of {modes}"
    message = (
        f"holds no backbone of this project ({', '.join(BACKBONES)}); it begins with "
        f"{checkpoint.first_names}"
    )
    if any(name.endswith(".weight") for name in checkpoint.shapes):
        return message + _OF_PYTORCH
    return message + (_OF_KERAS if checkpoint.path.lower().endswith((".h5", ".hdf5")) else "")
