"""Checkpoints of a training: saving the last and the best one, and finding where to resume.

TensorFlow's files are renamed when they are complete and flushed to the disk; then the file
``checkpoint`` is replaced to name them; only then is the previous checkpoint removed. So ``checkpoint``
names complete files whenever the process ends. Tensorpack's savers go on without a checkpoint when the
disk is full.
"""

import glob
import os
import re
import shutil
import time
from typing import Any, Callable, List, NamedTuple, NoReturn, Optional, Sequence, Tuple

from dgl.backbones import get_backbone
from dgl.errors import UserError, first_line
from dgl.tf_compat import tf
from dgl.training.log_folder import (
    CHECKPOINT,
    INDEX,
    Row,
    Statistics,
    checkpoint_files,
    read_rows,
    remove_leftovers,
)
from dgl.training.recipe import Recipe
from dgl.utils.files import write_atomically
from dgl.weights import open_checkpoint
from dgl.weights.restore import disagreements, first_of, network_variables

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.utils import logger  # isort: skip

_STATE = "checkpoint"
_STEP = "global_step"
_NUMBERED = re.compile(CHECKPOINT + r"-(\d+)\.index$")
_DISK_ERRORS = ("No space left on device", "Disk quota exceeded", "File too large")


def last_checkpoint(folder: str) -> Optional[str]:
    """Prefix of the last complete checkpoint in a log folder, or ``None``.

    It is the one that ``checkpoint`` names; if that file is missing or damaged, the one of most steps.
    """
    try:
        state = tf.train.get_checkpoint_state(folder)
        named = os.path.basename(state.model_checkpoint_path) if state else ""
    except (ValueError, tf.errors.OpError):
        named = ""
    complete = {}
    for path in glob.glob(os.path.join(glob.escape(folder), CHECKPOINT + "-*" + INDEX)):
        numbered, prefix = _NUMBERED.search(path), path[: -len(INDEX)]
        if numbered and os.path.exists(checkpoint_files(prefix)[0]):
            if os.path.basename(prefix) == named:
                return prefix
            complete[int(numbered.group(1))] = prefix
    return complete[max(complete)] if complete else None


def _flush(path: str) -> None:
    with open(path, "rb") as stream:
        os.fsync(stream)


class ResumePoint(NamedTuple):
    """Where training begins or continues."""

    left: int  # steps left of the epoch; 0 if only what follows them is left, such as validation
    epoch: int = 1  # epoch to begin or to continue, counted from 1
    step: int = 0  # number of completed steps
    rows: Sequence[Row] = ()  # of `stats.json`, up to `step`
    prefix: Optional[str] = None  # checkpoint to continue from, or `None`


def locate_step(
    step: int, rows: Sequence[Row], steps: int, is_complete: Callable[[Row], bool]
) -> Tuple[int, int]:
    """The epoch to continue after a checkpoint, and the steps left of it.

    The step alone does not determine them: epochs may have had another length before, and a checkpoint at
    the end of an epoch may lack the validation that follows. ``rows`` of ``stats.json`` are none of later
    steps; ``is_complete(row)`` tells whether all that follows the steps of its epoch is done too.
    """
    epochs = [row for row in rows if row["epoch_num"] >= 1]
    if epochs and epochs[-1][_STEP] == step and not is_complete(epochs[-1]):
        return epochs[-1]["epoch_num"], 0
    last_epoch, last_step = (epochs[-1]["epoch_num"], epochs[-1][_STEP]) if epochs else (0, 0)
    return last_epoch + 1, max(0, steps - (step - last_step))


def find_resume_point(
    folder: str, recipe: Recipe, is_complete: Callable[[Row], bool]
) -> ResumePoint:
    """Find where the training in a log folder continues: at the beginning if it has no checkpoint.

    For ``is_complete`` see :func:`locate_step`.

    Raises:
        UserError: a damaged checkpoint, one of another network, or damaged statistics.
    """
    prefix = last_checkpoint(folder)
    if prefix is None:
        logger.info("Nothing to resume in %s: starting from the first epoch.", folder)
        return ResumePoint(recipe.steps)
    checkpoint = open_checkpoint(prefix)
    if _STEP not in checkpoint.shapes:
        raise UserError(f"{prefix}: has no {_STEP}; expected a checkpoint of a training")
    step = int(checkpoint.read(_STEP))
    rows = [row for row in read_rows(folder) if row[_STEP] <= step]
    epoch, left = locate_step(step, rows, recipe.steps, is_complete)
    if epoch <= recipe.epochs:
        wanted = network_variables(get_backbone(recipe.mode), recipe.options)
        missing, mismatched = disagreements(wanted, checkpoint)
        if missing or mismatched:
            raise UserError(
                f"{prefix}: another network than --mode {recipe.mode} with these flags: "
                f"{first_of(mismatched or missing)}; expected the flags that the run began with"
            )
        # Read in full, so that damage is reported before anything is written.
        for name in checkpoint.shapes:
            checkpoint.read(name)
    return ResumePoint(left, epoch, step, rows, prefix)


class Checkpointer(Callback):
    """Save the last state after every epoch, every few minutes, and when training stops early.

    A state with NaN or infinity is not saved: training ends, and the last good checkpoint stays.
    """

    def __init__(
        self, statistics: Statistics, minutes: Optional[float] = None, prefix: Optional[str] = None
    ) -> None:
        """Continue from the checkpoint ``prefix``, if any; ``minutes`` apart, save in mid-epoch too."""
        self.statistics = statistics
        self.prefix = prefix  # of the last checkpoint, or `None`
        self._seconds = float("inf") if minutes is None else 60.0 * minutes
        self._saved_at = time.time()
        statistics.early_stop.save = self.save

    def _setup_graph(self) -> None:
        variables = tf.global_variables()
        self._saver = tf.train.Saver(variables, max_to_keep=None)
        finite = [tf.reduce_all(tf.is_finite(v)) for v in variables if v.dtype.is_floating]
        self._is_finite = tf.reduce_all(tf.stack(finite))

    def save(self) -> None:
        """Save the current state, unless its checkpoint exists already."""
        self.statistics.write()
        folder = self.statistics.folder
        prefix = os.path.join(folder, f"{CHECKPOINT}-{self.global_step}")
        self._saved_at = time.time()
        if prefix == self.prefix:
            return
        session = tf.get_default_session()
        if not session.run(self._is_finite):
            self.fail(
                f"step {self.global_step}: weights or optimizer state are no longer finite numbers"
            )
        try:
            self._saver.save(session, prefix, write_meta_graph=False, write_state=False)
            for path in checkpoint_files(prefix):
                _flush(path)
            line = f'"{os.path.basename(prefix)}"\n'
            state = f"model_checkpoint_path: {line}all_model_checkpoint_paths: {line}"
            write_atomically(os.path.join(folder, _STATE), state.encode("utf-8"))
        except (OSError, tf.errors.OpError, UserError) as error:
            if self.prefix:
                remove_leftovers(folder, self.prefix)
            reason = next((text for text in _DISK_ERRORS if text in str(error)), first_line(error))
            step = f"the checkpoint of step {self.global_step}"
            self.fail(f"{folder}: {step} cannot be written ({reason})")
        self.prefix = prefix
        remove_leftovers(folder, prefix)
        logger.info("Model saved to %s.", prefix)

    def fail(self, message: str) -> NoReturn:
        """Stop training immediately; the message goes on with which checkpoint is the last good one."""
        self.statistics.early_stop.fail(f"{message}; {self.describe()}")

    def describe(self) -> str:
        """Which checkpoint is the last good one, for messages."""
        if self.prefix is None:
            return "no checkpoint had been saved before"
        return f"the last good checkpoint is {self.prefix}"

    def _trigger_step(self) -> None:
        if time.time() - self._saved_at >= self._seconds:
            self.save()

    def _trigger(self) -> None:
        self.save()


class BestCheckpointer(Callback):
    """Copy the checkpoint with the lowest value of a statistic to ``min-<statistic>``."""

    def __init__(self, statistic: str, checkpointer: Checkpointer) -> None:
        """Start from the lowest value so far, which may be of a resumed run."""
        self._statistic = statistic
        self._checkpointer = checkpointer
        rows = checkpointer.statistics.rows
        self.best = min((row[statistic] for row in rows if statistic in row), default=float("inf"))

    def _trigger(self) -> None:
        history: List[Any] = self.trainer.monitors.get_history(self._statistic)
        source = self._checkpointer.prefix
        if not source or not history or history[-1][0] != self.global_step:
            return
        if not history[-1][1] < self.best:
            return
        folder = os.path.dirname(source)
        target = os.path.join(folder, "min-" + self._statistic)
        try:
            for old, new in zip(checkpoint_files(source), checkpoint_files(target)):
                shutil.copyfile(old, new + ".copy")
                _flush(new + ".copy")
            for new in checkpoint_files(target):
                os.replace(new + ".copy", new)
        except OSError as error:
            remove_leftovers(folder)
            self._checkpointer.fail(f"{target} cannot be written ({error.strerror or error})")
        self.best = history[-1][1]
        logger.info("%s has the lowest %s so far, %.5g.", target, self._statistic, self.best)
