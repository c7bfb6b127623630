"""The pickles in PyTorch's files: nothing in them is run or imported, and none takes long."""

import io
import os
import pickle
import sys
import time

import pytest
from foreign_files import (
    dump_global,
    program,
    refusal_of,
    write_legacy_pickle,
    write_zip_pickle,
)

from dgl.weights.formats.torch_pickle import read_pickle

FORMATS = [write_zip_pickle, write_legacy_pickle]
either_format = pytest.mark.parametrize("write", FORMATS)


class _Trap:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [os.system, eval, exec, open])
@pytest.mark.parametrize("write", FORMATS + [None])
def test_nothing_is_run(tmp_path, write, protocol, function):
    mark = str(tmp_path / "executed")
    arguments = {
        os.system: ("touch " + mark,),
        open: (mark, "w"),
    }.get(function, (f"open({mark!r}, 'w')",))
    harmful = pickle.dumps({"state_dict": _Trap(function, *arguments)}, protocol)
    path = tmp_path / "a.pth"
    if write:
        write(path, harmful)
    else:
        path.write_bytes(harmful)
    message = refusal_of(path)
    assert not os.path.exists(mark)
    if write is None:
        assert "neither a zip archive nor PyTorch's older format" in message
    else:
        assert "refused" in message
        # Pickles of protocols 0 and 1 are refused before they come to the name.
        assert ("names" in message and function.__name__ in message) or protocol < 2
    pickle.loads(harmful)  # the trap is a working one
    assert os.path.exists(mark)


def test_no_module_is_imported(tmp_path, monkeypatch):
    (tmp_path / "harmful_module.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write_zip_pickle(tmp_path / "a.pth", program(dump_global("harmful_module", "x")))
    assert "its pickle names harmful_module.x" in refusal_of(path)
    assert "harmful_module" not in sys.modules


_SYSTEM = b"cos\nsystem\n"


@either_format
@pytest.mark.parametrize(
    "opcodes, message",
    [
        (_SYSTEM + b"U\x04true\x85R", "names os.system"),
        (b"(U\x04trueios\nsystem\n", "uses the opcode INST"),
        (b"(" + _SYSTEM + b"U\x04trueo", "names os.system"),
        (b"U\x02osU\x06system\x93", "names os.system"),
        (b"U\x02osU\x07sys\ntem\x93", "names 'os.sys\\ntem'"),
        (b"\x82\x01", "uses the opcode EXT1"),
        (b"Pos.system\n", "uses the opcode PERSID"),
        (b"U\x04true)R", "calls what is no function"),
        (b"ctorch\nFloatStorage\n)R", "calls what is no function"),
        (b"ccollections\nOrderedDict\n}\x81", "calls what is no function"),
        (b"ccollections\nOrderedDict\nK\x01\x85R", "not a readable PyTorch file"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)}\x92", "uses the opcode NEWOBJ_EX"),
        (b"ccollections\nOrderedDict\n}b", "sets the state of what is no tensor"),
        (b"]}b", "sets the state of what is no tensor"),
        (b"ctorch\nFloatTensor\n)R}b", "sets the state of what is no tensor"),
        (b"cnumpy.core.multiarray\nscalar\n", "names numpy.core.multiarray.scalar"),
        (b"ctorch._utils\n_rebuild_parameter\n(K\x01K\x02tR", "a parameter without a tensor"),
        (b"U\x03abcQ", "unknown persistent object"),
        (b"(U\x06moduleccollections\nOrderedDict\nU\x01aU\x01bK\x01tQ", "is no storage"),
        (b"(U\x07storagectorch\nFloatStorage\nK\x01U\x01bK\x01tQ", "without a key"),
        (b"h\x05", "not a readable PyTorch file"),
        (b"0", "uses the opcode POP"),
        (b"t", "not a readable PyTorch file"),
        (b"K\x01K\x02a", "not a readable PyTorch file"),
        (b"K\x01K\x02K\x03s", "not a readable PyTorch file"),
        (b"", "not a readable PyTorch file"),
        (b"}U\x01xctorch._utils\n_rebuild_tensor_v2\n(K\x05K\0)))tRs", "x has an unknown layout"),
        (b"}U\x01xctorch._utils\n_rebuild_tensor_v2\n(NK\0)))tRs", "x has an unknown layout"),
        (b"}U\x01xctorch\nFloatTensor\n)Rs", "x has an unknown layout"),
        (b"K\x01", "no tensors by name"),
        (b"}", "no tensors by name"),
        (b"]", "no tensors by name"),
    ],
)
def test_hostile_programs(tmp_path, write, opcodes, message):
    path = write(tmp_path / "a.pth", program(opcodes))
    assert message in refusal_of(path)


def _copies(call):
    """A list of a hundred thousand entries, handed to a call ten thousand times."""
    call = call.rsplit(b".", 1)
    listed = b"](" + b"]" * 100000 + b"eq\x01"
    calls = (b"c" + call[0] + b"\n" + call[1] + b"\nq\x02") + b"h\x02h\x01\x85R" * 10000
    return program(listed, calls)


def _many_arguments():
    tensor = dump_global("torch", "FloatTensor") + b")R"
    arguments = b"(" + tensor + b"N" * 100000 + b"tq\x01"
    return program(arguments, b"ctorch._utils\n_rebuild_parameter\nq\x02" + b"h\x02h\x01R" * 10000)


_TEXT = b"X\0\0\x20\0" + b"a" * (1 << 21)
BOMBS = {
    "copied lists": _copies(b"torch.Size"),
    "pairs that are none": _copies(b"collections.OrderedDict"),
    "too few arguments": _copies(b"torch._utils._rebuild_tensor_v2"),
    "many arguments": _many_arguments(),
    "a key that takes ages to hash": program(
        b")q\x01", b"h\x01h\x01\x86q\x01" * 5000, b"}h\x01K\x01s"
    ),
    "marks": program(b"(" * 200000),
    "nested tuples": program(b"]" * 200000 + b"\x85" * 200000),
    "a far place in the memo": program(b"Nr\xff\xff\xff\xff"),
    "a long text": program(b"X\xff\xff\xff\xff"),
    "a longer text": program(b"\x8d" + b"\xff" * 8),
    "a long array": program(b"\x96" + b"\xff" * 7 + b"\x0f"),
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
