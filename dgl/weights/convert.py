"""Convert published ImageNet weights into a file that `--load` takes, for fine-tuning.

``dgl convert vgg16-397923af.pth`` writes ``pretrain_model/vgg16.npz``. The publisher is recognized by the
names in the file; ``docs/weights.md`` lists the files.
"""

import os
import runpy
import sys
from typing import Dict, NamedTuple, Optional, Sequence

import numpy as np
from tqdm import tqdm

from dgl.backbones import BACKBONES, BuildOptions, get_backbone
from dgl.backbones.published import (
    OURS,
    PUBLISHERS,
    Preprocessing,
    PublishedFile,
    PublishedNames,
    Shapes,
)
from dgl.backbones.registry import Backbone
from dgl.errors import UserError
from dgl.weights.checkpoint import Checkpoint, open_checkpoint, read_weights
from dgl.weights.formats.npz import save_npz
from dgl.weights.identify import find_loadable, recognize
from dgl.weights.model_card import ModelCard, write_card
from dgl.weights.restore import check_fit, network_variables
from dgl.weights.sources import PRETRAINED_FOLDER, converted_name, published_files


class Conversion(NamedTuple):
    """What was done."""

    out: str  # the file written
    published: PublishedFile  # what the input was taken for
    preprocessing: Optional[Preprocessing]  # folded into the first layer; `None`: left as it is
    written: int  # number of variables
    left_out: int  # number of the input's variables that the network does not use
    mode: str  # the backbone


def _choose_mode(checkpoint: Checkpoint, modes: Sequence[str], mode: Optional[str]) -> str:
    if mode is None:
        if len(modes) == 1:
            return modes[0]
        raise UserError(
            f"{checkpoint.path}: its layers fit no network exactly; name the one it is nearest to with "
            f"--mode: {', '.join(modes)}"
        )
    if get_backbone(mode).mode not in modes:
        found = " or ".join(modes)
        raise UserError(f"{checkpoint.path}: holds weights of {found}, not of --mode {mode}")
    return mode


def _choose_file(
    checkpoint: Checkpoint, publisher: str, mode: str, published_as: Optional[str]
) -> PublishedFile:
    """The published file that it is, which decides the preprocessing."""
    found = published_files(mode, publisher)
    names = ", ".join(entry.file_name for entry in found)
    if not found:
        raise UserError(
            f"{checkpoint.path}: {PUBLISHERS[publisher]} is not known to publish {mode}"
        )
    wanted = published_as or os.path.basename(checkpoint.path)
    named = next((entry for entry in found if entry.file_name == wanted), None)
    if named is None and published_as:
        raise UserError(
            f"--published-as {published_as}: {PUBLISHERS[publisher]} of {mode} publishes {names}"
        )
    # A renamed file is taken for the one that DGL started from; what is printed names it.
    return named or found[0]


def _expected(backbone: Backbone, checkpoint: Checkpoint, names: PublishedNames) -> Shapes:
    """Variable name -> shape of what the file can give, at the width of its first layer."""
    # Networks to which DGL adds no layers keep the publisher's classification layer.
    head = [] if backbone.own_layers else [backbone.heads["imagenet"] + "/W"]
    pieces = names.pieces(checkpoint.shapes, [backbone.stem, *head])
    shapes = {
        name: piece.ours(checkpoint.shapes[piece.name])
        for name, piece in pieces.items()
        if piece.name in checkpoint.shapes
    }
    classes = next(iter(backbone.find_heads(shapes).values()), 1)
    width = backbone.find_width(shapes, checkpoint.path)
    options = BuildOptions(classes, backbone.head_name("imagenet", classes), width=width or 1.0)
    variables = network_variables(backbone, options)
    return {name: shape for name, shape in variables.items() if not backbone.is_own(name)}


def _check_out(out: str, path: str, force: bool) -> None:
    if not out.endswith(".npz"):
        raise UserError(f"--out {out}: expected a name ending in .npz")
    if os.path.realpath(out) == os.path.realpath(path):
        raise UserError(f"{out}: is the input itself; name another file with --out")
    if os.path.exists(out) and not force:
        raise UserError(
            f"{out}: exists; name another file with --out, or overwrite it with --force"
        )


def _unknown(checkpoint: Checkpoint) -> UserError:
    if any(backbone.stem in checkpoint.shapes for backbone in BACKBONES.values()):
        return UserError(
            f"{checkpoint.path}: has this project's names already; give it to --load as it is"
        )
    return UserError(
        f"{checkpoint.path}: not recognized as weights published by {', '.join(PUBLISHERS.values())} "
        f"(docs/weights.md lists them); it begins with {checkpoint.first_names}"
    )


# Scope of the first convolution -> what takes the constant, and with which sign.
_CONSTANTS = (("/b", 1.0), ("/bn/mean/EMA", -1.0), ("/BatchNorm/moving_mean", -1.0))


def fold_preprocessing(
    variables: Dict[str, np.ndarray], stem: str, preprocessing: Preprocessing
) -> None:
    """Fold a publisher's preprocessing into the first layer, so that it takes normalized BGR.

    A publisher's network sees ``(p - m) / s`` of a pixel value p, ours ``x = (p - M) / S``. Since
    ``(p - m) / s = x S / s + (M - m) / s``, each input channel of the first convolution is scaled by
    ``S / s``, and the constant ``(M - m) / s`` goes into the biases, or out of the BatchNorm's mean.

    Exact where the kernel lies inside the image. At the border both networks pad with zeros after their
    own preprocessing, that is with their own mean color, so outputs differ there unless the means agree.

    Args:
        variables: variable name -> float32 array, changed in place.
        stem: name of the first convolution's weights, (rows, columns, 3, outputs).
        preprocessing: :class:`~dgl.backbones.published.Preprocessing` of the publisher's network.
    """
    weights = variables[stem].astype("float64")
    if preprocessing.order != OURS.order:
        weights = weights[:, :, ::-1]
        preprocessing = preprocessing.in_order(OURS.order)
    mean, std = np.asarray(preprocessing.mean), np.asarray(preprocessing.std)
    constant = np.einsum("hwco,c->o", weights, (np.asarray(OURS.mean) - mean) / std)
    scope = stem.rsplit("/", 1)[0]
    for ending, sign in _CONSTANTS:
        if scope + ending in variables:
            value = variables[scope + ending].astype("float64") + sign * constant
            variables[scope + ending] = value.astype("float32")
    scaled = weights * (np.asarray(OURS.std) / std)[:, np.newaxis]
    variables[stem] = np.ascontiguousarray(scaled, "float32")


def _divide_activations(
    variables: Dict[str, np.ndarray], backbone: Backbone, divisor: float
) -> None:
    """Divide every activation of a network of ReLUs by a number: its first weights and all biases."""
    flag = f"--divide-activations {divisor:g}"
    if backbone.norms[0] != "none" or len(backbone.norms) == 1:
        raise UserError(f"{flag}: {backbone.mode} has normalization layers; expected vgg")
    if not 0 < divisor < float("inf"):
        raise UserError(f"{flag}: expected a positive number")
    for name in variables:
        if name == backbone.stem or name.endswith("/b"):
            variables[name] = variables[name] / np.float32(divisor)


def convert(
    path: str,
    out: Optional[str] = None,
    mode: Optional[str] = None,
    published_as: Optional[str] = None,
    channels: Optional[str] = None,
    keep_first_layer: bool = False,
    strides: Optional[str] = None,
    divide_activations: float = 1.0,
    force: bool = False,
) -> Conversion:
    """Write published weights under this project's names.

    Args:
        path: a file that :func:`~dgl.weights.checkpoint.open_checkpoint` opens.
        out: the ``.npz`` to write; by default where the short name of ``--load`` is looked for.
        mode: backbone; only needed when the file's layers fit none exactly.
        published_as: which published file it is, when its own name does not tell.
        channels: ``"rgb"`` or ``"bgr"``, instead of the publisher's order of the input channels.
        keep_first_layer: leave the first layer as published.
        strides: of a ResNet, in place of those that its publisher trained it with. They stand in the
            model card that is written beside ``out``.
        divide_activations: positive number; a VGG's activations become so many times smaller, which its
            ReLUs allow exactly. Those of published weights reach several hundred, too large for the usual
            learning rates.
        force: overwrite ``out``.

    Raises:
        UserError: not recognized, incomplete, of wrong shapes or not finite; ``out`` exists.
    """
    checkpoint = open_checkpoint(path)
    if find_loadable(checkpoint.shapes) is not None:
        raise UserError(f"{checkpoint.path}: needs no conversion; give it to --load as it is")
    recognized = recognize(checkpoint.shapes)
    if recognized is None:
        raise _unknown(checkpoint)
    mode = _choose_mode(checkpoint, recognized.modes, mode)
    backbone = get_backbone(mode)
    names = backbone.names_of(recognized.publisher)
    file = _choose_file(checkpoint, recognized.publisher, mode, published_as)
    if out is None:
        file_name = next(iter(backbone.pretrained.values()))
        out = os.path.join(PRETRAINED_FOLDER, converted_name(file_name))
    _check_out(out, checkpoint.path, force)
    strides = backbone.check_strides(strides or file.strides)
    expected = _expected(backbone, checkpoint, names)
    pieces = names.pieces(checkpoint.shapes, list(expected))
    stored = {piece.name: piece.theirs(expected[name]) for name, piece in pieces.items()}
    check_fit(stored, checkpoint, mode)
    names.check(checkpoint)
    variables = {
        name: np.ascontiguousarray(piece.array(read_weights(checkpoint, piece.name)))
        for name, piece in tqdm(pieces.items(), desc="reading", unit=" variables", disable=None)
    }
    preprocessing = None
    if not keep_first_layer:
        preprocessing = file.preprocessing.in_order(channels or file.preprocessing.order)
        fold_preprocessing(variables, backbone.stem, preprocessing)
    if divide_activations != 1:
        _divide_activations(variables, backbone, divide_activations)
    save_npz(out, variables)
    if len(backbone.strides) > 1:
        card = ModelCard(mode, backbone.image_size, strides=strides)
        write_card(os.path.splitext(out)[0] + ".json", card)
    left_out = len(checkpoint.shapes) - len(variables)
    return Conversion(out, file, preprocessing, len(variables), left_out, mode)


if __name__ == "__main__":  # how `dgl convert` was called before there was `dgl`
    sys.argv.insert(1, "convert")
    runpy.run_module("dgl.cli", run_name="__main__")
