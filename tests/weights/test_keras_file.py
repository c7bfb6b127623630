"""Keras's HDF5 files of every age are read with their names and layout."""

import foreign_files
import h5py
import numpy as np
import pytest
from foreign_files import assert_same, read_all, write_keras
from keras_values import KERNEL, LAYERS, VALUES

from dgl.tf_compat import tf

OLD_VALUES = dict(
    zip(
        (
            "block1_conv1/block1_conv1_W_1 block1_conv1/block1_conv1_b_1 "
            "a_norm/a_norm_gamma_1 a_norm/a_norm_running_std_1"
        ).split(),
        VALUES.values(),
    )
)


@pytest.mark.parametrize("model", [False, True])
@pytest.mark.parametrize("name", ["a.h5", "a.npz"])
def test_names_shapes_and_numbers(tmp_path, name, model):
    assert_same(read_all(write_keras(tmp_path / name, LAYERS, model=model)), VALUES)


def test_names_of_keras_1(tmp_path):
    assert_same(read_all(write_keras(tmp_path / "a.h5", LAYERS, old_names=True)), OLD_VALUES)


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


@pytest.mark.parametrize("dtype", ["float16", ">f4", "int64"])
def test_number_types(tmp_path, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    found = read_all(write_keras(tmp_path / "a.h5", [("x", [("y", array), ("z", array[0, 0])])]))
    expected = array.astype(array.dtype.newbyteorder("="))
    assert_same(found, {"x/y": expected, "x/z": expected[0, 0]})


def test_compressed(tmp_path):
    options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
    assert_same(read_all(write_keras(tmp_path / "a.h5", LAYERS, **options)), VALUES)


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


def _network():
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Conv2D(4, 3, input_shape=(6, 6, 3), name="z_conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dense(2, name="a_dense"),
        ]
    )


@pytest.mark.parametrize("save", ["save_weights", "save"])
@pytest.mark.filterwarnings("ignore")
def test_what_keras_writes(tmp_path, save):
    path = str(tmp_path / "a.h5")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        network = _network()
        session.run(tf.global_variables_initializer())
        getattr(network, save)(path)
        stored = [(layer.name, w.name, v) for layer in network.layers
                  for w, v in zip(layer.weights, layer.get_weights())]  # fmt: skip
    expected = {
        "{}/{}".format(layer, name.split("/")[-1].split(":")[0]): value
        for layer, name, value in stored
    }
    assert len(expected) == 8 and next(iter(expected)) == "z_conv/kernel"
    assert_same(read_all(path), expected)


def test_keras_reads_what_the_tests_write(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        network = _network()
        session.run(tf.global_variables_initializer())
        rng = np.random.RandomState(1)
        made = [
            rng.standard_normal(value.shape).astype("float32") for value in network.get_weights()
        ]
        arrays, layers = iter(made), []
        for layer in network.layers:
            leaves = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
            layers.append((layer.name, [(leaf, next(arrays)) for leaf in leaves]))
        network.load_weights(write_keras(tmp_path / "a.h5", layers))
        for found, expected in zip(network.get_weights(), made):
            np.testing.assert_array_equal(found, expected)
