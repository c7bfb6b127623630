"""Where a training run starts: the weights that `--load` brings, and what happens to each of them."""

from typing import Dict, List, NamedTuple, Optional

import numpy as np

from dgl.backbones import BuildOptions
from dgl.backbones.registry import Backbone, Shapes
from dgl.errors import UserError
from dgl.weights.checkpoint import Checkpoint, read_weights
from dgl.weights.restore import conversion_hint, disagreements, first_of, network_variables

_FRESH_NAMED = 8


class Start(NamedTuple):
    """What a checkpoint gives to a network that is about to be trained.

    Attributes:
        checkpoint: :class:`~dgl.weights.Checkpoint`.
        taken: names of the variables that it fills.
        fresh: names of the network's variables that keep their initial value.
        passed_over: number of the checkpoint's variables that do not belong.
    """

    checkpoint: Checkpoint
    taken: List[str]
    fresh: List[str]
    passed_over: int

    def values(self) -> Dict[str, np.ndarray]:
        """Name -> float32 array for the variables that the checkpoint fills, read from it.

        Raises:
            UserError: one cannot be read, or is not finite numbers.
        """
        return {name: read_weights(self.checkpoint, name) for name in self.taken}

    def __str__(self):
        text = f"{len(self.taken)} variables from {self.checkpoint.path}; {self.passed_over} of its variables do not belong and are passed over"
        if self.fresh:
            text += "; left at their initial value: " + first_of(self.fresh, _FRESH_NAMED)
        return text


def pick_head(backbone: Backbone, shapes: Shapes, data_set: Optional[str], classes: int) -> str:
    """Scope of the classification layer to train.

    The head that the checkpoint brings is kept, under its own name, when its width fits the classes;
    otherwise a new one is started under the data set's name.
    """
    wanted = backbone.head_name(data_set or "imagenet", classes)
    fitting = [head for head, width in backbone.find_heads(shapes).items() if width == classes]
    if not fitting or wanted in fitting:
        return wanted
    return fitting[0]


def start_from(
    backbone: Backbone, checkpoint: Checkpoint, options: BuildOptions, image_size: int
) -> Start:
    """Select what a checkpoint gives to a network that is about to be trained.

    Args:
        backbone: registry entry.
        checkpoint: :class:`~dgl.weights.Checkpoint`.
        options: :class:`~dgl.backbones.BuildOptions` of the network.
        image_size: side of the input.

    Returns:
        :class:`Start`. Variables that do not belong (other heads, fully connected layers, optimizer
        slots) are passed over; a head of another width is left at its initial value.

    Raises:
        UserError: nothing fits, or a variable below the head has another shape.
    """
    wanted = network_variables(backbone, options, image_size)
    shapes = checkpoint.shapes
    head = {name: shape for name, shape in wanted.items() if options.head in name}
    below = {name: shape for name, shape in wanted.items() if name not in head}
    missing, mismatched = disagreements(below, checkpoint)
    # Half a head, such as weights without their biases, is none.
    whole_head = not any(disagreements(head, checkpoint))
    usable = wanted if whole_head else below
    taken = [name for name, shape in usable.items() if shapes.get(name) == shape]
    if mismatched or not taken:
        raise UserError(
            f"{checkpoint.path}: does not fit --mode {backbone.mode}: {first_of(mismatched or missing)}{conversion_hint(backbone, checkpoint)}"
        )
    fresh = [name for name in wanted if name not in taken]
    return Start(checkpoint, taken, fresh, len(shapes) - len(taken))
