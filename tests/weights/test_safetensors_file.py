"""safetensors files are read with their names and layout; damaged ones end in one clear line."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy as library
from foreign_files import assert_same, read_all, refusal_of, write_safetensors

from dgl.weights import open_checkpoint

_RNG = np.random.RandomState(0)
VALUES = {
    "conv.bias": np.arange(4, dtype="float32"),
    "conv.weight": _RNG.standard_normal((4, 3, 3, 3)).astype("float32"),
    "count": np.array(7, "int64"),
    "empty": np.zeros((0, 3), "float32"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


def test_the_library_and_the_tests_read_and_write_the_same(path):
    library.save_file(VALUES, str(path))
    assert_same(read_all(path), VALUES)
    found = library.load_file(write_safetensors(path, VALUES))
    assert_same({name: found[name] for name in VALUES}, VALUES)


def test_bfloat16_becomes_float32(path):
    bits = np.array([[0x3F80, 0xC000], [0x0000, 0x7F80]], "uint16")  # 1, -2, 0, infinity
    write_safetensors(path, {"a": np.zeros(3, "uint8"), "x": bits}, {"x": "BF16"})
    expected = np.array([[1, -2], [0, np.inf]], "float32")
    assert_same(read_all(path), {"a": np.zeros(3, "uint8"), "x": expected})


def test_numbers_that_numpy_lacks(path):
    write_safetensors(path, {"x": np.zeros(3, "uint8")}, {"x": "F8_E4M3"})
    assert open_checkpoint(str(path)).shapes == {"x": (3,)}
    assert "x has the number type F8_E4M3, expected one of NumPy's or BF16" in refusal_of(path)


@pytest.mark.parametrize(
    "shape, offsets",
    [
        ([10**12], [0, 12]),
        ([2**40, 2**40], [0, 4 * 10**12]),
        ([-3], [0, 12]),
        ([3], [4, 16]),
        ([2], [0, 12]),
    ],
)
def test_damaged(path, shape, offsets):
    text = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(12))
    assert "not a readable safetensors" in refusal_of(path)
