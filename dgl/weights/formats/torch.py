"""PyTorch's state dicts (`.pth`, `.pt`) in both of its file formats, read without PyTorch.

Since PyTorch 1.6 the file is a zip archive: a pickle ``<folder>/data.pkl`` that describes the
tensors, and one member ``<folder>/data/<key>`` for each storage. Before, it was a row of pickles (magic
number, version, system, the object, keys of the storages) with the storages behind them.
"""

import io
import os
import struct
import zipfile
from typing import Any, Callable, Dict, Iterable, List, NamedTuple

import numpy as np

from dgl.weights.formats.registry import (
    Opened,
    Refused,
    quoted,
    register_format,
    widen_bfloat16,
    zip_members,
)
from dgl.weights.formats.torch_pickle import STORAGE_TYPES, Storage, Tensor, read_pickle

# How a pickle of the magic number ends, in any protocol from 2 on.
_PICKLED_MAGIC = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
_VERSION = 1001
_WRAPPERS = ("state_dict", "model")
_PARALLEL = "module."  # torch.nn.DataParallel puts it before every name
_MOST_AXES = 32  # NumPy's limit
_HIGHEST = 1 << 62


def is_legacy_torch(head: bytes) -> bool:
    """Whether the first bytes of a file (16 or more) are those of PyTorch's older format."""
    return head.startswith(b"\x80") and _PICKLED_MAGIC in head


def pickles_in(members: Iterable[str]) -> List[str]:
    """The names of PyTorch's pickle among a zip archive's, the one of the state dict first."""
    return sorted((name for name in members if name.split("/")[-1] == "data.pkl"), key=len)


class _Stored(NamedTuple):
    """What a file holds."""

    value: Any  # that of the pickle
    sizes: Dict[str, int]  # key of a storage -> bytes that there are of it
    read: Callable[[str, int, int], bytes]  # (key, first byte, number of bytes) -> bytes
    order: str = "<"  # of the bytes of a number


def _of_zip(path: str) -> _Stored:
    archive = zipfile.ZipFile(path)  # closes itself when nothing refers to it any more
    pickles = pickles_in(archive.namelist())
    if not pickles:
        raise Refused("a zip archive without data.pkl, expected PyTorch's")
    folder = pickles[0][: -len("data.pkl")]
    data = folder + "data/"
    sizes = {}
    for member in archive.infolist():
        # PyTorch stores without compressing, so that nothing can be larger than its file.
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > os.path.getsize(path):
            what = f"{quoted(member.filename)} is compressed"
            raise Refused(f"{what}, expected a PyTorch archive, which stores it plainly")
        if member.filename.startswith(data):
            sizes[member.filename[len(data) :]] = member.file_size
    value, _ = read_pickle(io.BytesIO(archive.read(folder + "data.pkl")))
    has_order = folder + "byteorder" in archive.namelist()
    order = archive.read(folder + "byteorder").strip() if has_order else b"little"

    def read(key: str, begin: int, size: int) -> bytes:
        # All of it is read, so that its checksum is compared.
        return archive.read(data + key)[begin : begin + size]

    return _Stored(value, sizes, read, {b"little": "<", b"big": ">"}[order])


def _of_legacy(path: str) -> _Stored:
    sizes, begins = {}, {}
    with open(path, "rb") as stream:
        if not is_legacy_torch(stream.read(64)):
            raise ValueError("neither a zip archive nor PyTorch's older format")
        stream.seek(0)
        # The magic number, the version and the machine, on which the storages do not depend.
        _, (version, _), _ = (read_pickle(stream) for _ in range(3))
        if version != _VERSION:
            raise ValueError(f"another version of the format than {_VERSION}")
        value, storages = read_pickle(stream)
        for key in read_pickle(stream)[0]:
            if not isinstance(key, str) or key not in storages:
                raise ValueError("it lists a storage that no tensor has")
            header = stream.read(8)
            if len(header) < 8:
                raise ValueError(f"it ends before its storage {quoted(key)}")
            size = struct.unpack("<q", header)[0] * _item_size(storages[key])
            begins[key], sizes[key] = stream.tell(), size
            if size < 0 or stream.tell() + size > os.path.getsize(path):
                raise ValueError(f"it ends within its storage {quoted(key)}")
            stream.seek(size, os.SEEK_CUR)

    def read(key: str, begin: int, size: int) -> bytes:
        with open(path, "rb") as stream:
            stream.seek(begins[key] + begin)
            return stream.read(size)

    return _Stored(value, sizes, read)


def _item_size(storage: Storage) -> int:
    return np.dtype(STORAGE_TYPES[storage.kind]).itemsize


def _state_dict(value: Any) -> Dict[str, Tensor]:
    """The tensors by name in what a file holds."""
    holder = value if isinstance(value, dict) else {}
    inner = (holder[key] for key in _WRAPPERS if isinstance(holder.get(key), dict))
    found = {k: item for k, item in next(inner, holder).items() if isinstance(item, Tensor)}
    if not found:
        wrappers = " or ".join(_WRAPPERS)
        raise Refused(f"no tensors by name in it, expected a state dict, bare or under {wrappers}")
    prefix = _PARALLEL if all(name.startswith(_PARALLEL) for name in found) else ""
    return {name[len(prefix) :]: tensor for name, tensor in found.items()}


def _check(name: str, tensor: Tensor, sizes: Dict[str, int]) -> None:
    """Refuse a tensor that reaches beyond its storage, or a storage beyond the file."""
    storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
    numbers = (tensor.offset,)
    if isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple):
        numbers += shape + strides + (storage.size, storage.start)
    sound = len(numbers) > 1 and len(shape) == len(strides) and len(shape) <= _MOST_AXES
    if not sound or not all(isinstance(n, int) and 0 <= n < _HIGHEST for n in numbers):
        raise Refused(
            f"{quoted(name)} has an unknown layout, expected offset, shape and strides of 0 or more"
        )
    elements, extent = 1, tensor.offset
    for size, stride in zip(shape, strides):
        elements *= size
        extent += (size - 1) * stride
    if elements and (extent >= storage.size or elements > storage.size):
        raise Refused(
            f"{quoted(name)} of shape {shape} reaches beyond its storage of {storage.size} elements"
        )
    if storage.key not in sizes:
        raise Refused(f"the storage of {quoted(name)} is missing")
    if (storage.start + storage.size) * _item_size(storage) > sizes[storage.key]:
        raise Refused(
            f"the storage of {quoted(name)} has {sizes[storage.key]} bytes, expected {storage.size} "
            f"elements of {_item_size(storage)} bytes"
        )


def _values(stored: _Stored, tensor: Tensor) -> np.ndarray:
    """The array that a checked tensor stands for."""
    storage, size = tensor.storage, _item_size(tensor.storage)
    kind = STORAGE_TYPES[storage.kind]
    data = stored.read(storage.key, storage.start * size, storage.size * size)
    if len(data) != storage.size * size:
        raise ValueError("it ends within the storage")
    if 0 in tensor.shape:
        window = np.zeros(tensor.shape, kind)
    else:
        raw = np.frombuffer(data, stored.order + kind)[tensor.offset :]
        # The stride of a single row is never walked, so that it may be anything.
        steps = [step * size if n > 1 else 0 for n, step in zip(tensor.shape, tensor.strides)]
        window = np.lib.stride_tricks.as_strided(raw, tensor.shape, steps, writeable=False)
        window = np.array(window, kind, order="C")
    if storage.kind == "BFloat16Storage":
        return widen_bfloat16(window)
    return window != 0 if storage.kind == "BoolStorage" else window


def _is_torch(path: str, head: bytes) -> bool:
    return is_legacy_torch(head) or bool(pickles_in(zip_members(path, head)))


@register_format("PyTorch state dict", (".pth", ".pt"), _is_torch)
def open_torch(path: str) -> Opened:
    """Open a state dict; its numbers are read one tensor at a time.

    ``torch.save(model.state_dict(), path)`` writes such files; the dict may also be in another one under
    ``state_dict`` or ``model``. What else there is beside the tensors is ignored. Names are without a
    common ``module.``, axes in PyTorch's order; bfloat16 becomes float32. A pickle that would have to be
    run is refused.
    """
    with open(path, "rb") as stream:
        stored = (_of_zip if stream.read(2) == b"PK" else _of_legacy)(path)
    tensors = _state_dict(stored.value)
    for name, tensor in tensors.items():
        _check(name, tensor, stored.sizes)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    return shapes, lambda name: _values(stored, tensors[name])
