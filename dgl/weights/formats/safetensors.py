"""Reading `.safetensors` files through the ``safetensors`` library, as NumPy arrays.

The library compares the header with the file's size before anything is read. bfloat16, which it cannot
hand over as NumPy, is read here from the place that the header states: https://github.com/huggingface/safetensors
"""

import json
import os
import struct

import numpy as np

from dgl.weights.formats.registry import Opened, Refused, quoted, register_format, widen_bfloat16

_LENGTH = struct.Struct("<Q")
_PLAIN = "F64 F32 F16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL".split()


def is_safetensors(path: str, head: bytes) -> bool:
    """Whether a file that begins with ``head`` (9 bytes or more) looks like one."""
    if head[_LENGTH.size : _LENGTH.size + 1] != b"{":
        return False
    return int(_LENGTH.unpack(head[: _LENGTH.size])[0]) <= os.path.getsize(path) - _LENGTH.size


def _read_bfloat16(path: str, name: str) -> np.ndarray:
    with open(path, "rb") as stream:
        length = _LENGTH.unpack(stream.read(_LENGTH.size))[0]
        entry = json.loads(stream.read(length).decode("utf-8"))[name]
        begin, end = entry["data_offsets"]
        stream.seek(begin, 1)
        values = widen_bfloat16(np.frombuffer(stream.read(end - begin), "<u2"))
    return values.reshape(entry["shape"])


@register_format("safetensors", (".safetensors",), is_safetensors)
def open_safetensors(path: str) -> Opened:
    """Open a safetensors file; its numbers are read one tensor at a time, bfloat16 as float32.

    8-bit floats, which NumPy lacks, are refused.
    """
    import safetensors

    with safetensors.safe_open(path, framework="np") as stored:
        parts = {name: stored.get_slice(name) for name in list(stored.keys())}
        shapes = {name: part.get_shape() for name, part in parts.items()}
        kinds = {name: part.get_dtype() for name, part in parts.items()}

    def read(name: str) -> np.ndarray:
        if kinds[name] == "BF16":
            return _read_bfloat16(path, name)
        if kinds[name] not in _PLAIN:
            raise Refused(
                f"{name} has the number type {quoted(str(kinds[name]))}, expected one of NumPy's or BF16"
            )
        with safetensors.safe_open(path, framework="np") as stored:
            return np.array(stored.get_tensor(name))

    return shapes, read
