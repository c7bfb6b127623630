"""The training recipe: every number that a run uses, and its text for ``--print-recipe``.

Published recipe: SGD with Nesterov momentum 0.9, learning rate x 0.1 after epochs 10, 20, 30 and 40, mean
softmax cross-entropy, batch over all GPUs, an epoch of ``25 * (256 / batch) * 5.0`` steps on CUB and
``5000 * (256 / batch) * 0.2`` on ImageNet, validation every 5 epochs.
"""

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from tabulate import tabulate

from dgl.backbones import BuildOptions, get_backbone
from dgl.backbones.published import Shapes
from dgl.data.views import TRAINING_BORDER

MOMENTUM = 0.9
LR_EPOCHS = (10, 20, 30, 40)
LR_FACTOR = 0.1
VALIDATE_EVERY = 5
TOP5_FROM = 6  # classes; with five or fewer the top five are all of them

_REFERENCE_BATCH = 256
# data set -> (steps per epoch at batch 256, default of --stepscale)
_EPOCH_STEPS = {"cub": (25, 5.0), "imagenet": (5000, 0.2)}


def steps_per_epoch(
    data_set: Optional[str], batch: int, images: int, stepscale: Optional[float] = None
) -> int:
    """Steps per epoch, at least 1.

    Args:
        data_set: ``"cub"``, ``"imagenet"``, or ``None`` for other data: one pass over the images.
        batch: total batch over all towers.
        images: size of the training list.
        stepscale: replaces the data set's own factor.
    """
    if data_set in _EPOCH_STEPS:
        steps, default_scale = _EPOCH_STEPS[data_set]
        scale = default_scale if stepscale is None else stepscale
        count = steps * (float(_REFERENCE_BATCH) / batch) * scale
    else:
        count = float(images) / batch * (1.0 if stepscale is None else stepscale)
    return max(1, int(count))


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run."""

    mode: str  # backbone
    options: BuildOptions  # of the network (`training` is set by the towers)
    image_size: int  # side of the views in pixels
    batch: int  # total batch, over all towers of all processes
    towers: int  # copies of the network that share a step, in each process
    steps: int  # per epoch
    epochs: int  # last epoch, counted from 1
    base_lr: float  # learning rate until the first of `lr_epochs`
    lr_epochs: Tuple[int, ...] = LR_EPOCHS  # epochs after which the rate is multiplied by LR_FACTOR
    # (regular expression, factor) on gradients; empty when training from scratch
    multipliers: Tuple[Tuple[str, float], ...] = ()
    weight_decay: Optional[Tuple[str, float]] = None  # (regular expression, scale) or `None`
    workers: int = 2  # processes that decode and augment
    # Of initial values, shuffling and augmentation, or `None` for random ones
    seed: Optional[int] = None
    processes: int = 1  # how many train together, each on its slice of every batch
    # Name of the layer up to which all keeps its loaded weights, or `None`
    freeze: Optional[str] = None
    freeze_views: int = 1  # random views of each training image whose activations there are cached

    @property
    def tower_batch(self) -> int:
        """Images per step of one tower."""
        return self.batch // (self.towers * self.processes)

    @property
    def schedule(self) -> List[Tuple[int, float]]:
        """(epoch, learning rate) pairs; a rate holds after its epoch."""
        epochs = enumerate((0, *self.lr_epochs))
        return [(epoch, self.base_lr * LR_FACTOR**step) for step, epoch in epochs]

    @property
    def with_top5(self) -> bool:
        """Whether there are enough classes for a top-5 error."""
        return self.options.classes >= TOP5_FROM


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


def _facts(recipe: Recipe) -> Dict[str, str]:
    """What ``--print-recipe`` shows of a recipe itself: name -> text."""
    options, crop = recipe.options, recipe.image_size
    side = crop + TRAINING_BORDER
    loss = "mean softmax cross-entropy"
    if recipe.weight_decay:
        pattern, scale = recipe.weight_decay
        loss += f" + {scale:g} * sum(w^2) / 2 over {pattern}"
    batch = str(recipe.batch)
    if recipe.tower_batch < recipe.batch:
        batch += f", {recipe.tower_batch}"
    if recipe.towers > 1:
        batch += f" on each of {recipe.towers} towers"
    if recipe.processes > 1:
        batch += f" in each of {recipe.processes} processes"
    rates = [
        f"{rate:g} from epoch {finished + 1}"
        for finished, rate in recipe.schedule
        if finished < recipe.epochs
    ]
    given = get_backbone(recipe.mode).preprocessing
    mean, std = (", ".join(f"{v:g}" for v in values) for values in (given.mean, given.std))
    errors = "top-1 and top-5 error" if recipe.with_top5 else "top-1 error"
    frozen = (
        f"{recipe.freeze} and below; its activations for {recipe.freeze_views} random views of each "
        "training image are computed once"
    )
    return {
        "network": (
            f"{recipe.mode}, width {options.width:g}, norm {options.norm}, strides {options.strides}, "
            f"last stride {options.last_stride}, {options.data_format}, "
            f"{options.classes} classes in {options.head}"
        ),
        **({"frozen": frozen} if recipe.freeze else {}),
        "loss": loss,
        "optimizer": f"SGD, Nesterov momentum {MOMENTUM:g}",
        "learning rate": ", ".join(rates),
        "batch": batch,
        "length": (
            f"{recipe.steps} steps per epoch, {recipe.epochs} epochs, "
            f"{recipe.steps * recipe.epochs} steps in all"
        ),
        "augmentation": (
            f"float32, resized to {side} x {side} regardless of aspect, random {crop} x {crop} crop, "
            "random horizontal flip, back to uint8"
        ),
        "input": f"{given.order.upper()}, minus ({mean}), divided by ({std})",
        "validation": (
            f"resized to {side} x {side}, center {crop} x {crop} crop, {errors}, every "
            f"{VALIDATE_EVERY} epochs and after the last"
        ),
        "kept": "the last checkpoint and the one with the lowest val-error-top1",
        "workers": f"{recipe.workers} processes",
        "seed": "none" if recipe.seed is None else str(recipe.seed),
    }


def describe(
    recipe: Recipe, variables: Shapes, data: str, start: str, attention: str = "nothing"
) -> str:
    """The recipe as text: lines of ``name  fact``, and a table of the trained variables.

    ``data``, ``start`` and ``attention`` are a line each on the images, the initial values and the maps.
    The table has a variable's shape, the factor on its gradient, and its weight decay (0 for none).
    """
    facts = {"data": data, "start": start, "watched": attention, **_facts(recipe)}
    rows = [
        (
            name,
            " x ".join(map(str, shape)),
            f"{multiplier(recipe, name):g}",
            f"{decay(recipe, name):g}",
        )
        for name, shape in variables.items()
    ]
    table: str = tabulate(
        rows,
        headers=("variable", "shape", "gradient x", "weight decay"),
        colalign=("left", "left", "right", "right"),
        disable_numparse=True,
    )
    lines = tabulate(facts.items(), tablefmt="plain", disable_numparse=True)
    return f"{lines}\n\n{table}"
