"""``benchmarks/results/fuzz.json``: the last run of every target, and its table in the docs."""

import json
import os

from benchmarks.fuzz.samples import ROOT
from dgl.utils.files import write_atomically

PATH = os.path.join(ROOT, "benchmarks", "results", "fuzz.json")
_COLUMNS = (
    ("target", None),
    ("seconds", "seconds"),
    ("executions", "executions"),
    ("executions a second", "executions_per_second"),
    ("branches covered", "coverage"),
    ("inputs kept", "corpus"),
)


def read(path=PATH):
    """The record, ordered; empty where there is none."""
    if not os.path.exists(path):
        return {"versions": {}, "targets": {}}
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def write(record, order, path=PATH):
    """Write the record, its targets in the order of the table of targets."""
    targets = record["targets"]
    record["targets"] = {name: targets[name] for name in order if name in targets}
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode("utf-8"))


def table(record):
    """The record as a table in Markdown, a line a target and one for all."""
    lines = ["| " + " | ".join(title for title, _ in _COLUMNS) + " | found |"]
    lines.append("|---" * (len(_COLUMNS) + 1) + "|")
    for name, own in record["targets"].items():
        cells = [f"`{name}`"] + [f"{own[key]:,}" for _, key in _COLUMNS[1:]]
        lines.append("| " + " | ".join(cells + [str(len(own["findings"]))]) + " |")
    rows = list(record["targets"].values())
    sums = {key: sum(own[key] for own in rows) for key in ("seconds", "executions")}
    found = sum(len(own["findings"]) for own in rows)
    lines.append(
        "| all | {seconds:,} | {executions:,} | | | | {found} |".format(found=found, **sums)
    )
    return "\n".join(lines) + "\n"
