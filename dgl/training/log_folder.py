"""``train_log/<name>``, the folder of a training: its lock, the names of its files and ``stats.json``.

``stats.json`` has one row per epoch, in the format of tensorpack's ``JSONWriter``. :class:`Statistics`
also replaces the file atomically, completes rows later, keeps those of a resumed run, and stops
training if the file cannot be written.
"""

import contextlib
import fcntl
import glob
import json
import logging
import os
import shutil
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from dgl.errors import UserError, first_line
from dgl.training.early_stop import EarlyStop
from dgl.utils.files import read_bounded, write_atomically

from tensorpack.utils import logger  # isort: skip
from tensorpack.callbacks.monitor import JSONWriter, MonitorBase  # isort: skip

LOG_ROOT = "train_log"
CHECKPOINT, INDEX = "model", ".index"  # checkpoints are model-STEP.index and a file of data
_DATA = ".data-00000-of-00001"
# Of an interrupted save: TensorFlow's temporary files, ours, and those of a copy.
_LEFTOVERS = ("*.tempstate*", CHECKPOINT + "-*_temp*", ".*.tmp", "*.copy")
_LOCK = ".lock"
FILE_NAME = JSONWriter.FILENAME
_EPOCH, _STEP = "epoch_num", "global_step"
_MAX_BYTES = 1 << 28
THROUGHPUT = "pictures-per-second"  # a key of the rows

Row = Dict[str, Any]


def log_folder(name: str) -> str:
    """Path of the log folder ``name``."""
    return os.path.join(LOG_ROOT, name)


def checkpoint_files(prefix: str) -> Tuple[str, str]:
    """The two files of a checkpoint."""
    return prefix + _DATA, prefix + INDEX


def remove_leftovers(folder: str, keep: Optional[str] = None) -> None:
    """Remove files of interrupted saves and, given the prefix ``keep``, all other numbered checkpoints."""
    for pattern in [*_LEFTOVERS, *([CHECKPOINT + "-*"] if keep else [])]:
        for path in glob.glob(os.path.join(glob.escape(folder), pattern)):
            if keep and path in checkpoint_files(keep):
                continue
            try:
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
            except OSError as error:
                logger.warning("%s cannot be removed: %s", path, error.strerror)


@contextlib.contextmanager
def open_log_folder(name: str, resume: bool) -> Iterator[str]:
    """Context of a log folder, locked against other trainings; an earlier run moves aside unless resumed.

    Yields:
        its path; tensorpack's log file is in it.

    Raises:
        UserError: the folder cannot be made, or another training is running in it.
    """
    path = log_folder(name)
    # A full disk ends training with one line, not with a traceback of the logger.
    logging.raiseExceptions = False
    with contextlib.ExitStack() as lock:
        try:
            with _locked(path, name):
                logger.set_logger_dir(path, action="k" if resume else "b")
            # Again: the locked file was moved aside with the earlier run, or was not there.
            lock.enter_context(_locked(path, name))
            remove_leftovers(path)
        except OSError as error:
            # Tensorpack has closed the file, and would fail on it in the next training of this process.
            logger._FILE_HANDLER = None
            raise UserError(f"--logdir {name}: {error}") from None
        yield path


@contextlib.contextmanager
def _locked(path: str, name: str) -> Iterator[None]:
    if not os.path.isdir(path):
        yield
        return
    with open(os.path.join(path, _LOCK), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"--logdir {name}: another training is running in {path}; expected another name"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield


def read_rows(folder: str) -> List[Row]:
    """Read the rows of a log folder, oldest first; none if there is no file.

    Each has ``epoch_num`` and ``global_step``.

    Raises:
        UserError: the file is damaged, or not a file.
    """
    path = os.path.join(folder, FILE_NAME)
    data = read_bounded(path, _MAX_BYTES, "the statistics of a training")
    if data is None:
        return []
    try:
        rows: List[Row] = json.loads(data.decode("utf-8"))
        for row in rows:
            row[_EPOCH], row[_STEP] = int(row[_EPOCH]), int(row[_STEP])
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{path}: damaged ({first_line(error)}); expected the statistics of a training, move it "
            "away to continue without"
        ) from None
    return rows


_LINE = {
    "xentropy-loss": "loss {:.3f}",
    "train-error-top1": "train-error {:.1%}",
    "val-error-top1": "val-error {:.1%}",
    "val-gt-known": "GT-known {:.1%}",
    "learning_rate": "lr {:.3g}",
    THROUGHPUT: "{:.1f} images/s",
}


class Statistics(MonitorBase):
    """Collect scalars, write one row per epoch, and log a line such as ``epoch  3/30  loss 1.234``."""

    _chief_only = True

    def __init__(self, folder: str, rows: Iterable[Row], early_stop: EarlyStop) -> None:
        self.rows = list(rows)  # written so far, after those of earlier epochs
        self.folder = folder
        self.early_stop = early_stop
        self._pending: Row = {}

    def process_scalar(self, name: str, val: float) -> None:
        """Take a scalar of this epoch."""
        self._pending[name] = val

    def write(self) -> None:
        """Write the scalars that are new since the last time."""
        if not self._pending:
            return
        if not self.rows or self.rows[-1][_EPOCH] != self.epoch_num:
            self.rows.append({})
        self.rows[-1].update(self._pending)
        self.rows[-1].update({_EPOCH: self.epoch_num, _STEP: self.global_step})
        self._pending = {}
        try:
            path = os.path.join(self.folder, FILE_NAME)
            write_atomically(path, json.dumps(self.rows).encode("utf-8"))
        except UserError as error:
            self.early_stop.fail(str(error))

    def _trigger_epoch(self) -> None:
        self.write()
        row, last = self.rows[-1], self.trainer.max_epoch
        parts = ["epoch {:>{}}/{}".format(self.epoch_num, len(str(last)), last)]
        parts += [text.format(row[name]) for name, text in _LINE.items() if name in row]
        logger.info("  ".join(parts))
