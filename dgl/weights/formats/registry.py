"""The registry of weight file formats, and how a file is opened: damage becomes one clear error."""

import contextlib
import os
import zipfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.backbones.published import Shapes
from dgl.errors import UserError, first_line

Read = Callable[[str], np.ndarray]
# What opens a file: name -> shape in the file's order, or pairs of them where a name may come twice, and
# what reads one variable.
Opened = Tuple[Any, Read]
Opener = Callable[[str], Opened]
_HEAD = 64
_NAMED = 200  # characters of a stored text that a message repeats


class Refused(Exception):
    """Why a file is not read; the message is completed with the file's name."""


class Format(NamedTuple):
    """One file format."""

    title: str  # for people
    suffixes: Tuple[str, ...]  # extensions, lower case, for files whose content does not tell
    # `is_format(path, head)` tells from the first 64 bytes, and the file if they do not suffice,
    # whether it is one
    is_format: Callable[[str, bytes], bool]
    open: Opener  # raises UserError, or Refused, or anything of damaged data


FORMATS: List[Format] = []


def register_format(
    title: str, suffixes: Sequence[str], is_format: Callable[[str, bytes], bool]
) -> Callable[[Opener], Opener]:
    """Decorator that registers a function as the reader of a format; see :class:`Format`."""

    def register(function: Opener) -> Opener:
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


def open_with(opener: Opener, path: str, title: str) -> Tuple[Shapes, Read]:
    """Open a file; whatever is raised of damaged data, then and later, becomes one line.

    Raises:
        UserError: it is refused or damaged; a variable's name is empty, taken or not one printable line.
    """
    with _in_one_line(path, f"not a readable {title}"):
        found, read = opener(path)
    shapes: Dict[str, Tuple[int, ...]] = {}
    for name, shape in found.items() if isinstance(found, dict) else found:
        if not name or not name.isprintable():
            raise UserError(f"{path}: variable named {name!r}, expected a printable name")
        if name in shapes:
            raise UserError(f"{path}: two variables are named {quoted(name)}, expected one")
        shapes[name] = tuple(shape)

    def read_one(name: str) -> np.ndarray:
        with _in_one_line(path, f"{name} cannot be read"):
            return read(name)

    return shapes, read_one


@contextlib.contextmanager
def _in_one_line(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Refused as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # readers build names as well as numbers out of damaged data
        raise UserError(f"{path}: {what} ({quoted(first_line(error))})") from None


def zip_members(path: str, head: bytes) -> List[str]:
    """Names of the members of a zip archive; none for any other file."""
    if head.startswith(b"PK"):
        with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
            return archive.namelist()
    return []


def quoted(text: str) -> str:
    """A text from a file, fit for a one-line message: as it is, else escaped and shortened."""
    return text if text.isprintable() and len(text) <= _NAMED else repr(text[:_NAMED])


def widen_bfloat16(raw: np.ndarray) -> np.ndarray:
    """float32 values of bfloat16 numbers, which NumPy lacks: their bits are the upper half.

    Args:
        raw: unsigned 16-bit array of any shape and byte order.
    """
    return (raw.astype(np.uint32) << 16).view(np.float32)
