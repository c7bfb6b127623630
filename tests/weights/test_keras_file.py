"""Keras's HDF5 files of every age are read with their names and layout; bad ones are refused."""

from collections import OrderedDict

import foreign_files
import h5py
import numpy as np
import pytest
from foreign_files import assert_same, read_all, refusal_of, write_keras

from dgl.tf_compat import tf

_RNG = np.random.RandomState(0)
KERNEL = _RNG.standard_normal((3, 3, 3, 4)).astype("float32")
LAYERS = [
    ("input_1", []),
    ("block1_conv1", [("kernel", KERNEL), ("bias", np.arange(4, dtype="float32"))]),
    ("a_norm", [("gamma", np.ones(4, "float32")), ("moving_variance", np.full(4, 2, "float32"))]),
]
VALUES = {f"{layer}/{name}": array for layer, weights in LAYERS for name, array in weights}
OLD_NAMES = ["block1_conv1/block1_conv1_W_1", "block1_conv1/block1_conv1_b_1"]
OLD_NAMES += ["a_norm/a_norm_gamma_1", "a_norm/a_norm_running_std_1"]


@pytest.mark.parametrize(
    "options, names",
    [
        ({}, VALUES),
        ({"model": True}, VALUES),
        ({"old_names": True}, OLD_NAMES),
        ({"compression": "gzip", "shuffle": True, "fletcher32": True}, VALUES),
    ],
)
def test_names_shapes_and_numbers(tmp_path, options, names):
    found = read_all(write_keras(tmp_path / "a.h5", LAYERS, **options))
    assert_same(found, dict(zip(names, VALUES.values())))


@pytest.mark.parametrize("model", [False, True])
def test_split_lists_of_names(tmp_path, monkeypatch, model):
    monkeypatch.setattr(foreign_files, "ATTRIBUTE_LIMIT", 30)
    path = write_keras(tmp_path / "a.h5", LAYERS, model=model)
    with h5py.File(path, "r") as stream:
        top = stream["model_weights"] if model else stream
        assert "layer_names1" in top.attrs and "layer_names" not in top.attrs
    assert_same(read_all(path), VALUES)


def test_a_layer_made_of_layers(tmp_path):
    inner = [("one/kernel:0", KERNEL), ("resnet/two/kernel:0", KERNEL + 1), ("bias", KERNEL[0])]
    found = read_all(write_keras(tmp_path / "a.h5", [("resnet", inner)]))
    assert list(found) == ["resnet/one/kernel", "resnet/two/kernel", "resnet/bias"]


def test_the_layer_names_the_weight_whatever_its_scope(tmp_path):
    layers = [("conv", [("conv_3/kernel:0", KERNEL)])]
    assert list(read_all(write_keras(tmp_path / "a.h5", layers))) == ["conv/kernel"]


def test_numbers_of_the_other_byte_order(tmp_path):
    array = np.arange(6).reshape(2, 3).astype(">f4")
    found = read_all(write_keras(tmp_path / "a.h5", [("x", [("y", array)])]))
    assert_same(found, {"x/y": array.astype("f4")})


@pytest.mark.slow
def test_names_of_variable_length_in_a_large_file(tmp_path):
    layers = [(f"conv{index}", [("kernel:0", KERNEL)]) for index in range(110)]
    path = write_keras(tmp_path / "a.h5", layers + [("fc", [("kernel:0", np.zeros(10**7, "f4"))])])
    with h5py.File(path, "a") as stream:
        for group in [stream] + list(stream.values()):
            name = "weight_names" if "weight_names" in group.attrs else "layer_names"
            texts = np.asarray(group.attrs[name]).astype(object)
            del group.attrs[name]
            group.attrs.create(name, texts, dtype=h5py.special_dtype(vlen=bytes))
    assert len(read_all(path)) == 111


@pytest.fixture
def network():
    """A network of Keras, whose weights are drawn."""
    layers = tf.keras.layers
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        network = tf.keras.Sequential(
            [
                layers.Conv2D(4, 3, input_shape=(6, 6, 3), name="z_conv"),
                layers.BatchNormalization(name="norm"),
                layers.Flatten(name="flat"),
                layers.Dense(2, name="a_dense"),
            ]
        )
        session.run(tf.global_variables_initializer())
        yield network


def _names_in(network):
    """(layer, weight) names in the order of ``get_weights``."""
    pairs = [(layer.name, weight.name) for layer in network.layers for weight in layer.weights]
    return [(layer, name.split("/")[-1].split(":")[0]) for layer, name in pairs]


@pytest.mark.parametrize("save", ["save_weights", "save"])
@pytest.mark.filterwarnings("ignore")
def test_what_keras_writes(tmp_path, network, save):
    path = str(tmp_path / "a.h5")
    getattr(network, save)(path)
    expected = dict(zip(map("/".join, _names_in(network)), network.get_weights()))
    assert len(expected) == 8 and next(iter(expected)) == "z_conv/kernel"
    assert_same(read_all(path), expected)


def test_keras_reads_what_the_tests_write(tmp_path, network):
    layers, made = OrderedDict(), []
    for (layer, name), value in zip(_names_in(network), network.get_weights()):
        made.append(_RNG.standard_normal(value.shape).astype("float32"))
        layers.setdefault(layer, []).append((name, made[-1]))
    network.load_weights(write_keras(tmp_path / "a.h5", layers.items()))
    for found, expected in zip(network.get_weights(), made):
        np.testing.assert_array_equal(found, expected)


# --- refused

_TEXT = h5py.special_dtype(vlen=str)
_GZIP = {"compression": "gzip"}


def by_hand(path, fill):
    """Write a file with the one weight ``conv/kernel``, which ``fill`` makes in the group ``conv``."""
    with h5py.File(str(path), "w") as stream:
        stream.attrs["layer_names"] = np.array([b"conv"])
        group = stream.create_group("conv")
        group.attrs["weight_names"] = np.array([b"kernel:0"])
        fill(group)


def _bare(*names):
    """The file has other groups, without lists of names."""

    def fill(group):
        top = group.parent
        del top.attrs["layer_names"], top["conv"]
        for name in names:
            top.create_group(name).create_dataset("conv/vars/0", data=KERNEL)

    return fill


def _dataset(**options):
    return lambda group: group.create_dataset("kernel:0", **options)


def _names(value):
    return lambda group: group.attrs.__setitem__("weight_names", value)


def _outside(group):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_external(b"/etc/hostname", 0, 8)
    space = h5py.h5s.create_simple((1,))
    h5py.h5d.create(group.id, b"kernel:0", h5py.h5t.NATIVE_DOUBLE, space, plist)


def _virtual(group):
    layout = h5py.VirtualLayout((2, 2), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2, 2))
    group.create_virtual_dataset("kernel:0", layout)


def _layer_is_an_array(group):
    top = group.parent
    del top["conv"]
    top["conv"] = KERNEL


def _twice(group):
    group.create_dataset("kernel:0", data=KERNEL)
    group.attrs["weight_names"] = np.array([b"kernel:0", b"kernel:0"])


def _much_text(group):
    texts = np.array(["a" * 3000000] + ["b"] * 1999, object)
    group.parent.attrs.create("layer_names", texts, dtype=_TEXT)


@pytest.mark.parametrize(
    "fill, message",
    [
        (_bare("layers", "vars"), "Keras 3, expected the layout of Keras 2"),
        (_bare("model_weights"), "expected the layout of Keras 2"),
        (_outside, "kernel:0 lies in another file"),
        (_virtual, "kernel:0 lies in another file"),
        (_dataset(shape=(10**12,), dtype="f4"), "kernel:0 claims 4000000000000 bytes"),
        (_dataset(data=np.zeros(10**7, "u1"), **_GZIP), "kernel:0 claims 10000000 bytes"),
        (
            _dataset(shape=(1,), maxshape=(None,), dtype="f4", chunks=(10**8,), **_GZIP),
            "kernel:0 claims 400000000 bytes",
        ),
        (_dataset(shape=(3,), dtype=_TEXT), "kernel:0 holds object, expected numbers"),
        (_dataset(data=h5py.Empty(np.dtype("f4"))), "expected numbers"),
        (_dataset(data=np.arange(100), scaleoffset=True), "gzip or lzf"),
        (lambda group: None, "conv/kernel:0 is missing"),
        (lambda group: group.create_group("kernel:0"), "conv/kernel:0 is no array"),
        (lambda group: group.attrs.__delitem__("weight_names"), "weight_names"),
        (_names(np.array([b"../kernel:0"])), "is missing"),
        (_names(np.arange(3)), "weight_names"),
        (lambda group: group.parent.__delitem__("conv"), "conv is missing"),
        (_layer_is_an_array, "conv is no group"),
        (_twice, "named conv/kernel, expected one"),
        (_much_text, "layer_names"),
    ],
)
def test_refused(tmp_path, fill, message):
    by_hand(tmp_path / "a.h5", fill)
    assert message in refusal_of(tmp_path / "a.h5")


@pytest.mark.parametrize("kind", ["soft", "external"])
@pytest.mark.parametrize(
    "place", ["block1_conv1/block1_conv1/kernel:0", "block1_conv1", "model_weights"]
)
def test_links_are_refused(tmp_path, place, kind):
    """To another place as to another file, sound ones both."""
    path, other = tmp_path / "a.h5", str(tmp_path / "b.h5")
    for name in (path, other):
        write_keras(name, LAYERS, model=place == "model_weights")
    with h5py.File(str(path), "a") as stream:
        stream.move(place, "elsewhere")
        is_soft = kind == "soft"
        stream[place] = h5py.SoftLink("/elsewhere") if is_soft else h5py.ExternalLink(other, place)
    assert "is a link" in refusal_of(path)


def test_an_empty_list_is_a_layer_without_weights(tmp_path):
    by_hand(tmp_path / "a.h5", _names(h5py.Empty(np.dtype("S1"))))
    assert read_all(tmp_path / "a.h5") == {}
