"""Small weight files in the formats of Keras, PyTorch and safetensors, written without those libraries.

Writers return the path as text. ``tests/weights`` lets PyTorch, Keras and safetensors read what they
write. At the end is what the tests of the readers share.
"""

import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict, namedtuple

import h5py
import numpy as np
from refusals import refusal

from dgl.weights import open_checkpoint

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = "float64 float32 float16 int64 int32 int16 int8 uint8 bool".split()
_KINDS = "Double Float Half Long Int Short Char Byte Bool".split()
STORAGES = {dtype: kind + "Storage" for dtype, kind in zip(_DTYPES, _KINDS)}
SAFETENSORS_DTYPES = dict(zip(_DTYPES, "F64 F32 F16 I64 I32 I16 I8 U8 BOOL".split()))
# Keras splits an attribute that does not fit into an HDF5 object header.
ATTRIBUTE_LIMIT = 64512
# Names of weights in the files of Keras 1, from which the published VGG and ResNet weights come.
KERAS_1_NAMES = {"kernel": "W", "bias": "b"}
KERAS_1_NAMES.update({"moving_mean": "running_mean", "moving_variance": "running_std"})

# A tensor that is a window into a one-dimensional array, written as stated, be it sound or not: offset,
# shape and strides in elements; `kind` of the storage if not the array's own; views with the same `key`
# share the storage of the first.
View = namedtuple("View", "storage offset shape strides kind key", defaults=(None, None))


def program(*opcodes):
    """A pickle of protocol 2 made of opcodes."""
    return b"\x80\x02" + b"".join(opcodes) + b"."


def dump_global(module, name):
    """Opcodes that push ``module.name``."""
    return f"c{module}\n{name}\n".encode()


def dump_plain(value):
    """Opcodes of pickle protocol 2 that push None, a bool, int, float, str, tuple or dict."""
    if isinstance(value, tuple):
        return b"(" + b"".join(dump_plain(item) for item in value) + b"t"
    if isinstance(value, dict):
        items = b"".join(dump_plain(key) + dump_plain(item) for key, item in value.items())
        return b"}(" + items + b"u"
    # Without the two bytes of the protocol in front and the stop at the end.
    return pickle.dumps(value, 2)[2:-1]


def dump_ordered(items=b"", metadata=False):
    """Opcodes that push an OrderedDict of already dumped keys and values."""
    made = dump_global("collections", "OrderedDict") + b")R"
    if items:
        made += b"(" + items + b"u"
    if metadata:  # the attribute that torch.nn.Module.state_dict() sets: module -> version
        version = dump_plain("") + dump_plain({"version": 1})
        made += b"}" + dump_plain("_metadata") + dump_ordered(version) + b"sb"
    return made


def dump_storage(kind, key, size, *more):
    """Opcodes that push a persistent storage; in the older format it has one more entry."""
    entries = [dump_plain("storage"), dump_global("torch", kind)]
    entries += [dump_plain(value) for value in (key, "cpu", size, *more)]
    return b"(" + b"".join(entries) + b"tQ"


def dump_call(function, *arguments):
    """Opcodes that call a function of ``torch._utils`` with arguments that are dumped already."""
    return dump_global("torch._utils", function) + b"(" + b"".join(arguments) + b"tR"


def dump_tensor(view, key, legacy):
    """Opcodes that push a tensor on a persistent storage."""
    kind = view.kind or STORAGES[view.storage.dtype.name]
    storage = dump_storage(kind, key, int(view.storage.size), *[None] * legacy)
    stated = map(dump_plain, (view.offset, tuple(view.shape), tuple(view.strides), False))
    return dump_call("_rebuild_tensor_v2", storage, *stated, dump_ordered())


def _view_of(array):
    array = np.array(array, order="C")
    return View(array.ravel(), 0, array.shape, [step // array.itemsize for step in array.strides])


def write_pth(path, values, legacy=False, wrap=None, metadata=True):
    """Write a state dict as ``torch.save`` does.

    Args:
        values: name -> array or :class:`View`; anything else is stored as the plain value it is.
        legacy: the format before PyTorch 1.6 instead of the zip archive.
        wrap: key under which the state dict lies in an outer dict, if any.
        metadata: give the state dict its ``_metadata`` attribute.
    """
    storages, items = OrderedDict(), b""
    for name, value in values.items():
        items += dump_plain(name)
        if not isinstance(value, (np.ndarray, np.generic, View)):
            items += dump_plain(value)
            continue
        view = value if isinstance(value, View) else _view_of(value)
        key = str(len(storages)) if view.key is None else view.key
        storages.setdefault(key, view.storage)
        items += dump_tensor(view, key, legacy)
    state = dump_ordered(items, metadata)
    if wrap is not None:
        state = b"}(" + dump_plain("epoch") + dump_plain(3) + dump_plain(wrap) + state + b"u"
    write = write_legacy_pickle if legacy else write_zip_pickle
    return write(path, b"\x80\x02" + state + b".", storages)


def _little(array):
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def write_zip_pickle(path, pickled, storages=(), byteorder="little"):
    """Write PyTorch's zip archive around a pickle. ``storages``: key -> one-dimensional array."""
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", byteorder)
        for key in storages:
            raw = storages[key] if byteorder == "little" else storages[key].byteswap()
            archive.writestr(f"archive/data/{key}", _little(raw))
        archive.writestr("archive/version", "3\n")
    return str(path)


def write_legacy_pickle(path, pickled, storages=(), keys=None):
    """Write PyTorch's older format around a pickle; ``keys``: the stated ones if not the real."""
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    with open(str(path), "wb") as stream:
        for part in (TORCH_MAGIC, 1001, system):
            stream.write(pickle.dumps(part, 2))
        stream.write(pickled)
        stream.write(pickle.dumps(list(storages) if keys is None else keys, 2))
        for key in storages:
            stream.write(struct.pack("<q", storages[key].size) + _little(storages[key]))
    return str(path)


def _keras_weight_name(layer, name, old_names):
    if "/" in name:
        return name
    if old_names:
        return f"{layer}_{KERAS_1_NAMES.get(name, name)}_1:0"
    return f"{layer}/{name}:0"


def _write_names(group, attribute, names):
    names, parts = [name.encode("utf-8") for name in names], 1
    while any(np.asarray(p).nbytes > ATTRIBUTE_LIMIT for p in np.array_split(names, parts)):
        parts += 1
    for index, part in enumerate(np.array_split(names, parts)):
        group.attrs[attribute if parts == 1 else f"{attribute}{index}"] = part


def write_keras(path, layers, old_names=False, model=False, **dataset):
    """Write a weight file in Keras's legacy layout (``model.save_weights("x.h5")`` of Keras 2).

    Args:
        layers: list of (layer name, list of (weight name, array)). A weight ``kernel`` of the layer
            ``conv`` is stored as ``conv/kernel:0``; a name with a slash is stored as it is.
        old_names: store it as Keras 1 did, ``conv_W_1:0``.
        model: the layout of a whole model (``model.save("x.h5")``): the same in ``model_weights``.
        dataset: options of h5py's ``create_dataset``, such as ``compression``.
    """
    with h5py.File(str(path), "w") as stream:
        top = stream
        if model:
            stream.attrs["model_config"] = b"{}"
            top = stream.create_group("model_weights")
        top.attrs["backend"] = b"tensorflow"
        _write_names(top, "layer_names", [layer for layer, _ in layers])
        for layer, weights in layers:
            group = top.create_group(layer)
            stored = [_keras_weight_name(layer, name, old_names) for name, _ in weights]
            _write_names(group, "weight_names", stored)
            for name, (_, array) in zip(stored, weights):
                group.create_dataset(name, data=array, **dataset)
    return str(path)


def write_safetensors(path, values, dtypes=None):
    """Write name -> array as safetensors. ``dtypes``: name -> stated type, if not the array's own."""
    header, data = OrderedDict(), b""
    for name, array in values.items():
        raw = _little(array)
        header[name] = {
            "dtype": (dtypes or {}).get(name) or SAFETENSORS_DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of 8 bytes
    with open(str(path), "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text + data)
    return str(path)


def read_all(path):
    """Name -> array of everything in a weight file."""
    checkpoint = open_checkpoint(str(path))
    values = OrderedDict((name, checkpoint.read(name)) for name in checkpoint.shapes)
    assert {name: array.shape for name, array in values.items()} == dict(checkpoint.shapes)
    return values


def assert_same(found, expected):
    """Both hold the same names in the same order, types and numbers."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def refusal_of(path):
    """The one line with which opening or reading a file ends; it names the file."""
    message = refusal(read_all, path)
    assert message.startswith(f"{path}: ")
    return message


def damaged(path, cut=None, flip=None, mask=0x5A):
    """Cut a file to a fraction of its length, or change one of its bytes."""
    with open(str(path), "rb") as stream:
        data = bytearray(stream.read())
    if cut is not None:
        data = data[: int(cut * len(data))]
    if flip is not None:
        data[flip] ^= mask
    os.remove(str(path))  # HDF5 would know the file again
    with open(str(path), "wb") as stream:
        stream.write(bytes(data))
    return path


class Trap:
    """An object whose pickle calls a function where it is loaded as a program."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call
