#!/usr/bin/env python
"""Accuracy in bfloat16 and in float32, for every method at every layer.

The classifiers are those that benchmarks/localization.py trained, or any others. It runs on any CPU, for
`--precision bf16-anywhere` rounds the same with or without bfloat16 instructions.

python benchmarks/bf16.py --load train_log/bench_vgg_photos5_1 --data ../shared/data/photos5 \
    --data-format ilsvrc --out benchmarks/results/bf16_photos5.json
python benchmarks/bf16.py --table benchmarks/results/bf16_photos5.json
"""

import argparse
import json
import os
import subprocess
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.recorded import shown
from benchmarks.replicates import Replicates
from dgl.errors import UserError, run_script
from dgl.evaluation.plan import WSOL
from dgl.evaluation.results import read_records
from dgl.metrics.bootstrap import compare
from dgl.utils.devices import BFLOAT16_ANYWHERE, FLOAT32
from dgl.utils.files import write_atomically
from dgl.utils.table import format_table

FIGURE = "max_box_acc"


def evaluate(args, load, precision):
    """Evaluate one checkpoint; its records, :class:`~dgl.evaluation.results.Results`."""
    name = f"bf16_{os.path.basename(os.path.normpath(load))}_{precision}"
    out = os.path.join(ROOT, "evaluation", name)
    command = [sys.executable, os.path.join("test_code", "evaluate_localization.py")]
    command += ["--load", load, "--data", args.data, "--mode", args.mode, "--protocol", WSOL]
    command += ["--precision", precision, "--out", out, "--resamples", "0"]
    command += ["--clayer"] + args.clayer + ["--method"] + args.method
    if args.data_format:
        command += ["--data-format", args.data_format]
    print("+ " + " ".join(command), flush=True)
    code = subprocess.call(command, cwd=ROOT)
    if code:
        raise UserError(f"the command above ended with exit code {code}")
    return read_records(out)


def differences(exact, rounded, resamples):
    """One row an entry: MaxBoxAcc in both precisions, and how far apart they are.

    Args:
        exact, rounded: lists of :class:`~dgl.evaluation.results.Results`, one a checkpoint, in float32
            and in bfloat16.
        resamples: int, of the interval of the difference.

    Returns:
        list of ordered dicts: ``method``, ``layer``, ``float32``, ``bf16`` and ``difference`` (the second
        minus the first), means over checkpoints in percent and points; ``each``, a difference a
        checkpoint; ``interval`` of the mean difference over images.
    """
    rows = []
    for entry in exact[0].plan.entries:
        pairs = [
            (a.localization[WSOL, entry], b.localization[WSOL, entry])
            for a, b in zip(exact, rounded)
        ]
        figures = np.array([[one.result()[FIGURE] for one in pair] for pair in pairs])
        both = [Replicates(column) for column in zip(*pairs)]
        row = {"method": entry[0], "layer": entry[1]}
        row["float32"], row["bf16"] = (round(float(v), 3) for v in figures.mean(axis=0))
        each = figures[:, 1] - figures[:, 0]
        row["difference"] = round(float(each.mean()), 3)
        row["each"] = [round(float(v), 3) for v in each]
        row["interval"] = [
            round(v, 3) for v in compare(both[1], both[0], FIGURE, resamples).interval
        ]
        rows.append(row)
    return rows


def summarize(rows):
    """method -> its mean and its largest difference over layers, in points."""
    found = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        most = max(own, key=lambda row: abs(row["difference"]))
        found[method] = {
            "layers": len(own),
            "mean": round(float(np.mean([row["difference"] for row in own])), 3),
            "most": most["difference"],
            "at": most["layer"],
        }
    return found


def table(record):
    """Markdown: a row a method."""
    lines = [
        "| MaxBoxAcc, bf16 - float32 | layers | mean | largest, at |",
        "| --- | --- | --- | --- |",
    ]
    for method, row in record["methods"].items():
        lines.append("| {0} | {layers} | {mean:+.2f} | {most:+.2f}, {at} |".format(method, **row))
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", help="measure nothing; print the table of this record")
    parser.add_argument("--load", nargs="+", help="checkpoints, trained on the same classes")
    parser.add_argument("--data", help="data set with boxes")
    parser.add_argument("--data-format", help="its layout, if not recognized")
    parser.add_argument("--mode", default="vgg", help="backbone")
    parser.add_argument("--clayer", nargs="+", default=["all"], help="layers")
    parser.add_argument(
        "--method", nargs="+", default=["dgl", "cam", "gradcam", "layercam"], help="methods"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="of the intervals")
    parser.add_argument("--out", help="the JSON to write")
    args = parser.parse_args(argv)
    if shown(args, table):
        return 0
    exact = [evaluate(args, load, FLOAT32) for load in args.load]
    rounded = [evaluate(args, load, BFLOAT16_ANYWHERE) for load in args.load]
    rows = differences(exact, rounded, args.resamples)
    plan = exact[0].plan
    record = {
        "command": "python benchmarks/bf16.py " + " ".join(argv or sys.argv[1:]),
        "versions": plan.versions,
        "data": plan.data,
        "checkpoints": len(args.load),
        "methods": summarize(rows),
        "rows": rows,
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    print(format_table([{k: v for k, v in row.items() if k != "each"} for row in rows], digits=2))
    return 0


if __name__ == "__main__":
    run_script(main)
