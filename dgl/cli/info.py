"""`dgl info` and `dgl layers`: what a checkpoint contains, and the layers of a backbone."""

import argparse
import os
from typing import Any, Dict, Optional, Sequence, Tuple

from dgl.backbones import BACKBONES, DEFAULT_MODE, BuildOptions, get_backbone
from dgl.cli import flags
from dgl.data.layouts.label_list import PUBLISHED_CLASSES
from dgl.errors import UserError, printable
from dgl.utils.table import format_table
from dgl.weights import open_weights, options_from, read_card
from dgl.weights.identify import mode_for
from dgl.weights.model_card import default_image_size
from dgl.weights.restore import first_of

_SHOWN_NAMES = 8  # class names in the text output

_FIELDS = (
    "A receptive field is the part of the image that one position depends on, padding included."
)
_GATES = (
    "It leaves out the global pooling of squeeze-excite gates, through which each position depends on the "
    "whole image."
)


def _add_flags(parser: argparse.ArgumentParser) -> None:
    groups = flags.add_groups(parser)
    groups["main"].add_argument(
        "checkpoint",
        metavar="CKPT",
        help="TensorFlow prefix or its folder, .ckpt, .npz, .h5, .pth or .safetensors",
    )
    flags.add_json(groups["output"], "the description")


def _run(args: argparse.Namespace) -> int:
    with flags.answering(args) as answer:
        from dgl.weights.facts import read_facts

        facts = read_facts(args.checkpoint)
        description = _describe(facts, _epoch_of(facts))
        answer(description, _description_text(description))
    return 0


def _epoch_of(facts: Any) -> Optional[int]:
    """The epoch that ended at the checkpoint's step, if the training log beside it has it."""
    folder = os.path.dirname(facts.path) or os.curdir
    if facts.step is None or not os.path.isfile(os.path.join(folder, "stats.json")):
        return None
    from dgl.training.log_folder import read_rows

    try:
        rows = read_rows(folder)
    except UserError:
        return None  # another program's file, or a damaged one
    epochs: Dict[int, int] = {row["global_step"]: row["epoch_num"] for row in reversed(rows)}
    return epochs.get(facts.step)


def _describe(facts: Any, epoch: Optional[int]) -> Dict[str, Any]:
    card = facts.card
    return {
        "path": facts.path,
        "format": facts.format,
        "bytes": facts.bytes,
        "backbone": facts.mode,
        "heads": dict(facts.heads),
        "foreground": list(facts.foreground) or None,
        "width": facts.width,
        "norm": facts.norm,
        "image_size": card.image_size if card else None,
        "last_stride": card.last_stride if card else None,
        "strides": card.strides if card else None,
        "data_set": card.data_set or None if card else None,
        "class_names": list(facts.class_names) or None,
        "step": facts.step,
        "epoch": epoch,
        "variables": facts.variables,
        "parameters": facts.parameters,
        "optimizer": dict(sorted(facts.slots.items())),
        "publisher": facts.publisher,
        "fits": list(facts.fits),
        "first_names": facts.first_names,
        "next": facts.next_command,
    }


def _description_text(facts: Dict[str, Any]) -> str:
    unknown = "none of this project's; first variables: " + ", ".join(facts["first_names"])
    publisher = facts["publisher"] and f"{facts['publisher']} ({', '.join(facts['fits'])})"
    optimizer = (f"{slot} of {count} variables" for slot, count in facts["optimizer"].items())
    trained = None if facts["step"] is None else f"{facts['step']:,} steps"
    if trained and facts["epoch"] is not None:
        trained += f", epoch {facts['epoch']}"
    foreground = ", ".join(facts["foreground"] or [])
    size = facts["bytes"]
    rows = [
        ("file", facts["path"]),
        ("format", f"{facts['format']}, {size / 1e6:.1f} MB" if size >= 1e5 else
         f"{facts['format']}, {size:,} bytes"),
        ("backbone", facts["backbone"] or unknown),
        ("publisher", publisher),
        ("classes", "; ".join(f"{count} in {head}" for head, count in facts["heads"].items())),
        ("foreground", foreground and f"head on {foreground}, for --method foreground and refined"),
        ("class names", first_of(facts["class_names"] or [], _SHOWN_NAMES)),
        ("data set", facts["data_set"]),
        ("image size", facts["image_size"]),
        ("width", facts["width"] and f"{facts['width']:g}"),
        ("norm", facts["norm"]),
        ("trained", trained),
        ("parameters", f"{facts['parameters']:,} in {facts['variables']} variables"),
        ("optimizer", ", ".join(optimizer)),
        ("next", facts["next"]),
    ]  # fmt: skip
    return "\n".join(f"{name:12} {printable(str(text))}" for name, text in rows if text)


def _add_layers_flags(parser: argparse.ArgumentParser) -> None:
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add("--load", help="checkpoint, which gives backbone, width and normalization")
    add(
        "--mode", choices=sorted(BACKBONES),
        help="backbone (default: that of --load, else efficientnet_lite0)",
    )  # fmt: skip
    add(
        "--image_size", type=int,
        help="side of the input in pixels (default: the checkpoint's, or 224)",
    )  # fmt: skip
    flags.add_json(groups["output"], "the layers")


def _run_layers(args: argparse.Namespace) -> int:
    flags.check_ranges(args, image_size=(32, 4096))
    with flags.answering(args) as answer:
        from dgl.backbones.receptive_field import layer_table

        backbone, options, size = _network_of(args)
        table = {"mode": backbone.mode, "width": options.width, "image_size": size}
        table["layers"] = [
            {
                "index": layer.index,
                "name": layer.name,
                "shape": list(layer.shape),
                "stride": list(layer.field.stride),
                "receptive_field": list(layer.field.size),
                "has_global_gate": layer.field.sees_all,
            }
            for layer in layer_table(backbone, options, size)
        ]
        answer(table, _layers_text(table))
    return 0


def _network_of(args: argparse.Namespace) -> Tuple[Any, Any, int]:
    """Backbone, build options and input size for the flags."""
    if args.load is None:
        backbone = get_backbone(args.mode or DEFAULT_MODE)
        classes = PUBLISHED_CLASSES["imagenet"]
        options = BuildOptions(classes, backbone.head_name("imagenet", classes))
        return backbone, options, args.image_size or backbone.image_size
    backbone = get_backbone(args.mode or mode_for(args.load))
    checkpoint = open_weights(backbone, args.load)
    card = read_card(checkpoint.path)
    options = options_from(backbone, checkpoint, card=card)
    return backbone, options, args.image_size or default_image_size(backbone, card)


def _layers_text(table: Dict[str, Any]) -> str:
    rows = [
        {
            "index": row["index"],
            "name": row["name"],
            "shape": " x ".join(map(str, row["shape"])),
            "stride": _square(row["stride"]),
            "receptive field": _square(row["receptive_field"]),
        }
        for row in table["layers"]
    ]
    title = "{mode}, width {width:g}, {image_size} x {image_size} pixels".format(**table)
    is_gated = any(row["has_global_gate"] for row in table["layers"])
    return f"{title}\n\n{format_table(rows)}\n\n{_FIELDS}" + (f"\n{_GATES}" if is_gated else "")


def _square(sides: Sequence[int]) -> str:
    """``3``, or ``1 x 7`` if height and width differ."""
    return str(sides[0]) if sides[0] == sides[1] else "{} x {}".format(*sides)


INFO = flags.Command(
    name="info",
    help="describe a checkpoint: backbone, classes, width, data set, training step",
    examples=(
        "dgl info train_log/vgg_birds",
        "dgl info birds_vgg.npz --json",
        "dgl info vgg16-397923af.pth",
    ),
    add_flags=_add_flags,
    run=_run,
)

LAYERS = flags.Command(
    name="layers",
    help="list a backbone's layers: index, name, shape, stride and receptive field",
    examples=(
        "dgl layers",
        "dgl layers --mode vgg",
        "dgl layers --load train_log/vgg_birds",
        "dgl layers --mode resnet50se --image_size 448 --json",
    ),
    add_flags=_add_layers_flags,
    run=_run_layers,
)
