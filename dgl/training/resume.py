"""Where an interrupted training goes on: its checkpoint's place among epochs and steps.

The epoch's number alone does not tell, for a checkpoint may be of the middle of an epoch, or of its end but
with the validation that follows still to do.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from dgl.backbones import get_backbone
from dgl.errors import UserError
from dgl.training.checkpointing import last_checkpoint
from dgl.training.recipe import Recipe
from dgl.training.statistics import read_rows
from dgl.weights import open_checkpoint
from dgl.weights.restore import disagreements, first_of, network_variables

from tensorpack.utils import logger  # isort: skip

_STEP = "global_step"

Row = Dict[str, Any]


class Point(NamedTuple):
    """Where training begins.

    Attributes:
        prefix: checkpoint to go on from, or ``None``.
        step: steps that are over.
        epoch: the epoch that is to go on or to begin, counted from 1.
        left: steps that are left of it; 0 when only what follows them is.
        rows: of ``stats.json``, of what is over.
    """

    prefix: Optional[str]
    step: int
    epoch: int
    left: int
    rows: List[Row]


def beginning(steps: int) -> Point:
    """The :class:`Point` of a training that begins; ``steps`` an epoch."""
    return Point(None, 0, 1, steps, [])


def place(
    step: int, rows: Sequence[Row], steps: int, is_over: Callable[[Row], bool]
) -> Tuple[int, int]:
    """(epoch, steps left of it) of a checkpoint.

    Args:
        step: of the checkpoint.
        rows: of ``stats.json``, none of later steps.
        steps: steps an epoch.
        is_over: row -> whether everything that follows the steps of its epoch is done as well.
    """
    epochs = [row for row in rows if row["epoch_num"] >= 1]
    if epochs and epochs[-1][_STEP] == step and not is_over(epochs[-1]):
        return epochs[-1]["epoch_num"], 0
    last_epoch, last_step = (epochs[-1]["epoch_num"], epochs[-1][_STEP]) if epochs else (0, 0)
    return last_epoch + 1, max(0, steps - (step - last_step))


def find_point(folder: str, recipe: Recipe, is_over: Callable[[Row], bool]) -> Point:
    """The point that the training in a log folder goes on from.

    Args:
        folder: the log folder.
        recipe: :class:`~dgl.training.recipe.Recipe` that goes on.
        is_over: as for :func:`place`.

    Returns:
        :class:`Point`; the beginning where there is no checkpoint.

    Raises:
        UserError: a checkpoint that cannot be read, or is of another network; damaged statistics.
    """
    prefix = last_checkpoint(folder)
    if prefix is None:
        logger.info("Nothing to resume in %s: starting from the first epoch.", folder)
        return beginning(recipe.steps)
    checkpoint = open_checkpoint(prefix)
    if _STEP not in checkpoint.shapes:
        raise UserError(f"{prefix}: has no {_STEP}; expected a checkpoint of a training")
    step = int(checkpoint.read(_STEP))
    rows = [row for row in read_rows(folder) if row[_STEP] <= step]
    epoch, left = place(step, rows, recipe.steps, is_over)
    if epoch <= recipe.epochs:
        _check(checkpoint, recipe)
    return Point(prefix, step, epoch, left, rows)


def _check(checkpoint, recipe):
    """Raise :class:`UserError` unless a checkpoint is sound and of the recipe's network."""
    backbone = get_backbone(recipe.mode)
    wanted = network_variables(backbone, recipe.options, recipe.image_size)
    missing, mismatched = disagreements(wanted, checkpoint)
    if missing or mismatched:
        raise UserError(
            f"{checkpoint.path}: another network than --mode {recipe.mode} with these flags: {first_of(mismatched or missing)}; expected the flags that the "
            "run began with"
        )
    # Read once in full: damage is to be told before anything is written.
    for name in checkpoint.shapes:
        checkpoint.read(name)
