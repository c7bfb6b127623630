"""Rows per image by column, the state of every evaluator: appended, merged and stored as JSON.

Figures are computed from these rows alone, so merged shards give exactly the figures of one run, and
a bootstrap can compute a figure for resampled images.
"""

import base64
import binascii
import zlib
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from dgl.utils.types import ArrayLike

# Far more than any column of 50,000 images.
_MOST_BYTES = 2**32


class Column(NamedTuple):
    """One column: the type and the shape that every image's value has."""

    dtype: str
    shape: Tuple[int, ...] = ()


class Records:
    """Rows of named columns, each row with an id or all without.

    Args:
        columns: ordered name -> :class:`Column`.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = dict(columns)
        self._length = 0
        self._ids: List[str] = []
        self._seen: Set[str] = set()
        self._parts: Dict[str, List[np.ndarray]] = {name: [] for name in self._columns}

    def __len__(self) -> int:
        return self._length

    @property
    def ids(self) -> List[str]:
        """One per row; empty where rows came without ids."""
        return list(self._ids)

    def append(self, ids: Optional[Sequence[str]], **values: ArrayLike) -> None:
        """Add rows.

        Args:
            ids: N str that no row has yet, or ``None`` for rows without ids.
            **values: for every column an array-like (N,) + shape.

        Raises:
            ValueError: a column is missing or of another shape, an id is there already, or rows with
                and without ids would be mixed. Nothing is added then.
        """
        if set(values) != set(self._columns):
            raise ValueError(f"expected the columns {sorted(self._columns)}")
        arrays: Dict[str, np.ndarray] = {}
        length = 0
        for name, column in self._columns.items():
            array = np.asarray(values[name], dtype=column.dtype)
            if array.ndim and not arrays:
                length = len(array)
            if array.shape != (length, *column.shape):
                raise ValueError(
                    f"column {name} has shape {array.shape}, expected {(length, *column.shape)}"
                )
            arrays[name] = array
        self._add(ids, arrays, length)

    def extend(self, other: "Records") -> None:
        """Add the rows of other records with the same columns; raises as :meth:`append`."""
        if other._columns != self._columns:
            raise ValueError("records of other columns")
        if len(other):
            self._add(
                other.ids or None, {name: other.column(name) for name in self._columns}, len(other)
            )

    def column(self, name: str) -> np.ndarray:
        """Array (N,) + shape: the values of all rows, in the order of adding."""
        parts, column = self._parts[name], self._columns[name]
        if not parts:
            return np.zeros((0, *column.shape), column.dtype)
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]

    def order(self) -> np.ndarray:
        """Int array (N,): positions of the rows sorted by id, or as added where there are no ids."""
        if not self._ids:
            return np.arange(self._length)
        return np.array(sorted(range(self._length), key=self._ids.__getitem__), dtype=np.int64)

    def sort(self) -> None:
        """Put the rows in the order of their ids; rows without ids stay as they are."""
        order = self.order()
        if len(order) and (np.diff(order) != 1).any():
            self._ids = [self._ids[row] for row in order]
            self._parts = {name: [self.column(name)[order]] for name in self._columns}

    def state_dict(self) -> Dict[str, Any]:
        """The rows as JSON values: ``ids`` and ``columns``, each compressed and in base64."""
        columns = {name: _pack(self.column(name)) for name in self._columns}
        return {"rows": self._length, "ids": self.ids, "columns": columns}

    @classmethod
    def from_state(cls, columns: Mapping[str, Column], state: Any) -> "Records":
        """The records of :meth:`state_dict`; ``ValueError`` for a damaged state or other columns."""
        records = cls(columns)
        try:
            rows, ids, stored = state["rows"], state["ids"], state["columns"]
            if not isinstance(rows, int) or rows < 0:
                raise ValueError(f"{rows!r} rows")
            if set(stored) != set(records._columns):
                raise ValueError("other columns")
            arrays = {
                name: _unpack(stored[name], (rows, *column.shape), column.dtype)
                for name, column in records._columns.items()
            }
            records._add(list(ids) if ids else None, arrays, rows)
        except (KeyError, TypeError, AttributeError, binascii.Error, zlib.error) as error:
            raise ValueError(f"the rows are incomplete or damaged ({error!r})") from error
        return records

    def _add(
        self, ids: Optional[Sequence[str]], arrays: Mapping[str, np.ndarray], length: int
    ) -> None:
        if not length:
            return
        if ids is not None:
            ids = [str(key) for key in ids]
            if len(ids) != length:
                raise ValueError(f"expected {length} ids, got {len(ids)}")
            twice = self._seen.intersection(ids)
            if twice or len(set(ids)) < length:
                twice = twice or {key for key in ids if ids.count(key) > 1}
                raise ValueError(f"image {min(twice)!r} was added before")
        if self._length and bool(self._ids) != (ids is not None):
            raise ValueError("some images have an id and some have none")
        self._ids.extend(ids or [])
        self._seen.update(ids or [])
        for name, array in arrays.items():
            self._parts[name].append(array)
        self._length += length


def _pack(array: np.ndarray) -> str:
    # Little-endian whatever the machine, so that shards of any two machines merge.
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")


def _unpack(text: str, shape: Tuple[int, ...], dtype: str) -> np.ndarray:
    wanted = int(np.prod(shape, dtype=np.float64)) * np.dtype(dtype).itemsize
    if wanted > _MOST_BYTES:
        raise ValueError(f"rows of {wanted} bytes")
    packed = base64.b64decode(text, validate=True)
    # Never unpacks more than is wanted, whatever the data claim.
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, wanted + 1)
    if len(data) != wanted:
        raise ValueError(f"a column of {len(data)} bytes, expected {wanted}")
    stored = np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))
    return np.asarray(stored.reshape(shape).astype(dtype))
