"""PyTorch's state dicts (`.pth`, `.pt`) in both of its file formats, read without PyTorch.

Since PyTorch 1.6 the file is a zip archive: a pickle ``<folder>/data.pkl`` that describes the
tensors, and one member ``<folder>/data/<key>`` for each storage. Before, it was a row of pickles (magic
number, version, system, the object, keys of the storages) with the storages behind them.
"""

import io
import os
import struct
import zipfile
from typing import Any, BinaryIO, Dict, Iterable, List, Tuple, Union

import numpy as np

from dgl.errors import UserError
from dgl.weights.formats.registry import (
    DAMAGED_ARCHIVE,
    Opened,
    add_shape,
    explain_damage,
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


class _Zip:
    """The zip format. ``sizes``: key -> bytes that there are of a storage."""

    def __init__(self, path: str):
        self._archive = zipfile.ZipFile(path)  # closes itself when nothing refers to it any more
        pickles = pickles_in(self._archive.namelist())
        if not pickles:
            raise UserError(f"{path}: a zip archive without data.pkl, expected PyTorch's")
        self._folder = pickles[0][: -len("data.pkl")]
        room = os.path.getsize(path)
        self.sizes: Dict[str, int] = {}
        for member in self._archive.infolist():
            # PyTorch stores without compressing, so that nothing can be larger than its file.
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > room:
                raise UserError(
                    f"{path}: {quoted(member.filename)} is compressed, expected a PyTorch archive, which "
                    "stores it plainly"
                )
            if member.filename.startswith(self._folder + "data/"):
                self.sizes[member.filename[len(self._folder + "data/") :]] = member.file_size
        pickled = self._archive.read(self._folder + "data.pkl")
        self.value, _ = read_pickle(io.BytesIO(pickled), path)
        self.order = "<"
        if self._folder + "byteorder" in self._archive.namelist():
            self.order = {b"little": "<", b"big": ">"}[
                self._archive.read(self._folder + "byteorder").strip()
            ]

    def read(self, key: str, begin: int, size: int) -> bytes:
        """Bytes of a storage; all of it is read, so that its checksum is compared."""
        return self._archive.read(f"{self._folder}data/{key}")[begin : begin + size]


class _Legacy:
    """The row of pickles and storages; the same attributes."""

    order = "<"  # PyTorch writes the storages so on every machine

    def __init__(self, path: str):
        self._path = path
        with open(path, "rb") as stream:
            if not is_legacy_torch(stream.read(64)):
                raise ValueError("neither a zip archive nor PyTorch's older format")
            stream.seek(0)
            read_pickle(stream, path)
            version, _ = read_pickle(stream, path)
            if version != _VERSION:
                raise ValueError(f"another version of the format than {_VERSION}")
            read_pickle(stream, path)  # about the machine; the storages do not depend on it
            self.value, storages = read_pickle(stream, path)
            keys, _ = read_pickle(stream, path)
            self._find_storages(stream, keys, storages)

    def _find_storages(
        self, stream: BinaryIO, keys: Iterable[Any], storages: Dict[str, Storage]
    ) -> None:
        room = os.path.getsize(self._path)
        self.sizes: Dict[str, int] = {}
        self._begins: Dict[str, int] = {}
        for key in keys:
            if not isinstance(key, str) or key not in storages:
                raise ValueError("it lists a storage that no tensor has")
            header = stream.read(8)
            if len(header) < 8:
                raise ValueError(f"it ends before its storage {quoted(key)}")
            size = struct.unpack("<q", header)[0] * _item_size(storages[key])
            self._begins[key], self.sizes[key] = stream.tell(), size
            if size < 0 or stream.tell() + size > room:
                raise ValueError(f"it ends within its storage {quoted(key)}")
            stream.seek(size, os.SEEK_CUR)

    def read(self, key: str, begin: int, size: int) -> bytes:
        with open(self._path, "rb") as stream:
            stream.seek(self._begins[key] + begin)
            return stream.read(size)


def _item_size(storage: Storage) -> int:
    return np.dtype(STORAGE_TYPES[storage.kind]).itemsize


def _state_dict(value: Any, path: str) -> List[Tuple[str, Tensor]]:
    """The tensors by name in what a file holds."""
    for key in _WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
            break
    if isinstance(value, dict):
        found = [(name, item) for name, item in value.items() if isinstance(item, Tensor)]
        if found:
            prefix = _PARALLEL if all(n.startswith(_PARALLEL) for n, _ in found) else ""
            return [(name[len(prefix) :], tensor) for name, tensor in found]
    raise UserError(
        "{}: no tensors by name in it, expected a state dict, bare or under {}".format(
            path, " or ".join(_WRAPPERS)
        )
    )


def _check(path: str, name: str, tensor: Tensor, sizes: Dict[str, int]) -> None:
    """Refuse a tensor that reaches beyond its storage, or a storage beyond the file."""
    storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
    numbers = (tensor.offset,)
    if isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple):
        numbers += shape + strides + (storage.size, storage.start)
    sound = len(numbers) > 1 and len(shape) == len(strides) and len(shape) <= _MOST_AXES
    if not sound or not all(isinstance(n, int) and 0 <= n < _HIGHEST for n in numbers):
        raise UserError(
            f"{path}: {quoted(name)} has an unknown layout, expected offset, shape and strides of 0 or "
            "more"
        )
    elements, extent = 1, tensor.offset
    for size, stride in zip(shape, strides):
        elements *= size
        extent += (size - 1) * stride
    if elements and (extent >= storage.size or elements > storage.size):
        raise UserError(
            f"{path}: {quoted(name)} of shape {shape} reaches beyond its storage of {storage.size} "
            "elements"
        )
    if storage.key not in sizes:
        raise UserError(f"{path}: the storage of {quoted(name)} is missing")
    if (storage.start + storage.size) * _item_size(storage) > sizes[storage.key]:
        raise UserError(
            f"{path}: the storage of {quoted(name)} has {sizes[storage.key]} bytes, expected "
            f"{storage.size} elements of {_item_size(storage)} bytes"
        )


def _values(stored: Union[_Zip, _Legacy], tensor: Tensor) -> np.ndarray:
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
    common ``module.``, axes in PyTorch's order; bfloat16 becomes float32.

    Raises:
        UserError: damaged, or holding anything that only running its pickle could make.
    """
    with explain_damage(f"{path}: not a readable PyTorch file", DAMAGED_ARCHIVE):
        with open(path, "rb") as stream:
            zipped = stream.read(2) == b"PK"
        stored = _Zip(path) if zipped else _Legacy(path)
    shapes: Dict[str, Tuple[int, ...]] = {}
    tensors = {}
    for name, tensor in _state_dict(stored.value, path):
        _check(path, name, tensor, stored.sizes)
        add_shape(shapes, path, name, tensor.shape)
        tensors[name] = tensor

    def read(name: str) -> np.ndarray:
        with explain_damage(f"{path}: {name} cannot be read", DAMAGED_ARCHIVE):
            return _values(stored, tensors[name])

    return shapes, read
