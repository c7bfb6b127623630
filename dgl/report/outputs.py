"""What every way of evaluating ends with: ``run.json``, the page, the tables in files and on the screen."""

import datetime
import json
import os
import shlex
import sys
import time
from typing import Any, Dict, List

from dgl.report.page import write_report
from dgl.report.tables import write_tables
from dgl.utils.files import write_atomically
from dgl.utils.table import format_table

_TITLES = {
    "fixed_threshold": "Fixed threshold {threshold}: largest contour, IoU >= {iou}, % ({geometry})",
    "wsolevaluation": "wsolevaluation: best of all thresholds in steps of {step}, % ({geometry})",
}
_COLUMNS = {
    "fixed_threshold": ("method", "layer", "threshold", "gt_known", "95 %", "top1_loc", "top5_loc"),
    "wsolevaluation": (
        "method", "layer", "max_box_acc", "95 %", "best_threshold", "max_box_acc_v2", "pxap",
        "tuned_threshold", "box_acc",
    ),
}  # fmt: skip
_HAS_INTERVAL = {"fixed_threshold": "gt_known", "wsolevaluation": "max_box_acc"}
_DIGITS = {"best_threshold": 3, "tuned_threshold": 3, "threshold": 3, "p_value": 4}


def write_results(
    out: str, metrics: Dict[str, Any], gallery: List[Dict[str, Any]], started: float
) -> str:
    """Write ``run.json``, the tables and the page.

    Args:
        out: str, folder.
        metrics: as :func:`dgl.evaluation.summary.compute_metrics` gives it.
        gallery: as :func:`dgl.report.gallery.draw` gives it.
        started: float, ``time.time()`` of the beginning.

    Returns:
        str, path of the page.
    """
    finished = time.time()
    # Beside the metrics and not among them: those are the same for every run of the same evaluation.
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


def print_tables(metrics: Dict[str, Any]) -> None:
    """Print the errors and one table a protocol; the two are never mixed."""
    errors = metrics.get("classification")
    if errors:
        print("\nClassification error, %: " + ", ".join(
            "{} {:.1f}".format(name.replace("_error", "").replace("top", "top-"), value)
            for name, value in errors.items()
            if name.endswith("_error")
        ))  # fmt: skip
    for name, protocol in metrics["protocols"].items():
        rows = [dict(row) for row in protocol["rows"]]
        for row in rows:
            interval = row.get(_HAS_INTERVAL[name] + "_interval")
            if interval is not None:
                row["95 %"] = "{:.1f}-{:.1f}".format(*interval)
        columns = [c for c in _COLUMNS[name] if any(row.get(c) is not None for row in rows)]
        if name == "fixed_threshold" and len({row["threshold"] for row in rows}) == 1:
            columns.remove("threshold")
        title = _TITLES[name]
        if name == "fixed_threshold" and "selection" in metrics:
            title = title.replace("threshold {threshold}", "thresholds settled on {tuned}")
        tuned = metrics.get("selection", {}).get("split")
        print("\n" + title.format(tuned=tuned, **protocol))
        print(format_table(rows, columns, digits=_DIGITS))
        if protocol.get("comparisons"):
            print("\nPaired on the same images, percentage points")
            print(_comparisons(protocol["comparisons"]))
    if metrics.get("alpha"):
        print("\nDGL at {} by alpha".format(metrics["alpha"]["layer"]))
        rows = [{k: v for k, v in r.items() if not k.endswith("_interval")}
                for r in metrics["alpha"]["rows"]]  # fmt: skip
        print(format_table(rows, digits=_DIGITS))
    print("")


def _comparisons(comparisons):
    rows = [
        {
            "a": row["a"],
            "b": row["b"],
            "figure": row["figure"],
            "a - b": row["difference"],
            "95 %": "{:.1f} to {:.1f}".format(*row["interval"]),
            "p_value": row["p_value"],
        }
        for row in comparisons
    ]
    return format_table(rows, digits=_DIGITS)


def _command_line(words):
    """What was typed, as far as a process knows: scripts are run by python, the command is itself."""
    own = os.path.splitext(os.path.basename(words[0]))[0] == "dgl"
    start = ["dgl"] if own else ["python", words[0]]
    return " ".join(shlex.quote(word) for word in start + words[1:])


def _iso(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.replace(microsecond=0).isoformat()
