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
from dgl.backbones import get_backbone

__all__ = ["draw", "measure", "table"]


def memory_rows(setup, contenders, memory, chosen, absent, classes, log):
    """Peak memory of processes that ran one contender each, two calls."""
    rows = []
    for key in tqdm(memory, desc="memory"):
        one = contenders[key]
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


def compete(options, mode, write, contenders, memory, ratios, calls=None):
    """Check, time and weigh contenders on one network.

    Args:
        options: :class:`benchmarks.speed.options.Options`.
        mode: backbone.
        write: function of a path, which writes the weights.
        contenders: key -> :class:`~benchmarks.speed.contest.Contender`.
        memory: keys of those whose peak memory is measured.
        ratios: list of :class:`~benchmarks.speed.contest.Ratio`.
        calls: as in :func:`~benchmarks.speed.contest.time_all`.

    Returns:
        ordered parts of a section: ``configurations``, ``checks``, ``rows``, ``times`` and ``memory``.
    """
    absent = {key: one.missing() for key, one in contenders.items()}
    absent = {key: why for key, why in absent.items() if why}
    present = [one for key, one in contenders.items() if key not in absent]
    classes = [37 * index % network.CLASSES for index in range(max(BATCHES))]
    has_torch = machine.version("torch") is not None
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(tempfile.TemporaryFile())
        setup = Setup(
            os.path.join(folder, "weights.npz"),
            os.path.join(folder, "images.npy"),
            options.threads,
            mode,
        )
        write(setup.weights)
        size = get_backbone(mode).image_size or photos.SIZE
        np.save(setup.images, photos.batch(max(BATCHES), size))
        libraries = list(dict.fromkeys(one.library for one in present))
        workers = {
            library: stack.enter_context(Worker(library, setup, log)) for library in libraries
        }
        checks = "not checked: torch not installed"
        if has_torch:
            with Worker("autograd", setup, log) as autograd:
                checks = check(dict(workers, autograd=autograd), present, classes, folder)
        times = time_all(workers, present, classes, options.rounds, has_torch, calls)
        chosen = {library: worker.chosen for library, worker in workers.items()}
        configurations = {name: workers[name].configuration for name in libraries}
        for worker in workers.values():
            worker.close()
        megabytes = memory_rows(setup, contenders, memory, chosen, absent, classes, log)
    return {
        "configurations": configurations,
        "checks": checks,
        "rows": ratio_rows(ratios, times, absent),
        "times": time_rows(present, times),
        "memory": megabytes,
    }


def measure(options):
    """The section; see :mod:`benchmarks.speed.sections`."""
    return {
        "network": f"VGG16-GAP, 1000 classes, {photos.SIZE} x {photos.SIZE}, float32",
        "batches": list(BATCHES),
        "checks_within": formulas.FLOAT32._asdict(),
        **compete(options, "vgg", network.write, CONTENDERS, MEMORY, RATIOS),
    }


def table(section):
    """The tables of docs/speed.md: ratios, and memory."""
    return ratios_table(section) + "\n\n" + memory_table(section)
