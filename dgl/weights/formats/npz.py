"""Tensorpack's `.npz`: a zip archive with one array of NumPy's own format a variable.

Source: NumPy's ``numpy.lib.format``, "A simple format for saving numpy arrays to disk".
"""

import io
import os
import zipfile
from typing import Any, Mapping, Tuple

import numpy as np

from dgl.utils.files import write_atomically
from dgl.weights.formats.registry import Opened, Refused, quoted, register_format, zip_members

_LONGEST_HEADER = 1 << 16
_LARGEST_RATIO = 1032  # what deflate can reach


def plain_name(name: str) -> str:
    """A variable's name without the number of its operation's output."""
    return name[:-2] if name.endswith(":0") else name


def _check_member(member: zipfile.ZipInfo, room: int) -> None:
    """Refuse a member that claims more bytes than ``room``, the file's, could hold."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} is compressed by other means than deflate")
    ratio = 1 if member.compress_type == zipfile.ZIP_STORED else _LARGEST_RATIO
    if member.compress_size > room or member.file_size > ratio * member.compress_size:
        raise ValueError(f"{member.filename} claims more bytes than are stored")


def _read_header(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> Tuple[Tuple[int, ...], np.dtype]:
    """Shape and type of an array, which must fill its member exactly."""
    with archive.open(member) as stream:
        head = io.BytesIO(stream.read(_LONGEST_HEADER))
    is_first = np.lib.format.read_magic(head) == (1, 0)
    read = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    stored, expected = member.file_size - head.tell(), dtype.itemsize
    for size in shape:
        expected *= size
    if not dtype.hasobject and (min(shape, default=0) < 0 or stored != expected):
        raise ValueError(
            f"{member.filename} has {stored} bytes behind its header, expected {dtype} of shape {shape}"
        )
    return tuple(shape), dtype


@register_format(
    "NumPy archive (.npz)",
    (".npz",),
    lambda path, head: any(name.endswith(".npy") for name in zip_members(path, head)),
)
def open_npz(path: str) -> Opened:
    """Open an archive of arrays; its numbers are read one array at a time.

    Names are without ``.npy`` and ``:0``. The file stays open as long as the result is referred to. Pickled
    objects are refused, and arrays that claim more numbers than there are.
    """
    archive = zipfile.ZipFile(path)  # closes itself when nothing refers to it any more
    shapes, members = [], {}
    for member in archive.infolist():
        _check_member(member, os.path.getsize(path))
        shape, dtype = _read_header(archive, member)
        stored = member.filename
        if dtype.hasobject:
            raise Refused(f"{quoted(stored)} holds pickled objects, expected plain arrays; refused")
        name = plain_name(stored[: -len(".npy")] if stored.endswith(".npy") else stored)
        shapes.append((name, shape))
        members[name] = member

    def read(name: str) -> np.ndarray:
        with archive.open(members[name]) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    return shapes, read


def save_npz(path: str, variables: Mapping[str, np.ndarray]) -> None:
    """Write variables (name -> array) as a tensorpack ``.npz``, compressed, atomically."""
    buffer = io.BytesIO()
    arrays: Any = dict(variables)
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())
