"""The tables of an evaluation as CSV, for computing with, and as LaTeX, for a paper.

Every file holds one protocol: ``fixed_threshold.*`` and ``wsolevaluation.*`` are never joined.
"""

import os
import re
from typing import Any, List, Mapping, Optional

from dgl.report.columns import (
    MATRIX_FIGURES,
    PROTOCOLS,
    cells,
    layers_and_methods,
    protocol_columns,
    protocol_rows,
)
from dgl.utils.files import write_atomically
from dgl.utils.table import write_csv

FOLDER = "tables"

_LONGEST = 40  # rows that a float of one page takes
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # At the start of a row they would be taken for an argument of the line break before.
    "[": "{[}",
    "*": "{*}",
    "\u2013": "--",
}


def write_tables(
    out_dir: str, metrics: Mapping[str, Any], run: Optional[Mapping[str, Any]] = None
) -> List[str]:
    """Write ``tables/<protocol>.csv`` and ``.tex`` and ``tables/matrix_<figure>.csv``.

    Args:
        out_dir: str, the folder of the report.
        metrics: dict of ``metrics.json``; only ``protocols`` is used, of which one may be missing.
        run: dict whose ``command`` is noted in the LaTeX files, or ``None``.

    Returns:
        list of str, the paths of the files.

    Raises:
        UserError: nowhere to write.
    """
    written = []

    def path(name):
        written.append(os.path.join(str(out_dir), FOLDER, name))
        return written[-1]

    for name in PROTOCOLS:
        protocol = (metrics.get("protocols") or {}).get(name)
        if not protocol or not protocol.get("rows"):
            continue
        write_csv(path(name + ".csv"), _flat(name, protocol))
        text = latex_table(name, protocol, (run or {}).get("command"))
        write_atomically(path(name + ".tex"), text.encode("utf-8", "replace"))
        for figure in MATRIX_FIGURES[name]:
            if any(row.get(figure) is not None for row in protocol["rows"]):
                write_csv(path(f"matrix_{figure}.csv"), _matrix(protocol["rows"], figure))
    return written


def latex_table(name: str, protocol: Mapping[str, Any], command: Optional[str] = None) -> str:
    """A protocol's table for LaTeX's booktabs: intervals in brackets, best values bold.

    Args:
        name: ``"fixed_threshold"`` or ``"wsolevaluation"``.
        protocol: dict with ``rows``.
        command: str that stands as a comment at the top, or ``None``.

    Returns:
        str. More rows than fit a page make a ``longtable``.
    """
    rows, columns = protocol_rows(protocol), protocol_columns(name, protocol)
    table = cells(rows, columns)
    packages = ["booktabs"] + ["longtable"] * (len(rows) > _LONGEST)
    lines = [r"% \usepackage{{{}}}".format(",".join(packages))]
    lines += ["% " + _one_line(line) for line in (command or "").splitlines()]
    heads = ["Method", "Layer"] + [column.heading for column in columns]
    head = " & ".join(escape_latex(text) for text in heads) + r" \\"
    body, before = [], None
    for row, line in zip(rows, table):
        if before not in (None, row["method"]):
            body.append(r"\addlinespace")
        before = row["method"]
        names = [escape_latex(row["method"]), escape_latex(row["layer"])]
        body.append(" & ".join(names + [_latex_cell(cell) for cell in line]) + r" \\")
    spec = "ll" + "r" * len(columns)
    caption = rf"\caption{{{escape_latex(_caption(name, protocol, table))}}}"
    label = r"\label{{tab:{}}}".format(name.replace("_", "-"))
    if len(rows) > _LONGEST:
        lines += [rf"\begin{{longtable}}{{{spec}}}", caption + label + r" \\"]
        lines += [r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        lines += body + [r"\end{longtable}"]
    else:
        lines += [r"\begin{table}", r"\centering", caption, label]
        lines += [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule"]
        lines += body + [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """``text`` with the characters that LaTeX gives a meaning set as themselves, on one line."""
    return "".join(_LATEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text):
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(text))


def _latex_cell(cell):
    text = escape_latex(cell.text)
    if cell.best:
        text = rf"\textbf{{{text}}}"
    if cell.interval:
        text += r" {{\scriptsize [{}, {}]}}".format(*cell.interval)
    return text


def _caption(name, protocol, table):
    text = f"Protocol: {PROTOCOLS[name]}, percent."
    if protocol.get("geometry"):
        text += " Geometry: {}.".format(protocol["geometry"].rstrip("."))
    if any(cell.interval for line in table for cell in line):
        text += " In brackets: 95 % intervals."
    return text + " Bold: the best of a column."


def _flat(name, protocol):
    """Rows of single values: an interval becomes ``<key>_low`` and ``<key>_high``."""
    rows = []
    for row in protocol_rows(protocol):
        flat = {"protocol": name}
        for key, value in row.items():
            if key.endswith("_interval"):
                low, high = value if value is not None else (None, None)
                stem = key[: -len("_interval")]
                flat[stem + "_low"], flat[stem + "_high"] = low, high
            elif not isinstance(value, (list, tuple, dict)):
                flat[key] = value
        rows.append(flat)
    return rows


def _matrix(rows, figure):
    layers, methods = layers_and_methods(rows)
    values = {(row["layer"], row["method"]): row.get(figure) for row in rows}
    return [
        dict([("layer", layer)] + [(m, values.get((layer, m))) for m in methods])
        for layer in layers
    ]
