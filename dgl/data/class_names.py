"""Lists of class names, with or without the numbers that CUB puts before them."""

import re
from typing import Iterable, Tuple

from dgl.data.sample import read_lines
from dgl.errors import UserError

_INDEX_AND_NAME = re.compile(r"(\d{1,7})[ \t]+(.+)")
_CUB_PREFIX = re.compile(r"(\d{3})\.(.+)")


def read_class_names(path: str, with_numbers: bool = False) -> Tuple[str, ...]:
    """Read class names: one a line, or ``index name`` lines counted from 0 or from 1.

    Args:
        path: str, the file.
        with_numbers: bool, whether to keep the numbers of CUB's names
            (``001.Black_footed_Albatross``), which are dropped otherwise.

    Returns:
        Tuple of str by class index.

    Raises:
        UserError: the file is empty, or its indices leave a gap or repeat.
    """
    lines = [text for _, text in read_lines(path)]
    if not lines:
        raise UserError("{}: no class names; expected one name a line".format(path))
    matches = [_INDEX_AND_NAME.fullmatch(line) for line in lines]
    strip = tuple if with_numbers else strip_numbers
    if not all(matches):
        return strip(lines)
    names = {int(match.group(1)): match.group(2) for match in matches if match}
    start = min(names)
    if start > 1 or sorted(names) != list(range(start, start + len(lines))):
        raise UserError(
            "{}: indices leave a gap or repeat; expected {} lines 'index name' counted from 0 or "
            "from 1".format(path, len(lines))
        )
    return strip([names[index] for index in sorted(names)])


def strip_numbers(names: Iterable[str]) -> Tuple[str, ...]:
    """Drop CUB's ``001.`` from every name, where each name's number is its place counted from 1."""
    matches = [_CUB_PREFIX.fullmatch(name) for name in names]
    if all(match and int(match.group(1)) == i for i, match in enumerate(matches, 1)):
        return tuple(match.group(2) for match in matches if match)
    return tuple(names)
