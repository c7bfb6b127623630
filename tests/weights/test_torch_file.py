"""PyTorch's files in both of its formats are read without it; bad ones are refused, nothing is run."""

import functools
import os
import pickle
import time
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from foreign_files import (
    Trap,
    View,
    assert_same,
    damaged,
    dump_call,
    dump_global,
    dump_ordered,
    dump_plain,
    dump_storage,
    dump_tensor,
    program,
    read_all,
    refusal_of,
    write_legacy_pickle,
    write_pth,
    write_zip_pickle,
)

from dgl.weights import open_checkpoint

_RNG = np.random.RandomState(0)
VALUES = {
    "conv.weight": _RNG.standard_normal((4, 3, 3, 3)).astype("float32"),
    "conv.bias": np.arange(4, dtype="float32"),
    "bn.num_batches_tracked": np.array(7, "int64"),
    "empty": np.zeros((0, 3), "float32"),
}
NUMBERS = np.arange(24, dtype="float32")
WHOLE = View(NUMBERS, 0, (24,), (1,))
SHARED = WHOLE._replace(key="0")
legacy_or_not = pytest.mark.parametrize("legacy", [False, True])


def stored(tmp_path, values, *options):
    """What is read of values that were written."""
    return read_all(write_pth(tmp_path / "a.pth", values, *options))


@legacy_or_not
@pytest.mark.parametrize("wrap, metadata", [(None, True), ("state_dict", True), ("model", False)])
def test_names_shapes_and_numbers_also_within_a_dict(tmp_path, legacy, wrap, metadata):
    assert_same(stored(tmp_path, VALUES, legacy, wrap, metadata), VALUES)


_BITS = np.array([0x3F80, 0xC000, 0, 0x7F80], "uint16")


@legacy_or_not
@pytest.mark.parametrize(
    "view, expected",
    [
        (View(NUMBERS, 0, (4, 6), (6, 1)), NUMBERS.reshape(4, 6)),
        (View(NUMBERS, 0, (6, 4), (1, 6)), NUMBERS.reshape(4, 6).T),
        (View(NUMBERS, 5, (2, 3), (6, 2)), np.array([[5, 7, 9], [11, 13, 15]], "float32")),
        (View(NUMBERS, 23, (), ()), np.array(23, "float32")),
        (View(NUMBERS, 20, (1, 4), (2**61, 1)), NUMBERS[None, 20:]),  # never walked
        (View(NUMBERS, 3, (4,), (0,)), np.full(4, 3, "float32")),
        (View(NUMBERS, 24, (0, 5), (5, 1)), np.zeros((0, 5), "float32")),
        pytest.param(
            View(_BITS, 0, (2, 2), (2, 1), "BFloat16Storage"),
            np.array([[1, -2], [0, np.inf]], "float32"),
            id="bfloat16 becomes float32",
        ),
    ],
)
def test_offsets_and_strides(tmp_path, legacy, view, expected):
    found = stored(tmp_path, {"x": view}, legacy)
    assert_same(found, {"x": expected})
    assert found["x"].flags.writeable and found["x"].flags.c_contiguous


@legacy_or_not
def test_a_shared_storage(tmp_path, legacy):
    values = {"a": SHARED, "b": SHARED._replace(offset=10, shape=(4,))}
    assert_same(stored(tmp_path, values, legacy), {"a": NUMBERS, "b": NUMBERS[10:14]})


def test_a_storage_within_another(tmp_path):
    # The older format's sixth entry of a storage: key, first element and size of the part.
    storage = dump_storage("FloatStorage", "0", 24, ("1", 8, 6))
    tensor = dump_call("_rebuild_tensor", storage, *map(dump_plain, (1, (2,), (3,))))
    data = program(dump_ordered(dump_plain("x") + tensor))
    path = write_legacy_pickle(tmp_path / "a.pth", data, {"0": NUMBERS})
    assert_same(read_all(path), {"x": np.array([9, 12], "float32")})


def test_the_prefix_of_data_parallel(tmp_path):
    values = {"module." + name: value for name, value in VALUES.items()}
    values["epoch"] = 3
    assert_same(stored(tmp_path, values), VALUES)
    values["fc.bias"] = np.zeros(2)  # not common to all, so a part of the names
    assert "module.conv.bias" in stored(tmp_path, values)


@legacy_or_not
def test_what_is_no_tensor_is_ignored(tmp_path, legacy):
    values = {"step": 3, "x": np.ones(2), "name": "vgg", "rate": 0.1, "none": None, "on": True}
    values.update({"sizes": (1, 2), "nested": {"y": 1}, 7: 8})
    assert_same(stored(tmp_path, values, legacy), {"x": np.ones(2)})


def test_big_endian(tmp_path):
    data = program(dump_ordered(dump_plain("x") + dump_tensor(WHOLE, "0", False)))
    path = write_zip_pickle(tmp_path / "a.pth", data, {"0": NUMBERS}, byteorder="big")
    assert_same(read_all(path), {"x": NUMBERS})


def test_storages_are_read_when_asked_for(tmp_path):
    path = write_pth(tmp_path / "a.pth", VALUES)
    with open(path, "rb") as stream:
        position = stream.read().index(VALUES["conv.weight"].tobytes())
    damaged(path, flip=position)
    checkpoint = open_checkpoint(path)
    np.testing.assert_array_equal(checkpoint.read("conv.bias"), VALUES["conv.bias"])
    assert "conv.weight cannot be read (Bad CRC-32" in refusal_of(path)


def _old_arguments(key, array):
    strides = tuple(step // array.itemsize for step in array.strides)
    storage = dump_storage("FloatStorage", key, array.size, None)
    return [storage, *map(dump_plain, (0, array.shape, strides))]


def _rebuilt(key, array):
    return dump_call("_rebuild_tensor", *_old_arguments(key, array))


def _with_state(key, array):
    state = b"(" + b"".join(_old_arguments(key, array)) + b"t"
    return dump_global("torch", "FloatTensor") + b")R" + state + b"b"


def _parameter(key, array):
    state = b"(" + _rebuilt(key, array) + b"N" + dump_ordered() + b"\x88\x89t"
    return dump_global("torch.nn.parameter", "Parameter") + b")\x81q\x09" + state + b"b"


@pytest.mark.peer
@pytest.mark.parametrize("tensor", [_rebuilt, _with_state, _parameter])
@pytest.mark.parametrize("pairs", [False, True])
def test_state_dicts_before_pytorch_0_4(tmp_path, tensor, pairs):
    one, two = NUMBERS.reshape(4, 6), NUMBERS[:5]
    entries = [b"U\x01a" + tensor("10", one), b"U\x01b" + tensor("20", two)]  # Python 2's texts
    if pairs:  # Python 2's OrderedDict is made of a list of lists
        listed = b"](" + b"".join(b"](" + entry + b"e" for entry in entries) + b"e"
        data = program(dump_global("collections", "OrderedDict"), b"(", listed, b"tR")
    else:
        data = program(dump_ordered(b"".join(entries)))
    path = write_legacy_pickle(tmp_path / "a.pth", data, {"10": one.ravel(), "20": two})
    assert_same(read_all(path), {"a": one, "b": two})
    loaded = pytest.importorskip("torch").load(path, weights_only=True)
    assert_same({name: value.detach().numpy() for name, value in loaded.items()}, read_all(path))


def _network(torch):
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten()
    return torch.nn.Sequential(*layers, torch.nn.Linear(16, 3))


@pytest.mark.peer
@legacy_or_not
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_pytorch_writes(tmp_path, legacy, protocol):
    torch = pytest.importorskip("torch")
    state, base = _network(torch).state_dict(), torch.arange(24, dtype=torch.float32)
    state.update(
        half=torch.ones(3).half(),
        transposed=base.reshape(4, 6).t(),
        window=base[5:9],
        brain=torch.linspace(-3, 3, 7).bfloat16(),
        parameter=torch.nn.Parameter(base[:2]),
        on=torch.tensor([True, False]),
        last=torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last),
    )
    optimizer = {"state": {0: base}, "param_groups": [{"lr": 0.1}]}
    options = {"_use_new_zipfile_serialization": not legacy, "pickle_protocol": protocol}
    path = str(tmp_path / "a.pth")
    torch.save({"state_dict": state, "optimizer": optimizer}, path, **options)
    expected = OrderedDict()
    for name, value in state.items():
        value = value.float() if value.dtype == torch.bfloat16 else value
        expected[name] = value.detach().numpy()
    assert_same(read_all(path), expected)


@pytest.mark.peer
@legacy_or_not
def test_pytorch_reads_what_the_tests_write(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    values = dict(VALUES, step=3, window=View(NUMBERS, 5, (2, 3), (6, 2)))
    loaded = torch.load(write_pth(tmp_path / "a.pth", values, legacy), weights_only=True)
    assert loaded.pop("step") == 3
    np.testing.assert_array_equal(loaded.pop("window").numpy(), [[5, 7, 9], [11, 13, 15]])
    assert_same({name: value.numpy() for name, value in loaded.items()}, VALUES)


@pytest.mark.peer
@legacy_or_not
def test_a_whole_model_of_pytorch(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    path = str(tmp_path / "a.pth")
    torch.save(_network(torch), path, _use_new_zipfile_serialization=not legacy)
    assert "torch.save(model.state_dict(), path)" in refusal_of(path)


# --- refused


@legacy_or_not
@pytest.mark.parametrize(
    "offset, shape, strides, message",
    [
        (0, (25,), (1,), "(25,) reaches beyond its storage of 24 elements"),
        (0, (10**12,), (0,), "reaches beyond"),
        (0, (2,), (2**61,), "reaches beyond"),
        (23, (3,), (-1,), "0 or more"),
        (0, (-3, -3), (1, 1), "0 or more"),
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
    tensor = dump_tensor(WHOLE, "0", legacy=False)
    stated = tensor.replace(dump_plain(24) + b"tQ", dump_plain(size) + b"tQ")
    data = program(dump_ordered(dump_plain("x") + stated))
    expected = "unknown layout" if size < 0 else f"96 bytes, expected {size} elements of 4 bytes"
    assert expected in refusal_of(write_zip_pickle(tmp_path / "a.pth", data, {"0": NUMBERS}))


def _with(members, compression=zipfile.ZIP_STORED):
    """Maker of an archive with other members, or without those that are ``None``."""

    def make(path):
        write_pth(path, VALUES)
        with zipfile.ZipFile(str(path)) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
        found.update({"archive/" + name: data for name, data in members.items()})
        with zipfile.ZipFile(str(path), "w", compression) as archive:
            for name in found:
                if found[name] is not None:
                    archive.writestr(name, found[name])

    return make


def _of_another_version(path):
    write_pth(path, VALUES, legacy=True)
    path.write_bytes(path.read_bytes().replace(dump_plain(1001), dump_plain(1002), 1))


def _with_keys(keys):
    """Maker of a file in the older format that states other keys of its storages than it has."""
    tensors = [dump_plain(name) + dump_tensor(WHOLE, key, True) for key, name in ("0a", "1b")]
    data, storages = program(dump_ordered(b"".join(tensors))), {"0": NUMBERS, "1": NUMBERS}
    return lambda path: write_legacy_pickle(path, data, storages, keys)


# A tuple that takes ages to hash.
_DOUBLED = functools.reduce(lambda made, _: (made, made), range(200), ())


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda path: write_pth(path, {"a": SHARED, "b": SHARED._replace(kind="DoubleStorage")}),
            "two types or sizes",
        ),
        (_of_another_version, "1001"),
        (_with({"data/0": None}), "conv.weight is missing"),
        (_with({"data.pkl": None}), "without data.pkl"),
        (_with({"data/0": bytes(9)}), "conv.weight has 9 bytes, expected 108 elements of 4 bytes"),
        (_with({"byteorder": b"middle"}), "not a readable PyTorch"),
        (_with({}, zipfile.ZIP_DEFLATED), "is compressed"),
        (_with_keys(["9"]), "a storage that no tensor has"),
        (_with_keys([_DOUBLED]), "a storage that no tensor has"),
        (_with_keys(["0", "1", "0"]), "ends before its storage 0"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(300)), "not a readable PyTorch"),
    ],
)
def test_damaged_files(tmp_path, make, message):
    make(tmp_path / "a.pth")
    assert message in refusal_of(tmp_path / "a.pth")


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("function", [os.system, eval])
@pytest.mark.parametrize("write", [write_zip_pickle, write_legacy_pickle, None])
def test_nothing_is_run(tmp_path, write, protocol, function):
    mark, path = str(tmp_path / "executed"), tmp_path / "a.pth"
    argument = "touch " + mark if function is os.system else f"open({mark!r}, 'w')"
    harmful = pickle.dumps({"state_dict": Trap(function, argument)}, protocol)
    write(path, harmful) if write else path.write_bytes(harmful)
    message = refusal_of(path)
    assert not os.path.exists(mark)
    # Without the marks of PyTorch's formats it is no such file; protocol 0 is refused before the name.
    assert write is None or protocol == 0 or function.__name__ in message
    pickle.loads(harmful)  # the trap is a working one
    assert os.path.exists(mark)


@pytest.mark.parametrize("write", [write_zip_pickle, write_legacy_pickle])
@pytest.mark.parametrize(
    "opcodes, message",
    [
        (b"cos\nsystem\nU\x04true\x85R", "os.system"),
        (b"(U\x04trueios\nsystem\n", "INST"),
        (b"U\x02osU\x07sys\ntem\x93", "'os.sys\\ntem'"),
        (b"\x82\x01", "EXT1"),
        (b"ctorch\nFloatStorage\n)R", "calls"),
        (b"ccollections\nOrderedDict\nK\x01\x85R", "not a readable PyTorch"),
        (b"]}b", "sets the state"),
        (b"ctorch._utils\n_rebuild_parameter\n(K\x01K\x02tR", "parameter"),
        (b"U\x03abcQ", "persistent object"),
        (b"(U\x06moduleccollections\nOrderedDict\nU\x01aU\x01bK\x01tQ", "no storage"),
        (b"(U\x07storagectorch\nFloatStorage\nK\x01U\x01bK\x01tQ", "without a key"),
        (b"h\x05", "not a readable PyTorch"),
        (b"}U\x01xctorch._utils\n_rebuild_tensor_v2\n(K\x05K\0)))tRs", "x has an unknown layout"),
        (b"}", "no tensors by name"),
    ],
)
def test_hostile_programs(tmp_path, write, opcodes, message):
    assert message in refusal_of(write(tmp_path / "a.pth", program(opcodes)))


def _copies():
    """A list of a hundred thousand entries, handed to a call ten thousand times."""
    listed = b"](" + b"]" * 100000 + b"eq\x01"
    return program(listed, dump_global("torch", "Size"), b"q\x02", b"h\x02h\x01\x85R" * 10000)


_TEXT = b"X\0\0\x20\0" + b"a" * (1 << 21)
BOMBS = {
    "copied lists": _copies(),
    "a key slow to hash": program(b")q\x01", b"h\x01h\x01\x86q\x01" * 5000, b"}h\x01K\x01s"),
    "nested tuples": program(b"]" * 200000 + b"\x85" * 200000),
    "a far place in the memo": program(b"Nr\xff\xff\xff\xff"),
    "a long text": program(b"X\xff\xff\xff\xff"),
    "a number of many digits": program(b"L" + b"9" * 3000000 + b"L\n"),
    "a large pickle": program(_TEXT, _TEXT),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_end_soon(tmp_path, name):
    begin = time.time()
    refusal_of(write_zip_pickle(tmp_path / "a.pth", BOMBS[name]))
    assert time.time() - begin < 5
