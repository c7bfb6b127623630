"""Files of PyTorch's that are damaged or hostile end in one line; nothing in their pickles is run."""

import io
import os
import pickle
import sys
import time
import zipfile

import pytest
from foreign_files import (
    View,
    dump_global,
    dump_ordered,
    dump_plain,
    dump_tensor,
    program,
    refusal_of,
    write_legacy_pickle,
    write_pth,
    write_zip_pickle,
)
from torch_values import NUMBERS, VALUES, legacy_or_not

from dgl.weights.formats.torch_pickle import read_pickle

either_format = pytest.mark.parametrize("write", [write_zip_pickle, write_legacy_pickle])


@legacy_or_not
@pytest.mark.parametrize(
    "offset, shape, strides, message",
    [
        (0, (25,), (1,), "(25,) reaches beyond its storage of 24 elements"),
        (24, (), (), "reaches beyond"),
        (0, (4, 6), (7, 1), "reaches beyond"),
        (0, (10**12,), (0,), "reaches beyond"),
        (0, (2,), (2**61,), "reaches beyond"),
        (23, (3,), (-1,), "0 or more"),
        (-1, (3,), (1,), "0 or more"),
        (0, (-3, -3), (1, 1), "0 or more"),
        (0, (4, 6), (1,), "unknown layout"),
        (0, ("4",), (1,), "unknown layout"),
        (0, (1,) * 33, (1,) * 33, "unknown layout"),
        (0, (0, 2**61, 2**61), (1, 1, 1), "cannot be read"),
    ],
)
def test_tensors_beyond_their_storage(tmp_path, legacy, offset, shape, strides, message):
    values = {"ok": NUMBERS, "x": View(NUMBERS, offset, shape, strides)}
    found = refusal_of(write_pth(tmp_path / "a.pth", values, legacy))
    assert message in found and ": x " in found


@pytest.mark.parametrize("size", [25, 10**12, -1])
def test_storages_beyond_the_file(tmp_path, size):
    tensor = dump_tensor(View(NUMBERS, 0, (24,), (1,)), "0", legacy=False)
    stated = tensor.replace(dump_plain(24) + b"tQ", dump_plain(size) + b"tQ")
    data = program(dump_ordered(dump_plain("x") + stated))
    expected = "unknown layout" if size < 0 else f"96 bytes, expected {size} elements of 4 bytes"
    assert expected in refusal_of(write_zip_pickle(tmp_path / "a.pth", data, {"0": NUMBERS}))


def _rewritten(change, compression=zipfile.ZIP_STORED):
    """Maker of an archive whose members ``change(name, data)`` replaces, or drops with ``None``."""

    def make(path):
        write_pth(path, VALUES)
        with zipfile.ZipFile(str(path)) as archive:
            members = [(name, change(name, archive.read(name))) for name in archive.namelist()]
        with zipfile.ZipFile(str(path), "w", compression) as archive:
            for name, data in members:
                if data is not None:
                    archive.writestr(name, data)

    return make


def _without(member):
    return _rewritten(lambda name, data: None if name == "archive/" + member else data)


def _of_another_version(path):
    write_pth(path, VALUES, legacy=True)
    path.write_bytes(path.read_bytes().replace(dump_plain(1001), dump_plain(1002), 1))


def _two_types(path):
    one = View(NUMBERS, 0, (24,), (1,), key="0")
    write_pth(path, {"a": one, "b": one._replace(kind="DoubleStorage")})


def _with_keys(keys):
    """Maker of a file in the older format that states other keys of its storages than it has."""

    def make(path):
        tensors = [
            dump_plain(name) + dump_tensor(View(NUMBERS, 0, (24,), (1,)), str(key), legacy=True)
            for key, name in enumerate("ab")
        ]
        data = program(dump_ordered(b"".join(tensors)))
        write_legacy_pickle(path, data, {"0": NUMBERS, "1": NUMBERS}, keys)

    return make


def _doubled():
    """A tuple that takes ages to hash."""
    made = ()
    for _ in range(200):
        made = (made, made)
    return made


@pytest.mark.parametrize(
    "make, message",
    [
        (_of_another_version, "1001"),
        (_two_types, "two types or sizes"),
        (_without("data/0"), "conv.weight is missing"),
        (_without("data.pkl"), "without data.pkl"),
        (
            _rewritten(lambda name, data: data[:-4] if name.endswith("data/0") else data),
            "conv.weight has 428 bytes, expected 108 elements of 4 bytes",
        ),
        (
            _rewritten(lambda name, data: b"middle" if name.endswith("byteorder") else data),
            "not a readable PyTorch file",
        ),
        (_rewritten(lambda _, data: data + bytes(9999), zipfile.ZIP_DEFLATED), "is compressed"),
        (_with_keys([]), "a is missing"),
        (_with_keys(["9"]), "a storage that no tensor has"),
        (_with_keys([_doubled()]), "a storage that no tensor has"),
        (_with_keys(["0", "1", "0"]), "ends before its storage 0"),
        (_with_keys(7), "not a readable PyTorch file"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(300)), "not a readable PyTorch file"),
    ],
)
def test_damaged_files(tmp_path, make, message):
    make(tmp_path / "a.pth")
    assert message in refusal_of(tmp_path / "a.pth")


class _Trap:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("function", [os.system, eval])
@pytest.mark.parametrize("write", [write_zip_pickle, write_legacy_pickle, None])
def test_nothing_is_run(tmp_path, write, protocol, function):
    mark, path = str(tmp_path / "executed"), tmp_path / "a.pth"
    argument = "touch " + mark if function is os.system else f"open({mark!r}, 'w')"
    harmful = pickle.dumps({"state_dict": _Trap(function, argument)}, protocol)
    write(path, harmful) if write else path.write_bytes(harmful)
    message = refusal_of(path)
    assert not os.path.exists(mark)
    # Without the marks of PyTorch's formats it is no such file; protocol 0 is refused before the name.
    assert write is None or protocol == 0 or function.__name__ in message
    pickle.loads(harmful)  # the trap is a working one
    assert os.path.exists(mark)


def test_no_module_is_imported(tmp_path, monkeypatch):
    (tmp_path / "harmful_module.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write_zip_pickle(tmp_path / "a.pth", program(dump_global("harmful_module", "x")))
    assert "harmful_module.x" in refusal_of(path)
    assert "harmful_module" not in sys.modules


@either_format
@pytest.mark.parametrize(
    "opcodes, message",
    [
        (b"cos\nsystem\nU\x04true\x85R", "os.system"),
        (b"(U\x04trueios\nsystem\n", "INST"),
        (b"U\x02osU\x07sys\ntem\x93", "'os.sys\\ntem'"),
        (b"\x82\x01", "EXT1"),
        (b"U\x04true)R", "calls"),
        (b"ctorch\nFloatStorage\n)R", "calls"),
        (b"ccollections\nOrderedDict\n}\x81", "calls"),
        (b"ccollections\nOrderedDict\nK\x01\x85R", "not a readable PyTorch file"),
        (b"]}b", "sets the state"),
        (b"ctorch._utils\n_rebuild_parameter\n(K\x01K\x02tR", "parameter"),
        (b"U\x03abcQ", "persistent object"),
        (b"(U\x06moduleccollections\nOrderedDict\nU\x01aU\x01bK\x01tQ", "no storage"),
        (b"(U\x07storagectorch\nFloatStorage\nK\x01U\x01bK\x01tQ", "without a key"),
        (b"h\x05", "not a readable PyTorch file"),
        (b"t", "not a readable PyTorch file"),
        (b"}U\x01xctorch._utils\n_rebuild_tensor_v2\n(K\x05K\0)))tRs", "x has an unknown layout"),
        (b"}U\x01xctorch\nFloatTensor\n)Rs", "x has an unknown layout"),
        (b"}", "no tensors by name"),
    ],
)
def test_hostile_programs(tmp_path, write, opcodes, message):
    assert message in refusal_of(write(tmp_path / "a.pth", program(opcodes)))


def _copies(name):
    """A list of a hundred thousand entries, handed to a call ten thousand times."""
    listed = b"](" + b"]" * 100000 + b"eq\x01"
    return program(listed, dump_global(*name.rsplit(".", 1)), b"q\x02", b"h\x02h\x01\x85R" * 10000)


_TEXT = b"X\0\0\x20\0" + b"a" * (1 << 21)
BOMBS = {
    "copied lists": _copies("torch.Size"),
    "pairs that are none": _copies("collections.OrderedDict"),
    "a key that takes ages to hash": program(
        b")q\x01", b"h\x01h\x01\x86q\x01" * 5000, b"}h\x01K\x01s"
    ),
    "nested tuples": program(b"]" * 200000 + b"\x85" * 200000),
    "a far place in the memo": program(b"Nr\xff\xff\xff\xff"),
    "a long text": program(b"X\xff\xff\xff\xff"),
    "a number of many digits": program(b"L" + b"9" * 3000000 + b"L\n"),
    "a large pickle": program(_TEXT, _TEXT),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_end_soon(tmp_path, name):
    path = write_zip_pickle(tmp_path / "a.pth", BOMBS[name])
    begin = time.time()
    refusal_of(path)
    assert time.time() - begin < 5


def test_a_pickle_ends_where_the_next_begins():
    stream = io.BytesIO(program(b"N") + b"rest")
    assert read_pickle(stream, "x") == (None, {})
    assert stream.read() == b"rest"
