"""Checks that all weight file readers share.

What the readers of other libraries' weight files share: names, numbers and what damage raises.
"""

import struct
import zipfile
import zlib
from typing import Callable, Dict, Sequence, Tuple

import numpy as np

from dgl.backbones.registry import Shapes
from dgl.errors import UserError

# What opens a file: the variables' shapes, and what reads one of them.
Opened = Tuple[Shapes, Callable[[str], np.ndarray]]

_NAMED = 200  # characters of a stored text that a message repeats

# What Python's zip reader and NumPy raise on damaged archives.
DAMAGED_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    LookupError,
    RuntimeError,
    EOFError,
    OSError,
    MemoryError,
)


def quoted(text: str) -> str:
    """A text from a file, fit for a one-line message: as it is, else escaped and shortened."""
    return text if text.isprintable() and len(text) <= _NAMED else repr(text[:_NAMED])


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
