"""The heaps in which HDF5 keeps texts of variable length, checked before the library reads them.

The library walks a damaged heap without end, and copies one long text as often as it is referred to.
Source: HDF5 File Format Specification, III.E, "Disk Format: Level 1E - Global Heap".
"""

import contextlib
import itertools
import mmap
import os
import struct
from collections import Counter
from typing import Dict, Tuple

import numpy as np

from dgl.errors import UserError, first_line
from dgl.weights.formats.common import Opened, add_shape, quoted

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


# Reading Keras's HDF5 weight files (`.h5`, `.hdf5`) of the layout that Keras 1 and 2 write.

# Weights hardly compress, zeros do up to a thousandfold; small arrays may be all zeros.
_LARGEST_RATIO = 100
_SMALL = 1 << 20
_MOST_TEXT = 1 << 30
_KERAS_3 = ("layers", "_layer_checkpoint_dependencies")

# What h5py raises on damaged files; it builds names as well as numbers out of them.
_DAMAGED = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)


class _Refused(Exception):
    """Why a part of the file is not read, to be told with the file's name."""


class _Reader:
    """An open file, never left: no links, no foreign storage, nothing larger than it can hold."""

    def __init__(self, path):
        try:
            import h5py
        except ImportError:
            raise _Refused("the package h5py is needed to read it: pip install h5py") from None
        self._path = path
        self._h5py = h5py
        self._longest = None
        self.room = os.path.getsize(path)
        self.file = h5py.File(path, "r")
        # Filters built into HDF5 and h5py; others would be loaded from plugins.
        self._filters = {
            h5py.h5z.FILTER_DEFLATE,
            h5py.h5z.FILTER_SHUFFLE,
            h5py.h5z.FILTER_FLETCHER32,
            h5py.h5z.FILTER_LZF,
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def has(self, group, name):
        return group.id.links.exists(name.encode("utf-8"))

    def member(self, group, path):
        """The object ``path`` below ``group``, by hard links only."""
        for part in path.split("/"):
            if not part or not isinstance(group, self._h5py.Group) or not self.has(group, part):
                raise _Refused(f"{quoted(path)} is missing")
            kind = group.id.links.get_info(part.encode("utf-8")).type
            if kind != self._h5py.h5l.TYPE_HARD:
                raise _Refused(f"{quoted(path)} is a link, expected plain data")
            group = group[part]
        return group

    def group(self, group, path):
        found = self.member(group, path)
        if not isinstance(found, self._h5py.Group):
            raise _Refused(f"{quoted(path)} is no group")
        return found

    def texts(self, group, attribute):
        """An attribute of names, joined if it is split; ``None`` where there is none."""
        if attribute in group.attrs:
            return self._texts(group, attribute)
        if attribute + "0" not in group.attrs:
            return None
        found = []
        for index in itertools.count():
            if f"{attribute}{index}" not in group.attrs:
                return found
            found += self._texts(group, f"{attribute}{index}")

    def _texts(self, group, attribute):
        stored = group.attrs.get_id(attribute)
        count = _bytes(stored.shape, 1)
        if count == 0:  # Keras writes a layer without weights as an empty array of numbers
            return []
        variable = self._h5py.check_dtype(vlen=stored.dtype) in (str, bytes)
        if len(stored.shape) != 1 or not (variable or stored.dtype.kind == "S"):
            raise _Refused(f"the attribute {attribute} is no list of texts")
        # Texts of variable length are references into heaps; many may point at one long text.
        longest = self._longest_text() if variable else 1
        if count * stored.dtype.itemsize > self.room or count * longest > _MOST_TEXT:
            raise _Refused(f"the attribute {attribute} claims too much text")
        texts = group.attrs[attribute]
        return [t if isinstance(t, str) else t.decode("utf-8") for t in texts]

    def _longest_text(self):
        if self._longest is None:  # takes a pass over the whole file
            self._longest = longest_text(self._path)
        return self._longest

    def dataset(self, path):
        """A dataset that is safe to read."""
        found = self.member(self.file, path)
        if not isinstance(found, self._h5py.Dataset):
            raise _Refused(f"{quoted(path)} is no array")
        plist = found.id.get_create_plist()
        if plist.get_layout() == self._h5py.h5d.VIRTUAL or plist.get_external_count():
            raise _Refused(f"{quoted(path)} lies in another file, expected plain data")
        filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
        if not filters <= self._filters:
            raise _Refused(f"{quoted(path)} is compressed by other means than gzip or lzf")
        if found.shape is None or found.dtype.kind not in "fiub":
            raise _Refused(f"{quoted(path)} holds {found.dtype}, expected numbers")
        limit = self.room
        if filters:
            limit = min(limit, found.id.get_storage_size()) * _LARGEST_RATIO + _SMALL
        size = max(_bytes(part, found.dtype.itemsize) for part in (found.shape, found.chunks or ()))
        if size > limit:
            raise _Refused(
                f"{quoted(path)} claims {size} bytes, expected at most {limit} of what is stored"
            )
        return found


def _bytes(shape, item_size):
    if shape is None:  # HDF5's null data space
        return 0
    for extent in shape:
        item_size *= int(extent)
    return item_size


def _leaf(stored):
    name = stored.split("/")[-1]
    return name[: -len(":0")] if name.endswith(":0") else name


def _names(layer, stored):
    """The variables of one layer, ``<layer>/<leaf>``.

    A layer that is itself made of layers may have a leaf twice; then the whole stored names are kept.
    """
    names = [_leaf(name) for name in stored]
    if max(Counter(names).values(), default=0) > 1:
        parents = [name.split("/")[:-1] for name in stored]
        parents = [part[1:] if part[:1] == [layer] else part for part in parents]
        names = ["/".join(part + [name]) for part, name in zip(parents, names)]
    return [layer + "/" + name for name in names]


def _weights(reader):
    """(variable name, path in the file) of every weight, in file order."""
    top, prefix = reader.file, ""
    layers = reader.texts(top, "layer_names")
    if layers is None and reader.has(top, "model_weights"):
        prefix = "model_weights/"
        top = reader.group(top, "model_weights")
        layers = reader.texts(top, "layer_names")
    if layers is None:
        keras3 = any(reader.has(reader.file, name) for name in _KERAS_3)
        raise _Refused(
            "{}, expected the layout of Keras 2 with the attribute layer_names: write it with "
            "save_weights('x.h5') of Keras 2 (tf-keras) or save('x.h5') of any Keras".format(
                "a .weights.h5 file of Keras 3" if keras3 else "no Keras weights"
            )
        )
    for layer in layers:
        stored = reader.texts(reader.group(top, layer), "weight_names")
        if stored is None:
            raise _Refused(f"the layer {quoted(layer)} lacks its attribute weight_names")
        for name, weight in zip(_names(layer, stored), stored):
            yield name, f"{prefix}{layer}/{weight}"


def open_keras(path: str) -> Opened:
    """Open a Keras weight file; its numbers are read one array at a time.

    Args:
        path: str, a file of ``model.save_weights("x.h5")`` or ``model.save("x.h5")``.

    Returns:
        (shapes, read): ``<layer>/<weight>`` -> tuple of int, in file order, and name -> array in
        Keras's axis order.

    Raises:
        UserError: another layout, damaged, leading out of the file, or claiming more than is stored: an
            array may have as many bytes as the file, a compressed one 100 times what is stored of it
            and 1 MiB.
    """
    shapes: Dict[str, Tuple[int, ...]] = {}
    places = {}
    try:
        with _Reader(path) as reader:
            for name, place in _weights(reader):
                add_shape(shapes, path, name, reader.dataset(place).shape)
                places[name] = place
    except _Refused as error:
        raise UserError(f"{path}: {error}") from None
    except _DAMAGED as error:
        raise UserError(
            f"{path}: not a readable HDF5 file of Keras ({quoted(first_line(error))})"
        ) from None

    def read(name):
        try:
            with _Reader(path) as reader:
                stored = reader.dataset(places[name])[()]
        except (_Refused,) + _DAMAGED as error:
            raise UserError(
                f"{path}: {name} cannot be read ({quoted(first_line(error))})"
            ) from None
        return np.asarray(stored, stored.dtype.newbyteorder("="))

    return shapes, read
