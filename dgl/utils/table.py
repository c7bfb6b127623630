"""Result rows as an aligned text table or a CSV file; the two protocols never share one."""

import csv
import io
import numbers
from typing import Any, Mapping, Optional, Sequence, Union

import tabulate

from dgl.utils.files import write_atomically

_MISSING = "-"


def format_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Optional[Sequence[str]] = None,
    digits: Union[int, Mapping[str, int]] = 1,
) -> str:
    """Format rows as an aligned plain-text table.

    Args:
        rows: list of dicts, a missing or ``None`` value being shown as ``-``.
        columns: keys to show, in order; by default every key with single values, in order of first
            appearance.
        digits: decimals of floats, an int or a dict from column to int (1 for the others).

    Returns:
        str without a newline at its end; numbers stand right-aligned.

    Raises:
        ValueError: rows of different ``protocol``, or no column to show.
    """
    columns = _columns(rows, columns)
    if not columns:
        raise ValueError("a table needs at least one column")
    cells = [[_cell(row.get(key), _digits(digits, key)) for key in columns] for row in rows]
    numeric = [_is_numeric([row.get(key) for row in rows]) for key in columns]
    return tabulate.tabulate(
        cells,
        headers=columns,
        tablefmt="simple",
        disable_numparse=True,
        # Not given for an empty table: tabulate finds no column to align there.
        colalign=["right" if number else "left" for number in numeric] if rows else None,
    )


def write_csv(
    path: str, rows: Sequence[Mapping[str, Any]], columns: Optional[Sequence[str]] = None
) -> None:
    """Write rows to a CSV file with a header line, floats in full precision.

    The file appears complete or not at all.

    Args:
        path: str, the file to write; missing folders are made.
        rows: list of dicts; a missing or ``None`` value leaves its field empty.
        columns: keys to write, in order; by default as :func:`format_table`.

    Raises:
        ValueError: rows of different ``protocol``.
        dgl.errors.UserError: the file cannot be written.
    """
    columns = _columns(rows, columns)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8"))


def _columns(rows, columns):
    protocols = {row["protocol"] for row in rows if row.get("protocol") is not None}
    if len(protocols) > 1:
        raise ValueError("one table cannot mix protocols: " + ", ".join(sorted(protocols)))
    if columns is not None:
        return list(columns)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [key for key in keys if not any(isinstance(r.get(key), (list, dict)) for r in rows)]


def _digits(digits, key):
    return digits.get(key, 1) if isinstance(digits, dict) else digits


def _cell(value, digits):
    if value is None:
        return _MISSING
    if _is_number(value) and not isinstance(value, numbers.Integral):
        return "{:.{}f}".format(value, digits)
    return str(value)


def _is_numeric(values):
    given = [value for value in values if value is not None]
    return bool(given) and all(_is_number(value) for value in given)


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
