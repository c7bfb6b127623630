"""The parser of the `dgl` command, and shell completion."""

import argparse
import difflib
import re
import sys
from typing import Any, Iterable, List, Optional, Sequence

from dgl import __version__
from dgl.cli import (
    convert,
    evaluate,
    fetch,
    info,
    label,
    localize,
    make_data,
    refine,
    serve,
    train,
)
from dgl.cli.flags import HelpFormatter, help_options
from dgl.errors import UserError, printable

COMMANDS = (
    train.TRAIN,
    refine.REFINE,
    localize.LOCALIZE,
    label.LABEL,
    evaluate.EVALUATE,
    evaluate.STUDY,
    fetch.FETCH,
    convert.CONVERT,
    convert.EXPORT,
    make_data.MAKE_DATA,
    serve.REVIEW,
    serve.SERVE,
    info.LAYERS,
    info.INFO,
)
SHELLS = ("bash", "zsh", "tcsh")

# Flags and arguments that complete to files, and those that complete to folders.
_FILES = "brought checkpoint data_path file images load maps mask_root merge metadata out".split()
_FOLDERS = {"calibrate", "data", "fruit", "kangaroo", "outdir", "raccoon", "samples"}

_DESCRIPTION = "Find objects with a classifier that was trained from image labels alone."
_EPILOG = """\
examples:
  dgl localize
  dgl localize photo.jpg --load train_log/vgg_birds --layer conv5_3
  dgl COMMAND --help

exit codes:
  0        success
  1        an error, reported in one line; of localize, label and evaluate also: some of several images
           could not be read
  2        the flags cannot be understood: an unknown one, or a value that is no choice or number
  130      interrupted (Ctrl-C)
  128 + N  stopped by signal N after saving what was done (141: standard output was closed)

shell completion:
  eval "$(dgl --print-completion bash)"
"""


class _PrintCompletion(argparse.Action):
    """``--print-completion SHELL``: print the completion script and exit."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None
    ) -> None:
        import shtab

        whole = make_parser()
        _mark_paths(whole, shtab)
        sys.stdout.write(shtab.complete(whole, values) + "\n")
        parser.exit()


def _mark_paths(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """Tell shtab which flags of a parser and its commands take paths."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark_paths(command, shtab)
        elif action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]


def make_parser(only: Optional[str] = None) -> argparse.ArgumentParser:
    """The parser of `dgl`, with the flags of the command ``only``: ``""`` for none, ``None`` for all."""
    parser = argparse.ArgumentParser(
        prog="dgl", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=HelpFormatter
    )
    parser.add_argument("--version", action="version", version="dgl " + __version__)
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=SHELLS,
        metavar="SHELL",
        help="print the completion script for a shell: " + ", ".join(SHELLS),
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands.required = True
    for command in COMMANDS:
        subparser = commands.add_parser(
            command.name, **help_options(command.help, command.examples)
        )
        if only in (None, command.name):
            command.add_flags(subparser)
    return parser


def _actions(parser: argparse.ArgumentParser, command: str) -> List[argparse.Action]:
    """The flags and arguments of a command."""
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    actions: List[argparse.Action] = commands.choices[command]._actions
    return actions


def _refuse(parser: argparse.ArgumentParser, command: str, word: str) -> None:
    """Exit for a word that a command does not take, with one line that names the nearest flag."""
    flags = [flag for action in _actions(parser, command) for flag in action.option_strings]
    near = difflib.get_close_matches(word.partition("=")[0], flags, 1)
    expected = f"did you mean {near[0]}?" if near else f"expected those of dgl {command} --help"
    parser.exit(2, f"error: {printable(word)}: unknown argument; {expected}\n")


def _as_typed(message: str, actions: Iterable[argparse.Action], argv: Sequence[str]) -> str:
    """A message with flags as they were typed; it begins with none that the command does not have."""
    words = {word.partition("=")[0] for word in argv}
    known = set(words)
    for action in actions:
        known.update(action.option_strings)
        typed = words.intersection(action.option_strings)
        if typed:
            names = "|".join(action.option_strings)
            message = re.sub(rf"(?<!\S)({names})(?![\w-])", min(typed), message)
    first, _, rest = message.partition(" ")
    return rest if first.startswith("--") and first.rstrip(":") not in known else message


def main(argv: Optional[List[str]] = None) -> int:
    """Parse and run a command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    by_name = {command.name: command for command in COMMANDS}
    # Adding the flags of all commands would import more than the one command needs.
    only = next((word for word in argv if word in by_name), "")
    parser = make_parser(only)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(parser, args.command, unknown[0])
    # The name of an unset variable; results would lie about in this folder.
    if "" in (getattr(args, "out", None), getattr(args, "outdir", None)):
        raise UserError("--out: no name; expected a folder, such as . for this one")
    try:
        return by_name[args.command].run(args)
    except UserError as error:
        error.args = (_as_typed(str(error), _actions(parser, args.command), argv),)
        raise
