"""The pickles in PyTorch's weight files, read without PyTorch and without running them.

A pickle is a program for a stack machine that may import and call anything. Here its opcodes only build
dicts, lists, tuples, numbers, texts and :class:`Tensor`: no name in it is ever imported and nothing but
the functions below can be called. Source of the format: Python's ``pickletools`` and ``torch.save``.
"""

import io
import pickletools
from typing import Any, BinaryIO, Callable, Dict, Optional, Sequence, Tuple

from dgl.errors import UserError, first_line
from dgl.weights.formats.common import quoted

# State dicts of the largest classifiers take some hundred kilobytes.
LARGEST_PICKLE = 1 << 22
_LONGEST_LINE = 1000

# Storage class -> NumPy type of its elements, without the byte order. bfloat16 numbers come as their bits.
STORAGE_TYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "u1",
}

_PUSHED = frozenset(
    [
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
    ]
)
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError)


class Storage:
    """Where numbers lie: ``kind`` (a key of ``STORAGE_TYPES``), ``key``, ``size`` in elements."""

    def __init__(self, kind: str, key: str, size: int, start: int = 0):
        self.kind = kind
        self.key = key
        self.size = size
        self.start = start  # element of the stored numbers at which this one begins


class Tensor:
    """A window into a storage; offset and strides count elements. Nothing is checked yet."""

    def __init__(
        self,
        storage: Optional[Storage] = None,
        offset: int = 0,
        shape: Sequence[int] = (),
        strides: Sequence[int] = (),
    ):
        self.storage = storage
        self.offset = offset
        self.shape = shape
        self.strides = strides


class _Global:
    def __init__(self, name):
        self.name = name


def _put(target, pairs):
    # Other keys (an optimizer counts its parameters) name no weights.
    target.update((key, value) for key, value in pairs if isinstance(key, str))
    return target


def _parameter(data, *_):
    if not isinstance(data, Tensor):
        raise ValueError("a parameter without a tensor")
    return data


# What a pickle may call. State dicts saved before PyTorch 0.4 hold the last two and `_rebuild_tensor`.
_CALLS: Dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": lambda pairs=(): _put({}, pairs),
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch._utils._rebuild_tensor": Tensor,
    "torch._utils._rebuild_tensor_v2": lambda storage, offset, shape, strides, *_: Tensor(
        storage, offset, shape, strides
    ),
    "torch._utils._rebuild_parameter": _parameter,
    "torch.nn.parameter.Parameter": lambda data=None, *_: (
        Tensor() if data is None else _parameter(data)
    ),
}
for _kind in STORAGE_TYPES:
    _CALLS["torch.{}".format(_kind.replace("Storage", "Tensor"))] = Tensor
_STORAGES = {"torch." + kind: kind for kind in STORAGE_TYPES}
_STORAGES.update(("torch.cuda." + kind, kind) for kind in STORAGE_TYPES)


class _Lines(io.BytesIO):
    def readline(self, *_):
        # Text arguments are names here; turning a number of a million digits into one takes minutes.
        line = super().readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"a text of more than {_LONGEST_LINE} characters")
        return line


class _Machine:
    """One method an opcode, named after it; the argument is what ``pickletools`` decoded."""

    def __init__(self, path, to_copy):
        self.path = path
        self.to_copy = to_copy  # items that calls may copy
        self.storages = {}
        self.stack, self.marked, self.memo = [], [], {}

    def refuse(self, what):
        raise UserError(
            f"{self.path}: its pickle {what}, expected nothing but tensors by name, as in "
            "torch.save(model.state_dict(), path); refused"
        )

    def run(self, stream):
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name in _PUSHED:
                self.stack.append(argument)
                continue
            method = getattr(self, "_" + opcode.name.lower(), None)
            if method is None:
                self.refuse("uses the opcode " + opcode.name)
            method(argument)

    def _proto(self, _):
        pass

    _frame = _proto

    def _none(self, _):
        self.stack.append(None)

    def _newtrue(self, _):
        self.stack.append(True)

    def _newfalse(self, _):
        self.stack.append(False)

    def _empty_dict(self, _):
        self.stack.append({})

    def _empty_list(self, _):
        self.stack.append([])

    def _empty_tuple(self, _):
        self.stack.append(())

    def _mark(self, _):
        self.marked.append(self.stack)
        self.stack = []

    def _since_mark(self):
        items, self.stack = self.stack, self.marked.pop()
        return items

    def _tuple(self, _):
        items = tuple(self._since_mark())
        self.stack.append(items)

    def _tuple1(self, _):
        self.stack[-1:] = [(self.stack[-1],)]

    def _tuple2(self, _):
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    def _tuple3(self, _):
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    def _append(self, _):
        item = self.stack.pop()
        self.stack[-1].append(item)

    def _appends(self, _):
        items = self._since_mark()
        self.stack[-1].extend(items)

    def _setitem(self, _):
        item, key = self.stack.pop(), self.stack.pop()
        _put(self.stack[-1], [(key, item)])

    def _setitems(self, _):
        items = self._since_mark()
        _put(self.stack[-1], zip(items[::2], items[1::2]))

    def _binput(self, index):
        self.memo[index] = self.stack[-1]

    _long_binput = _binput

    def _memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def _binget(self, index):
        self.stack.append(self.memo[index])

    _long_binget = _binget

    def _global(self, names):
        name = ".".join(names.split(" ", 1))
        if name not in _CALLS and name not in _STORAGES:
            self.refuse(f"names {quoted(name)}")
        self.stack.append(_Global(name))

    def _stack_global(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        self._global(module + " " + name)

    def _reduce(self, _):
        arguments, called = self.stack.pop(), self.stack.pop()
        known = isinstance(called, _Global) and called.name in _CALLS
        if not known or not isinstance(arguments, tuple):
            self.refuse("calls what is no function for tensors")
        # Calls copy lists. Every item takes a byte at least, unless one list is copied over and over.
        lists = [item for item in arguments if hasattr(item, "__len__")]
        self.to_copy -= len(arguments) + sum(len(item) for item in lists)
        if self.to_copy < 0:
            self.refuse("repeats its lists without end")
        self.stack.append(_CALLS[called.name](*arguments))

    _newobj = _reduce

    def _build(self, _):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, dict) and isinstance(state, dict):
            return  # attributes of a state dict: versions of the modules
        if not isinstance(target, Tensor) or not isinstance(state, tuple):
            self.refuse("sets the state of what is no tensor")
        if len(state) == 4:  # a tensor's own state before PyTorch 0.4
            target.storage, target.offset, target.shape, target.strides = state
        elif len(state) == 5:  # a parameter's own, its tensor in front
            vars(target).update(vars(_parameter(*state)))

    def _binpersid(self, _):
        identity = self.stack.pop()
        if not isinstance(identity, tuple) or len(identity) not in (5, 6):
            self.refuse("has an unknown persistent object")
        what, kind, key, _, size = identity[:5]
        if what != "storage" or not isinstance(kind, _Global) or kind.name not in _STORAGES:
            self.refuse("has a persistent object that is no storage")
        if not isinstance(key, str) or not isinstance(size, int):
            raise ValueError("a storage without a key and a size")
        storage = self.storages.setdefault(key, Storage(_STORAGES[kind.name], key, size))
        view = identity[5] if len(identity) == 6 else None
        if view is not None:
            _, start, size = view
            storage = Storage(storage.kind, key, size, start)
        elif storage.kind != _STORAGES[kind.name] or storage.size != size:
            raise ValueError("one storage with two types or sizes")
        self.stack.append(storage)


def read_pickle(stream: BinaryIO, path: str) -> Tuple[Any, Dict[str, Storage]]:
    """Read one pickle.

    Args:
        stream: binary file at the pickle's beginning; left behind its end.
        path: what error messages name.

    Returns:
        (value, storages): the value made of dict (only the entries whose key is a str, in file order),
        list, tuple, None, bool, int, float, str, bytes and :class:`Tensor`, and a dict of the
        :class:`Storage` objects by key.

    Raises:
        UserError: it names anything but tensors and dicts of them, is damaged or larger than
            ``LARGEST_PICKLE`` bytes.
    """
    begin = stream.tell()
    data = stream.read(LARGEST_PICKLE)
    machine, opcodes = _Machine(path, len(data)), _Lines(data)
    try:
        value = machine.run(opcodes)
    except _DAMAGED as error:
        problem = first_line(error)
        if opcodes.tell() == LARGEST_PICKLE:
            problem = f"its pickle takes more than {LARGEST_PICKLE} bytes"
        raise UserError(f"{path}: not a readable PyTorch file ({quoted(problem)})") from None
    stream.seek(begin + opcodes.tell())
    return value, machine.storages
