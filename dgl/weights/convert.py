"""Turn published ImageNet weights into a file that `--load` takes, for fine-tuning.

``python -m dgl.weights.convert vgg16-397923af.pth`` writes ``pretrain_model/vgg16.npz``. The publisher is
recognized by the names in the file; ``docs/weights.md`` lists the files.
"""

import argparse
import os
from typing import List, NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from dgl.backbones import BACKBONES, BuildOptions, get_backbone
from dgl.backbones.registry import MOST_CLASSES
from dgl.errors import UserError, run_script
from dgl.weights.checkpoint import open_checkpoint, read_weights
from dgl.weights.formats.npz import save_npz
from dgl.weights.published import PUBLISHERS, Published, converted_name, entries
from dgl.weights.restore import PRETRAINED_FOLDER, network_variables
from dgl.weights.sources import recognize
from dgl.weights.sources.first_layer import fold

_IMAGE_SIZE = 64  # any size has the same variables
_NAMED = 4


class Conversion(NamedTuple):
    """What was done.

    Attributes:
        out: the file written.
        published: :class:`~dgl.weights.published.Published`, what the input was taken for.
        preprocessing: what was folded into the first layer, or ``None`` when it was left as it is.
        written: number of variables.
        left_out: number of the input's variables that the network does not use.
    """

    out: str
    published: Published
    preprocessing: object
    written: int
    left_out: int


def _choose_mode(checkpoint, modes, mode):
    if mode is None and len(modes) == 1:
        return modes[0]
    if mode is None:
        raise UserError(
            "{}: its layers fit no network exactly; name the one it is nearest to with --mode: "
            "{}".format(checkpoint.path, ", ".join(modes))
        )
    get_backbone(mode)
    if mode not in modes:
        raise UserError(
            "{}: holds weights of {}, not of --mode {}".format(
                checkpoint.path, " or ".join(modes), mode
            )
        )
    return mode


def _choose_entry(checkpoint, source, mode, published_as):
    """Which published file it is: that decides the preprocessing, which no variable's name tells."""
    found = entries(mode, source.key)
    names = ", ".join(entry.file_name for entry in found)
    if not found:
        raise UserError(
            f"{checkpoint.path}: {PUBLISHERS[source.key]} is not known to publish {mode}"
        )
    wanted = published_as or os.path.basename(checkpoint.path)
    for entry in found:
        if entry.file_name == wanted:
            return entry
    if published_as:
        raise UserError(
            f"--published-as {published_as}: {PUBLISHERS[source.key]} of {mode} publishes {names}"
        )
    # A renamed file is taken for the one that DGL started from; what is printed names it.
    return found[0]


def _expected(backbone, checkpoint, source, head_piece):
    """Variable name -> shape of what a publisher's file can give, at the width of its first layer."""
    stem = next(iter(source.pieces(checkpoint.shapes, [backbone.stem]).values()))
    if stem.name not in checkpoint.shapes:
        raise UserError(f"{checkpoint.path}: not the weights of {backbone.mode}: lacks {stem.name}")
    width = backbone.width_from(
        checkpoint.shapes[stem.name],
        f"{checkpoint.path}: {stem.name}",
        0 if stem.axes else -1,
    )
    classes = head_piece[-1] if head_piece else 1
    options = BuildOptions(classes, backbone.head_name("imagenet", classes), width=width)
    variables = network_variables(backbone, options, _IMAGE_SIZE)
    return {name: shape for name, shape in variables.items() if not backbone.is_own(name)}


def _transposed(shape, axes):
    return tuple(shape[axis] for axis in axes) if axes and len(shape) == len(axes) else shape


def _head_shape(backbone, checkpoint, source):
    """Shape of the classification layer, for the networks that keep the publisher's."""
    if backbone.own_layers:
        return None
    piece = source.pieces(checkpoint.shapes, [backbone.heads["imagenet"] + "/W"])
    piece = next(iter(piece.values()))
    shape = _transposed(checkpoint.shapes.get(piece.name, ()), piece.axes)
    if shape and not 1 <= shape[-1] <= MOST_CLASSES:
        raise UserError(
            f"{checkpoint.path}: {piece.name} is {list(checkpoint.shapes[piece.name])}, expected the weights of 1 to {MOST_CLASSES} classes"
        )
    return shape


def _check_shapes(checkpoint, mode, expected, pieces):
    missing = [piece.name for piece in pieces.values() if piece.name not in checkpoint.shapes]
    wrong = []
    for name, piece in pieces.items():
        stored = checkpoint.shapes.get(piece.name)
        if stored is not None and _transposed(stored, piece.axes) != expected[name]:
            wrong.append(
                f"{piece.name} is {list(stored)}, expected {list(_stored_shape(expected[name], piece.axes))}"
            )
    faults = ["lacks " + ", ".join(missing[:_NAMED])] if missing else []
    faults += wrong[: _NAMED - 1]
    more = len(missing) - _NAMED if len(missing) > _NAMED else 0
    more += max(0, len(wrong) - (_NAMED - 1))
    if faults:
        raise UserError(
            "{}: not the weights of {}: {}{}".format(
                checkpoint.path,
                mode,
                "; ".join(faults),
                f" and {more} more" if more else "",
            )
        )


def _stored_shape(shape, axes):
    """A shape of this project's in the publisher's layout."""
    if not axes:
        return shape
    stored = [0] * len(shape)
    for position, axis in enumerate(axes):
        stored[axis] = shape[position]
    return tuple(stored)


def _read(checkpoint, pieces):
    variables = {}
    for name, piece in tqdm(pieces.items(), desc="reading", unit=" variables", disable=None):
        value = read_weights(checkpoint, piece.name)
        value = np.transpose(value, piece.axes) if piece.axes else value
        variables[name] = np.ascontiguousarray(value)
    return variables


def _check_out(out, path, force):
    if not out.endswith(".npz"):
        raise UserError(f"--out {out}: expected a name ending in .npz")
    if os.path.realpath(out) == os.path.realpath(path):
        raise UserError(f"{out}: is the input itself; name another file with --out")
    if os.path.exists(out) and not force:
        raise UserError(
            f"{out}: exists; name another file with --out, or overwrite it with --force"
        )


def _unknown(checkpoint):
    for backbone in BACKBONES.values():
        if backbone.stem in checkpoint.shapes:
            return UserError(
                f"{checkpoint.path}: has this project's names already; give it to --load as it is"
            )
    return UserError(
        "{}: not recognized as weights published by {} (docs/weights.md lists them); it begins with "
        "{}".format(
            checkpoint.path,
            ", ".join(PUBLISHERS.values()),
            ", ".join(list(checkpoint.shapes)[:_NAMED]) or "nothing",
        )
    )


def convert(
    path: str,
    out: Optional[str] = None,
    mode: Optional[str] = None,
    published_as: Optional[str] = None,
    channels: Optional[str] = None,
    keep_first_layer: bool = False,
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
        force: overwrite ``out``.

    Returns:
        :class:`Conversion`.

    Raises:
        UserError: not recognized, incomplete, of wrong shapes or not finite; ``out`` exists.
    """
    checkpoint = open_checkpoint(path)
    recognized = recognize(checkpoint.shapes)
    if recognized is None:
        raise _unknown(checkpoint)
    source, modes = recognized
    mode = _choose_mode(checkpoint, modes, mode)
    backbone = get_backbone(mode)
    entry = _choose_entry(checkpoint, source, mode, published_as)
    if out is None:
        file_name = next(iter(backbone.pretrained.values()))
        out = os.path.join(PRETRAINED_FOLDER, converted_name(file_name))
    _check_out(out, checkpoint.path, force)
    head = _head_shape(backbone, checkpoint, source)
    expected = _expected(backbone, checkpoint, source, head)
    pieces = source.pieces(checkpoint.shapes, list(expected))
    _check_shapes(checkpoint, mode, expected, pieces)
    source.check(checkpoint)
    variables = _read(checkpoint, pieces)
    preprocessing = None
    if not keep_first_layer:
        preprocessing = entry.preprocessing.in_order(channels or entry.preprocessing.order)
        fold(variables, backbone.stem, preprocessing)
    save_npz(out, variables)
    return Conversion(
        out, entry, preprocessing, len(variables), len(checkpoint.shapes) - len(variables)
    )


def main(argv: Optional[List[str]] = None) -> int:
    from dgl.cli import convert as command

    parser = argparse.ArgumentParser(prog="python -m dgl.weights.convert", description=__doc__)
    command.add_flags(parser)
    return command.run(parser.parse_args(argv))


if __name__ == "__main__":
    run_script(main)
