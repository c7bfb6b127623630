"""The training recipe, resolved: every number that a run uses, in one place.

Published recipe: SGD with Nesterov momentum 0.9, learning rate x 0.1 at epochs 10, 20, 30 and 40, mean
softmax cross-entropy, batch over all GPUs, an epoch of ``25 * (256 / batch) * 5.0`` steps on CUB and
``5000 * (256 / batch) * 0.2`` on ImageNet, validation every 5 epochs.
"""

import re
from dataclasses import dataclass
from typing import List, Optional, Tuple

from tabulate import tabulate

from dgl.backbones import BuildOptions
from dgl.backbones.registry import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB, Shapes

MOMENTUM = 0.9
LR_EPOCHS = (10, 20, 30, 40)
LR_FACTOR = 0.1
VALIDATE_EVERY = 5
TOP5_FROM = 6  # classes; with five or fewer, the top five are all there are

_REFERENCE_BATCH = 256
# data set -> (steps an epoch at batch 256, default of --stepscale)
_EPOCH_STEPS = {"cub": (25, 5.0), "imagenet": (5000, 0.2)}


def steps_per_epoch(
    data_set: Optional[str], batch: int, pictures: int, stepscale: Optional[float] = None
) -> int:
    """Steps of one epoch.

    Args:
        data_set: ``"cub"``, ``"imagenet"``, or ``None`` for other data: one pass over the images.
        batch: total batch over all towers.
        pictures: size of the training list.
        stepscale: factor in place of the data set's own.

    Returns:
        int, at least 1.
    """
    if data_set in _EPOCH_STEPS:
        steps, default_scale = _EPOCH_STEPS[data_set]
        scale = default_scale if stepscale is None else stepscale
        count = steps * (float(_REFERENCE_BATCH) / batch) * scale
    else:
        count = float(pictures) / batch * (1.0 if stepscale is None else stepscale)
    return max(1, int(count))


@dataclass(frozen=True)
class Recipe:
    """All that a training run does.

    Attributes:
        mode: backbone.
        options: how it is built (``training`` is set by the towers).
        image_size: side of the views in pixels.
        batch: total batch, over all towers of all processes.
        towers: copies of the network that share a step, in each process.
        steps: steps an epoch.
        epochs: last epoch, counted from 1.
        base_lr: learning rate until the first of ``lr_epochs``.
        lr_epochs: epochs after which the rate is multiplied by :data:`LR_FACTOR`.
        multipliers: (regular expression, factor) on gradients; empty when training from scratch.
        weight_decay: (regular expression, scale) or ``None``.
        workers: processes that decode and augment.
        seed: fixes initial values, shuffling and augmentation, or ``None``.
        processes: how many train together, each on its share of every batch.
    """

    mode: str
    options: BuildOptions
    image_size: int
    batch: int
    towers: int
    steps: int
    epochs: int
    base_lr: float
    lr_epochs: Tuple[int, ...] = LR_EPOCHS
    multipliers: Tuple[Tuple[str, float], ...] = ()
    weight_decay: Optional[Tuple[str, float]] = None
    workers: int = 2
    seed: Optional[int] = None
    processes: int = 1

    @property
    def tower_batch(self) -> int:
        """int: images that one tower sees a step."""
        return self.batch // (self.towers * self.processes)

    @property
    def schedule(self) -> List[Tuple[int, float]]:
        """(epoch, learning rate) pairs; a rate holds once its epoch is over."""
        rates = [(0, self.base_lr)]
        for step, epoch in enumerate(self.lr_epochs, 1):
            rates.append((epoch, self.base_lr * LR_FACTOR**step))
        return rates

    @property
    def with_top5(self) -> bool:
        """Whether a top-5 error says anything."""
        return self.options.classes >= TOP5_FROM


# The recipe as text: what `--print-recipe` shows, one fact a line.

_LABEL_WIDTH = 16


def multiplier(recipe: Recipe, name: str) -> float:
    """Factor on the gradient of variable ``name``, as tensorpack's ``ScaleGradient`` finds it."""
    for pattern, factor in recipe.multipliers:
        if re.match(pattern + "$", name):
            return factor
    return 1.0


def decay(recipe: Recipe, name: str) -> float:
    """Scale of the L2 term of variable ``name``, as tensorpack's ``regularize_cost`` finds it."""
    if recipe.weight_decay and re.search(recipe.weight_decay[0], name):
        return recipe.weight_decay[1]
    return 0.0


def _number(value):
    return f"{value:g}"


def _rates(recipe):
    """Pieces such as ``0.002 from epoch 1``, as far as the run goes."""
    for finished, rate in recipe.schedule:
        if finished < recipe.epochs:
            yield f"{_number(rate)} from epoch {finished + 1}"


def _network(recipe):
    options = recipe.options
    parts = [
        recipe.mode,
        f"width {_number(options.width)}",
        f"norm {options.norm}",
        f"last stride {options.last_stride}",
        options.data_format,
        f"{options.classes} classes in {options.head}",
    ]
    return ", ".join(parts)


def _loss(recipe):
    text = "mean softmax cross-entropy"
    if recipe.weight_decay:
        pattern, scale = recipe.weight_decay
        text += f" + {_number(scale)} * sum(w^2) / 2 over {pattern}"
    return text


def _triple(values):
    return "({})".format(", ".join(_number(255 * value) for value in reversed(values)))


def _batch(recipe):
    """Such as ``32, 8 on each of 2 towers in each of 2 processes``."""
    among = [("on each of {} towers", recipe.towers), ("in each of {} processes", recipe.processes)]
    parts = [words.format(count) for words, count in among if count > 1]
    if not parts:
        return str(recipe.batch)
    return "{}, {} {}".format(recipe.batch, recipe.tower_batch, " ".join(parts))


def _facts(recipe, data, start, watched):
    from dgl.data.flows import BORDER  # loads tensorpack, which parsing flags should not

    side, crop = recipe.image_size + BORDER, recipe.image_size
    errors = "top-1 and top-5 error" if recipe.with_top5 else "top-1 error"
    yield "network", _network(recipe)
    yield "data", data
    yield "start", start
    yield "loss", _loss(recipe)
    yield "optimizer", f"SGD, Nesterov momentum {_number(MOMENTUM)}"
    yield "learning rate", ", ".join(_rates(recipe))
    yield "batch", _batch(recipe)
    yield (
        "length",
        f"{recipe.steps} steps an epoch, {recipe.epochs} epochs, {recipe.steps * recipe.epochs} steps in all",
    )
    yield (
        "augmentation",
        (
            f"float32, resized to {side} x {side} whatever the aspect, random {crop} x {crop} crop, "
            "random horizontal flip, back to uint8"
        ),
    )
    yield (
        "input",
        f"BGR, minus {_triple(IMAGENET_MEAN_RGB)}, divided by {_triple(IMAGENET_STD_RGB)}",
    )
    yield (
        "validation",
        (
            f"resized to {side} x {side}, center {crop} x {crop} crop, {errors}, every {VALIDATE_EVERY} epochs and after the last"
        ),
    )
    yield "watched", watched
    yield "kept", "the last checkpoint and the one with the least val-error-top1"
    yield "workers", f"{recipe.workers} processes"
    yield "seed", "none" if recipe.seed is None else str(recipe.seed)


def describe(
    recipe: Recipe, variables: Shapes, data: str, start: str, watched: str = "nothing"
) -> str:
    """The whole resolved recipe.

    Args:
        recipe: :class:`~dgl.training.recipe.Recipe`.
        variables: ordered name -> shape of the variables that are trained.
        data, start, watched: a line each on the images, on the initial values, and on what TensorBoard
            shows of validation images.

    Returns:
        str, lines of ``name  fact`` and then a table with a row a trained variable: its shape, the factor
        on its gradient, and the scale of its weight decay (0 for none).
    """
    lines = [
        "{:<{}}{}".format(name, _LABEL_WIDTH, fact)
        for name, fact in _facts(recipe, data, start, watched)
    ]
    rows = [
        (
            name,
            " x ".join(map(str, shape)),
            _number(multiplier(recipe, name)),
            _number(decay(recipe, name)),
        )
        for name, shape in variables.items()
    ]
    table = tabulate(
        rows,
        headers=("variable", "shape", "gradient x", "weight decay"),
        colalign=("left", "left", "right", "right"),
        disable_numparse=True,
    )
    return "\n".join(lines) + "\n\n" + table
