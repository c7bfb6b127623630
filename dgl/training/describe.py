"""The recipe as text: what `--print-recipe` shows, one fact a line."""

import re

from tabulate import tabulate

from dgl.backbones.base import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB, Shapes
from dgl.data.flows import BORDER
from dgl.training.recipe import MOMENTUM, VALIDATE_EVERY, Recipe

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
    return "{:g}".format(value)


def _rates(recipe):
    """Pieces such as ``0.002 from epoch 1``, as far as the run goes."""
    for finished, rate in recipe.schedule:
        if finished < recipe.epochs:
            yield "{} from epoch {}".format(_number(rate), finished + 1)


def _network(recipe):
    options = recipe.options
    parts = [
        recipe.mode,
        "width {}".format(_number(options.width)),
        "norm {}".format(options.norm),
        "last stride {}".format(options.last_stride),
        options.data_format,
        "{} classes in {}".format(options.classes, options.head),
    ]
    return ", ".join(parts)


def _loss(recipe):
    text = "mean softmax cross-entropy"
    if recipe.weight_decay:
        pattern, scale = recipe.weight_decay
        text += " + {} * sum(w^2) / 2 over {}".format(_number(scale), pattern)
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
    side, crop = recipe.image_size + BORDER, recipe.image_size
    errors = "top-1 and top-5 error" if recipe.with_top5 else "top-1 error"
    yield "network", _network(recipe)
    yield "data", data
    yield "start", start
    yield "loss", _loss(recipe)
    yield "optimizer", "SGD, Nesterov momentum {}".format(_number(MOMENTUM))
    yield "learning rate", ", ".join(_rates(recipe))
    yield "batch", _batch(recipe)
    yield (
        "length",
        "{} steps an epoch, {} epochs, {} steps in all".format(
            recipe.steps, recipe.epochs, recipe.steps * recipe.epochs
        ),
    )
    yield (
        "augmentation",
        (
            "float32, resized to {0} x {0} whatever the aspect, random {1} x {1} crop, "
            "random horizontal flip, back to uint8".format(side, crop)
        ),
    )
    yield (
        "input",
        "BGR, minus {}, divided by {}".format(
            _triple(IMAGENET_MEAN_RGB), _triple(IMAGENET_STD_RGB)
        ),
    )
    yield (
        "validation",
        (
            "resized to {0} x {0}, centre {1} x {1} crop, {2}, every {3} epochs and after the last"
        ).format(side, crop, errors, VALIDATE_EVERY),
    )
    yield "watched", watched
    yield "kept", "the last checkpoint and the one with the least val-error-top1"
    yield "workers", "{} processes".format(recipe.workers)
    yield "seed", "none" if recipe.seed is None else str(recipe.seed)


def describe(
    recipe: Recipe, variables: Shapes, data: str, start: str, watched: str = "nothing"
) -> str:
    """The whole resolved recipe.

    Args:
        recipe: :class:`~dgl.training.recipe.Recipe`.
        variables: ordered name -> shape of the variables that are trained.
        data, start, watched: a line each on the pictures, on the initial values, and on what TensorBoard
            shows of validation pictures.

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
