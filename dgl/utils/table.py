"""Format result rows as an aligned text table or a CSV file."""

import csv
import io
import numbers
from typing import Any, List, Mapping, Optional, Sequence, Union

import tabulate

from dgl.utils.files import write_atomically

Row = Mapping[str, Any]

_MISSING = "-"


def format_table(
    rows: Sequence[Row],
    columns: Optional[Sequence[str]] = None,
    digits: Union[int, Mapping[str, int]] = 1,
) -> str:
    """Format rows as an aligned plain-text table.

    Args:
        rows: list of dicts; a missing or ``None`` value is shown as ``-``.
        columns: keys to show, in order; by default every key whose values are not lists or dicts, in
            order of first appearance.
        digits: decimals of floats, an int or a dict from column to int (1 for the others).

    Returns:
        str without a newline at its end; numbers are right-aligned.

    Raises:
        ValueError: rows of different ``protocol``, or no column to show.
    """
    columns = _columns(rows, columns)
    if not columns:
        raise ValueError("a table needs at least one column")
    decimals = [digits if isinstance(digits, int) else digits.get(key, 1) for key in columns]
    cells = [
        [_cell(row.get(key), places) for key, places in zip(columns, decimals)] for row in rows
    ]
    given = [[row[key] for row in rows if row.get(key) is not None] for key in columns]
    numeric = [bool(values) and all(map(_is_number, values)) for values in given]
    table: str = tabulate.tabulate(
        cells,
        headers=columns,
        tablefmt="simple",
        disable_numparse=True,
        # tabulate fails on alignments for an empty table.
        colalign=["right" if number else "left" for number in numeric] if rows else None,
    )
    return table


def write_csv(path: str, rows: Sequence[Row], columns: Optional[Sequence[str]] = None) -> None:
    """Write rows to a CSV file with a header line, floats in full precision, missing values empty.

    Columns are as in :func:`format_table`. The file appears complete or not at all.

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


def _columns(rows: Sequence[Row], columns: Optional[Sequence[str]]) -> List[str]:
    protocols = {row["protocol"] for row in rows if row.get("protocol") is not None}
    if len(protocols) > 1:
        raise ValueError("one table cannot mix protocols: " + ", ".join(sorted(protocols)))
    if columns is not None:
        return list(columns)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [key for key in keys if not any(isinstance(r.get(key), (list, dict)) for r in rows)]


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return _MISSING
    if _is_number(value) and not isinstance(value, numbers.Integral):
        return f"{value:.{digits}f}"
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
