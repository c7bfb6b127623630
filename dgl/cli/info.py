"""`dgl info`: what a checkpoint is, and what to do with it."""

import argparse
import os

from dgl.cli.output import add_json_flag, answers, document
from dgl.errors import UserError, printable

NAME = "info"
HELP = "tell what a checkpoint is: backbone, classes, width, data set, training step"
EXAMPLES = (
    "dgl info train_log/vgg_birds",
    "dgl info birds_vgg.npz --json",
    "dgl info vgg16-397923af.pth",
)

_NAMED = 8  # class names that the text shows


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the description."""
    parser.add_argument(
        "checkpoint",
        metavar="CKPT",
        help="a TensorFlow prefix, its folder, a .ckpt, .npz, .h5, .pth or .safetensors",
    )
    add_json_flag(parser, "the description")


def run(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    with answers(args.json) as answer:
        from dgl.weights.facts import read_facts

        facts = read_facts(args.checkpoint)
        described = _described(facts, _epoch_of(facts))
        answer(document(described) if args.json else _text(described))
    return 0


def _epoch_of(facts):
    """The epoch that ended with the checkpoint, as far as the training's statistics know."""
    folder = os.path.dirname(facts.path) or os.curdir
    if facts.step is None or not os.path.isfile(os.path.join(folder, "stats.json")):
        return None
    from dgl.training.statistics import read_rows

    try:
        rows = read_rows(folder)
    except UserError:
        return None  # of another program, or damaged: nothing is known
    return next((row["epoch_num"] for row in rows if row["global_step"] == facts.step), None)


def _described(facts, epoch):
    card = facts.card
    names = card.class_names if card else None
    return {
        "path": facts.path,
        "format": facts.format,
        "bytes": facts.bytes,
        "backbone": facts.mode,
        "heads": dict(facts.heads),
        "width": facts.width,
        "norm": facts.norm,
        "image_size": card.image_size if card else None,
        "last_stride": card.last_stride if card else None,
        "data_set": card.data_set or None if card else None,
        "class_names": list(names) if names else None,
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


def _text(told):
    rows = [
        ("file", told["path"]),
        ("format", "{format}, {size}".format(size=_size(told["bytes"]), **told)),
        ("backbone", told["backbone"] or "none of this project's; begins with "
         + ", ".join(told["first_names"])),
        ("publisher", told["publisher"] and "{} ({})".format(
            told["publisher"], ", ".join(told["fits"]))),
        ("classes", "; ".join(f"{n} in {head}" for head, n in told["heads"].items())),
        ("class names", _some(told["class_names"])),
        ("data set", told["data_set"]),
        ("image size", told["image_size"]),
        ("width", told["width"] and "{:g}".format(told["width"])),
        ("norm", told["norm"]),
        ("trained", _trained(told)),
        ("parameters", "{:,} in {} variables".format(told["parameters"], told["variables"])),
        ("optimizer", ", ".join("{} of {} variables".format(*item)
                                for item in told["optimizer"].items())),
        ("next", told["next"]),
    ]  # fmt: skip
    return "\n".join(f"{name:12} {printable(str(text))}" for name, text in rows if text)


def _trained(told):
    if told["step"] is None:
        return None
    text = "{:,} steps".format(told["step"])
    return text if told["epoch"] is None else "{}, epoch {}".format(text, told["epoch"])


def _some(names):
    if not names:
        return None
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _size(count):
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count:,} bytes"
