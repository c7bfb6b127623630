"""State dicts of PyTorch in both of its formats are read without it."""

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
from torch_values import NUMBERS, VALUES, legacy_or_not

from dgl.weights import open_checkpoint


@legacy_or_not
def test_names_shapes_and_numbers(tmp_path, legacy):
    assert_same(read_all(write_pth(tmp_path / "a.bin", VALUES, legacy)), VALUES)


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
@pytest.mark.parametrize("wrap, metadata", [("state_dict", True), ("model", False)])
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
        {"state_dict": state, "optimizer": {"state": {0: base}, "param_groups": [{"lr": 0.1}]}},
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
