"""The registry of weight file formats, and the checks that their readers share."""

import contextlib
import os
import struct
import zipfile
import zlib
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Type

import numpy as np

from dgl.backbones.published import Shapes
from dgl.errors import UserError, first_line

# What opens a file: the variables' shapes, and what reads one of them.
Opened = Tuple[Shapes, Callable[[str], np.ndarray]]
_HEAD = 64


class Format(NamedTuple):
    """One file format."""

    title: str  # for people
    suffixes: Tuple[str, ...]  # extensions, lower case, for files whose content does not tell
    # `is_format(path, head)` tells from the first 64 bytes, and the file if they do not suffice,
    # whether it is one
    is_format: Callable[[str, bytes], bool]
    # Path -> (shapes, read): variable name -> shape in file order, and name -> array
    open: Callable[[str], Opened]


FORMATS: List[Format] = []


def register_format(
    title: str, suffixes: Sequence[str], is_format: Callable[[str, bytes], bool]
) -> Callable[[Callable[[str], Opened]], Callable[[str], Opened]]:
    """Decorator that registers a function as the reader of a format; see :class:`Format`."""

    def register(function: Callable[[str], Opened]) -> Callable[[str], Opened]:
        FORMATS.append(Format(title, tuple(suffixes), is_format, function))
        return function

    return register


def find_format(path: str) -> Optional[Format]:
    """The format of a file, by its content if that tells, else by its extension, else ``None``.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
    for known in FORMATS:
        if known.is_format(path, head):
            return known
    suffix = os.path.splitext(path)[1].lower()
    return next((known for known in FORMATS if suffix in known.suffixes), None)


def zip_members(path: str, head: bytes) -> List[str]:
    """Names of the members of a zip archive; none for any other file."""
    if not head.startswith(b"PK"):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except DAMAGED_ARCHIVE:
        return []


_NAMED = 200  # characters of a stored text that a message repeats
# What readers raise on damaged data; they build names as well as numbers out of it.
DAMAGED = (
    AttributeError, EOFError, LookupError, MemoryError, OSError, OverflowError, RuntimeError, TypeError,
    ValueError, struct.error,
)  # fmt: skip
DAMAGED_ARCHIVE = (*DAMAGED, zipfile.BadZipFile, zlib.error)


def quoted(text: str) -> str:
    """A text from a file, fit for a one-line message: as it is, else escaped and shortened."""
    return text if text.isprintable() and len(text) <= _NAMED else repr(text[:_NAMED])


@contextlib.contextmanager
def explain_damage(what: str, damaged: Tuple[Type[BaseException], ...]) -> Iterator[None]:
    """Turn errors of damaged data into one line: ``what`` is wrong, and in parentheses the reason.

    Raises:
        UserError: in place of one of the types ``damaged``.
    """
    try:
        yield
    except damaged as error:
        raise UserError(f"{what} ({quoted(first_line(error))})") from None


def add_shape(
    shapes: Dict[str, Tuple[int, ...]], path: str, name: str, shape: Sequence[int]
) -> None:
    """Enter a variable into ``shapes``.

    Raises:
        UserError: its name is empty, taken, or not one printable line.
    """
    if not name or not name.isprintable():
        raise UserError(f"{path}: variable named {name!r}, expected a printable name")
    if name in shapes:
        raise UserError(f"{path}: two variables are named {quoted(name)}, expected one")
    shapes[name] = tuple(shape)


def widen_bfloat16(raw: np.ndarray) -> np.ndarray:
    """float32 values of bfloat16 numbers, which NumPy lacks: their bits are the upper half.

    Args:
        raw: unsigned 16-bit array of any shape and byte order.
    """
    return (raw.astype(np.uint32) << 16).view(np.float32)
