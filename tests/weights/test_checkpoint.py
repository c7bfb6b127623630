"""Checkpoints of every kind read alike; missing, damaged and hostile ones end in one clear line."""

import os
import shutil

import numpy as np
import pytest
from foreign_files import read_all, write_keras, write_pth, write_safetensors
from networks import write_npz, write_tensorflow

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint, save_npz

_RNG = np.random.RandomState(0)
VALUES = {
    "conv1_1/W": _RNG.standard_normal((3, 3, 3, 8)).astype("float32"),
    "conv1_1/b": np.arange(8, dtype="float32"),
    "linear/W": _RNG.standard_normal((40, 10)).astype("float32"),
    "linear/b": np.zeros(10, "float32"),
}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def assert_one_line(caught, *parts):
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


@pytest.fixture(scope="module")
def tensorflow_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("v2")
    write_tensorflow(folder / "model-7", VALUES)
    return folder


@pytest.fixture(scope="module")
def v1_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("v1")
    write_tensorflow(folder / "model.ckpt", VALUES, version=1)
    assert not (folder / "model.ckpt.index").exists()
    return folder


def copy_of(folder, tmp_path):
    target = str(tmp_path / "copy")
    shutil.copytree(str(folder), target)
    return target


@pytest.mark.parametrize(
    "name", ["model-7", "model-7.index", "model-7.meta", "model-7.data-00000-of-00001", ""]
)
def test_tensorflow_checkpoint_by_any_of_its_names(tensorflow_folder, name):
    assert_same(read_all(tensorflow_folder / name), VALUES)


@pytest.mark.parametrize("name", ["model.ckpt", "model.ckpt.meta", ""])
def test_v1_format(v1_folder, name):
    assert_same(read_all(v1_folder / name), VALUES)


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_npz_with_and_without_output_numbers(tmp_path, suffix):
    path = write_npz(tmp_path / "a.npz", {name + suffix: v for name, v in VALUES.items()})
    assert_same(read_all(path), VALUES)


def test_folder_takes_the_newest(tmp_path):
    for step in (1, 2):
        write_tensorflow(tmp_path / f"model-{step}", {"b": np.full(3, step, "float32")})
    # The state file names the last one written, whatever the names' order.
    write_tensorflow(tmp_path / "model-0", {"b": np.full(3, 9, "float32")})
    assert read_all(tmp_path)["b"][0] == 9
    assert read_all(tmp_path / "checkpoint")["b"][0] == 9


@pytest.mark.parametrize(
    "state", [None, b"", b"\xff\xfe\x00", b"hello", b'model_checkpoint_path: "gone"']
)
def test_folder_without_a_usable_state_file(tensorflow_folder, tmp_path, state, capfd):
    folder = copy_of(tensorflow_folder, tmp_path)
    os.remove(os.path.join(folder, "checkpoint"))
    if state is not None:
        with open(os.path.join(folder, "checkpoint"), "wb") as stream:
            stream.write(state)
    assert_same(read_all(folder), VALUES)
    assert capfd.readouterr().err == ""


def test_folder_with_several_checkpoints_and_no_state_file(tmp_path):
    for name in ("a", "b"):
        write_tensorflow(tmp_path / name, {"x": np.zeros(1, "float32")})
    os.remove(str(tmp_path / "checkpoint"))
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(tmp_path))
    assert_one_line(caught, tmp_path, "a, b")


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", fail)
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(tmp_path))
    assert_one_line(caught, "--load", tmp_path, "the folder cannot be read (Permission denied)")


def test_bfloat16_of_tensorflow(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("x", initializer=tf.constant([1.0, -2.5], "bfloat16"))
        session.run(variable.initializer)
        tf.train.Saver([variable]).save(session, str(tmp_path / "model"))
    assert_same(read_all(tmp_path / "model"), {"x": np.array([1, -2.5], "float32")})


def test_empty_folder(tmp_path):
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(tmp_path))
    assert_one_line(caught, "--load", tmp_path, "no checkpoint")


@pytest.mark.parametrize("name", ["gone", "gone.index", "no/such/folder/x", ""])
def test_missing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        open_checkpoint(name)
    assert_one_line(caught, "--load", name.replace(".index", ""))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = write_npz(tmp_path / "a.npz", VALUES)

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dgl.weights.checkpoint.find_format", fail)
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(path))
    assert_one_line(caught, path, "cannot be read (Permission denied)")


def _write_legacy_pth(path, values):
    return write_pth(path, values, legacy=True)


def _write_keras(path, values):
    return write_keras(path, [(k.split("/")[0], [(k.split("/")[1], v)]) for k, v in values.items()])


@pytest.mark.parametrize("suffix", ["", ".npz", ".h5"])
@pytest.mark.parametrize(
    "write", [write_npz, write_pth, _write_legacy_pth, _write_keras, write_safetensors]
)
def test_the_content_tells_the_kind_of_file(tmp_path, write, suffix):
    if write is write_safetensors:
        pytest.importorskip("safetensors")
    values = {"conv1/W": VALUES["conv1_1/W"], "conv2/b": VALUES["conv1_1/b"]}
    path = str(tmp_path / "a.npz")
    write(path, values)
    os.rename(path, str(tmp_path / "x") + suffix)
    assert_same(read_all(str(tmp_path / "x") + suffix), values)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("x.h5", "HDF5 file of Keras"),
        ("x.HDF5", "HDF5 file of Keras"),
        ("x.pth", "PyTorch file"),
        ("x.pt", "PyTorch file"),
        ("x.npz", ".npz of arrays"),
        ("x.ckpt", "TensorFlow checkpoint"),
    ],
)
def test_else_the_extension(tmp_path, name, expected):
    (tmp_path / name).write_bytes(b"damaged beyond recognition" * 9)
    with pytest.raises(UserError) as caught:
        read_all(tmp_path / name)
    assert_one_line(caught, tmp_path / name, "not a readable " + expected)


@pytest.mark.parametrize("name", ["x.npz", "x", "x.index"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint\n" * 50, b"PK\x03\x04" + b"\0" * 400])
def test_garbage(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_all(path)
    assert_one_line(caught, tmp_path / "x", "not a readable")


# Fractions of the file, so that header, middle and end are all hit.
CUTS = [0.0, 0.2, 0.8, 0.999]


def _damage(path, cut=None, flip=None):
    with open(str(path), "rb") as stream:
        data = bytearray(stream.read())
    if cut is not None:
        data = data[: int(cut * len(data))]
    if flip is not None:
        data[flip % len(data)] ^= 0x5A
    with open(str(path), "wb") as stream:
        stream.write(bytes(data))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("save", [write_npz, save_npz])
def test_truncated_npz(tmp_path, save, cut):
    path = tmp_path / "a.npz"
    save(str(path), VALUES)
    _damage(path, cut=cut)
    with pytest.raises(UserError) as caught:
        read_all(path)
    assert_one_line(caught, path)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("part", ["model-7.index", "model-7.data-00000-of-00001"])
def test_truncated_tensorflow_checkpoint(tensorflow_folder, tmp_path, part, cut):
    folder = copy_of(tensorflow_folder, tmp_path)
    _damage(os.path.join(folder, part), cut=cut)
    prefix = os.path.join(folder, "model-7")
    with pytest.raises(UserError) as caught:
        read_all(prefix)
    assert_one_line(caught, prefix)


def test_data_file_missing(tensorflow_folder, tmp_path):
    folder = copy_of(tensorflow_folder, tmp_path)
    os.remove(os.path.join(folder, "model-7.data-00000-of-00001"))
    with pytest.raises(UserError) as caught:
        read_all(os.path.join(folder, "model-7"))
    assert_one_line(caught, "model-7")


@pytest.mark.parametrize("save", [write_npz, save_npz])
def test_npz_with_a_changed_byte_is_refused_or_harmless(tmp_path, save):
    path = str(tmp_path / "a.npz")
    save(path, VALUES)
    with open(path, "rb") as stream:
        data = stream.read()
    refused = 0
    for position in range(0, len(data), 29):
        with open(path, "wb") as stream:
            stream.write(data[:position] + bytes([data[position] ^ 0x5A]) + data[position + 1 :])
        try:
            found = read_all(path)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        # Not every byte of a zip matters; values must not change unnoticed, names are checked later.
        for name in set(found) & set(VALUES):
            np.testing.assert_array_equal(found[name], VALUES[name])
    assert refused > 0.5 * len(data) / 29


class _Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_refused_without_being_run(tmp_path):
    mark = str(tmp_path / "executed")
    trapped = np.empty(1, object)
    trapped[0] = _Trap(mark)
    path = str(tmp_path / "a.npz")
    np.savez(path, **{"conv1_1/W": np.zeros(3), "linear/W": trapped})
    with pytest.raises(UserError) as caught:
        read_all(path)
    assert_one_line(caught, path, "linear/W", "pickled", "refused")
    assert not os.path.exists(mark)
    # The trap is a working one.
    with np.load(path, allow_pickle=True) as archive:
        archive["linear/W"][0].close()
    assert os.path.exists(mark)


def test_save_npz_round_trip(tmp_path):
    path = tmp_path / "new" / "a.npz"
    save_npz(str(path), VALUES)
    assert_same(read_all(path), VALUES)
    with np.load(str(path)) as archive:  # and anything else that reads NumPy's archives
        assert_same({name: archive[name] for name in archive.files}, VALUES)
    assert os.listdir(str(path.parent)) == ["a.npz"]


def test_save_npz_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save_npz(str(path), VALUES)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UserError, match="No space left"):
        save_npz(str(path), {"b": np.ones(2)})
    assert path.read_bytes() == before
    assert os.listdir(str(tmp_path)) == ["a.npz"]
