"""Time of maps compared with the forward pass, captum, pytorch-grad-cam and tf-keras-vis.

All contenders run the same network on the same images. First each contender's maps are compared with their
published formula; then all are timed in turn, round by round, each library in its own process; last, the
peak memory of each contender is measured in a process that does nothing else.
"""

import os
import tempfile
from contextlib import ExitStack

import numpy as np
from tqdm import tqdm

from benchmarks.speed import formulas, machine, network, photos
from benchmarks.speed.contenders import CONTENDERS, MEMORY, RATIOS
from benchmarks.speed.contest import BATCHES, check, ratio_rows, time_all, time_rows
from benchmarks.speed.driver import Worker
from benchmarks.speed.peers_plot import draw
from benchmarks.speed.tables import memory_table, ratios_table
from benchmarks.speed.workers import Setup

__all__ = ["draw", "measure", "table"]


def memory_rows(setup, chosen, absent, classes, log):
    """Peak memory of processes that ran one contender each, two calls."""
    rows = []
    for key in tqdm(MEMORY, desc="memory"):
        one = CONTENDERS[key]
        for batch in BATCHES:
            row = {"contender": one.name, "layer": one.layer, "batch": batch}
            if key in absent:
                row["not_measured"] = absent[key]
            else:
                own = setup._replace(chosen=chosen[one.library])
                with Worker(one.library, own, log) as worker:
                    worker.time(one.case(batch), classes, calls=1, warm_up=1)
                    row["megabytes"] = round(worker.peak_megabytes())
            rows.append(row)
    return rows


def measure(options):
    """The section; see :mod:`benchmarks.speed.sections`."""
    absent = {key: one.missing() for key, one in CONTENDERS.items()}
    absent = {key: why for key, why in absent.items() if why}
    present = [one for key, one in CONTENDERS.items() if key not in absent]
    classes = [37 * index % network.CLASSES for index in range(max(BATCHES))]
    has_torch = machine.version("torch") is not None
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(tempfile.TemporaryFile())
        setup = Setup(
            os.path.join(folder, "weights.npz"),
            os.path.join(folder, "images.npy"),
            options.threads,
        )
        network.write(setup.weights)
        np.save(setup.images, photos.batch(max(BATCHES)))
        libraries = list(dict.fromkeys(one.library for one in present))
        workers = {
            library: stack.enter_context(Worker(library, setup, log)) for library in libraries
        }
        checks = "not checked: torch not installed"
        if has_torch:
            with Worker("autograd", setup, log) as autograd:
                checks = check(dict(workers, autograd=autograd), present, classes, folder)
        times = time_all(workers, present, classes, options.rounds, has_torch)
        chosen = {library: worker.chosen for library, worker in workers.items()}
        configurations = {name: workers[name].configuration for name in libraries}
        for worker in workers.values():
            worker.close()
        memory = memory_rows(setup, chosen, absent, classes, log)
    return {
        "network": f"VGG16-GAP, 1000 classes, {photos.SIZE} x {photos.SIZE}, float32",
        "batches": list(BATCHES),
        "configurations": configurations,
        "checks_within": formulas.FLOAT32._asdict(),
        "checks": checks,
        "rows": ratio_rows(RATIOS, times, absent),
        "times": time_rows(present, times),
        "memory": memory,
    }


def table(section):
    """The tables of docs/speed.md: ratios, and memory."""
    return ratios_table(section) + "\n\n" + memory_table(section)
