"""Result tables: columns and cells as the page shows them, CSV and LaTeX files, and text on the screen.

Accuracies are in percent and thresholds are fractions of a map's maximum. The 95 % interval of the
value under ``key`` is expected under ``key_interval``. Every file holds one protocol.
"""

import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from dgl.evaluation.summary import RANKING
from dgl.utils.files import write_atomically
from dgl.utils.table import format_table, write_csv

FOLDER = "tables"
MISSING = "\u2013"
PROTOCOLS = {"fixed_threshold": "Fixed threshold", "wsolevaluation": "wsolevaluation"}
# The metrics of a protocol that are also written as a layer-by-method matrix.
MATRIX_METRICS = {
    "fixed_threshold": ("gt_known", "top1_loc", "top5_loc"),
    "wsolevaluation": ("max_box_acc", "max_box_acc_v2", "pxap", "box_acc"),
}
HEADINGS = {
    "gt_known": "GT-known",
    "top1_loc": "Top-1 Loc",
    "top5_loc": "Top-5 Loc",
    "max_box_acc": "MaxBoxAcc",
    "best_threshold": "at threshold",
    "max_box_acc_v2": "MaxBoxAccV2",
    "pxap": "PxAP",
    "box_acc": "BoxAcc",
    "tuned_threshold": "at tuned threshold",
}

_PER_IOU = "max_box_acc_v2_per_iou"
_LONGEST = 40  # rows that fit on one page of LaTeX
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
    # At the start of a row these would be read as an argument of the preceding line break.
    "[": "{[}",
    "*": "{*}",
    MISSING: "--",
}
# Of the tables on the screen.
_TITLES = {
    "fixed_threshold": "Fixed threshold {threshold}: largest contour, IoU >= {iou}, % ({geometry})",
    "wsolevaluation": "wsolevaluation: best of all thresholds in steps of {step}, % ({geometry})",
}
_TUNED_TITLE = "Fixed thresholds selected on {tuned}: largest contour, IoU >= {iou}, % ({geometry})"
_SEMANTICS = (
    "semantics: kernel is the gradient of TensorFlow's loss, p - alpha*y; exact that of calculus, "
    "alpha*(p - y), in which alpha cancels unless the gradient vanishes"
)
_COLUMNS = {
    "fixed_threshold": ("method", "layer", "threshold", "gt_known", "95 %", "top1_loc", "top5_loc"),
    "wsolevaluation": (
        "method", "layer", "max_box_acc", "95 %", "best_threshold", "max_box_acc_v2", "pxap",
        "tuned_threshold", "box_acc",
    ),
}  # fmt: skip
_COMPARED = ("a", "b", "figure", "a - b", "95 %", "p_value")
_DIGITS = {"best_threshold": 3, "tuned_threshold": 3, "threshold": 3, "p_value": 4}


class Column(NamedTuple):
    """One column of a table: the key of its values in rows, and whether the highest is marked."""

    key: str
    heading: str
    decimals: int = 1
    mark_best: bool = True


class Cell(NamedTuple):
    """One cell: its text, whether it is the best of its column, and the (low, high) texts."""

    text: str
    best: bool = False
    interval: Optional[Tuple[str, ...]] = None


def protocol_rows(protocol: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Rows with values per IoU and per case flattened: ``max_box_acc_v2_30``, ``case_part``."""
    rows: List[Dict[str, Any]] = []
    for row in protocol["rows"]:
        flat = {key: value for key, value in row.items() if key not in (_PER_IOU, "cases")}
        flat.update(
            (f"max_box_acc_v2_{iou}", v) for iou, v in sorted(row.get(_PER_IOU, {}).items())
        )
        flat.update((f"case_{case}", value) for case, value in row.get("cases", {}).items())
        rows.append(flat)
    return rows


def protocol_columns(name: str, protocol: Mapping[str, Any]) -> List[Column]:
    """The columns that at least one row has a value for.

    A threshold and counts of images are columns only if the rows differ in them.
    """
    rows = protocol_rows(protocol)
    if name == "fixed_threshold":
        columns = [Column(key, HEADINGS[key]) for key in MATRIX_METRICS[name]]
        if len(thresholds(protocol)) > 1:
            columns.append(Column("threshold", "threshold", 2, False))
    else:
        decimals = 3 if protocol["step"] < 0.01 else 2
        ious = sorted({iou for row in protocol["rows"] for iou in row.get(_PER_IOU, ())})
        columns = [
            Column("max_box_acc", HEADINGS["max_box_acc"]),
            Column("best_threshold", HEADINGS["best_threshold"], decimals, False),
            Column("box_acc", HEADINGS["box_acc"]),
            Column("tuned_threshold", HEADINGS["tuned_threshold"], decimals, False),
            Column("max_box_acc_v2", HEADINGS["max_box_acc_v2"]),
        ]
        columns += [Column(f"max_box_acc_v2_{iou}", f"V2 at IoU 0.{iou}") for iou in ious]
        columns.append(Column("pxap", HEADINGS["pxap"]))
    for key in ("images", "skipped"):
        if len({row.get(key) for row in rows}) > 1:
            columns.append(Column(key, key, 0, False))
    return [c for c in columns if any(row.get(c.key) is not None for row in rows)]


def thresholds(protocol: Mapping[str, Any]) -> List[float]:
    """The different thresholds used by the rows of the fixed-threshold protocol, ascending."""
    return sorted({row["threshold"] for row in protocol["rows"]})


def cells(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> List[List[Cell]]:
    """Cells (rows x columns) with the best value of each column marked; values that print alike tie.

    A value may be missing.
    """
    table = [[number(row.get(c.key), c.decimals) for c in columns] for row in rows]
    best = []
    for position, column in enumerate(columns):
        present = [line[position] for line in table if line[position] != MISSING]
        best.append(max(present, key=float) if column.mark_best and present else None)
    return [
        [
            Cell(text, text == best[position], interval(row.get(c.key + "_interval"), c.decimals))
            for position, (text, c) in enumerate(zip(line, columns))
        ]
        for row, line in zip(rows, table)
    ]


def number(value: Optional[float], decimals: int) -> str:
    """``value`` with that many decimals; an en dash for ``None``."""
    return MISSING if value is None else f"{value:.{decimals}f}"


def interval(bounds: Optional[Sequence[float]], decimals: int) -> Optional[Tuple[str, ...]]:
    """(low, high) as texts, or ``None`` if there are none."""
    return None if bounds is None else tuple(number(bound, decimals) for bound in bounds)


def layers_and_methods(rows: Sequence[Mapping[str, Any]]) -> Tuple[List[str], List[str]]:
    """(layers, methods) in order of first appearance."""
    return (
        list(dict.fromkeys(row["layer"] for row in rows)),
        list(dict.fromkeys(row["method"] for row in rows)),
    )


def write_tables(out_dir: str, metrics: Mapping[str, Any], command: str) -> None:
    """Write ``tables/<protocol>.csv`` and ``.tex``, ``tables/matrix_<metric>.csv`` and ``mosaic.csv``.

    ``metrics`` is the content of ``metrics.json``, ``command`` is noted in the LaTeX files.
    """

    def path(name: str) -> str:
        return os.path.join(out_dir, FOLDER, name)

    for name, protocol in metrics["protocols"].items():
        write_csv(path(name + ".csv"), _csv_rows(name, protocol))
        text = latex_table(name, protocol, command)
        write_atomically(path(name + ".tex"), text.encode("utf-8", "replace"))
        for metric in MATRIX_METRICS[name]:
            if any(metric in row for row in protocol["rows"]):
                write_csv(path(f"matrix_{metric}.csv"), _matrix(protocol["rows"], metric))
    if "mosaic" in metrics:
        write_csv(path("mosaic.csv"), _csv_rows("mosaic", metrics["mosaic"]))


def _csv_rows(name: str, protocol: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Rows of single values: an interval becomes ``<key>_low`` and ``<key>_high``."""
    rows = []
    for row in protocol_rows(protocol):
        flat: Dict[str, Any] = {"protocol": name}
        for key, value in row.items():
            if key.endswith("_interval"):
                stem = key[: -len("_interval")]
                flat[stem + "_low"], flat[stem + "_high"] = value
            elif not isinstance(value, (list, tuple, dict)):
                flat[key] = value
        rows.append(flat)
    return rows


def _matrix(rows: Sequence[Mapping[str, Any]], metric: str) -> List[Dict[str, Any]]:
    """A row per layer with a value per method."""
    layers, methods = layers_and_methods(rows)
    values = {(row["layer"], row["method"]): row.get(metric) for row in rows}
    return [
        {"layer": layer, **{method: values.get((layer, method)) for method in methods}}
        for layer in layers
    ]


def latex_table(name: str, protocol: Mapping[str, Any], command: str) -> str:
    """A protocol's table for LaTeX's booktabs: intervals in brackets, best values bold.

    It is a ``longtable`` if it does not fit on one page; ``command`` is a comment at the top.
    """
    rows, columns = protocol_rows(protocol), protocol_columns(name, protocol)
    table = cells(rows, columns)
    is_long = len(rows) > _LONGEST
    lines = [r"% \usepackage{booktabs,longtable}" if is_long else r"% \usepackage{booktabs}"]
    lines += ["% " + _one_line(line) for line in command.splitlines()]
    headings = ["Method", "Layer"] + [column.heading for column in columns]
    head = " & ".join(map(escape_latex, headings)) + r" \\"
    body: List[str] = []
    for index, (row, line) in enumerate(zip(rows, table)):
        if index and rows[index - 1]["method"] != row["method"]:
            body.append(r"\addlinespace")
        names = [escape_latex(row["method"]), escape_latex(row["layer"])]
        body.append(" & ".join(names + [_latex_cell(cell) for cell in line]) + r" \\")
    spec = "ll" + "r" * len(columns)
    caption = rf"\caption{{{escape_latex(_caption(name, protocol, table))}}}"
    label = r"\label{{tab:{}}}".format(name.replace("_", "-"))
    if is_long:
        lines += [rf"\begin{{longtable}}{{{spec}}}", caption + label + r" \\"]
        lines += [r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        lines += [*body, r"\end{longtable}"]
    else:
        lines += [r"\begin{table}", r"\centering", caption, label]
        lines += [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule"]
        lines += [*body, r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """``text`` on one line with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(text))


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    if cell.best:
        text = rf"\textbf{{{text}}}"
    if cell.interval:
        text += r" {{\scriptsize [{}, {}]}}".format(*cell.interval)
    return text


def _caption(name: str, protocol: Mapping[str, Any], table: Sequence[Sequence[Cell]]) -> str:
    geometry = protocol["geometry"].rstrip(".")
    text = f"Protocol: {PROTOCOLS[name]}, percent. Geometry: {geometry}."
    if any(cell.interval for line in table for cell in line):
        text += " In brackets: 95 % intervals."
    return text + " Bold: the best of a column."


def alpha_threshold(metrics: Mapping[str, Any], figure: str) -> str:
    """The threshold of a figure by alpha, as text; it is none selected on another split."""
    if figure == "gt_known":
        return "at threshold {threshold:g}".format(**metrics["protocols"]["fixed_threshold"])
    return "at each alpha's own best threshold"


def compared_entries(metrics: Mapping[str, Any]) -> str:
    """The layers of the methods compared, as text for a heading; empty for folders of saved maps."""
    if "model" not in metrics:
        return ""
    if "selection" in metrics:
        return ", each method at its layer selected on {split}".format(**metrics["selection"])
    return ", each method at its best layer by this protocol"


def print_tables(metrics: Mapping[str, Any]) -> None:
    """Print the classification errors and one table per protocol."""
    texts = [
        "{} {:.1f}".format(name.replace("_error", "").replace("top", "top-"), value)
        for name, value in metrics.get("classification", {}).items()
        if name.endswith("_error")
    ]
    if texts:
        print("\nClassification error, %: " + ", ".join(texts))
    for name, protocol in metrics["protocols"].items():
        _print_protocol(name, protocol, metrics)
    if "mosaic" in metrics:
        columns = ("method", "layer", "share", "95 %", "positive_share", "hit")
        title = "Grid pointing game, {mosaics} mosaics of {grid}, % (chance {chance:.1f})"
        _print(title.format(**metrics["mosaic"]), metrics["mosaic"]["rows"], columns, "share")
    if "alpha" in metrics:
        rows = metrics["alpha"]["rows"]
        shown = [key for key in rows[0] if not key.endswith("_interval")]
        figures = [f"{key} {alpha_threshold(metrics, key)}" for key in shown[2:]]
        title = "DGL at {} by alpha, %: {}".format(metrics["alpha"]["layer"], ", ".join(figures))
        _print(title + "\n" + _SEMANTICS, rows, shown)
    print("")


def _print_protocol(name: str, protocol: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    title, columns = _TITLES[name], _COLUMNS[name]
    tuned = metrics.get("selection", {}).get("split")
    if name == "fixed_threshold":
        if len(thresholds(protocol)) == 1:
            columns = tuple(column for column in columns if column != "threshold")
        if tuned is not None:
            title = _TUNED_TITLE
    _print(title.format(tuned=tuned, **protocol), protocol["rows"], columns, RANKING[name])
    if protocol.get("comparisons"):
        compared = [
            {**row, "a - b": row["difference"], "95 %": "{:.1f} to {:.1f}".format(*row["interval"])}
            for row in protocol["comparisons"]
        ]
        title = "Paired on the same images, percentage points" + compared_entries(metrics)
        _print(title, compared, _COMPARED)


def _print(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], metric: str = ""
) -> None:
    """Print those of the columns that there are; ``95 %`` is the interval of ``metric``."""
    key = f"{metric}_interval"
    rows = [
        dict(row, **{"95 %": "{:.1f}-{:.1f}".format(*row[key])}) if key in row else row
        for row in rows
    ]
    shown = [column for column in columns if any(row.get(column) is not None for row in rows)]
    print(f"\n{title}\n{format_table(rows, shown, digits=_DIGITS)}")
