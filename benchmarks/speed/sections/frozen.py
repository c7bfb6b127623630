"""Time of the frozen classifier compared with variables and TensorFlow's gradients."""

import json
import os
import subprocess
import sys

import tabulate
from tqdm import tqdm

from dgl.errors import UserError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
KERNELS = (("oneDNN, every core", "1"), ("TensorFlow's own, one core (the demo)", "0"))


def measure(options):
    """What the record holds: ``rows``, one a kind of kernels, case and batch.

    Args:
        options: :class:`benchmarks.speed.options.Options`.

    Raises:
        UserError: a process failed.
    """
    rows = []
    for kernels, switch in tqdm(KERNELS, desc="kernels"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.speed.frozen_run", str(options.rounds)],
            cwd=ROOT,
            env=dict(os.environ, TF_ENABLE_ONEDNN_OPTS=switch, CUDA_VISIBLE_DEVICES="-1"),
            capture_output=True,
        )
        if done.returncode:
            text = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise UserError(f"frozen_run: {text[-1] if text else done.returncode}")
        for row in json.loads(done.stdout.decode("utf-8").splitlines()[-1]):
            rows.append(dict(kernels=kernels, **row))
    return {"rows": rows}


def table(section):
    """Markdown of the section."""
    headers = ["kernels", "", "batch", "variables, ms an image", "frozen", "times as fast"]
    rows = [
        [
            row["kernels"],
            row["case"],
            row["batch"],
            "{:.0f}".format(row["variables_ms"]["median"]),
            "{:.0f}".format(row["frozen_ms"]["median"]),
            "{median:.2f} ({least:.2f} to {most:.2f})".format(**row["times"]),
        ]
        for row in section["rows"]
    ]
    return tabulate.tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
