"""This project's maps beside its own forward pass, and beside captum, pytorch-grad-cam and tf-keras-vis.

Everyone runs the same network on the same pictures. First each one's maps are held to the formula that they
are published by; then all are timed in turn, round by round, every library in a process of its own; last
each contender's peak memory is read off a process that did nothing else.
"""

import os
import tempfile
from collections import OrderedDict
from contextlib import ExitStack
from typing import NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from benchmarks.speed import formulas, machine, network, pictures, spread
from benchmarks.speed.driver import Worker
from benchmarks.speed.spread import AT_LEAST, AT_MOST
from benchmarks.speed.workers import Case, Setup
from dgl.backbones import get_backbone
from dgl.errors import UserError
from dgl.processor import cpu_flags, has_bfloat16

LAYERS = ("add", "conv5_2", "conv4_3", "conv3_3")
MAIN_LAYER = "conv5_2"
# The main layer first: that is the one whose map is checked.
ALL_LAYERS = sorted(get_backbone("vgg").layers, key=lambda layer: layer != MAIN_LAYER)
ALL = "all 18"
BATCHES = (8, 1)
CHECKED = 2  # pictures of the batch whose maps are computed a second time, in double precision
LOGITS = 1e-3  # largest difference, of the largest logit
_CALLS = {8: 1, 1: 3}  # in each round


class Contender(NamedTuple):
    """What is measured, for one layer.

    Attributes:
        name: str, for people.
        layer: layer's name or :data:`ALL`; empty for a forward pass.
        library, what, options: as in :class:`benchmarks.speed.workers.Case`.
        formula: of :data:`benchmarks.speed.formulas.FORMULAS`; ``None`` for a forward pass.
        needs: distributions that have to be installed.
    """

    name: str
    layer: str
    library: str
    what: str
    options: dict
    formula: Optional[str]
    needs: tuple = ()

    def case(self, batch):
        """The :class:`~benchmarks.speed.workers.Case` of so many pictures."""
        layers = ALL_LAYERS if self.layer == ALL else (self.layer or LAYERS[0],)
        return Case(self.library, self.what, list(layers), batch, self.options)

    def missing(self):
        """Why it cannot be measured here, as text, or ``None``."""
        if self.options == BFLOAT16 and not has_bfloat16(cpu_flags()):
            return "no avx512_bf16 or AMX on this CPU"
        absent = [name for name in self.needs if machine.version(name) is None]
        return ", ".join(absent) + " not installed" if absent else None


BFLOAT16 = {"precision": "bf16"}
FORWARD, TORCH_FORWARD = "forward pass", "PyTorch's forward pass"
DGL, DGL_LIMIT, DGL_BFLOAT16 = "DGL", "DGL, --pa inf", "DGL, --precision bf16"
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
    made.append(Contender(DGL_BFLOAT16, MAIN_LAYER, "ours", "dgl", BFLOAT16, "dgl"))
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
    return OrderedDict(((one.name, one.layer), one) for one in made)


CONTENDERS = _contenders()
# Whose memory is told.
_MEMORY = (
    [(FORWARD, ""), (DGL, MAIN_LAYER), (DGL_LIMIT, MAIN_LAYER), (DGL, ALL), (TORCH_FORWARD, "")]
    + [(name, MAIN_LAYER) for name in (CAPTUM, LAYER_CAM, FROZEN, GRAD_CAM, HIRES_CAM)]
    + [(name, MAIN_LAYER) for name in (KERAS_CAM, KERAS_LAYER)]
)  # fmt: skip


class Ratio(NamedTuple):
    """A row: how many times as long ``above`` takes as ``below``, both keys of :data:`CONTENDERS`.

    Attributes:
        sized: whether this project's part is timed with its maps normalised and brought to the
            pictures' size, as the other's are.
        bound: ``(kind, number)`` for batches of eight, or ``None``.
    """

    above: tuple
    below: tuple
    sized: bool = False
    bound: Optional[tuple] = None


def _ratios():
    ours = (FORWARD, "")
    most = {"add": 1.03, "conv5_2": 1.25, "conv4_3": 1.40, "conv3_3": 2.0}
    rows = [Ratio((DGL, layer), ours, bound=(AT_MOST, most[layer])) for layer in LAYERS]
    rows.append(Ratio((DGL_LIMIT, MAIN_LAYER), ours, bound=(AT_MOST, 1.15)))
    rows.append(Ratio((DGL, ALL), ours, bound=(AT_MOST, 3.5)))
    rows.append(Ratio((DGL, MAIN_LAYER), (DGL_BFLOAT16, MAIN_LAYER), bound=(AT_LEAST, 1.7)))
    rows.append(Ratio((TORCH_FORWARD, ""), ours))
    for name, sized, least in ((CAPTUM, False, 1.0), (LAYER_CAM, True, 2.5), (FROZEN, True, None)):
        for layer in LAYERS:
            bound = (AT_LEAST, least) if least and layer == MAIN_LAYER else None
            rows.append(Ratio((name, layer), (DGL, layer), sized, bound))
    for name in (GRAD_CAM, HIRES_CAM, KERAS_CAM, KERAS_LAYER):
        rows.append(Ratio((name, MAIN_LAYER), (DGL, MAIN_LAYER), True))
    return rows


RATIOS = _ratios()


def check(workers, present, classes, folder):
    """Hold every contender's maps and logits to a second computation.

    Args:
        workers: library -> :class:`~benchmarks.speed.driver.Worker`; ``autograd`` among them.
        present: list of :class:`Contender`.
        classes: list of int, the target of each picture.
        folder: where arrays pass through.

    Returns:
        list of ordered ``contender``, ``layer`` and what :func:`formulas.compare` tells, or the largest
        difference of logits.

    Raises:
        UserError: a contender that does other work than it should.
    """
    rows, references = [], {}
    for one in tqdm(present, desc="checks"):
        found = workers[one.library].maps(one.case(max(BATCHES)), classes, folder)
        layer = one.case(1).layers[0]
        options = {k: v for k, v in one.options.items() if k == "alpha"}
        asked = Case("autograd", one.formula or "dgl", [layer], CHECKED, options)
        key = repr(asked)
        if key not in references:
            references[key] = workers["autograd"].maps(asked, classes, folder)
        wanted = references[key]
        row = OrderedDict(contender=one.name, layer=one.layer)
        if one.formula:
            resize = formulas.stretched if one.library == "keras_vis" else formulas.sized
            limits = formulas.BFLOAT16 if one.options == BFLOAT16 else formulas.FLOAT32
            row.update(formulas.compare(found["maps"][:CHECKED], wanted["maps"], resize, limits))
        else:
            apart = np.abs(found["logits"][:CHECKED] - wanted["logits"]).max()
            largest = float(apart / np.abs(wanted["logits"]).max())
            row.update(largest=round(largest, 9), agrees=bool(largest < LOGITS))
        rows.append(row)
        require(row)
    return rows


def require(row):
    """Raise :class:`UserError` for a row of :func:`check` that does not agree."""
    if not row["agrees"]:
        raise UserError(
            "{contender} {layer}: differs from its published formula by up to {largest:.3g}; "
            "expected the same map, so that nobody is measured doing other work".format(**row)
        )


def time_all(workers, present, classes, rounds, warm):
    """Seconds of every contender, in turn within each round, each round from another one on.

    Args:
        workers, present, classes: as in :func:`check`.
        rounds: int.
        warm: whether full batches have been run before.

    Returns:
        ordered (key of :data:`CONTENDERS`, batch) -> dict of ``seconds`` and ``sized``, arrays (rounds,)
        (``sized`` where this project's maps can be), and ``outside``, a share or ``None``.
    """
    found = OrderedDict()
    with tqdm(total=rounds * len(BATCHES) * len(present), desc="calls") as bar:
        for number in range(rounds):
            start = number * len(present) // rounds
            for batch in BATCHES:
                for one in present[start:] + present[:start]:
                    # Only the time of a call of one picture feels who ran before; and a full batch has
                    # been run in the check.
                    answer = workers[one.library].time(
                        one.case(batch),
                        classes,
                        calls=_CALLS[batch],
                        warm_up=int(batch < max(BATCHES) or not (warm or number)),
                        sized=one.library == "ours" and one.formula is not None,
                    )
                    own = found.setdefault(((one.name, one.layer), batch), {})
                    for part in ("seconds", "sized"):
                        if answer[part]:
                            own.setdefault(part, []).append(float(np.median(answer[part])))
                    own["outside"] = answer["outside"]
                    bar.update()
    return found


def ratio_rows(times, absent):
    """One row for each of :data:`RATIOS` and batch.

    Args:
        times: as :func:`time_all` returns it.
        absent: contender's key -> why it was not measured.
    """
    rows = []
    for batch in BATCHES:
        for ratio in RATIOS:
            row = OrderedDict(
                name="{} / {}".format(ratio.above[0], ratio.below[0]),
                layer=ratio.above[1],
                batch=batch,
            )
            missing = [absent[key] for key in (ratio.above, ratio.below) if key in absent]
            if missing:
                row["not_measured"] = missing[0]
                if ratio.bound and batch == max(BATCHES):
                    row["bound"] = spread.unmeasured(*ratio.bound)
            else:
                below = times[ratio.below, batch]["sized" if ratio.sized else "seconds"]
                row["ratio"] = spread.ratio(times[ratio.above, batch]["seconds"], below)
                if ratio.bound and batch == max(BATCHES):
                    row["bound"] = spread.bounded(row["ratio"], *ratio.bound)
            rows.append(row)
    return rows


def time_rows(times):
    """Milliseconds a picture of everyone; ``resized`` tells what is in them of the maps' resizing."""
    rows = []
    for ((name, layer), batch), own in times.items():
        for part in ("seconds", "sized"):
            if part in own:
                row = OrderedDict(contender=name, layer=layer, batch=batch)
                row["resized"] = part == "sized" or CONTENDERS[name, layer].needs[-1:] in (
                    ("ttach",),
                    ("tf-keras-vis",),
                )
                row["ms"] = spread.spread(1000 * np.array(own[part]) / batch, 2)
                if own["outside"] is not None:
                    row["share_outside_passes"] = round(own["outside"], 4)
                rows.append(row)
    return rows


def memory_rows(setup, chosen, absent, classes, log):
    """Peak memory of processes that ran one contender each, two calls."""
    rows = []
    for key in tqdm(_MEMORY, desc="memory"):
        one = CONTENDERS[key]
        for batch in BATCHES:
            row = OrderedDict(contender=one.name, layer=one.layer, batch=batch)
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
    absent = OrderedDict((key, one.missing()) for key, one in CONTENDERS.items())
    absent = OrderedDict((key, why) for key, why in absent.items() if why)
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
        libraries = list(OrderedDict.fromkeys(one.library for one in present))
        workers = {
            library: stack.enter_context(Worker(library, setup, log)) for library in libraries
        }
        checks = "not checked: torch not installed"
        if has_torch:
            with Worker("autograd", setup, log) as autograd:
                checks = check(dict(workers, autograd=autograd), present, classes, folder)
        times = time_all(workers, present, classes, options.rounds, has_torch)
        chosen = {library: worker.chosen for library, worker in workers.items()}
        configurations = OrderedDict((name, workers[name].configuration) for name in libraries)
        for worker in workers.values():
            worker.close()
        memory = memory_rows(setup, chosen, absent, classes, log)
    return OrderedDict(
        network="VGG16-GAP, 1000 classes, {0} x {0}, float32".format(pictures.SIZE),
        batches=list(BATCHES),
        configurations=configurations,
        checks_within=formulas.FLOAT32._asdict(),
        checks=checks,
        rows=ratio_rows(times, absent),
        times=time_rows(times),
        memory=memory,
    )


def table(section):
    """The README's tables: ratios, and memory."""
    from benchmarks.speed.peers_tables import memory_table, ratios_table

    return ratios_table(section) + "\n\n" + memory_table(section)


def draw(section, path):
    """The README's plot."""
    from benchmarks.speed.peers_plot import draw as draw_plot

    draw_plot(section, path)
