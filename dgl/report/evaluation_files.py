"""Final output of every evaluation: ``run.json``, table files, the page, and tables on the screen."""

import datetime
import json
import os
import shlex
import sys
import time
from typing import Any, Dict, List, Mapping, Sequence

from dgl.report.page import write_report
from dgl.report.tables import write_tables
from dgl.utils.files import write_atomically
from dgl.utils.table import format_table

_TITLES = {
    "fixed_threshold": "Fixed threshold {threshold}: largest contour, IoU >= {iou}, % ({geometry})",
    "wsolevaluation": "wsolevaluation: best of all thresholds in steps of {step}, % ({geometry})",
}
_TUNED_TITLE = "Fixed thresholds selected on {tuned}: largest contour, IoU >= {iou}, % ({geometry})"
_COLUMNS = {
    "fixed_threshold": ("method", "layer", "threshold", "gt_known", "95 %", "top1_loc", "top5_loc"),
    "wsolevaluation": (
        "method", "layer", "max_box_acc", "95 %", "best_threshold", "max_box_acc_v2", "pxap",
        "tuned_threshold", "box_acc",
    ),
}  # fmt: skip
# The metric whose interval is printed.
_MAIN_METRIC = {"fixed_threshold": "gt_known", "wsolevaluation": "max_box_acc"}
_DIGITS = {"best_threshold": 3, "tuned_threshold": 3, "threshold": 3, "p_value": 4}


def write_results(
    out: str, metrics: Dict[str, Any], gallery: List[Dict[str, Any]], started: float
) -> str:
    """Write ``run.json``, the tables and the page, and return the page's path.

    Args:
        out: folder of the evaluation.
        metrics: as :func:`dgl.evaluation.summary.compute_metrics` computes them.
        gallery: records of :mod:`dgl.report.gallery`.
        started: ``time.time()`` at the start of the run.
    """
    finished = time.time()
    # Not in metrics.json, which is the same for every run of the same evaluation.
    run = {
        "command": _command_line(sys.argv),
        "started": _iso(started),
        "finished": _iso(finished),
        "seconds": round(finished - started, 1),
    }
    text = json.dumps(run, indent=1) + "\n"
    write_atomically(os.path.join(out, "run.json"), text.encode("utf-8", "surrogateescape"))
    write_tables(out, metrics, run)
    return write_report(out, metrics, run, gallery)


def print_tables(metrics: Mapping[str, Any]) -> None:
    """Print the classification errors and one table per protocol."""
    errors = metrics.get("classification") or {}
    texts = [
        "{} {:.1f}".format(name.replace("_error", "").replace("top", "top-"), value)
        for name, value in errors.items()
        if name.endswith("_error")
    ]
    if texts:
        print("\nClassification error, %: " + ", ".join(texts))
    for name, protocol in metrics["protocols"].items():
        _print_protocol(name, protocol, (metrics.get("selection") or {}).get("split"))
    if metrics.get("mosaic"):
        _print_mosaic(metrics["mosaic"])
    if metrics.get("alpha"):
        print("\nDGL at {} by alpha".format(metrics["alpha"]["layer"]))
        rows = [
            {key: value for key, value in row.items() if not key.endswith("_interval")}
            for row in metrics["alpha"]["rows"]
        ]
        print(format_table(rows, digits=_DIGITS))
    print("")


def _print_protocol(name: str, protocol: Mapping[str, Any], tuned: Any) -> None:
    rows = _with_bounds(protocol["rows"], _MAIN_METRIC[name])
    columns = [c for c in _COLUMNS[name] if any(row.get(c) is not None for row in rows)]
    title = _TITLES[name]
    if name == "fixed_threshold":
        if len({row["threshold"] for row in rows}) == 1:
            columns.remove("threshold")
        if tuned is not None:
            title = _TUNED_TITLE
    print("\n" + title.format(tuned=tuned, **protocol))
    print(format_table(rows, columns, digits=_DIGITS))
    if protocol.get("comparisons"):
        compared = [
            {
                "a": row["a"],
                "b": row["b"],
                "figure": row["figure"],
                "a - b": row["difference"],
                "95 %": "{:.1f} to {:.1f}".format(*row["interval"]),
                "p_value": row["p_value"],
            }
            for row in protocol["comparisons"]
        ]
        print("\nPaired on the same images, percentage points")
        print(format_table(compared, digits=_DIGITS))


def _with_bounds(rows: Sequence[Mapping[str, Any]], metric: str) -> List[Dict[str, Any]]:
    """Copies of the rows, in which the interval of a metric is text under ``95 %``."""
    copies = [dict(row) for row in rows]
    for row in copies:
        if row.get(metric + "_interval") is not None:
            row["95 %"] = "{:.1f}-{:.1f}".format(*row[metric + "_interval"])
    return copies


def _print_mosaic(mosaic: Mapping[str, Any]) -> None:
    rows = _with_bounds(mosaic["rows"], "share")
    columns = ("method", "layer", "share", "95 %", "positive_share", "hit")
    print(
        "\nGrid pointing game, {mosaics} mosaics of {grid}, % (chance {chance:.1f})".format(
            **mosaic
        )
    )
    print(format_table(rows, [c for c in columns if c in rows[0]], digits=_DIGITS))


def _command_line(argv: Sequence[str]) -> str:
    """The command as typed: scripts are run by python, the installed ``dgl`` by itself."""
    is_dgl = os.path.splitext(os.path.basename(argv[0]))[0] == "dgl"
    start = ["dgl"] if is_dgl else ["python", argv[0]]
    return " ".join(shlex.quote(word) for word in start + list(argv[1:]))


def _iso(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.replace(microsecond=0).isoformat()
