"""Reading Keras's HDF5 weight files (`.h5`, `.hdf5`) of the layout that Keras 1 and 2 write.

The root, or in whole models the group ``model_weights``, has an attribute ``layer_names``; the group of
each layer has ``weight_names`` and below it the weights as datasets. Long attributes are split into
``layer_names0``, ``layer_names1``, ... The stored names vary with Keras's age (``conv/kernel:0``,
``conv_W_1:0``); the layer and the last part of the weight's name identify it in all of them.
"""

import itertools
import os
from collections import Counter, OrderedDict
from typing import Dict, Tuple

import numpy as np

from dgl.errors import UserError
from dgl.weights.foreign import Opened, add_shape, first_line, quoted
from dgl.weights.hdf5_heaps import longest_text

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


class _Reader(object):
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
                raise _Refused("{} is missing".format(quoted(path)))
            kind = group.id.links.get_info(part.encode("utf-8")).type
            if kind != self._h5py.h5l.TYPE_HARD:
                raise _Refused("{} is a link, expected plain data".format(quoted(path)))
            group = group[part]
        return group

    def group(self, group, path):
        found = self.member(group, path)
        if not isinstance(found, self._h5py.Group):
            raise _Refused("{} is no group".format(quoted(path)))
        return found

    def texts(self, group, attribute):
        """An attribute of names, joined if it is split; ``None`` where there is none."""
        if attribute in group.attrs:
            return self._texts(group, attribute)
        if attribute + "0" not in group.attrs:
            return None
        found = []
        for index in itertools.count():
            if "{}{}".format(attribute, index) not in group.attrs:
                return found
            found += self._texts(group, "{}{}".format(attribute, index))

    def _texts(self, group, attribute):
        stored = group.attrs.get_id(attribute)
        count = _bytes(stored.shape, 1)
        if count == 0:  # Keras writes a layer without weights as an empty array of numbers
            return []
        variable = self._h5py.check_dtype(vlen=stored.dtype) in (str, bytes)
        if len(stored.shape) != 1 or not (variable or stored.dtype.kind == "S"):
            raise _Refused("the attribute {} is no list of texts".format(attribute))
        # Texts of variable length are references into heaps; many may point at one long text.
        longest = self._longest_text() if variable else 1
        if count * stored.dtype.itemsize > self.room or count * longest > _MOST_TEXT:
            raise _Refused("the attribute {} claims too much text".format(attribute))
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
            raise _Refused("{} is no array".format(quoted(path)))
        plist = found.id.get_create_plist()
        if plist.get_layout() == self._h5py.h5d.VIRTUAL or plist.get_external_count():
            raise _Refused("{} lies in another file, expected plain data".format(quoted(path)))
        filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
        if not filters <= self._filters:
            raise _Refused("{} is compressed by other means than gzip or lzf".format(quoted(path)))
        if found.shape is None or found.dtype.kind not in "fiub":
            raise _Refused("{} holds {}, expected numbers".format(quoted(path), found.dtype))
        limit = self.room
        if filters:
            limit = min(limit, found.id.get_storage_size()) * _LARGEST_RATIO + _SMALL
        size = max(_bytes(part, found.dtype.itemsize) for part in (found.shape, found.chunks or ()))
        if size > limit:
            raise _Refused(
                "{} claims {} bytes, expected at most {} of what is stored".format(
                    quoted(path), size, limit
                )
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
            raise _Refused("the layer {} lacks its attribute weight_names".format(quoted(layer)))
        for name, weight in zip(_names(layer, stored), stored):
            yield name, "{}{}/{}".format(prefix, layer, weight)


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
    shapes: Dict[str, Tuple[int, ...]] = OrderedDict()
    places = {}
    try:
        with _Reader(path) as reader:
            for name, place in _weights(reader):
                add_shape(shapes, path, name, reader.dataset(place).shape)
                places[name] = place
    except _Refused as error:
        raise UserError("{}: {}".format(path, error)) from None
    except _DAMAGED as error:
        raise UserError(
            "{}: not a readable HDF5 file of Keras ({})".format(path, quoted(first_line(error)))
        ) from None

    def read(name):
        try:
            with _Reader(path) as reader:
                stored = reader.dataset(places[name])[()]
        except (_Refused,) + _DAMAGED as error:
            raise UserError(
                "{}: {} cannot be read ({})".format(path, name, quoted(first_line(error)))
            ) from None
        return np.asarray(stored, stored.dtype.newbyteorder("="))

    return shapes, read
