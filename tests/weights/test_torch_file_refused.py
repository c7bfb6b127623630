"""Files of PyTorch's that are damaged or claim what they do not hold end in one line."""

import os
import zipfile

import numpy as np
import pytest
from foreign_files import (
    View,
    assert_same,
    damaged,
    dump_ordered,
    dump_plain,
    dump_tensor,
    program,
    read_all,
    refusal_of,
    write_legacy_pickle,
    write_pth,
)
from torch_values import NUMBERS, VALUES, either_format, legacy_or_not

from dgl.weights.formats.torch_pickle import read_pickle


def test_another_version_of_the_older_format(tmp_path):
    path = write_pth(tmp_path / "a.pth", VALUES, legacy=True)
    with open(path, "rb") as stream:
        data = stream.read()
    with open(path, "wb") as stream:
        stream.write(data.replace(dump_plain(1001), dump_plain(1002), 1))
    assert "another version of the format than 1001" in refusal_of(path)


@legacy_or_not
@pytest.mark.parametrize(
    "offset, shape, strides, message",
    [
        (0, (25,), (1,), "of shape (25,) reaches beyond its storage of 24 elements"),
        (1, (24,), (1,), "reaches beyond"),
        (24, (1,), (1,), "reaches beyond"),
        (24, (), (), "reaches beyond"),
        (0, (4, 6), (7, 1), "reaches beyond"),
        (0, (2, 2), (23, 1), "reaches beyond"),
        (0, (10**12,), (1,), "reaches beyond"),
        (0, (10**12,), (0,), "reaches beyond"),
        (0, (10**6, 10**6), (0, 0), "reaches beyond"),
        (0, (2,), (2**61,), "reaches beyond"),
        (23, (3,), (-1,), "offset, shape and strides of 0 or more"),
        (-1, (3,), (1,), "offset, shape and strides of 0 or more"),
        (0, (-3,), (1,), "offset, shape and strides of 0 or more"),
        (0, (-3, -3), (1, 1), "offset, shape and strides of 0 or more"),
        (0, (4, 6), (1,), "unknown layout"),
        (0, (2**70,), (1,), "unknown layout"),
        (0, ("4",), (1,), "unknown layout"),
        (0, (1.0,), (1,), "unknown layout"),
        (0.5, (1,), (1,), "unknown layout"),
        (0, (1,) * 33, (1,) * 33, "unknown layout"),
        (0, (0, 2**61, 2**61), (1, 1, 1), "cannot be read"),
    ],
)
def test_tensors_beyond_their_storage(tmp_path, legacy, offset, shape, strides, message):
    values = {"ok": NUMBERS, "x": View(NUMBERS, offset, shape, strides)}
    found = refusal_of(write_pth(tmp_path / "a.pth", values, legacy))
    assert message in found and ": x " in found


@either_format
@pytest.mark.parametrize("size", [25, 10**12, 2**62, -1])
def test_storages_beyond_the_file(tmp_path, write, size):
    tensor = dump_tensor(View(NUMBERS, 0, (24,), (1,)), "0", write is write_legacy_pickle)
    stated = tensor.replace(dump_plain(24) + (b"NtQ" if b"NtQ" in tensor else b"tQ"), b"@")
    assert b"@" in stated
    tail = b"NtQ" if write is write_legacy_pickle else b"tQ"
    data = program(dump_ordered(dump_plain("x") + stated.replace(b"@", dump_plain(size) + tail)))
    message = refusal_of(write(tmp_path / "a.pth", data, {"0": NUMBERS}))
    assert "x has an unknown layout" in message or (
        f"the storage of x has 96 bytes, expected {size} elements of 4 bytes" in message
    )


def test_one_storage_with_two_types(tmp_path):
    values = {
        "a": View(NUMBERS, 0, (24,), (1,), key="0"),
        "b": View(NUMBERS, 0, (12,), (1,), "DoubleStorage", "0"),
    }
    assert "two types or sizes" in refusal_of(write_pth(tmp_path / "a.pth", values))


@pytest.mark.parametrize(
    "dropped, message",
    [
        ("archive/data/0", "the storage of conv.weight is missing"),
        ("archive/data/2", "the storage of bn.num_batches_tracked is missing"),
        ("archive/data.pkl", "without data.pkl"),
        ("archive/byteorder", None),
        ("archive/version", None),
    ],
)
def test_members_missing(tmp_path, dropped, message):
    path = write_pth(tmp_path / "a.pth", VALUES)
    _rewrite(path, lambda name, data: None if name == dropped else data)
    if message is None:
        assert_same(read_all(path), VALUES)
    else:
        assert message in refusal_of(path)


def _rewrite(path, change, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path) as archive:
        members = [(name, change(name, archive.read(name))) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            if data is not None:
                archive.writestr(name, data)


def test_a_shortened_storage(tmp_path):
    path = write_pth(tmp_path / "a.pth", VALUES)
    _rewrite(path, lambda name, data: data[:-4] if name.endswith("data/0") else data)
    message = refusal_of(path)
    assert "the storage of conv.weight has 428 bytes, expected 108 elements of 4 bytes" in message


def test_an_unknown_byte_order(tmp_path):
    path = write_pth(tmp_path / "a.pth", VALUES)
    _rewrite(path, lambda name, data: b"middle" if name.endswith("byteorder") else data)
    assert "not a readable PyTorch file" in refusal_of(path)


def test_a_compressed_archive(tmp_path):
    path = write_pth(tmp_path / "a.pth", {"x": np.zeros(10**6)})
    _rewrite(path, lambda _, data: data, zipfile.ZIP_DEFLATED)
    assert os.path.getsize(path) < 10**5
    assert "is compressed, expected a PyTorch archive" in refusal_of(path)


def _doubled():
    """A tuple that takes ages to hash."""
    made = ()
    for _ in range(200):
        made = (made, made)
    return made


@pytest.mark.parametrize(
    "keys, message",
    [
        ([], "the storage of conv.weight is missing"),
        (["9"], "a storage that no tensor has"),
        ([_doubled()], "a storage that no tensor has"),
        ([["0"]], "a storage that no tensor has"),
        (["0", "1", "2", "3", "0"], "ends before its storage 0"),
        (["1", "0", "2", "3"], "not a readable|storage of"),
        (7, "not a readable PyTorch file"),
    ],
)
def test_legacy_keys(tmp_path, keys, message):
    legacy = write_pth(tmp_path / "b.pth", VALUES, legacy=True)
    with open(legacy, "rb") as stream:
        for _ in range(3):
            read_pickle(stream, legacy)
        begin = stream.tell()
        read_pickle(stream, legacy)
        end = stream.tell()
        stream.seek(begin)
        pickled = stream.read(end - begin)
    storages = {str(i): value.ravel() for i, value in enumerate(VALUES.values())}
    found = refusal_of(write_legacy_pickle(tmp_path / "a.pth", pickled, storages, keys))
    assert any(part in found for part in message.split("|"))


@pytest.mark.parametrize(
    "content", [b"", b"garbage" * 30, b"PK\x03\x04" + b"\0" * 300, b"\x80\x02."]
)
@pytest.mark.parametrize("name", ["a.pth", "a.PT"])
def test_garbage(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    assert "not a readable PyTorch file" in refusal_of(path)


@legacy_or_not
@pytest.mark.parametrize("cut", [0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 0.999])
def test_truncated(tmp_path, legacy, cut):
    path = damaged(write_pth(tmp_path / "a.pth", VALUES, legacy), cut=cut)
    assert "not a readable PyTorch file" in refusal_of(path)


@legacy_or_not
@pytest.mark.parametrize("mask", [0x01, 0x5A])
def test_a_changed_byte_is_refused_or_harmless(tmp_path, legacy, mask):
    path = write_pth(tmp_path / "a.pth", {"x": NUMBERS[:3], "yy": NUMBERS[3:5]}, legacy)
    with open(path, "rb") as stream:
        data = stream.read()
    refused = 0
    for position in range(0, len(data), 5):
        with open(path, "wb") as stream:
            stream.write(data)
        damaged(path, flip=position, mask=mask)
        try:
            found = read_all(path)
        except Exception:
            refusal_of(path)
            refused += 1
            continue
        assert sum(array.size for array in found.values()) <= 5
    assert refused > 0.5 * len(data) / 5
