"""Overhead of the trainer per step, and throughput of decoding."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import tabulate

from benchmarks.speed import decoding
from benchmarks.speed.spread import AT_LEAST, AT_MOST, bounded, ratio, spread
from benchmarks.speed.training_step import Case
from dgl.errors import UserError

SIZE = 224
# (backbone, width, batch, steps of an epoch); the quarter trains as fast as small networks are trained on
# a CPU, so a fixed cost a step would show there, and the whole is what decoding has to keep up with.
CASES = (
    ("vgg", 0.25, 16, 5),
    ("resnet50", 0.25, 16, 5),
    ("vgg", 1.0, 8, 2),
    ("resnet50", 1.0, 8, 2),
)
QUICK_CASES = (("vgg", 0.125, 2, 2), ("resnet50", 0.125, 2, 2))
QUICK_SIZE = 64
STEP_BOUND = 1.05
BUSY_SHARE = 0.9  # of the cores
IMAGES = 64
DECODED_BATCH = 32
DECODED_BATCHES = 40

_MODULE = "benchmarks.speed.training_step"
_LAST_LINES = 5


def _times(case):
    """What :func:`benchmarks.speed.training_step.measure` gives, from a process of its own.

    Raises:
        UserError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "times.json")
        done = subprocess.run(
            [sys.executable, "-m", _MODULE, json.dumps(case._asdict()), out],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            text = done.stdout.decode("utf-8", "replace").strip().splitlines()
            raise UserError("training {}: {}".format(case, " | ".join(text[-_LAST_LINES:])))
        with open(out) as stream:
            return json.load(stream)


def step_row(case, times, image_seconds):
    """One row of the record.

    Args:
        case: :class:`~benchmarks.speed.training_step.Case`.
        times: of it, lists of seconds a step.
        image_seconds: seconds of processor that decoding and augmenting one image takes.

    Returns:
        ordered dict.
    """
    found = ratio(times["trainer"], times["bare"])
    decoding_seconds = image_seconds * case.batch
    whole = decoding_seconds + float(np.median(times["bare_processor"]))
    return {
        "mode": case.mode,
        "width": case.width,
        "batch": case.batch,
        "size": case.size,
        "steps": case.steps,
        "bare_ms": spread(1e3 * np.array(times["bare"]), 1),
        "trainer_ms": spread(1e3 * np.array(times["trainer"]), 1),
        "ratio": found,
        "bound": bounded(found, AT_MOST, STEP_BOUND),
        "processor_ratio": ratio(times["trainer_processor"], times["bare_processor"]),
        "decoding_share": round(decoding_seconds / whole, 4),
    }


def measure(options):
    """Decode alone with no, one and ``threads`` processes; then each network, trainer and bare by turns."""
    batches = 2 if options.quick else DECODED_BATCHES
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        samples = decoding.write_images(folder, 4 if options.quick else IMAGES)
        for workers in sorted({0, 1, options.threads}):
            found = decoding.measure(samples, SIZE, DECODED_BATCH, workers, options.rounds, batches)
            rows.append(
                {
                    "workers": workers,
                    "pictures_per_second": spread(found["rate"], 1),
                    "cores_busy": spread(found["busy"], 2),
                    "cores_busy_in_trainer": spread(found["own"], 2),
                }
            )
    bound = bounded(rows[-1]["cores_busy"], AT_LEAST, BUSY_SHARE * options.threads)
    image_seconds = rows[-1]["cores_busy"]["median"] / rows[-1]["pictures_per_second"]["median"]
    steps = []
    for mode, width, batch, epoch in QUICK_CASES if options.quick else CASES:
        size = QUICK_SIZE if options.quick else SIZE
        case = Case(mode, width, batch, size, epoch, options.rounds)
        steps.append(step_row(case, _times(case), image_seconds))
    return {
        "steps": steps,
        "decoding": {
            "picture": [decoding.HEIGHT, decoding.WIDTH],
            "size": SIZE,
            "batch": DECODED_BATCH,
            "picture_processor_ms": round(1e3 * image_seconds, 3),
            "rows": rows,
            "bound": bound,
        },
    }


def _three(found):
    return "{} ({} to {})".format(found["median"], found["least"], found["most"])


def table(section):
    """Two tables for the README: steps, and decoding."""
    steps = [
        {
            "network": row["mode"],
            "width": row["width"],
            "batch": row["batch"],
            "bare, ms a step": row["bare_ms"]["median"],
            "trainer, ms a step": row["trainer_ms"]["median"],
            "ratio": _three(row["ratio"]),
            "of processor time": _three(row["processor_ratio"]),
            "bound": "{kind} {bound}".format(**row["bound"]),
            "decoding's share": "{:.1f} %".format(100 * row["decoding_share"]),
        }
        for row in section["steps"]
    ]
    decoded = [
        {
            "processes": row["workers"],
            "images a second": _three(row["pictures_per_second"]),
            "cores busy": _three(row["cores_busy"]),
            "of them in the trainer": row["cores_busy_in_trainer"]["median"],
        }
        for row in section["decoding"]["rows"]
    ]
    return "\n\n".join(
        tabulate.tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
        for rows in (steps, decoded)
    )
