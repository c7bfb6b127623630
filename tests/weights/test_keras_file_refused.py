"""Keras's HDF5 files that are hostile, damaged or of another layout are refused."""

import sys

import h5py
import numpy as np
import pytest
from foreign_files import damaged, read_all, refusal_of, write_keras
from keras_values import KERNEL, LAYERS, write_by_hand

from dgl.weights import open_checkpoint


@pytest.mark.parametrize("names", [["layers", "vars"], ["_layer_checkpoint_dependencies"]])
def test_the_format_of_keras_3(tmp_path, names):
    path = tmp_path / "a.weights.h5"
    with h5py.File(str(path), "w") as stream:
        for name in names:
            stream.create_group(name).create_dataset("conv/vars/0", data=KERNEL)
    message = refusal_of(path)
    assert "a .weights.h5 file of Keras 3, expected the layout of Keras 2" in message
    assert "layer_names" in message and "save_weights('x.h5')" in message


def test_hdf5_without_weights(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(str(path), "w") as stream:
        stream.create_group("model_weights").create_dataset("x", data=KERNEL)
    assert "no Keras weights, expected the layout of Keras 2" in refusal_of(path)


@pytest.fixture
def other_file(tmp_path):
    """A sound file whose numbers must not come through another."""
    path = str(tmp_path / "other.h5")
    with h5py.File(path, "w") as stream:
        stream.create_dataset("kernel:0", data=np.full((2, 2), 7.0))
    return path


def _link_to(kind, other, target):
    return h5py.ExternalLink(other, target) if kind == "external" else h5py.SoftLink(target)


@pytest.mark.parametrize("kind", ["external", "soft"])
@pytest.mark.parametrize("place", ["weight", "layer", "model_weights"])
def test_links_are_not_followed(tmp_path, other_file, kind, place):
    path = str(write_keras(tmp_path / "a.h5", LAYERS, model=place == "model_weights"))
    with h5py.File(path, "a") as stream:
        spot = {"weight": "block1_conv1/block1_conv1/kernel:0", "layer": "block1_conv1"}.get(
            place, "model_weights"
        )
        stream.move(spot, "elsewhere")
        stream[spot] = _link_to(kind, other_file, "/elsewhere" if kind == "soft" else "/kernel:0")
    assert "is a link, expected plain data" in refusal_of(path)


def test_a_link_in_place_of_the_file_is_not_opened(tmp_path):
    path = tmp_path / "a.h5"
    missing = str(tmp_path / "missing.h5")
    write_by_hand(
        path, lambda group: group.__setitem__("kernel:0", h5py.ExternalLink(missing, "/x"))
    )
    assert "kernel:0 is a link" in refusal_of(path)


def test_numbers_in_another_file(tmp_path):
    raw = str(tmp_path / "raw")
    with open(raw, "wb") as stream:
        stream.write(b"secret__" * 4)

    def fill(group):
        space = h5py.h5s.create_simple((4,))
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_external(raw.encode(), 0, 32)
        h5py.h5d.create(group.id, b"kernel:0", h5py.h5t.NATIVE_DOUBLE, space, plist)

    assert "lies in another file" in refusal_of(write_by_hand(tmp_path / "a.h5", fill))


def test_a_virtual_dataset(tmp_path, other_file):
    def fill(group):
        layout = h5py.VirtualLayout((2, 2), "f8")
        layout[:] = h5py.VirtualSource(other_file, "kernel:0", (2, 2))
        group.create_virtual_dataset("kernel:0", layout)

    path = tmp_path / "a.h5"
    with h5py.File(str(path), "w", libver="latest") as stream:
        stream.attrs["layer_names"] = np.array([b"conv"])
        stream.create_group("conv").attrs["weight_names"] = np.array([b"kernel:0"])
        fill(stream["conv"])
    assert "lies in another file" in refusal_of(path)


_TEXT = h5py.special_dtype(vlen=str)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"shape": (10**12,), "dtype": "f4"}, "claims 4000000000000 bytes"),
        (
            {"shape": (10**6, 10**6), "dtype": "f4", "chunks": (10, 10)},
            "claims 4000000000000 bytes",
        ),
        ({"shape": (10**12,), "dtype": "u1", "compression": "gzip"}, "claims 1000000000000 bytes"),
        ({"shape": (2**40, 2**30), "dtype": "f8", "chunks": (8, 8)}, "claims"),
        ({"shape": (10**7,), "dtype": "u1", "compression": "gzip"}, "claims 10000000 bytes"),
        ({"data": np.zeros(10**7, "u1"), "compression": "gzip"}, "claims 10000000 bytes"),
        (
            {
                "shape": (1,),
                "maxshape": (None,),
                "dtype": "f4",
                "chunks": (10**8,),
                "compression": "gzip",
            },
            "claims 400000000 bytes",
        ),
        ({"shape": (3,), "dtype": _TEXT}, "holds object, expected numbers"),
        ({"shape": (3,), "dtype": h5py.special_dtype(vlen=np.dtype("f4"))}, "holds object"),
        ({"shape": (3,), "dtype": h5py.special_dtype(ref=h5py.Reference)}, "holds object"),
        ({"data": np.zeros(3, [("a", "f4"), ("b", "f4")])}, "expected numbers"),
        ({"data": np.array([b"a"])}, "expected numbers"),
        ({"data": np.zeros(3, "c8")}, "expected numbers"),
        ({"data": h5py.Empty(np.dtype("f4"))}, "expected numbers"),
        ({"data": np.arange(100), "scaleoffset": True}, "by other means than gzip or lzf"),
    ],
)
def test_arrays_that_are_not_what_they_claim(tmp_path, options, message):
    path = tmp_path / "a.h5"
    write_by_hand(path, lambda group: group.create_dataset("kernel:0", **options))
    found = refusal_of(path)
    assert message in found and "kernel:0" in found


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda group: None, "conv/kernel:0 is missing"),
        (lambda group: group.create_group("kernel:0"), "conv/kernel:0 is no array"),
        (lambda group: group.attrs.__delitem__("weight_names"), "lacks its attribute weight_names"),
        (
            lambda group: group.attrs.__setitem__("weight_names", np.array([b"../kernel:0"])),
            "is missing",
        ),
        (lambda group: group.attrs.__setitem__("weight_names", np.array([b"/conv"])), "is missing"),
        (lambda group: group.attrs.__setitem__("weight_names", np.array([b"."])), "is missing"),
        (
            lambda group: group.attrs.__setitem__("weight_names", np.array([b"\xff"])),
            "not a readable",
        ),
        (lambda group: group.attrs.__setitem__("weight_names", np.arange(3)), "no list of texts"),
        (
            lambda group: group.attrs.__setitem__("weight_names", np.array([[b"a"]])),
            "no list of texts",
        ),
        (lambda group: group.attrs.__setitem__("weight_names", np.array(b"a")), "no list of texts"),
        (
            lambda group: group.attrs.__setitem__("weight_names", h5py.Empty(np.dtype("S1"))),
            "no weights",
        ),
        (lambda group: group.parent.__delitem__("conv"), "conv is missing"),
    ],
)
def test_lists_of_names_that_lead_nowhere(tmp_path, make, message):
    path = write_by_hand(tmp_path / "a.h5", make)
    if message == "no weights":  # an empty list is a layer without any
        assert read_all(path) == {}
    else:
        assert message in refusal_of(path)


def test_a_layer_that_is_an_array(tmp_path):
    path = write_by_hand(tmp_path / "a.h5", lambda group: None)
    with h5py.File(str(path), "a") as stream:
        del stream["conv"]
        stream["conv"] = KERNEL
    assert "conv is no group" in refusal_of(path)


def test_a_weight_twice(tmp_path):
    path = write_keras(tmp_path / "a.h5", [("x", [("y", KERNEL)])])
    with h5py.File(path, "a") as stream:
        stream["x"].attrs["weight_names"] = np.array([b"x/y:0", b"x/y:0"])
    assert "two variables are named x/y" in refusal_of(path)


def test_one_long_text_many_times(tmp_path):
    path = str(tmp_path / "a.h5")
    text, count = "a" * 3000000, 2000
    with h5py.File(path, "w") as stream:
        texts = np.array([text] + ["b"] * (count - 1), object)
        stream.attrs.create("layer_names", texts, dtype=_TEXT)
    assert "the attribute layer_names claims too much text" in refusal_of(path)


def test_the_library_is_absent(tmp_path, monkeypatch):
    path = write_keras(tmp_path / "a.h5", LAYERS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    message = f"{path}: the package h5py is needed to read it: pip install h5py"
    assert refusal_of(path) == message


@pytest.mark.parametrize("cut", [0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}])
def test_truncated(tmp_path, cut, options):
    path = damaged(write_keras(tmp_path / "a.h5", LAYERS, **options), cut=cut)
    assert "not a readable HDF5 file of Keras" in refusal_of(path)


@pytest.mark.parametrize("content", [b"garbage" * 30, b"\x89HDF\r\n\x1a\n" + b"\0" * 300])
def test_garbage(tmp_path, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    assert "not a readable HDF5 file of Keras" in refusal_of(path)


@pytest.mark.skipif(
    h5py.version.hdf5_version_tuple < (1, 12), reason="older HDF5 crashes on some damaged headers"
)
def test_a_changed_byte_is_refused_or_harmless(tmp_path):
    path = write_keras(tmp_path / "a.h5", LAYERS)
    with open(path, "rb") as stream:
        data = stream.read()
    refused = 0
    for position in range(0, len(data), 61):
        with open(path, "wb") as stream:
            stream.write(data)
        damaged(path, flip=position)
        try:
            open_checkpoint(path)
            read_all(path)
        except Exception:
            refusal_of(path)
            refused += 1
    assert refused > 10
