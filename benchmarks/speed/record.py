"""The record of the speed benchmark: one JSON file with a part for each section.

Sections are measured by one command or each by its own; what is measured again replaces its own part and no
other. Each part tells by itself which command, versions and machine it is of.
"""

import json
import os

from dgl.errors import UserError
from dgl.utils.files import write_atomically

ABOUT = "how long and how much memory; see README.md, Speed"


def read(path):
    """Ordered section name -> what it measured; empty where there is no file.

    Raises:
        UserError: a file that is not such a record.
    """
    if not os.path.exists(path):
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            sections = json.load(stream)["sections"]
    except (OSError, ValueError, KeyError, TypeError):
        sections = None
    if not isinstance(sections, dict):
        raise UserError(f"{path}: expected a record of `python -m benchmarks.speed`")
    return sections


def write(path, sections):
    """Write the record, sections by name.

    Raises:
        UserError: nowhere to write.
    """
    whole = {"about": ABOUT, "sections": dict(sorted(sections.items()))}
    text = json.dumps(whole, indent=1, allow_nan=False) + "\n"
    write_atomically(path, text.encode("utf-8"))


def replace(path, name, section):
    """Put one section's figures into the record, in place of those it had.

    Raises:
        UserError: as :func:`read` and :func:`write`.
    """
    sections = read(path)
    sections[name] = section
    write(path, sections)
