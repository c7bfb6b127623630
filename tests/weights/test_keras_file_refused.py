"""Keras's HDF5 files that are hostile, damaged or of another layout are refused."""

import sys

import h5py
import numpy as np
import pytest
from foreign_files import damaged, read_all, refusal_of, write_keras
from keras_values import KERNEL, LAYERS, write_by_hand

_TEXT = h5py.special_dtype(vlen=str)


def _bare(*names):
    """Maker of a file with groups but without lists of names."""

    def make(path):
        with h5py.File(str(path), "w") as stream:
            for name in names:
                stream.create_group(name).create_dataset("conv/vars/0", data=KERNEL)

    return make


def _linked(place, kind):
    """Maker of a file one of whose objects is a link to another place or another, sound file."""

    def make(path):
        other = str(path) + ".other"
        with h5py.File(other, "w") as stream:
            stream.create_dataset("x", data=KERNEL)
        write_keras(path, LAYERS, model=place == "model_weights")
        with h5py.File(str(path), "a") as stream:
            stream.move(place, "elsewhere")
            external = kind == "external"
            stream[place] = (
                h5py.ExternalLink(other, "/x") if external else h5py.SoftLink("/elsewhere")
            )

    return make


def _by_hand(fill):
    return lambda path: write_by_hand(path, fill)


def _dataset(**options):
    return _by_hand(lambda group: group.create_dataset("kernel:0", **options))


def _names(value):
    """Maker of a file whose list of weights is ``value``."""
    return _by_hand(lambda group: group.attrs.__setitem__("weight_names", value))


def _outside(group):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_external(b"/etc/hostname", 0, 8)
    space = h5py.h5s.create_simple((1,))
    h5py.h5d.create(group.id, b"kernel:0", h5py.h5t.NATIVE_DOUBLE, space, plist)


def _virtual(path):
    write_by_hand(path, lambda group: None)
    layout = h5py.VirtualLayout((2, 2), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2, 2))
    with h5py.File(str(path), "a", libver="latest") as stream:
        stream["conv"].create_virtual_dataset("kernel:0", layout)


def _layer_is_an_array(path):
    write_by_hand(path, lambda group: None)
    with h5py.File(str(path), "a") as stream:
        del stream["conv"]
        stream["conv"] = KERNEL


def _much_text(path):
    texts = np.array(["a" * 3000000] + ["b"] * 1999, object)
    with h5py.File(str(path), "w") as stream:
        stream.attrs.create("layer_names", texts, dtype=_TEXT)


def _bytes(content):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    "make, message",
    [
        (_bare("layers", "vars"), "Keras 3, expected the layout of Keras 2"),
        (_bare("_layer_checkpoint_dependencies"), "Keras 3, expected the layout of Keras 2"),
        (_bare("model_weights"), "expected the layout of Keras 2"),
        (_linked("block1_conv1/block1_conv1/kernel:0", "external"), "is a link"),
        (_linked("block1_conv1", "external"), "is a link"),
        (_linked("block1_conv1", "soft"), "is a link"),
        (_linked("model_weights", "external"), "is a link"),
        (_by_hand(_outside), "kernel:0 lies in another file"),
        (_virtual, "kernel:0 lies in another file"),
        (_dataset(shape=(10**12,), dtype="f4"), "kernel:0 claims 4000000000000 bytes"),
        (_dataset(shape=(2**40, 2**30), dtype="f8", chunks=(8, 8)), "kernel:0 claims"),
        (
            _dataset(data=np.zeros(10**7, "u1"), compression="gzip"),
            "kernel:0 claims 10000000 bytes",
        ),
        (
            _dataset(shape=(1,), maxshape=(None,), dtype="f4", chunks=(10**8,), compression="gzip"),
            "kernel:0 claims 400000000 bytes",
        ),
        (_dataset(shape=(3,), dtype=_TEXT), "kernel:0 holds object, expected numbers"),
        (_dataset(data=np.zeros(3, [("a", "f4"), ("b", "f4")])), "expected numbers"),
        (_dataset(data=np.zeros(3, "c8")), "expected numbers"),
        (_dataset(data=h5py.Empty(np.dtype("f4"))), "expected numbers"),
        (_dataset(data=np.arange(100), scaleoffset=True), "gzip or lzf"),
        (_by_hand(lambda group: None), "conv/kernel:0 is missing"),
        (_by_hand(lambda group: group.create_group("kernel:0")), "conv/kernel:0 is no array"),
        (_by_hand(lambda group: group.attrs.__delitem__("weight_names")), "weight_names"),
        (_names(np.array([b"../kernel:0"])), "is missing"),
        (_names(np.array([b"\xff"])), "not a readable"),
        (_names(np.arange(3)), "weight_names"),
        (_by_hand(lambda group: group.parent.__delitem__("conv")), "conv is missing"),
        (_layer_is_an_array, "conv is no group"),
        (_much_text, "layer_names"),
        (_bytes(b"garbage" * 30), "not a readable HDF5 file"),
        (_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300)), "not a readable HDF5 file"),
    ],
)
def test_refused(tmp_path, make, message):
    path = tmp_path / "a.h5"
    make(path)
    assert message in refusal_of(path)


def test_a_weight_twice(tmp_path):
    path = write_keras(tmp_path / "a.h5", [("x", [("y", KERNEL)])])
    with h5py.File(path, "a") as stream:
        stream["x"].attrs["weight_names"] = np.array([b"x/y:0", b"x/y:0"])
    assert "x/y" in refusal_of(path)


def test_an_empty_list_is_a_layer_without_weights(tmp_path):
    path = tmp_path / "a.h5"
    _names(h5py.Empty(np.dtype("S1")))(path)
    assert read_all(path) == {}


def test_the_library_is_absent(tmp_path, monkeypatch):
    path = write_keras(tmp_path / "a.h5", LAYERS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install h5py" in refusal_of(path)


@pytest.mark.skipif(
    h5py.version.hdf5_version_tuple < (1, 12), reason="older HDF5 crashes on some damaged headers"
)
def test_a_changed_byte_is_refused_or_harmless(tmp_path):
    path = tmp_path / "a.h5"
    write_keras(path, LAYERS)
    data, refused = path.read_bytes(), 0
    for position in range(0, len(data), 97):
        path.write_bytes(data)
        damaged(path, flip=position)
        try:
            read_all(path)
        except Exception:
            refusal_of(path)
            refused += 1
    assert refused > 5
