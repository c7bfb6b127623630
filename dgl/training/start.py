"""Where a training run starts: the weights that `--load` brings, and what happens to each of them."""

from dgl.errors import UserError
from dgl.weights.restore import network_variables

from tensorpack.utils import logger  # isort: skip

_NAMED = 4


def pick_head(backbone, shapes, data_set, classes):
    """Scope of the classification layer to train.

    The head that the checkpoint brings is kept, under its own name, when its width fits the classes;
    otherwise a new one is started under the data set's name.
    """
    wanted = backbone.head_name(data_set, classes)
    fitting = [head for head, width in backbone.find_heads(shapes).items() if width == classes]
    if not fitting or wanted in fitting:
        return wanted
    return fitting[0]


def start_from(backbone, checkpoint, options, image_size):
    """Select what a checkpoint gives to a network that is about to be trained.

    Variables that do not belong (other heads, fully connected layers, optimizer slots) are passed over
    and counted; graph variables that the checkpoint lacks keep their initial value and are named.

    Args:
        backbone: registry entry.
        checkpoint: :class:`~dgl.weights.Checkpoint`.
        options: :class:`~dgl.backbones.BuildOptions` of the network.
        image_size: side of the input.

    Returns:
        variable name -> array, for the variables that the checkpoint fills.

    Raises:
        UserError: nothing fits, or a variable below the head has another shape.
    """
    wanted = network_variables(backbone, options, image_size)
    shapes = checkpoint.shapes
    wrong = [
        "{} (network {}, checkpoint {})".format(name, list(shape), list(shapes[name]))
        for name, shape in wanted.items()
        if name in shapes and shapes[name] != shape and options.head not in name
    ]
    taken = [name for name, shape in wanted.items() if shapes.get(name) == shape]
    if wrong or not taken:
        first = wrong or ["{} (absent)".format(name) for name in wanted]
        raise UserError(
            "{}: does not fit --mode {}: {}".format(
                checkpoint.path, backbone.mode, ", ".join(first[:_NAMED])
            )
        )
    fresh = [name for name in wanted if name not in taken]
    if fresh:
        logger.info("Left at their initial value: %s", ", ".join(fresh))
    logger.info(
        "Loaded %d variables from %s; %d of its variables do not belong and are passed over.",
        len(taken),
        checkpoint.path,
        len(shapes) - len(taken),
    )
    return {name: checkpoint.read(name) for name in taken}
