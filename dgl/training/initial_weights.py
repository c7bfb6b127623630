"""Initial weights of a training: the variables that ``--load`` fills, and the name of the head."""

from typing import Dict, List, NamedTuple, Optional

import numpy as np

from dgl.backbones import BuildOptions
from dgl.backbones.registry import Backbone, Shapes
from dgl.errors import UserError
from dgl.weights.checkpoint import Checkpoint, read_weights
from dgl.weights.restore import conversion_hint, disagreements, first_of, network_variables

_MAX_NAMES = 8


class InitialWeights(NamedTuple):
    """What a checkpoint gives to a network that is about to be trained.

    Attributes:
        checkpoint: the source.
        loaded: names of the variables that it fills.
        fresh: names of the network's variables that keep their random initial value.
        unused: number of the checkpoint's variables that are not part of the network.
    """

    checkpoint: Checkpoint
    loaded: List[str]
    fresh: List[str]
    unused: int

    def values(self) -> Dict[str, np.ndarray]:
        """Read the variables that the checkpoint fills: name -> float32 array.

        Raises:
            UserError: one cannot be read, or has NaN or infinity.
        """
        return {name: read_weights(self.checkpoint, name) for name in self.loaded}

    def __str__(self) -> str:
        text = f"{len(self.loaded)} variables from {self.checkpoint.path}; {self.unused} of its are unused"
        if self.fresh:
            text += "; left at their initial value: " + first_of(self.fresh, _MAX_NAMES)
        return text


def pick_head(backbone: Backbone, shapes: Shapes, data_set: Optional[str], classes: int) -> str:
    """Scope of the classification layer to train.

    A head of the checkpoint whose width fits the classes keeps its name; otherwise a new one begins under
    the data set's name.
    """
    wanted = backbone.head_name(data_set or "imagenet", classes)
    fitting = [head for head, width in backbone.find_heads(shapes).items() if width == classes]
    return wanted if wanted in fitting or not fitting else fitting[0]


def select_weights(
    backbone: Backbone, checkpoint: Checkpoint, options: BuildOptions, image_size: int
) -> InitialWeights:
    """Select the variables that a checkpoint gives to a network.

    Args:
        backbone: registry entry.
        checkpoint: the source.
        options: of the network.
        image_size: side of the input.

    Returns:
        :class:`InitialWeights`. Variables that are not part of the network (other heads, fully connected
        layers, optimizer slots) are unused; a head of another width keeps its initial value.

    Raises:
        UserError: nothing fits, or a variable below the head has another shape.
    """
    wanted = network_variables(backbone, options, image_size)
    shapes = checkpoint.shapes
    head = {name: shape for name, shape in wanted.items() if options.head in name}
    below = {name: shape for name, shape in wanted.items() if name not in head}
    missing, mismatched = disagreements(below, checkpoint)
    # An incomplete head, such as weights without their biases, counts as none.
    usable = below if any(disagreements(head, checkpoint)) else wanted
    loaded = [name for name, shape in usable.items() if shapes.get(name) == shape]
    if mismatched or not loaded:
        raise UserError(
            f"{checkpoint.path}: does not fit --mode {backbone.mode}: "
            f"{first_of(mismatched or missing)}{conversion_hint(backbone, checkpoint)}"
        )
    fresh = [name for name in wanted if name not in loaded]
    return InitialWeights(checkpoint, loaded, fresh, len(shapes) - len(loaded))
