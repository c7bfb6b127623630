"""What the commands have in common: their description, groups of flags, help format and JSON output."""

import argparse
import contextlib
import json
import sys
from typing import Any, Callable, Dict, Iterable, Iterator, NamedTuple, Optional, Tuple

# The groups of flags in --help, in this order; a command without flags in a group does not show it.
GROUPS = ("main", "input", "model", "training", "map", "box", "metrics", "output", "speed")


class Command(NamedTuple):
    """A command of `dgl`.

    Attributes:
        name: what follows ``dgl`` on the command line.
        help: a phrase that says what it does.
        examples: command lines shown at the end of its help.
        add_flags: adds its flags to a parser.
        run: takes the parsed flags and returns the exit code.
    """

    name: str
    help: str
    examples: Tuple[str, ...]
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Appends the default of a flag to its help, unless it is empty, a switch or named there."""

    def _get_help_string(self, action: argparse.Action) -> Optional[str]:
        default = action.default
        if not action.help or not action.option_strings or "%(default)" in action.help:
            return action.help
        if default in (None, True, False, argparse.SUPPRESS) or default == []:
            return action.help
        shown = " ".join(default) if isinstance(default, (list, tuple)) else str(default)
        return "{} (default: {})".format(action.help, shown.replace("%", "%%"))


def help_options(text: str, examples: Iterable[str]) -> Dict[str, Any]:
    """Keywords of ``add_parser`` for a command that ``text`` describes."""
    return {
        "help": text,
        "description": text[:1].upper() + text[1:] + ".",
        "epilog": "examples:\n" + "".join(f"  {example}\n" for example in examples),
        "formatter_class": HelpFormatter,
    }


def flag_groups(parser: argparse.ArgumentParser) -> Dict[str, Any]:
    """Add :data:`GROUPS` to a parser; returns name -> argument group."""
    return {name: parser.add_argument_group(name) for name in GROUPS}


def add_gpu_flag(group: Any) -> None:
    """Add ``--gpu`` for commands that use a single device."""
    group.add_argument("--gpu", help="index of the GPU to use; -1 uses the CPU")


def add_head_flag(group: Any) -> None:
    """Add ``--dataset``, which selects one of several classification layers."""
    group.add_argument(
        "--dataset",
        choices=("imagenet", "cub"),
        help="classification layer to use when the checkpoint has several",
    )


def add_normalize_flag(group: Any, default: Optional[str], usual: str) -> None:
    """Add ``--normalize``; ``usual`` is what the help calls the default."""
    group.add_argument(
        "--normalize",
        metavar="RULE",
        default=default,
        help="how a map is brought to [0, 1]: minmax, max (positive part over its maximum), pas (over its "
        f"97th percentile, or pas:P), ivr (what is above the 40th, or ivr:P) (default: {usual})",
    )


def add_foreign_flags(group: Any) -> None:
    """Add the flags of models that others built, from ``--preprocess`` to ``--class-names``."""
    add = group.add_argument
    add(
        "--preprocess",
        choices=("none", "bgr", "unit", "tf", "torch", "caffe"),
        help="what a model of others takes: RGB in 0..255, BGR, RGB in 0..1, in -1..1, or standardized",
    )
    add("--output", metavar="NAME", help="output with the scores, where a model has several")
    add(
        "--feed",
        action="append",
        metavar="NAME=VALUE",
        help="value of a further input of a model of others, such as keep_prob=1.0",
    )
    add("--class-names", metavar="FILE", help="names of a model's classes, one a line")


def add_precision_flag(group: Any, note: str = "") -> None:
    """Add ``--precision``; ``note`` follows ``bf16`` in its help."""
    from dgl.utils.devices import FLOAT32, PRECISIONS

    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=FLOAT32,
        help=f"number format; bf16{note} needs a CPU or GPU that computes in bfloat16, "
        "bf16-anywhere gives the same rounding on any CPU, slowly",
    )


def add_json_flag(group: Any, what: str) -> None:
    """Add ``--json``, which writes ``what`` on standard output."""
    group.add_argument(
        "--json", action="store_true", help=f"write {what} as JSON on standard output"
    )


@contextlib.contextmanager
def json_output(enabled: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that prints a text on standard output.

    If ``enabled``, all other output goes to standard error meanwhile, so that standard output holds JSON
    only.
    """
    stream = sys.stdout

    def write(text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    with contextlib.ExitStack() as stack:
        if enabled:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield write


def to_json(value: Any) -> str:
    """``value`` as indented JSON, in ASCII so that it contains no terminal escapes."""
    return json.dumps(value, indent=1)
