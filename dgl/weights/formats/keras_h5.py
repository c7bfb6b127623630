"""Keras's HDF5 weight files (`.h5`, `.hdf5`) in the layout that Keras 1 and 2 write, read by h5py.

Only plain data in the file itself is read: no links, no external or virtual storage, nothing larger than
what is stored.
"""

import itertools
import mmap
import os
import re
from collections import Counter
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from dgl.weights.formats.npz import plain_name
from dgl.weights.formats.registry import Opened, Refused, quoted, register_format

_MAGIC = b"\x89HDF\r\n\x1a\n"
# Weights hardly compress, zeros do up to a thousandfold; small arrays may be all zeros.
_LARGEST_RATIO = 100
_SMALL = 1 << 20
# Texts of variable length lie in collections that begin like this, followed by their size.
_COLLECTION = re.compile(rb"GCOL\x01\0\0\0(?=(.{8}))", re.DOTALL)
_MOST_TEXT = 1 << 28
_KERAS_3 = ("layers", "_layer_checkpoint_dependencies")


class _Reader:
    """An open file: no links, no external storage, nothing larger than what is stored."""

    def __init__(self, file: Any):
        import h5py

        self._h5py: Any = h5py
        self.file = file
        self.room = os.path.getsize(file.filename)
        self._longest: Optional[int] = None  # what `_longest_text` found, for every list of names
        # Filters built into HDF5 and h5py; others would be loaded from plugins.
        known = "DEFLATE SHUFFLE FLETCHER32 LZF".split()
        self._filters = {getattr(h5py.h5z, "FILTER_" + name) for name in known}

    def has(self, group: Any, name: str) -> bool:
        return bool(group.id.links.exists(name.encode("utf-8")))

    def member(self, group: Any, path: str) -> Any:
        """The object ``path`` below ``group``, by hard links only."""
        for part in path.split("/"):
            if not part or not isinstance(group, self._h5py.Group) or not self.has(group, part):
                raise Refused(f"{quoted(path)} is missing")
            kind = group.id.links.get_info(part.encode("utf-8")).type
            if kind != self._h5py.h5l.TYPE_HARD:
                raise Refused(f"{quoted(path)} is a link, expected plain data")
            group = group[part]
        return group

    def group(self, group: Any, path: str) -> Any:
        found = self.member(group, path)
        if not isinstance(found, self._h5py.Group):
            raise Refused(f"{quoted(path)} is no group")
        return found

    def texts(self, group: Any, attribute: str) -> Optional[List[str]]:
        """An attribute of names, joined if it is split; ``None`` where there is none."""
        if attribute in group.attrs:
            return self._texts(group, attribute)
        if attribute + "0" not in group.attrs:
            return None
        numbered = (f"{attribute}{index}" for index in itertools.count())
        parts = itertools.takewhile(group.attrs.__contains__, numbered)
        return [text for part in parts for text in self._texts(group, part)]

    def _texts(self, group: Any, attribute: str) -> List[str]:
        stored = group.attrs.get_id(attribute)
        count = _bytes(stored.shape, 1)
        if count == 0:  # Keras writes a layer without weights as an empty array of numbers
            return []
        variable = self._h5py.check_dtype(vlen=stored.dtype) in (str, bytes)
        if len(stored.shape) != 1 or not (variable or stored.dtype.kind == "S"):
            raise Refused(f"the attribute {attribute} is no list of texts")
        # Many texts of variable length may refer to one long text, which h5py copies for each.
        repeated = variable and count * self._longest_text() > _MOST_TEXT
        if count * stored.dtype.itemsize > self.room or repeated:
            raise Refused(f"the attribute {attribute} claims too much text")
        texts = group.attrs[attribute]
        return [t if isinstance(t, str) else t.decode("utf-8") for t in texts]

    def _longest_text(self) -> int:
        """Bytes that no text of variable length exceeds: the size of the largest collection."""
        if self._longest is None:
            with open(self.file.filename, "rb") as stream:
                content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            with content:
                sizes = [int.from_bytes(s, "little") for s in _COLLECTION.findall(content)]
            self._longest = min(max(sizes, default=0), self.room)
        return self._longest

    def dataset(self, path: str) -> Any:
        """A dataset that is safe to read."""
        found = self.member(self.file, path)
        if not isinstance(found, self._h5py.Dataset):
            raise Refused(f"{quoted(path)} is no array")
        plist = found.id.get_create_plist()
        if plist.get_layout() == self._h5py.h5d.VIRTUAL or plist.get_external_count():
            raise Refused(f"{quoted(path)} lies in another file, expected plain data")
        filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
        if not filters <= self._filters:
            raise Refused(f"{quoted(path)} is compressed by other means than gzip or lzf")
        if found.shape is None or found.dtype.kind not in "fiub":
            raise Refused(f"{quoted(path)} holds {found.dtype}, expected numbers")
        limit = self.room
        if filters:
            limit = min(limit, found.id.get_storage_size()) * _LARGEST_RATIO + _SMALL
        size = max(_bytes(part, found.dtype.itemsize) for part in (found.shape, found.chunks or ()))
        if size > limit:
            raise Refused(
                f"{quoted(path)} claims {size} bytes, expected at most {limit} of what is stored"
            )
        return found


def _bytes(shape: Optional[Sequence[int]], item_size: int) -> int:
    if shape is None:  # HDF5's null data space
        return 0
    for extent in shape:
        item_size *= int(extent)
    return item_size


def _names(layer: str, stored: Sequence[str]) -> List[str]:
    """The variables of one layer, ``<layer>/<leaf>``.

    A layer that is itself made of layers may have a leaf twice; then the whole stored names are kept.
    """
    names = [plain_name(name.split("/")[-1]) for name in stored]
    if max(Counter(names).values(), default=0) > 1:
        parents = [name.split("/")[:-1] for name in stored]
        parents = [part[1:] if part[:1] == [layer] else part for part in parents]
        names = ["/".join(part + [name]) for part, name in zip(parents, names)]
    return [layer + "/" + name for name in names]


def _weights(reader: _Reader) -> Iterator[Tuple[str, str]]:
    """(variable name, path in the file) of every weight, in file order."""
    top, prefix = reader.file, ""
    layers = reader.texts(top, "layer_names")
    if layers is None and reader.has(top, "model_weights"):
        prefix = "model_weights/"
        top = reader.group(top, "model_weights")
        layers = reader.texts(top, "layer_names")
    if layers is None:
        is_keras_3 = any(reader.has(reader.file, name) for name in _KERAS_3)
        what = "a .weights.h5 file of Keras 3" if is_keras_3 else "no Keras weights"
        raise Refused(
            f"{what}, expected the layout of Keras 2 with the attribute layer_names: write it with "
            "save_weights('x.h5') of Keras 2 (tf-keras) or save('x.h5') of any Keras"
        )
    for layer in layers:
        stored = reader.texts(reader.group(top, layer), "weight_names")
        if stored is None:
            raise Refused(f"the layer {quoted(layer)} lacks its attribute weight_names")
        for name, weight in zip(_names(layer, stored), stored):
            yield name, f"{prefix}{layer}/{weight}"


@register_format(
    "HDF5 (Keras)", (".h5", ".hdf5", ".keras"), lambda path, head: head.startswith(_MAGIC)
)
def open_keras(path: str) -> Opened:
    """Open a Keras weight file; its numbers are read one array at a time.

    ``model.save_weights("x.h5")`` and ``model.save("x.h5")`` write such files. Names are
    ``<layer>/<weight>``, axes in Keras's order.

    What leads out of the file is refused, and what claims more than is stored: an array may have as many
    bytes as the file, a compressed one 100 times what is stored of it and 1 MiB.
    """
    import h5py

    with h5py.File(path, "r") as file:
        reader = _Reader(file)
        places = list(_weights(reader))
        shapes = [(name, reader.dataset(place).shape) for name, place in places]

    def read(name: str) -> np.ndarray:
        with h5py.File(path, "r") as file:
            stored = _Reader(file).dataset(dict(places)[name])[()]
        return np.asarray(stored, stored.dtype.newbyteorder("="))

    return shapes, read
