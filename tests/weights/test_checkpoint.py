"""Checkpoints of every kind read alike; missing, damaged and hostile ones end in one clear line."""

import itertools
import os
import shutil

import h5py
import numpy as np
import pytest
from foreign_files import (
    STORAGES,
    damaged,
    read_all,
    refusal_of,
    write_keras,
    write_pth,
    write_safetensors,
)
from foreign_files import assert_same as assert_same_in_order
from networks import write_npz, write_tensorflow
from refusals import refusal

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint, save_npz
from dgl.weights.formats import FORMATS, register_format

_RNG = np.random.RandomState(0)
VALUES = {
    "conv1_1/W": _RNG.standard_normal((3, 3, 3, 8)).astype("float32"),
    "conv1_1/b": np.arange(8, dtype="float32"),
    "linear/W": _RNG.standard_normal((40, 10)).astype("float32"),
    "linear/b": np.zeros(10, "float32"),
}
TWO = {"conv1/W": VALUES["conv1_1/W"], "conv2/b": VALUES["conv1_1/b"]}
# Fractions of the file, so that header, middle and end are all hit.
CUTS = [0.0, 0.2, 0.8, 0.999]


def assert_same(found, expected=VALUES):
    assert_same_in_order(dict(sorted(found.items())), expected)


@pytest.fixture(scope="module")
def tensorflow_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("v2")
    write_tensorflow(folder / "model-7", VALUES)
    return folder


@pytest.fixture
def copied(tensorflow_folder, tmp_path):
    """A copy of the folder to damage."""
    shutil.copytree(str(tensorflow_folder), str(tmp_path / "copy"))
    return tmp_path / "copy"


@pytest.mark.parametrize(
    "name", ["model-7", "model-7.index", "model-7.meta", "model-7.data-00000-of-00001", ""]
)
def test_tensorflow_checkpoint_by_any_of_its_names(tensorflow_folder, name):
    assert_same(read_all(tensorflow_folder / name))


def test_v1_format(tmp_path):
    write_tensorflow(tmp_path / "model.ckpt", VALUES, version=1)
    assert not (tmp_path / "model.ckpt.index").exists()
    for name in ("model.ckpt", "model.ckpt.meta", ""):
        assert_same(read_all(tmp_path / name))


def test_folder_takes_the_newest(tmp_path):
    for step in (1, 2):
        write_tensorflow(tmp_path / f"model-{step}", {"b": np.full(3, step, "float32")})
    # The state file names the last one written, whatever the names' order.
    write_tensorflow(tmp_path / "model-0", {"b": np.full(3, 9, "float32")})
    assert read_all(tmp_path)["b"][0] == read_all(tmp_path / "checkpoint")["b"][0] == 9


@pytest.mark.parametrize("state", [None, b"\xff\xfe\x00", b'model_checkpoint_path: "gone"'])
def test_folder_without_a_usable_state_file(copied, state, capfd):
    (copied / "checkpoint").unlink()
    if state is not None:
        (copied / "checkpoint").write_bytes(state)
    assert_same(read_all(copied))
    assert capfd.readouterr().err == ""


def test_folder_with_several_checkpoints_and_no_state_file(tmp_path):
    for name in ("a", "b"):
        write_tensorflow(tmp_path / name, {"x": np.zeros(1, "float32")})
    (tmp_path / "checkpoint").unlink()
    message = refusal(open_checkpoint, str(tmp_path))
    assert str(tmp_path) in message and "a, b" in message


def test_what_may_not_be_read(tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied")

    path = write_npz(tmp_path / "a.npz", VALUES)
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", fail)
        message = refusal(open_checkpoint, str(tmp_path))
    assert message.startswith(f"--load {tmp_path}: the folder cannot be read")
    monkeypatch.setattr("dgl.weights.checkpoint.find_format", fail)
    assert "cannot be read (Permission denied)" in refusal_of(path)


def test_bfloat16_of_tensorflow(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("x", initializer=tf.constant([1.0, -2.5], "bfloat16"))
        session.run(variable.initializer)
        tf.train.Saver([variable]).save(session, str(tmp_path / "model"))
    assert_same(read_all(tmp_path / "model"), {"x": np.array([1, -2.5], "float32")})


@pytest.mark.parametrize("name", ["gone", "gone.index", "no/such/folder/x", "", "."])
def test_missing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert refusal(open_checkpoint, name).startswith("--load " + name.replace(".index", ""))


def _write_legacy_pth(path, values):
    return write_pth(path, values, legacy=True)


def _write_keras(path, values):
    layers = itertools.groupby(values, lambda name: name.split("/")[0])
    layers = [(k, [(n.split("/")[1], values[n]) for n in own]) for k, own in layers]
    return write_keras(path, layers)


WRITERS = [write_npz, write_pth, _write_legacy_pth, _write_keras, write_safetensors]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("dtype", sorted(STORAGES))
def test_number_types(tmp_path, write, dtype):
    values = {"conv/x": np.array([[0, 1, 1], [1, 0, 1]], dtype), "conv/y": np.array(1, dtype)}
    assert_same(read_all(write(str(tmp_path / "a.npz"), values)), values)


@pytest.mark.parametrize("suffix", ["", ".npz", ".h5"])
@pytest.mark.parametrize("write", WRITERS)
def test_the_content_tells_the_kind_of_file(tmp_path, write, suffix):
    path = str(tmp_path / "a.npz")
    write(path, TWO)
    os.rename(path, str(tmp_path / "x") + suffix)
    assert_same(read_all(str(tmp_path / "x") + suffix), TWO)


@pytest.mark.parametrize(
    "names, expected",
    [
        ("x.HDF5", "HDF5 (Keras)"),
        ("x.pth x.pt", "PyTorch state dict"),
        ("x.npz", "NumPy archive (.npz)"),
        ("x.safetensors", "safetensors"),
        ("x.ckpt x", "TensorFlow checkpoint"),
    ],
)
def test_else_the_extension(tmp_path, names, expected):
    for path in map(tmp_path.joinpath, names.split()):
        for content in (b"", b"damaged beyond recognition" * 9):
            path.write_bytes(content)
            assert "not a readable " + expected in refusal_of(path)


@pytest.mark.parametrize("name, first", [("a.lines", "any"), ("a.npz", "lines"), ("a", "lines")])
def test_a_registered_format_is_opened_by_its_content_or_extension(
    tmp_path, monkeypatch, name, first
):
    monkeypatch.setattr("dgl.weights.formats.registry.FORMATS", FORMATS[:])

    @register_format("lines of numbers", (".lines",), lambda path, head: head.startswith(b"lines"))
    def open_lines(path):
        with open(path) as stream:
            rows = [line.split() for line in stream.readlines()[1:]]
        if not rows:
            raise UserError(f"{path}: no lines")
        values = {name: np.array(numbers, "float32") for name, *numbers in rows}
        return {name: array.shape for name, array in values.items()}, values.__getitem__

    (tmp_path / name).write_text(first + "\nx 1 2 3\ny 4\n")
    expected = {"x": np.array([1, 2, 3], "float32"), "y": np.array([4], "float32")}
    assert_same(read_all(tmp_path / name), expected)
    (tmp_path / name).write_text(first)
    assert refusal_of(tmp_path / name).endswith(": no lines")


@pytest.mark.parametrize("cut", CUTS + [None])
@pytest.mark.parametrize("part", ["model-7.index", "model-7.data-00000-of-00001"])
def test_truncated_or_incomplete_tensorflow_checkpoint(copied, part, cut):
    damaged(copied / part, cut=cut)
    if cut is None:
        (copied / part).unlink()
    assert str(copied / "model-7") in refusal(read_all, copied / "model-7")


@pytest.mark.parametrize("write", [*WRITERS, save_npz])
def test_damage_is_refused_or_harmless(tmp_path, write):
    """Cut files are refused. Not every byte matters; names are checked later."""
    if write is _write_keras and h5py.version.hdf5_version_tuple < (1, 12):
        pytest.skip("older HDF5 crashes on some damaged headers")
    path = tmp_path / "a.npz"
    write(str(path), TWO)
    data, refused = path.read_bytes(), 0
    for cut in CUTS:
        path.write_bytes(data)
        refusal_of(damaged(path, cut=cut))
    positions = range(0, len(data), 97 if write is _write_keras else 19)
    for position in positions:
        path.write_bytes(data)
        damaged(path, flip=position)
        try:
            found = read_all(path)
        except UserError:
            refusal_of(path)
            refused += 1
            continue
        assert sum(array.size for array in found.values()) <= sum(v.size for v in TWO.values())
        if write in (write_npz, save_npz):  # whose values do not change unnoticed
            for name in set(found) & set(TWO):
                np.testing.assert_array_equal(found[name], TWO[name])
    has_checksums = write not in (_write_legacy_pth, _write_keras, write_safetensors)
    assert refused > len(positions) * (0.5 if has_checksums else 0.02)
