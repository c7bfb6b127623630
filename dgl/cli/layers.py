"""`dgl layers`: the layers that `--layer` takes, with what each of them sees of the picture."""

import argparse

from dgl.backbones import BACKBONES
from dgl.cli.output import add_json_flag, answers, document
from dgl.errors import UserError

NAME = "layers"
HELP = "list a backbone's layers: index, name, shape, stride and receptive field"
EXAMPLES = (
    "dgl layers --mode vgg",
    "dgl layers --load train_log/vgg_birds",
    "dgl layers --mode resnet50se --image_size 448 --json",
)

_GATES = (
    "A receptive field is the part of the image that one place sees, padding included. The global "
    "pooling of\nsqueeze-excite's gates, through which every place sees all of the image, is left out of "
    "it."
)
_FIELDS = "A receptive field is the part of the image that one place sees, padding included."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the table."""
    parser.add_argument("--mode", choices=sorted(BACKBONES), help="backbone (that of --load)")
    parser.add_argument("--load", help="checkpoint, whose width and norm count")
    parser.add_argument(
        "--image_size", type=int, help="side of the input (that of the checkpoint's card, 224)"
    )
    add_json_flag(parser, "the table")


def run(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    if args.mode is None and args.load is None:
        raise UserError("--mode: expected, as no --load is given: " + ", ".join(BACKBONES))
    if args.image_size is not None and not 32 <= args.image_size <= 4096:
        raise UserError(f"--image_size {args.image_size}: expected 32 to 4096")
    with answers(args.json) as answer:
        from dgl.backbones.receptive_field import layer_table

        backbone, options, size = _network_of(args)
        table = layer_table(backbone, options, size)
        facts = {"mode": backbone.mode, "width": options.width, "image_size": size}
        facts["layers"] = [_facts(layer) for layer in table]
        answer(document(facts) if args.json else _text(facts))
    return 0


def _network_of(args):
    """(registry entry, build options, side of the input) that the flags ask for."""
    from dgl.backbones import BuildOptions, get_backbone
    from dgl.data.layouts.label_list import PUBLISHED_CLASSES
    from dgl.predict.predictor import DEFAULT_IMAGE_SIZE

    if args.load is None:
        backbone = get_backbone(args.mode)
        classes = PUBLISHED_CLASSES["imagenet"]
        options = BuildOptions(classes, backbone.head_name("imagenet", classes))
        return backbone, options, args.image_size or DEFAULT_IMAGE_SIZE
    from dgl.weights import find_weights, open_checkpoint, options_from, read_card
    from dgl.weights.identify import mode_for

    backbone = get_backbone(args.mode or mode_for(args.load))
    path = find_weights(backbone, args.load)
    card = read_card(path)
    options = options_from(
        backbone, open_checkpoint(path), last_stride=card.last_stride if card else 1
    )
    own_size = card.image_size if card else DEFAULT_IMAGE_SIZE
    return backbone, options, args.image_size or own_size


def _facts(layer):
    field = layer.field
    return {
        "index": layer.index,
        "name": layer.name,
        "shape": list(layer.shape),
        "stride": list(field.stride),
        "receptive_field": list(field.size),
        "has_global_gate": field.sees_all,
    }


def _pair(values):
    """``3``, or ``1 x 7`` where height and width differ."""
    return str(values[0]) if values[0] == values[1] else "{} x {}".format(*values)


def _text(facts):
    from dgl.utils.table import format_table

    rows = [
        {
            "index": row["index"],
            "name": row["name"],
            "shape": " x ".join(map(str, row["shape"])),
            "stride": _pair(row["stride"]),
            "receptive field": _pair(row["receptive_field"]),
        }
        for row in facts["layers"]
    ]
    gated = any(row["has_global_gate"] for row in facts["layers"])
    return (
        "{mode}, width {width:g}, {image_size} x {image_size} pixels\n\n{table}\n\n{notes}".format(
            table=format_table(rows), notes=_GATES if gated else _FIELDS, **facts
        )
    )
