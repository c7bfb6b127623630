#!/usr/bin/env python
"""Train from scratch with several seeds, evaluate CAM and DGL by layer, and write one table.

What each row of the README's results comes from. A seed whose results are there already is not run again,
so an interrupted benchmark goes on where it stopped.

    python benchmarks/localization.py --data data/birds --recipe birds --out benchmarks/results/birds.json
"""

import argparse
import json
import os
import subprocess
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from dgl.errors import UserError, run_script  # noqa: E402
from dgl.evaluation.table import format_table  # noqa: E402
from dgl.files import write_atomically  # noqa: E402


def _call(command, environment=None):
    print("+ " + " ".join(command), flush=True)
    code = subprocess.call(command, cwd=ROOT, env=dict(os.environ, **(environment or {})))
    if code:
        raise UserError("the command above ended with exit code {}".format(code))


def _one_seed(args, seed):
    """Train and evaluate one seed; returns its metrics."""
    name = "bench_{}_{}_{}".format(args.backbone, args.name, seed)
    out = os.path.join("evaluation", name)
    record = os.path.join(ROOT, out, "benchmark.json")
    if os.path.exists(record):
        with open(record, encoding="utf-8") as stream:
            return json.load(stream)
    environment = {"DATA": args.data, "LOGDIR": name, "PYTHON": sys.executable}
    _call(
        ["sh", "run_train.sh", args.backbone, args.recipe, "--", "--seed", str(seed), "--resume"],
        environment,
    )
    script = os.path.join("test_code", "evaluate_localization.py")
    command = [sys.executable, script, "--load", os.path.join("train_log", name)]
    command += ["--data", args.data, "--mode", args.backbone, "--out", out, "--clayer"]
    _call(command + args.clayer)
    with open(os.path.join(ROOT, out, "metrics.json"), encoding="utf-8") as stream:
        metrics = json.load(stream)
    metrics["seed"] = seed
    write_atomically(record, json.dumps(metrics).encode("utf-8"))
    return metrics


def _spread(values):
    values = [float(value) for value in values]
    return {"mean": float(np.mean(values)), "seeds": values}


def aggregate(runs):
    """Figures of several seeds: mean and each seed's own, by protocol, method and layer.

    Args:
        runs: list of ``metrics.json`` contents.

    Returns:
        dict: ``top1_error``, ``protocols`` -> list of rows.
    """
    summary = {
        "top1_error": _spread(run["classification"]["top1_error"] for run in runs),
        "protocols": {},
    }
    for protocol in runs[0]["protocols"]:
        tables = [run["protocols"][protocol]["rows"] for run in runs]
        summary["protocols"][protocol] = [
            dict(
                method=rows[0]["method"],
                layer=rows[0]["layer"],
                **{
                    figure: _spread(row[figure] for row in rows)
                    for figure in ("gt_known", "top1_loc", "max_box_acc", "max_box_acc_v2")
                    if figure in rows[0]
                },
            )
            for rows in zip(*tables)
        ]
    return summary


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipe", default="scratch", choices=("birds", "scratch"))
    parser.add_argument("--backbone", default="vgg")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--clayer", nargs="+", default=["1", "2", "3", "4"])
    parser.add_argument("--out", required=True, help="the JSON to write")
    args = parser.parse_args(argv)
    args.data = os.path.abspath(args.data)
    args.name = os.path.splitext(os.path.basename(args.out))[0]
    runs = [_one_seed(args, seed) for seed in args.seeds]
    summary = {
        "command": "python benchmarks/localization.py " + " ".join(argv or sys.argv[1:]),
        "versions": runs[0]["versions"],
        "data": runs[0]["data"],
        "model": {k: v for k, v in runs[0]["model"].items() if k != "load"},
        "seeds": args.seeds,
    }
    summary.update(aggregate(runs))
    write_atomically(args.out, (json.dumps(summary, indent=1) + "\n").encode("utf-8"))
    print("\ntop-1 error {mean:.1f} % {seeds}".format(**summary["top1_error"]))
    for protocol, rows in summary["protocols"].items():
        flat = []
        for row in rows:
            cells = {"method": row["method"], "layer": row["layer"]}
            for figure, value in row.items():
                if isinstance(value, dict):
                    cells[figure] = value["mean"]
                    cells[figure + " by seed"] = " ".join(
                        "{:.1f}".format(v) for v in value["seeds"]
                    )
            flat.append(cells)
        print("\n{}\n{}".format(protocol, format_table(flat)))
    return 0


if __name__ == "__main__":
    run_script(main)
