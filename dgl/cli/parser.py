"""The parser of the `dgl` command, put together of its subcommands."""

import argparse
import sys
from typing import Any, List, Optional

from dgl import __version__
from dgl.cli import (
    convert,
    evaluate,
    export,
    info,
    layers,
    localize,
    make_data,
    serve,
    study,
    train,
)
from dgl.cli.help_text import HelpFormatter, epilog, sentence

COMMANDS = (train, localize, evaluate, study, convert, export, make_data, serve, layers, info)
SHELLS = ("bash", "zsh", "tcsh")

_DESCRIPTION = "Find objects with a classifier that was trained from image labels alone."
_EPILOG = """\
examples:
  dgl localize
  dgl localize photo.jpg --load train_log/vgg_birds --layer conv5_3
  dgl COMMAND --help

exit codes:
  0        done
  1        an error, told in one line; or some of several images could not be read
  2        a flag or a value that the command does not take
  130      interrupted (Ctrl-C)
  128 + N  ended in order by signal N, with what was done kept (141: nobody reads the output)

shell completion:
  eval "$(dgl --print-completion bash)"
"""


class _PrintCompletion(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        from dgl.cli.completion import completion

        sys.stdout.write(completion(make_parser(), values) + "\n")
        parser.exit()


def make_parser(only: Optional[str] = None) -> argparse.ArgumentParser:
    """The parser of `dgl`.

    Args:
        only: name of the one subcommand whose flags are wanted, ``""`` for none; ``None`` for all.
    """
    parser = argparse.ArgumentParser(
        prog="dgl", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=HelpFormatter
    )
    parser.add_argument("--version", action="version", version="dgl " + __version__)
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=SHELLS,
        metavar="SHELL",
        help="print what makes a shell complete this command: " + ", ".join(SHELLS),
    )
    added = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    added.required = True
    for command in COMMANDS:
        own = added.add_parser(
            command.NAME,
            help=command.HELP,
            description=sentence(command.HELP),
            epilog=epilog(command.EXAMPLES),
            formatter_class=HelpFormatter,
        )
        if only in (None, command.NAME):
            command.add_flags(own)
    return parser


def main(argv: Optional[List[str]] = None) -> Any:
    """Parse and carry out a command line; gives the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    by_name = {command.NAME: command for command in COMMANDS}
    # Only the flags of the subcommand at hand are made: those of the others take time to load.
    chosen = next((word for word in argv if word in by_name), "")
    args = make_parser(chosen).parse_args(argv)
    return by_name[args.command].run(args)
