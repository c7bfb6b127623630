"""The pickles in PyTorch's weight files, read by a restricted unpickler without PyTorch.

A pickle can import and call anything. Here it can only build dicts, lists, tuples, numbers, texts and
:class:`Tensor`: other names and opcodes than state dicts need are refused, and no module is imported.
Format: Python's ``pickletools`` and ``torch.save``.
"""

import io
import pickle
from typing import Any, BinaryIO, Callable, ClassVar, Dict, Iterable, NamedTuple, Sequence, Tuple

from dgl.weights.formats.registry import Refused, quoted

# State dicts of the largest classifiers take some hundred kilobytes.
LARGEST_PICKLE = 1 << 22

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

_OPCODES = """
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE
    SHORT_BINUNICODE BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES EMPTY_DICT EMPTY_LIST EMPTY_TUPLE
    TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS BINPUT LONG_BINPUT MEMOIZE BINGET
    LONG_BINGET GLOBAL STACK_GLOBAL REDUCE NEWOBJ BUILD BINPERSID
""".split()


class Storage(NamedTuple):
    """The place of numbers."""

    kind: str  # a key of ``STORAGE_TYPES``
    key: str
    size: int  # in elements
    start: int = 0  # element of the stored numbers at which this one begins


class Tensor:
    """A window into a storage; offset and strides count elements. Nothing is checked yet."""

    def __init__(
        self, storage: Any = None, offset: Any = 0, shape: Any = (), strides: Any = (), *_: Any
    ):
        self.storage = storage
        self.offset = offset
        self.shape = shape
        self.strides = strides


class _Name:
    """A name of the closed list, as an object that a pickle can neither change nor use but by calling."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name


def _dict_of(pairs: Iterable[Tuple[Any, Any]] = ()) -> Dict[str, Any]:
    return {key: value for key, value in pairs if isinstance(key, str)}


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError("a parameter without a tensor")
    return data


# What a pickle may call. State dicts saved before PyTorch 0.4 hold the last two and `_rebuild_tensor`.
_CALLS: Dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dict_of,
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch._utils._rebuild_tensor": Tensor,
    "torch._utils._rebuild_tensor_v2": Tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.nn.parameter.Parameter": lambda data=None, *_: (
        Tensor() if data is None else _parameter(data)
    ),
}
_CALLS.update((f"torch.{kind.replace('Storage', 'Tensor')}", Tensor) for kind in STORAGE_TYPES)
_STORAGES = {f"torch.{cuda}{kind}": kind for cuda in ("", "cuda.") for kind in STORAGE_TYPES}

# The unpickler in Python, whose opcodes can be restricted.
_Base: Any = pickle._Unpickler


class _Unpickler(_Base):  # type: ignore[misc]
    """Python's unpickler with a closed list of opcodes and names."""

    dispatch: ClassVar[Dict[int, Callable[..., Any]]] = {}

    def __init__(self, data: io.BytesIO):
        super().__init__(data, encoding="latin1")
        self.storages: Dict[str, Storage] = {}
        # Every item takes a byte at least, unless one list is copied over and over.
        self.to_copy = len(data.getbuffer())

    def refuse(self, what: str) -> None:
        raise Refused(
            f"its pickle {what}, expected nothing but tensors by name, as in "
            "torch.save(model.state_dict(), path); refused (a whole module: load its ONNX file, which "
            "torch.onnx.export writes)"
        )

    def find_class(self, module: str, name: str) -> _Name:
        full = f"{module}.{name}"
        if full not in _CALLS and full not in _STORAGES:
            self.refuse(f"names {quoted(full)}")
        return _Name(full)

    def load_reduce(self) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        if (
            not isinstance(called, _Name)
            or called.name not in _CALLS
            or type(arguments) is not tuple
        ):
            self.refuse("calls what is no function for tensors")
        self.to_copy -= len(arguments)
        self.to_copy -= sum(len(item) for item in arguments if hasattr(item, "__len__"))
        if self.to_copy < 0:
            self.refuse("repeats its lists without end")
        self.append(_CALLS[called.name](*arguments))

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: Sequence[Any]) -> None:
        # Other keys (an optimizer counts its parameters) name no weights, and nested ones hash slowly.
        pairs = zip(items[::2], items[1::2])
        self.stack[-1].update((key, value) for key, value in pairs if isinstance(key, str))

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, dict) and isinstance(state, dict):
            return  # attributes of a state dict: versions of the modules
        if not isinstance(target, Tensor) or not isinstance(state, tuple):
            self.refuse("sets the state of what is no tensor")
        if len(state) == 4:  # a tensor's own state before PyTorch 0.4
            target.storage, target.offset, target.shape, target.strides = state
        elif len(state) == 5:  # a parameter's own, its tensor in front
            vars(target).update(vars(_parameter(*state)))

    def persistent_load(self, identity: Any) -> Storage:
        if not isinstance(identity, tuple) or len(identity) not in (5, 6):
            self.refuse("has an unknown persistent object")
        what, kind, key, _, size = identity[:5]
        if what != "storage" or not isinstance(kind, _Name) or kind.name not in _STORAGES:
            self.refuse("has a persistent object that is no storage")
        if not isinstance(key, str) or not isinstance(size, int):
            raise ValueError("a storage without a key and a size")
        storage = self.storages.setdefault(key, Storage(_STORAGES[kind.name], key, size))
        view = identity[5] if len(identity) == 6 else None
        if view is not None:
            _, start, size = view
            return Storage(storage.kind, key, size, start)
        if storage.kind != _STORAGES[kind.name] or storage.size != size:
            raise ValueError("one storage with two types or sizes")
        return storage


def _refuse_opcode(name: str) -> Callable[[_Unpickler], None]:
    return lambda self: self.refuse(f"uses the opcode {name}")


for _code, _load in _Base.dispatch.items():
    _name = next(n for n, v in vars(pickle).items() if n.isupper() and v == bytes([_code]))
    _Unpickler.dispatch[_code] = _load if _name in _OPCODES else _refuse_opcode(_name)
for _opcode in (pickle.REDUCE, pickle.NEWOBJ):
    _Unpickler.dispatch[_opcode[0]] = _Unpickler.load_reduce
_Unpickler.dispatch[pickle.BUILD[0]] = _Unpickler.load_build
_Unpickler.dispatch[pickle.SETITEM[0]] = _Unpickler.load_setitem
_Unpickler.dispatch[pickle.SETITEMS[0]] = _Unpickler.load_setitems


def read_pickle(stream: BinaryIO) -> Tuple[Any, Dict[str, Storage]]:
    """Read one pickle from a stream at its beginning, which is left at its end.

    Returns:
        (value, storages): the value made of dict, list, tuple, None, bool, int, float, str, bytes and
        :class:`Tensor`, and the :class:`Storage` objects by key.

    Raises:
        Refused: it names anything but tensors and dicts of them, or takes over ``LARGEST_PICKLE`` bytes.
        Exception: of any kind, it is damaged.
    """
    begin = stream.tell()
    data = io.BytesIO(stream.read(LARGEST_PICKLE))
    unpickler = _Unpickler(data)
    try:
        value = unpickler.load()
    except Exception:
        if data.tell() == LARGEST_PICKLE:
            raise Refused(f"its pickle takes more than {LARGEST_PICKLE} bytes") from None
        raise
    stream.seek(begin + data.tell())
    return value, unpickler.storages
