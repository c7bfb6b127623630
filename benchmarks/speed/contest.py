"""Check contenders against their formulas, time them in turn, and compute ratios of their times.

First each contender's maps are held to the formula that they are published by; then all are timed in turn,
round by round, every library in a process of its own.
"""

from typing import NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from benchmarks.speed import formulas, machine, spread
from benchmarks.speed.formulas import FLOAT32, Limits
from benchmarks.speed.workers import Case
from dgl.backbones import get_backbone
from dgl.errors import UserError

LAYERS = ("add", "conv5_2", "conv4_3", "conv3_3")
MAIN_LAYER = "conv5_2"
LITE_LAYER = "block14"
# The main layer first: that is the one whose map is checked.
ALL_LAYERS = sorted(get_backbone("vgg").layers, key=lambda layer: layer != MAIN_LAYER)
ALL = "all 18"
BATCHES = (8, 1)
CHECKED = 2  # images of the batch whose maps are computed a second time, in double precision
CALLS = {8: 1, 1: 3}  # in each round
# Of networks so small that the first call of a turn finds its weights pushed out of the caches.
MANY_CALLS = {8: 5, 1: 10}


class Contender(NamedTuple):
    """What is measured, for one layer.

    Attributes:
        name: str, for people.
        layer: layer's name or :data:`ALL`; empty for a forward pass.
        library, what, options: as in :class:`benchmarks.speed.workers.Case`.
        formula: of :data:`benchmarks.speed.formulas.FORMULAS`; ``None`` for a forward pass.
        needs: distributions that have to be installed.
        limits: :class:`benchmarks.speed.formulas.Limits`, how far from the formula it may be.
        layers: names behind ``layer``, the first of which is checked; by default those of VGG16.
    """

    name: str
    layer: str
    library: str
    what: str
    options: dict
    formula: Optional[str]
    needs: tuple = ()
    limits: Limits = FLOAT32
    layers: tuple = ()

    def case(self, batch):
        """The :class:`~benchmarks.speed.workers.Case` of so many images."""
        layers = self.layers or (ALL_LAYERS if self.layer == ALL else (self.layer or LAYERS[0],))
        return Case(self.library, self.what, list(layers), batch, self.options)

    def missing(self):
        """Why it cannot be measured here, as text, or ``None``."""
        absent = [name for name in self.needs if machine.version(name) is None]
        return ", ".join(absent) + " not installed" if absent else None


class Ratio(NamedTuple):
    """A row: how many times as long ``above`` takes as ``below``, ``(name, layer)`` of contenders.

    Attributes:
        sized: whether this project's part is timed with its maps normalized and brought to the
            images' size, as the other's are.
        bound: ``(kind, number)`` for batches of eight, or ``None``.
    """

    above: tuple
    below: tuple
    sized: bool = False
    bound: Optional[tuple] = None


def check(workers, present, classes, folder):
    """Hold every contender's maps and logits to a second computation.

    Args:
        workers: library -> :class:`~benchmarks.speed.driver.Worker`; ``autograd`` among them.
        present: list of :class:`Contender`.
        classes: list of int, the target of each image.
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
        row = {"contender": one.name, "layer": one.layer}
        if one.formula:
            resize = formulas.stretched if one.library == "keras_vis" else formulas.sized
            found = found["maps"][:CHECKED]
            row.update(formulas.compare(found, wanted["maps"], resize, one.limits))
        else:
            apart = np.abs(found["logits"][:CHECKED] - wanted["logits"]).max()
            largest = float(apart / np.abs(wanted["logits"]).max())
            row.update(largest=round(largest, 9), agrees=bool(largest < one.limits.logits))
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


def time_all(workers, present, classes, rounds, warm, calls=None):
    """Seconds of every contender, in turn within each round, each round from another one on.

    Args:
        workers, present, classes: as in :func:`check`.
        rounds: int.
        warm: whether full batches have been run before.
        calls: size of the batch -> calls in each round, by default :data:`CALLS`.

    Returns:
        ordered ((name, layer) of a contender, batch) -> dict of ``seconds`` and ``sized``, arrays (rounds,)
        (``sized`` where this project's maps can be), and ``outside``, a share or ``None``.
    """
    found, calls = {}, calls or CALLS
    with tqdm(total=rounds * len(BATCHES) * len(present), desc="calls") as bar:
        for number in range(rounds):
            start = number * len(present) // rounds
            for batch in BATCHES:
                for one in present[start:] + present[:start]:
                    # Only the time of short calls feels who ran before; and a full batch has been run in
                    # the check.
                    answer = workers[one.library].time(
                        one.case(batch),
                        classes,
                        calls=calls[batch],
                        warm_up=int(calls[batch] > 1 or not (warm or number)),
                        sized=one.library == "ours" and one.formula is not None,
                    )
                    own = found.setdefault(((one.name, one.layer), batch), {})
                    for part in ("seconds", "sized"):
                        if answer[part]:
                            own.setdefault(part, []).append(float(np.median(answer[part])))
                    own["outside"] = answer["outside"]
                    bar.update()
    return found


def ratio_rows(ratios, times, absent):
    """One row for each ratio and batch.

    Args:
        ratios: list of :class:`Ratio`.
        times: as :func:`time_all` returns it.
        absent: contender's key -> why it was not measured.
    """
    rows = []
    for batch in BATCHES:
        for ratio in ratios:
            row = {
                "name": f"{ratio.above[0]} / {ratio.below[0]}",
                "layer": ratio.above[1],
                "batch": batch,
            }
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


def time_rows(present, times):
    """Milliseconds an image of everyone; ``resized`` tells what is in them of the maps' resizing."""
    needs = {(one.name, one.layer): one.needs for one in present}
    rows = []
    for ((name, layer), batch), own in times.items():
        for part in ("seconds", "sized"):
            if part in own:
                row = {"contender": name, "layer": layer, "batch": batch}
                row["resized"] = part == "sized" or needs[name, layer][-1:] in (
                    ("ttach",),
                    ("tf-keras-vis",),
                )
                row["ms"] = spread.spread(1000 * np.array(own[part]) / batch, 2)
                if own["outside"] is not None:
                    row["share_outside_passes"] = round(own["outside"], 4)
                rows.append(row)
    return rows
