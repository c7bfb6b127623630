"""The training recipe, resolved: every number that a run uses, in one place.

Published recipe: SGD with Nesterov momentum 0.9, learning rate x 0.1 at epochs 10, 20, 30 and 40, mean
softmax cross-entropy, batch over all GPUs, an epoch of ``25 * (256 / batch) * 5.0`` steps on CUB and
``5000 * (256 / batch) * 0.2`` on ImageNet, validation every 5 epochs.
"""

from dataclasses import dataclass
from typing import List, Optional, Tuple

from dgl.backbones import BuildOptions

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
        data_set: ``"cub"``, ``"imagenet"``, or ``None`` for other data: one pass over the pictures.
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
        """int: pictures that one tower sees a step."""
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
