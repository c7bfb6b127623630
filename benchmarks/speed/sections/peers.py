"""This project's maps beside its own forward pass, and beside captum, pytorch-grad-cam and tf-keras-vis.

Everyone runs the same network on the same images. First each one's maps are held to the formula that they
are published by; then all are timed in turn, round by round, every library in a process of its own; last
each contender's peak memory is read off a process that did nothing else.
"""

import os
import tempfile
from contextlib import ExitStack

import numpy as np
from tqdm import tqdm

from benchmarks.speed import formulas, machine, network, pictures
from benchmarks.speed.contest import (
    ALL,
    BATCHES,
    LAYERS,
    MAIN_LAYER,
    Contender,
    Ratio,
    check,
    ratio_rows,
    time_all,
    time_rows,
)
from benchmarks.speed.driver import Worker
from benchmarks.speed.spread import AT_LEAST, AT_MOST
from benchmarks.speed.workers import Setup

FORWARD, TORCH_FORWARD = "forward pass", "PyTorch's forward pass"
DGL, DGL_LIMIT = "DGL", "DGL, --pa inf"
CAPTUM = "captum LayerGradCam"
LAYER_CAM, FROZEN = "pytorch-grad-cam LayerCAM", "pytorch-grad-cam LayerCAM, weights frozen"
GRAD_CAM, HIRES_CAM = "pytorch-grad-cam GradCAM", "pytorch-grad-cam HiResCAM"
KERAS_CAM, KERAS_LAYER = "tf-keras-vis Gradcam", "tf-keras-vis Layercam"


def _contenders():
    torch, captum, grad_cam = ("torch",), ("torch", "captum"), ("torch", "grad-cam", "ttach")
    keras = ("torch", "tf-keras-vis")  # torch: its maps are checked as everyone's
    made = [Contender(FORWARD, "", "ours", "forward", {}, None)]
    made += [Contender(DGL, layer, "ours", "dgl", {}, "dgl") for layer in LAYERS]
    made.append(Contender(DGL_LIMIT, MAIN_LAYER, "ours", "dgl", {"alpha": "inf"}, "dgl"))
    made.append(Contender(DGL, ALL, "ours", "dgl", {}, "dgl"))
    made.append(Contender(TORCH_FORWARD, "", "pytorch", "forward", {}, None, torch))
    for layer in LAYERS:
        made.append(Contender(CAPTUM, layer, "pytorch", "captum", {}, "gradcam_sum", captum))
        for name, options in ((LAYER_CAM, {}), (FROZEN, {"frozen": True})):
            made.append(
                Contender(name, layer, "pytorch", "layercam", options, "layercam", grad_cam)
            )
    for name, what in ((GRAD_CAM, "gradcam"), (HIRES_CAM, "hirescam")):
        made.append(Contender(name, MAIN_LAYER, "pytorch", what, {}, what, grad_cam))
    for name, what in ((KERAS_CAM, "gradcam"), (KERAS_LAYER, "layercam")):
        made.append(Contender(name, MAIN_LAYER, "keras_vis", what, {}, what, keras))
    return {(one.name, one.layer): one for one in made}


CONTENDERS = _contenders()
# Whose memory is told.
_MEMORY = (
    [(FORWARD, ""), (DGL, MAIN_LAYER), (DGL_LIMIT, MAIN_LAYER), (DGL, ALL), (TORCH_FORWARD, "")]
    + [(name, MAIN_LAYER) for name in (CAPTUM, LAYER_CAM, FROZEN, GRAD_CAM, HIRES_CAM)]
    + [(name, MAIN_LAYER) for name in (KERAS_CAM, KERAS_LAYER)]
)  # fmt: skip


def _ratios():
    ours = (FORWARD, "")
    most = {"add": 1.03, "conv5_2": 1.25, "conv4_3": 1.40, "conv3_3": 2.0}
    rows = [Ratio((DGL, layer), ours, bound=(AT_MOST, most[layer])) for layer in LAYERS]
    rows.append(Ratio((DGL_LIMIT, MAIN_LAYER), ours, bound=(AT_MOST, 1.15)))
    rows.append(Ratio((DGL, ALL), ours, bound=(AT_MOST, 3.5)))
    rows.append(Ratio((TORCH_FORWARD, ""), ours))
    for name, sized, least in ((CAPTUM, False, 1.0), (LAYER_CAM, True, 2.5), (FROZEN, True, None)):
        for layer in LAYERS:
            bound = (AT_LEAST, least) if least and layer == MAIN_LAYER else None
            rows.append(Ratio((name, layer), (DGL, layer), sized, bound))
    for name in (GRAD_CAM, HIRES_CAM, KERAS_CAM, KERAS_LAYER):
        rows.append(Ratio((name, MAIN_LAYER), (DGL, MAIN_LAYER), True))
    return rows


RATIOS = _ratios()


def memory_rows(setup, chosen, absent, classes, log):
    """Peak memory of processes that ran one contender each, two calls."""
    rows = []
    for key in tqdm(_MEMORY, desc="memory"):
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
        np.save(setup.images, pictures.batch(max(BATCHES)))
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
        "network": f"VGG16-GAP, 1000 classes, {pictures.SIZE} x {pictures.SIZE}, float32",
        "batches": list(BATCHES),
        "configurations": configurations,
        "checks_within": formulas.FLOAT32._asdict(),
        "checks": checks,
        "rows": ratio_rows(RATIOS, times, absent),
        "times": time_rows(present, times),
        "memory": memory,
    }


def table(section):
    """The README's tables: ratios, and memory."""
    from benchmarks.speed.peers_tables import memory_table, ratios_table

    return ratios_table(section) + "\n\n" + memory_table(section)


def draw(section, path):
    """The README's plot."""
    from benchmarks.speed.peers_plot import draw as draw_plot

    draw_plot(section, path)
