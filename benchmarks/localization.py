#!/usr/bin/env python
"""Compare every method at every layer over trainings of several seeds, or over studies, in one record.

The results in docs/results.md come from here. Thresholds and layers are selected on the training split and
figures measured on the other. Intervals are over images; the figures of each seed show the variation over
trainings. A seed that already has results is not run again, so an interrupted benchmark can be resumed.
With --studies nothing is run: the output folders of `dgl study`, one a seed, are put together.

    python benchmarks/localization.py --data data/birds --recipe birds --out benchmarks/results/birds.json
    python benchmarks/localization.py --studies study --out benchmarks/results/ilsvrc.json
"""

import argparse
import json
import os
import subprocess
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.replicates import Replicates
from dgl.errors import UserError, run_script
from dgl.evaluation.results import has_records, read_records
from dgl.evaluation.summary import RANKING
from dgl.metrics.bootstrap import compare, intervals
from dgl.utils.files import write_atomically
from dgl.utils.table import format_table

# Methods that all others are compared with, and the figures that are tested.
REFERENCES = ("dgl", "normgrad")
TESTED = {"wsolevaluation": ("box_acc", "max_box_acc_v2"), "fixed_threshold": ("gt_known",)}


def _call(command, environment=None):
    print("+ " + " ".join(command), flush=True)
    code = subprocess.call(command, cwd=ROOT, env=dict(os.environ, **(environment or {})))
    if code:
        raise UserError(f"the command above ended with exit code {code}")


def _one_seed(args, seed):
    """Train and evaluate one seed; returns its folder."""
    name = f"bench_{args.backbone}_{args.name}_{seed}"
    out = os.path.join(ROOT, "evaluation", name)
    if has_records(out) and os.path.exists(os.path.join(out, "metrics.json")):
        return out
    environment = {"DATA": args.data, "LOGDIR": name, "PYTHON": sys.executable}
    _call(
        ["sh", "run_train.sh", args.backbone, args.recipe, "--", "--seed", str(seed), "--resume"],
        environment,
    )
    script = os.path.join("test_code", "study_localization.py")
    command = [sys.executable, script, "--load", os.path.join("train_log", name), "--mode"]
    command += [args.backbone, "--data", args.data, "--out", out, "--alpha-layer", args.alpha_layer]
    command += ["--clayer"] + args.clayer
    if args.fuse_layers:
        command += ["--fuse-layers"] + args.fuse_layers
    if args.method:
        command += ["--method"] + args.method
    if args.tune_limit:
        command += ["--tune-limit", str(args.tune_limit)]
    if args.data_format:
        command += ["--data-format", args.data_format]
    _call(command)
    return out


def _figures(evaluators, resamples):
    """figure -> mean, each seed's own, and the interval of the mean."""
    both = Replicates(evaluators)
    found = intervals(both, resamples) if resamples else {}
    return {
        name: {
            "mean": float(np.mean(values)),
            "seeds": values,
            "interval": list(found.get(name, ())),
        }
        for name, values in both.each().items()
    }


def aggregate(folders, resamples=1000):
    """Figures of several seeds.

    Args:
        folders: output folders of `study_localization.py`, one a seed.
        resamples: int, of intervals and tests.

    Returns:
        ordered dict: ``top1_error``; ``matrix``, by protocol a row an entry; ``chosen``, by protocol
        a row a method, each seed at the layer that it selected on the other split; ``comparisons`` of
        DGL with every other method, these paired; ``alpha``, by protocol a row a value and gradient.

    Raises:
        UserError: results are missing or damaged, or of different entries.
    """
    runs = [read_records(folder) for folder in folders]
    metrics = []
    for folder in folders:
        with open(os.path.join(folder, "metrics.json"), encoding="utf-8") as stream:
            metrics.append(json.load(stream))
    plan = runs[0].plan
    if any(run.plan.entries != plan.entries for run in runs):
        raise UserError(f"{folders[-1]}: results of other entries than {folders[0]}")
    errors = _figures([run.classification[plan.protocols[0]] for run in runs], resamples)
    summary = {"top1_error": errors["top1_error"]}
    for key in ("matrix", "chosen", "comparisons", "alpha"):
        summary[key] = {}
    for protocol in plan.protocols:
        evaluators = [run.localization for run in runs]
        summary["matrix"][protocol] = [
            dict(
                method=entry[0],
                layer=entry[1],
                **_row([own[protocol, entry] for own in evaluators], runs, entry, resamples),
            )
            for entry in plan.entries
        ]
        chosen = _chosen(metrics)
        summary["chosen"][protocol] = [
            dict(
                method=method,
                layers=[layer for _, layer in entries],
                thresholds=[run.plan.threshold_of(protocol, e) for run, e in zip(runs, entries)],
                **_per_iou([own[protocol, e] for own, e in zip(evaluators, entries)]),
                **_figures([own[protocol, e] for own, e in zip(evaluators, entries)], resamples),
            )
            for method, entries in chosen.items()
        ]
        summary["comparisons"][protocol] = _comparisons(protocol, chosen, evaluators, resamples)
        summary["alpha"][protocol] = [
            {"method": entry[0], "layer": entry[1], RANKING[protocol]: figures[RANKING[protocol]]}
            for entry, figures in (
                (entry, _figures([own[protocol, entry] for own in evaluators], resamples))
                for entry in (plan.alpha_entries if _same_alpha(runs) else ())
            )
        ]
    return summary


def _row(evaluators, runs, entry, resamples):
    figures = _figures(evaluators, resamples)
    pixels = [run.pixels.get(entry) for run in runs]
    if evaluators[0].name == "max_box_acc" and all(p is not None and p.images for p in pixels):
        figures.update(_figures(pixels, resamples))
    return figures


def _per_iou(evaluators):
    """MaxBoxAccV2 at each IoU, mean over the seeds; nothing for another protocol."""
    found = [one.result().get("max_box_acc_v2_per_iou", {}) for one in evaluators]
    values = {iou: float(np.mean([own[iou] for own in found])) for iou in found[0]}
    return {"per_iou": values} if values else {}


def _chosen(metrics):
    """method -> the entry that each seed selected for it."""
    rows = [
        {
            row["method"]: (row["method"], row["layer"])
            for row in own["selection"]["rows"]
            if row["chosen"]
        }
        for own in metrics
    ]
    return {method: [own[method] for own in rows] for method in rows[0]}


def _same_alpha(runs):
    return all(run.plan.alpha_entries == runs[0].plan.alpha_entries for run in runs)


def _comparisons(protocol, chosen, evaluators, resamples):
    parts = {
        method: Replicates([own[protocol, entry] for own, entry in zip(evaluators, entries)])
        for method, entries in chosen.items()
    }
    found = []
    for figure in TESTED[protocol]:
        for reference in REFERENCES:
            for method in chosen if reference in chosen and resamples else ():
                if method != reference:
                    result = compare(parts[reference], parts[method], figure, resamples)
                    found.append(result.record(reference, method, figure))
    return found


def _print(summary):
    print("\ntop-1 error {mean:.1f} % {seeds}".format(**summary["top1_error"]))
    for protocol, rows in summary["chosen"].items():
        flat = []
        for row in rows:
            cells = {"method": row["method"], "layers": ", ".join(row["layers"])}
            for figure, value in row.items():
                if isinstance(value, dict) and "mean" in value:
                    cells[figure] = value["mean"]
                    cells[figure + " 95 %"] = "-".join(f"{v:.1f}" for v in value["interval"])
            flat.append(cells)
        print(f"\n{protocol}\n{format_table(flat)}")
        print(format_table([{k: v for k, v in c.items() if k != "interval"}
                            for c in summary["comparisons"][protocol]] or [{"b": "none"}],
                           digits={"p_value": 4}))  # fmt: skip


def _encode(summary):
    """JSON with a row a line: hundreds of rows, and people look at them."""
    text = json.dumps(summary)
    for begin in ('{"method"', '{"a"', '"matrix"', '"chosen"', '"comparisons"', '"alpha"', '"top1'):
        text = text.replace(begin, "\n" + begin)
    return (text + "\n").encode("utf-8")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="expected, unless --studies are given")
    parser.add_argument("--studies", nargs="+", help="output folders of dgl study, one a seed")
    parser.add_argument("--data-format", help="layout of the images measured (recognized)")
    parser.add_argument("--recipe", default="scratch", choices=("birds", "scratch"))
    parser.add_argument("--backbone", default="vgg")
    parser.add_argument("--name", help="of the data in folder names (the last folder of --data)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--clayer", nargs="+", default=["all"])
    parser.add_argument("--fuse-layers", nargs="+", help="layers to fuse (those of --clayer)")
    parser.add_argument("--method", nargs="+", help="methods (all)")
    parser.add_argument("--tune-limit", type=int, help="images to settle thresholds on (all)")
    parser.add_argument("--alpha-layer", default="2")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--out", required=True, help="the JSON to write")
    words = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(words)
    if args.studies:
        folders = args.studies
        args.seeds = list(range(len(folders)))
    elif args.data is None:
        raise UserError("--data: expected, as no --studies are given")
    else:
        args.data = os.path.abspath(args.data)
        args.name = args.name or os.path.basename(args.data)
        folders = [_one_seed(args, seed) for seed in args.seeds]
    plan = read_records(folders[0]).plan
    summary = {
        "command": "python benchmarks/localization.py "
        + " ".join(os.path.basename(word) if word in folders else word for word in words),
        "versions": plan.versions,
        "data": plan.data,
        "model": {k: v for k, v in plan.model.items() if k != "load"},
        "seeds": args.seeds,
    }
    summary.update(aggregate(folders, args.resamples))
    write_atomically(args.out, _encode(summary))
    _print(summary)
    return 0


if __name__ == "__main__":
    run_script(main)
