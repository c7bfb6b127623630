"""Markdown tables of records, and the flag ``--table``, which prints a record without measuring."""

import json

from dgl.errors import UserError


def shown(args, table):
    """Print the table of the record ``--table``; else demand the flags of a measurement.

    Args:
        args: parsed, with ``table``, ``load``, ``data`` and ``out``, each ``None`` if not given.
        table: record -> Markdown.

    Returns:
        bool: whether a table was asked for.

    Raises:
        UserError: neither ``--table`` nor all of the others.
    """
    if args.table:
        with open(args.table, encoding="utf-8") as stream:
            print(table(json.load(stream)))
        return True
    for flag in ("load", "data", "out"):
        if getattr(args, flag) is None:
            raise UserError(f"--{flag}: expected, as --table is not given")
    return False


def markdown(lines):
    """A Markdown table of lists of cells, the first of which is the heading."""
    lines = [lines[0], ["---"] * len(lines[0])] + lines[1:]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
