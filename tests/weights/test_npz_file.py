"""Archives of arrays: what they claim is compared with what they hold before anything is made room for."""

import os
import struct
import zipfile

import numpy as np
import pytest
from foreign_files import Trap, assert_same, read_all, refusal_of
from networks import write_npz

from dgl.weights import save_npz

VALUES = {"x": np.arange(6, dtype="float32").reshape(2, 3), "y": np.array(3), "z": np.zeros((0, 4))}


def header_of(text, version=1):
    """An array's beginning with any text as its header."""
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text


def described(shape, descr="<f4", version=1):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return header_of(text.encode(), version)


def write_members(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(str(path), "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name + ".npy", data)
    return str(path)


@pytest.mark.parametrize("save", [write_npz, save_npz])
def test_numbers_of_every_shape(tmp_path, save):
    path = str(tmp_path / "a.npz")
    save(path, VALUES)
    assert_same(read_all(path), VALUES)
    with np.load(path) as archive:  # and anything else that reads NumPy's archives
        assert_same({name: archive[name] for name in archive.files}, VALUES)
    assert os.listdir(str(tmp_path)) == ["a.npz"]


def test_pickles_are_refused_without_being_run(tmp_path):
    mark, path = str(tmp_path / "executed"), str(tmp_path / "a.npz")
    trapped = np.empty(1, object)
    trapped[0] = Trap(open, mark, "w")
    write_npz(path, {"conv1_1/W": np.zeros(3), "linear/W": trapped})
    message = refusal_of(path)
    assert "linear/W" in message and "pickled" in message
    assert not os.path.exists(mark)
    with np.load(path, allow_pickle=True) as archive:  # the trap is a working one
        archive["linear/W"][0].close()
    assert os.path.exists(mark)


def test_zeros_that_compress_as_well_as_can_be(tmp_path):
    path = str(tmp_path / "a.npz")
    save_npz(path, {"x": np.zeros((1000, 5000))})
    assert os.path.getsize(path) < 50000
    assert read_all(path)["x"].shape == (1000, 5000)


def _claims_more_than_is_stored(path):
    header = described((10**9,), "|u1")
    write_members(path, x=header + b"\0" * 100)
    data = bytearray(path.read_bytes())
    # The uncompressed size in the archive's directory.
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, 10**9 + len(header))
    path.write_bytes(bytes(data))


def _holding(member, compression=zipfile.ZIP_STORED, name="x"):
    return lambda path: write_members(path, compression, **{name: member})


_UNREADABLE = "not a readable NumPy"
_ZEROS = described((3,)) + bytes(12)


@pytest.mark.parametrize(
    "make, message",
    [
        (_holding(described((10**12,)) + bytes(24)), "x.npy has 24 bytes"),
        (_holding(described((2**40, 2**40), version=2) + bytes(24)), "x.npy has 24 bytes"),
        (_holding(described((7,)) + bytes(24), zipfile.ZIP_DEFLATED), "x.npy has 24 bytes"),
        (_holding(described((-2, -3)) + bytes(24)), "x.npy has 24 bytes"),
        (_claims_more_than_is_stored, "x.npy claims more bytes"),
        (_holding(_ZEROS, zipfile.ZIP_BZIP2), "x.npy is compressed"),
        (_holding(header_of(b"")), _UNREADABLE),
        (_holding(described("('a',)")), _UNREADABLE),
        (_holding(header_of(b"[" * 5000)), _UNREADABLE),
        # A header of any length is not read whole.
        (_holding(header_of(b" " * 50000000, 2), zipfile.ZIP_DEFLATED), _UNREADABLE),
        (_holding(_ZEROS, name="a\nb"), "'a\\nb'"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_damaged(tmp_path, make, message):
    make(tmp_path / "a.npz")
    assert message in refusal_of(tmp_path / "a.npz")


def test_two_variables_of_one_name(tmp_path):
    path = write_npz(tmp_path / "a.npz", {name: np.zeros(3) for name in ("x", "x:0")})
    assert refusal_of(path).endswith("named x, expected one")


def test_a_long_name_in_a_message_is_shortened(tmp_path):
    path = write_members(tmp_path / "a.npz", **{"a" * 5000: b"no array"})
    assert len(refusal_of(path)) < len(path) + 300
