"""State dicts of PyTorch in both of its formats are read without it."""

import os
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from foreign_files import (
    STORAGES,
    View,
    assert_same,
    damaged,
    dump_global,
    dump_ordered,
    dump_plain,
    dump_tensor,
    program,
    read_all,
    refusal_of,
    write_legacy_pickle,
    write_pth,
    write_zip_pickle,
)

from dgl.weights import open_checkpoint
from dgl.weights.torch_pickle import read_pickle

_RNG = np.random.RandomState(0)
VALUES = OrderedDict(
    [
        ("conv.weight", _RNG.standard_normal((4, 3, 3, 3)).astype("float32")),
        ("conv.bias", np.arange(4, dtype="float32")),
        ("bn.num_batches_tracked", np.array(7, "int64")),
        ("empty", np.zeros((0, 3), "float32")),
    ]
)
NUMBERS = np.arange(24, dtype="float32")
FORMATS = [write_zip_pickle, write_legacy_pickle]
legacy_or_not = pytest.mark.parametrize("legacy", [False, True])
either_format = pytest.mark.parametrize("write", FORMATS)


@legacy_or_not
@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin", "a.npz"])
def test_names_shapes_and_numbers(tmp_path, legacy, name):
    assert_same(read_all(write_pth(tmp_path / name, VALUES, legacy)), VALUES)


@legacy_or_not
@pytest.mark.parametrize("dtype", sorted(STORAGES))
def test_number_types(tmp_path, legacy, dtype):
    values = {"x": np.array([[0, 1, 1], [1, 0, 1]], dtype)}
    assert_same(read_all(write_pth(tmp_path / "a.pth", values, legacy)), values)


@legacy_or_not
def test_bfloat16_becomes_float32(tmp_path, legacy):
    bits = np.array([0x3F80, 0xC000, 0, 0x7F80], "uint16")
    view = View(bits, 0, (2, 2), (2, 1), "BFloat16Storage")
    found = read_all(write_pth(tmp_path / "a.pth", {"x": view}, legacy))
    assert_same(found, {"x": np.array([[1, -2], [0, np.inf]], "float32")})


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
    ],
)
def test_offsets_and_strides(tmp_path, legacy, view, expected):
    found = read_all(write_pth(tmp_path / "a.pth", {"x": view}, legacy))
    assert_same(found, {"x": expected})
    assert found["x"].flags.writeable and found["x"].flags.c_contiguous


@legacy_or_not
def test_a_shared_storage(tmp_path, legacy):
    values = {
        "a": View(NUMBERS, 0, (12,), (1,), key="0"),
        "b": View(NUMBERS, 10, (4,), (1,), key="0"),
    }
    found = read_all(write_pth(tmp_path / "a.pth", values, legacy))
    assert_same(found, {"a": NUMBERS[:12], "b": NUMBERS[10:14]})


def test_a_storage_within_another(tmp_path):
    # The older format's sixth entry of a storage: key, first element and size of the part.
    whole = b"(" + dump_plain("storage") + dump_global("torch", "FloatStorage")
    whole += dump_plain("0") + dump_plain("cpu") + dump_plain(24) + dump_plain(("1", 8, 6)) + b"tQ"
    tensor = dump_global("torch._utils", "_rebuild_tensor") + b"(" + whole
    tensor += dump_plain(1) + dump_plain((2,)) + dump_plain((3,)) + b"tR"
    data = program(dump_ordered(dump_plain("x") + tensor))
    path = write_legacy_pickle(tmp_path / "a.pth", data, {"0": NUMBERS})
    assert_same(read_all(path), {"x": np.array([9, 12], "float32")})


@legacy_or_not
@pytest.mark.parametrize("wrap", ["state_dict", "model"])
@pytest.mark.parametrize("metadata", [False, True])
def test_a_state_dict_within_a_dict(tmp_path, legacy, wrap, metadata):
    path = write_pth(tmp_path / "a.pth", VALUES, legacy, wrap, metadata)
    assert_same(read_all(path), VALUES)


def test_the_prefix_of_data_parallel(tmp_path):
    values = {"module." + name: value for name, value in VALUES.items()}
    values["epoch"] = 3
    assert_same(read_all(write_pth(tmp_path / "a.pth", values)), VALUES)
    values["fc.bias"] = np.zeros(2)  # not common to all, so a part of the names
    assert "module.conv.bias" in read_all(write_pth(tmp_path / "a.pth", values))


@legacy_or_not
def test_what_is_no_tensor_is_ignored(tmp_path, legacy):
    values = {"step": 3, "x": np.ones(2), "name": "vgg", "rate": 0.1, "none": None, "on": True}
    values.update({"sizes": (1, 2), "nested": {"y": 1}, 7: 8})
    assert_same(read_all(write_pth(tmp_path / "a.pth", values, legacy)), {"x": np.ones(2)})


def test_big_endian(tmp_path):
    data = program(
        dump_ordered(dump_plain("x") + dump_tensor(View(NUMBERS, 0, (24,), (1,)), "0", False))
    )
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


# --- State dicts from before PyTorch 0.4.


def _old_arguments(key, array):
    storage = b"(" + dump_plain("storage") + dump_global("torch", "FloatStorage") + dump_plain(key)
    storage += dump_plain("cpu") + dump_plain(array.size) + dump_plain(None) + b"tQ"
    strides = tuple(step // array.itemsize for step in array.strides)
    return b"(" + storage + dump_plain(0) + dump_plain(array.shape) + dump_plain(strides) + b"t"


def _rebuilt(key, array):
    return dump_global("torch._utils", "_rebuild_tensor") + _old_arguments(key, array) + b"R"


def _with_state(key, array):
    return dump_global("torch", "FloatTensor") + b")R" + _old_arguments(key, array) + b"b"


def _parameter(key, array):
    state = b"(" + _rebuilt(key, array) + b"N" + dump_ordered() + b"\x88\x89t"
    return dump_global("torch.nn.parameter", "Parameter") + b")\x81q\x09" + state + b"b"


@pytest.mark.peer
@pytest.mark.parametrize("tensor", [_rebuilt, _with_state, _parameter])
@pytest.mark.parametrize("pairs", [False, True])
def test_state_dicts_before_pytorch_0_4(tmp_path, tensor, pairs):
    one, two = NUMBERS.reshape(4, 6), NUMBERS[:5]
    names = [b"U\x01a", b"U\x01b"]  # Python 2's texts
    entries = [names[0] + tensor("10", one), names[1] + tensor("20", two)]
    if pairs:  # Python 2's OrderedDict is made of a list of lists
        listed = b"](" + b"".join(b"](" + entry + b"e" for entry in entries) + b"e"
        data = program(dump_global("collections", "OrderedDict"), b"(", listed, b"tR")
    else:
        data = program(dump_ordered(b"".join(entries)))
    path = write_legacy_pickle(tmp_path / "a.pth", data, {"10": one.ravel(), "20": two})
    assert_same(read_all(path), {"a": one, "b": two})
    torch = pytest.importorskip("torch")
    loaded = torch.load(path, weights_only=True)
    assert_same({name: value.detach().numpy() for name, value in loaded.items()}, read_all(path))


# --- PyTorch itself.


def _network(torch):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 3),
    )


@pytest.mark.peer
@legacy_or_not
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_pytorch_writes(tmp_path, legacy, protocol):
    torch = pytest.importorskip("torch")
    state = _network(torch).state_dict()
    base = torch.arange(24, dtype=torch.float32)
    state.update(
        half=torch.ones(3).half(),
        transposed=base.reshape(4, 6).t(),
        window=base[5:9],
        brain=torch.linspace(-3, 3, 7).bfloat16(),
        parameter=torch.nn.Parameter(base[:2]),
        on=torch.tensor([True, False]),
        last=torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last),
    )
    path = str(tmp_path / "a.pth")
    torch.save(
        {"state_dict": state, "epoch": 3},
        path,
        _use_new_zipfile_serialization=not legacy,
        pickle_protocol=protocol,
    )
    expected = OrderedDict()
    for name, value in state.items():
        value = value.detach()
        expected[name] = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    assert_same(read_all(path), expected)


@pytest.mark.peer
@legacy_or_not
def test_an_optimizer_beside_the_state_dict(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    network = _network(torch)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    network(torch.ones(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    path = str(tmp_path / "a.pth")
    both = {"state_dict": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(both, path, _use_new_zipfile_serialization=not legacy)
    assert list(read_all(path)) == list(network.state_dict())


@pytest.mark.peer
@legacy_or_not
@pytest.mark.parametrize("wrap", [None, "state_dict"])
def test_pytorch_reads_what_the_tests_write(tmp_path, legacy, wrap):
    torch = pytest.importorskip("torch")
    values = dict(VALUES, step=3, window=View(NUMBERS, 5, (2, 3), (6, 2)))
    loaded = torch.load(write_pth(tmp_path / "a.pth", values, legacy, wrap), weights_only=True)
    loaded = loaded[wrap] if wrap else loaded
    assert loaded.pop("step") == 3
    np.testing.assert_array_equal(loaded.pop("window").numpy(), [[5, 7, 9], [11, 13, 15]])
    assert_same({name: value.numpy() for name, value in loaded.items()}, VALUES)


@pytest.mark.peer
@legacy_or_not
def test_a_whole_model_of_pytorch(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    path = str(tmp_path / "a.pth")
    torch.save(_network(torch), path, _use_new_zipfile_serialization=not legacy)
    message = refusal_of(path)
    assert "torch.nn.modules.container.Sequential" in message or "no storage" in message
    assert "torch.save(model.state_dict(), path)" in message


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
        "the storage of x has 96 bytes, expected {} elements of 4 bytes".format(size) in message
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
    storages = OrderedDict((str(i), value.ravel()) for i, value in enumerate(VALUES.values()))
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
