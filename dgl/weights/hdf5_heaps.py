"""The heaps in which HDF5 keeps texts of variable length, checked before the library reads them.

The library walks a damaged heap without end, and copies one long text as often as it is referred to.
Source: HDF5 File Format Specification, III.E, "Disk Format: Level 1E - Global Heap".
"""

import contextlib
import mmap
import struct

_HEAP = b"GCOL\x01\0\0\0"  # signature, version 1, reserved
_SIZE = struct.Struct("<Q")
_OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, bytes that follow
_ALIGNED = 8


def _lengths(data, begin):
    """Bytes of each text in the heap that begins at ``begin``."""
    size = _SIZE.unpack_from(data, begin + len(_HEAP))[0]
    position, end = begin + len(_HEAP) + _SIZE.size, begin + size
    if not position <= end <= len(data):
        raise ValueError("a heap of texts reaches beyond the file")
    while position + _OBJECT.size <= end:
        index, _, _, size = _OBJECT.unpack_from(data, position)
        if index == 0:  # the space that is left; its size counts this header in
            if size != end - position:
                raise ValueError("a heap of texts is not filled to its end")
            return
        position += _OBJECT.size + -(-size // _ALIGNED) * _ALIGNED
        if position > end:
            raise ValueError("a text reaches beyond its heap")
        yield size


def longest_text(path: str) -> int:
    """Bytes of the longest text of variable length in an HDF5 file.

    Raises:
        ValueError: a heap of texts is damaged.
        OSError: the file cannot be read.
    """
    longest = 0
    with open(path, "rb") as stream, contextlib.closing(
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    ) as data:
        room = len(data) // _OBJECT.size  # for texts, unless heaps overlap
        begin = data.find(_HEAP)
        while begin >= 0:
            for length in _lengths(data, begin):
                longest, room = max(longest, length), room - 1
                if room < 0:
                    raise ValueError("its heaps of texts overlap")
            begin = data.find(_HEAP, begin + 1)
    return longest
