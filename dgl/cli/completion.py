"""What makes a shell complete the `dgl` command: made of its parser by shtab."""

import argparse

from dgl.errors import UserError

# Flags and positionals whose values are files (of which folders are one kind), and folders.
_FILES = {
    "checkpoint",
    "data_path",
    "file",
    "load",
    "maps",
    "mask_root",
    "merge",
    "metadata",
    "out",
    "pictures",
}
_FOLDERS = {"data", "fruit", "kangaroo", "outdir", "raccoon", "samples"}


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell.

    Args:
        parser: of the whole command.
        shell: ``"bash"``, ``"zsh"`` or ``"tcsh"``.

    Raises:
        UserError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise UserError(
            "--print-completion: expected the package shtab (pip install shtab)"
        ) from None
    _mark(parser, shtab)
    return shtab.complete(parser, shell)


def _mark(parser, shtab):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for own in action.choices.values():
                _mark(own, shtab)
        elif action.dest in _FILES:
            action.complete = shtab.FILE
        elif action.dest in _FOLDERS:
            action.complete = shtab.DIRECTORY
