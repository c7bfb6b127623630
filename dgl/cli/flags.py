"""Flags that several commands have, their types and groups, the format of the help, and JSON output."""

import argparse
import contextlib
import json
import re
import sys
from typing import Any, Callable, Dict, Iterable, Iterator, NamedTuple, Optional, Tuple

from dgl.attribution import METHODS
from dgl.attribution.gradients import DEFAULT_ALPHA
from dgl.backbones import BACKBONES
from dgl.data.layouts import layout_names
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import FUSIONS
from dgl.utils.devices import FLOAT32, PRECISIONS

# The groups of flags in --help, in this order; a command without flags in a group does not show it.
GROUPS = ("main", "input", "model", "training", "map", "box", "metrics", "output", "speed")


class Command(NamedTuple):
    """A command of `dgl`; ``run`` takes the parsed flags and returns the exit code."""

    name: str
    help: str
    examples: Tuple[str, ...]
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Appends the default of a flag to its help, unless it is empty, a switch or named there."""

    def _get_help_string(self, action: argparse.Action) -> Optional[str]:
        default, text = action.default, action.help
        if not text or not action.option_strings or "%(default)" in text:
            return text
        if default in (None, True, False, argparse.SUPPRESS) or default == []:
            return text
        # A script that sets a default of its own has it in place of the usual one.
        text = re.sub(r" \(default: [^()]*\)$", "", text)
        shown = " ".join(default) if isinstance(default, (list, tuple)) else str(default)
        return "{} (default: {})".format(text, shown.replace("%", "%%"))


def help_options(text: str, examples: Iterable[str]) -> Dict[str, Any]:
    """Keywords of ``add_parser`` for a command that ``text`` describes."""
    return {
        "help": text,
        "description": text[:1].upper() + text[1:] + ".",
        "epilog": "examples:\n" + "".join(f"  {example}\n" for example in examples),
        "formatter_class": HelpFormatter,
    }


def add_groups(parser: argparse.ArgumentParser) -> Dict[str, Any]:
    """Add :data:`GROUPS` to a parser; returns name -> argument group."""
    return {name: parser.add_argument_group(name) for name in GROUPS}


def number(
    kind: Callable[[str], Any], low: float, high: float = float("inf"), name: str = ""
) -> Callable[[str], Any]:
    """The type of a flag that takes a number from ``low`` to ``high``, which messages call ``name``."""
    if not name:
        name = f"{'whole ' * (kind is int)}number from {low:g}"
        name += "" if high == float("inf") else f" to {high:.10g}"

    def parse(text: str) -> Any:
        try:
            value: Any = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high or value == float("inf"):
            raise argparse.ArgumentTypeError(f"{text}: expected a {name}")
        return value

    parse.__name__ = name
    return parse


count = number(int, 1)
seed = number(int, 0, 2**31 - 1)


def check_ranges(args: argparse.Namespace, **ranges: Tuple[float, float]) -> None:
    """Raise :class:`UserError` for a flag outside its range, which is named as its attribute is."""
    for name, (low, high) in ranges.items():
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            flag = name if name == "image_size" else name.replace("_", "-")
            expected = f"in [{low}, {high}]" if high < float("inf") else f"from {low}"
            raise UserError(f"--{flag} {value}: expected a value {expected}")


def add_data(group: Any) -> None:
    """Add the flags of how a data set is laid out."""
    group.add_argument("--dataname", help="list folder in DATA/labels, if there are several")
    group.add_argument(
        "--data-format", choices=layout_names(), help="layout of the data set, if not recognized"
    )


def add_layer(group: Any) -> None:
    """Add the flags of which map `dgl localize` and `dgl label` take boxes from."""
    group.add_argument(
        "--clayer", "--layer",
        help="layer of the map: index or name; a range such as 2-6 with --fuse (default: the backbone's)",
    )  # fmt: skip
    group.add_argument(
        "--method", choices=list(METHODS), default="dgl", help="attribution method for the box"
    )


def add_map(groups: Dict[str, Any]) -> None:
    """Add the other flags of that map: its network, how it is computed and binarized, and where."""
    groups["input"].add_argument(
        "--image_size", type=int, help="side of the input in pixels (default: the checkpoint's)"
    )
    add_mode(groups["model"])
    add_head(groups["model"])
    add_foreign(groups["model"])
    add = groups["map"].add_argument
    add("--pa", "--alpha", type=float, default=DEFAULT_ALPHA, help="alpha of the loss gradient")
    add(
        "--fuse", choices=FUSIONS,
        help="one map of all layers of --layer: mean, maximum, geometric mean",
    )  # fmt: skip
    add("--flip", action="store_true", help="average the map with that of the mirrored image")
    groups["box"].add_argument(
        "--threshold", type=float,
        help="fraction of the map's maximum that counts as object (default: the backbone's)",
    )  # fmt: skip
    add_normalize(groups["box"], None, "the backbone's")
    add_gpu(groups["speed"])
    groups["speed"].add_argument(
        "--batch", type=int, default=8, help="images per run of the network"
    )


def add_mode(group: Any) -> None:
    """Add ``--mode`` for commands that recognize a checkpoint's backbone."""
    group.add_argument("--mode", choices=sorted(BACKBONES), help="backbone; recognized by itself")


def add_first_layer(group: Any) -> None:
    """Add ``--keep-first-layer`` for commands that convert published weights."""
    group.add_argument(
        "--keep-first-layer", action="store_true",
        help="do not fold the publisher's preprocessing into the first layer",
    )  # fmt: skip


def add_gpu(group: Any) -> None:
    """Add ``--gpu`` for commands that use a single device."""
    group.add_argument("--gpu", help="index of the GPU to use; -1 uses the CPU")


def add_head(group: Any) -> None:
    """Add ``--dataset``, which selects one of several classification layers."""
    group.add_argument(
        "--dataset", choices=("imagenet", "cub"),
        help="classification layer to use when the checkpoint has several",
    )  # fmt: skip


def add_normalize(group: Any, default: Optional[str], usual: str) -> None:
    """Add ``--normalize``; ``usual`` is what the help calls the default."""
    group.add_argument(
        "--normalize", metavar="RULE", default=default,
        help="how a map is brought to [0, 1]: minmax, max (positive part over its maximum), pas (over its "
        f"97th percentile, or pas:P), ivr (what is above the 40th, or ivr:P) (default: {usual})",
    )  # fmt: skip


def add_foreign(group: Any) -> None:
    """Add the flags of models that others built, from ``--preprocess`` to ``--class-names``."""
    add = group.add_argument
    add(
        "--preprocess", choices=("none", "bgr", "unit", "tf", "torch", "caffe"),
        help="what a model of others takes: RGB in 0..255, BGR, RGB in 0..1, in -1..1, or standardized",
    )  # fmt: skip
    add("--output", metavar="NAME", help="output with the scores, where a model has several")
    add(
        "--feed", action="append", metavar="NAME=VALUE",
        help="value of a further input of a model of others, such as keep_prob=1.0",
    )  # fmt: skip
    add("--class-names", metavar="FILE", help="names of a model's classes, one a line")


def add_precision(group: Any, note: str = "") -> None:
    """Add ``--precision``; ``note`` follows ``bf16`` in its help."""
    group.add_argument(
        "--precision", choices=PRECISIONS, default=FLOAT32,
        help=f"number format; bf16{note} needs a CPU or GPU that computes in bfloat16, "
        "bf16-anywhere gives the same rounding on any CPU, slowly",
    )  # fmt: skip


def add_json(group: Any, what: str) -> None:
    """Add ``--json``, which writes ``what`` on standard output."""
    group.add_argument(
        "--json", action="store_true", help=f"write {what} as JSON on standard output"
    )


@contextlib.contextmanager
def answering(
    args: argparse.Namespace, indent: Optional[int] = 1
) -> Iterator[Callable[[Any, str], None]]:
    """Yield a function that prints on standard output: values as JSON with ``--json``, else a text.

    With ``--json`` all other output goes to standard error meanwhile, so that standard output holds JSON
    only, in ASCII so that it contains no terminal escapes.
    """
    stream = sys.stdout
    with contextlib.redirect_stdout(sys.stderr if args.json else stream):
        yield lambda values, text: print(
            json.dumps(values, indent=indent) if args.json else text, file=stream, flush=True
        )
