"""Checkpoints of a training: each is there completely, checked and on the disk before the last one goes.

Order of a save: TensorFlow writes data and index under temporary names and renames them; both are flushed
to the disk; the file ``checkpoint`` is replaced to name them; only then is the checkpoint before removed.
Whenever a process ends, ``checkpoint`` names files that are whole.
"""

import glob
import os
import re
import shutil
import time
from typing import Optional, Tuple

from dgl.errors import UserError, first_line
from dgl.tf_compat import tf
from dgl.training.early_stop import Halting
from dgl.training.statistics import Statistics
from dgl.utils.files import write_atomically

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.utils import logger  # isort: skip

_NAME = "model"
_STATE = "checkpoint"
_INDEX, _DATA = ".index", ".data-00000-of-00001"
_NUMBERED = re.compile(_NAME + r"-(\d+)\.index$")
# Of a save that did not come to its end: TensorFlow's names, ours, and those of a copy.
_LEFTOVERS = ("*.tempstate*", _NAME + "-*_temp*", ".*.tmp", "*.copy")


def parts_of(prefix: str) -> Tuple[str, str]:
    """The two files of a checkpoint."""
    return prefix + _DATA, prefix + _INDEX


def last_checkpoint(folder: str) -> Optional[str]:
    """Prefix of the last whole checkpoint in a log folder, or ``None``.

    It is the one that ``checkpoint`` names; where that file is gone or damaged, the one of most steps.
    """
    try:
        # Opening a pipe would wait for somebody to write to it.
        is_file = os.path.isfile(os.path.join(folder, _STATE))
        state = tf.train.get_checkpoint_state(folder) if is_file else None
        named = os.path.basename(state.model_checkpoint_path) if state else ""
    except (ValueError, tf.errors.OpError):
        named = ""
    whole = {}
    for path in glob.glob(os.path.join(glob.escape(folder), _NAME + "-*" + _INDEX)):
        numbered, prefix = _NUMBERED.search(path), path[: -len(_INDEX)]
        if numbered and os.path.exists(prefix + _DATA):
            whole[int(numbered.group(1))] = prefix
    for prefix in whole.values():
        if os.path.basename(prefix) == named:
            return prefix
    return whole[max(whole)] if whole else None


def remove_leftovers(folder: str, keep: Optional[str] = None) -> None:
    """Remove what unfinished saves left and, given the ``keep`` prefix, all other numbered checkpoints."""
    patterns = list(_LEFTOVERS) + ([_NAME + "-*"] if keep else [])
    for pattern in patterns:
        for path in glob.glob(os.path.join(glob.escape(folder), pattern)):
            if keep and path in parts_of(keep):
                continue
            try:
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
            except OSError as error:
                logger.warning("%s cannot be removed: %s", path, error.strerror)


def _flush(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Keeper(Callback):
    """Keeps the state after every epoch, every so many minutes, and when it is asked to: the last one only.

    A state with NaN or infinity in it is not kept; training ends, and the last good checkpoint stays.

    Attributes:
        prefix: of the checkpoint that is there, or ``None``.
    """

    def __init__(
        self,
        folder: str,
        statistics: Statistics,
        halting: Halting,
        minutes: Optional[float] = None,
        prefix: Optional[str] = None,
    ):
        """Prepare.

        Args:
            folder: the log folder.
            statistics: :class:`~dgl.training.statistics.Statistics`; its file is written first.
            halting: :class:`~dgl.training.early_stop.Halting`, told when a checkpoint cannot be written.
            minutes: also keep the state in mid-epoch once so many have passed, or ``None``.
            prefix: checkpoint that training goes on from.
        """
        self._folder = folder
        self._statistics = statistics
        self._halting = halting
        self._seconds = float("inf") if minutes is None else 60.0 * minutes
        self._saved_at = time.time()
        self.prefix = prefix
        halting.keep_with(self.keep)

    def _setup_graph(self):
        variables = tf.global_variables()
        self._saver = tf.train.Saver(variables, max_to_keep=None)
        finite = [tf.reduce_all(tf.is_finite(v)) for v in variables if v.dtype.is_floating]
        self._is_finite = tf.reduce_all(tf.stack(finite))

    def keep(self) -> None:
        """Keep the present state, unless it is there already."""
        self._statistics.keep()
        prefix = os.path.join(self._folder, f"{_NAME}-{self.global_step}")
        self._saved_at = time.time()
        if prefix == self.prefix:
            return
        session = tf.get_default_session()
        if not session.run(self._is_finite):
            self._halting.fail(
                f"step {self.global_step}: weights or optimizer state are no longer finite numbers; {self.describe()}"
            )
        try:
            self._saver.save(session, prefix, write_meta_graph=False, write_state=False)
            for path in parts_of(prefix):
                _flush(path)
            line = f'"{os.path.basename(prefix)}"\n'
            state = f"model_checkpoint_path: {line}all_model_checkpoint_paths: {line}"
            write_atomically(os.path.join(self._folder, _STATE), state.encode("utf-8"))
        except (OSError, tf.errors.OpError, UserError) as error:
            if self.prefix:
                remove_leftovers(self._folder, self.prefix)
            self._halting.fail(
                f"{self._folder}: the checkpoint of step {self.global_step} cannot be written ({_reason(error)}); {self.describe()}"
            )
        self.prefix = prefix
        remove_leftovers(self._folder, prefix)
        logger.info("Model saved to %s.", prefix)

    def describe(self) -> str:
        """str: which checkpoint is the last good one."""
        if self.prefix is None:
            return "no checkpoint had been kept before"
        return f"the last good checkpoint is {self.prefix}"

    def _trigger_step(self):
        if time.time() - self._saved_at >= self._seconds:
            self.keep()

    def _trigger(self):
        self.keep()


def _reason(error):
    text = str(error)
    for known in ("No space left on device", "Disk quota exceeded", "File too large"):
        if known in text:
            return known
    return first_line(error)


class BestKeeper(Callback):
    """Keeps a copy of the checkpoint with the least value of a statistic, across interruptions."""

    def __init__(self, statistic: str, keeper: Keeper, statistics: Statistics, halting: Halting):
        """Prepare; the best value so far is the least one in the statistics.

        Args:
            statistic: name.
            keeper: :class:`Keeper`, whose checkpoint is copied.
            statistics: :class:`~dgl.training.statistics.Statistics`.
            halting: :class:`~dgl.training.early_stop.Halting`, told when the copy cannot be written.
        """
        self._statistic = statistic
        self._keeper = keeper
        self._halting = halting
        self.best = min(
            (row[statistic] for row in statistics.rows if statistic in row), default=float("inf")
        )

    def _trigger(self):
        history = self.trainer.monitors.get_history(self._statistic)
        if not history or history[-1][0] != self.global_step or not history[-1][1] < self.best:
            return
        source = self._keeper.prefix
        target = os.path.join(os.path.dirname(source), "min-" + self._statistic)
        try:
            for old, new in zip(parts_of(source), parts_of(target)):
                shutil.copyfile(old, new + ".copy")
                _flush(new + ".copy")
            for new in parts_of(target):
                os.replace(new + ".copy", new)
        except OSError as error:
            remove_leftovers(os.path.dirname(source))
            self._halting.fail(
                f"{target} cannot be written ({error.strerror or error}); {self._keeper.describe()}"
            )
        self.best = history[-1][1]
        logger.info("%s has the least %s so far, %.5g.", target, self._statistic, self.best)
