"""``train_log/<name>``, the folder of a training: its lock, the names of its files and ``stats.json``.

``stats.json`` has one row per epoch, in the format of tensorpack's ``JSONWriter``. :class:`Statistics`
also replaces the file atomically, completes rows later, keeps those of a resumed run, and stops
training if the file cannot be written.
"""

import fcntl
import glob
import json
import logging
import os
import shutil
from typing import Any, Dict, Iterable, List, Optional, Tuple

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


class LogFolder:
    """Context manager that creates a log folder and locks it against other trainings.

    Attributes:
        path: the folder.
    """

    def __init__(self, name: str, resume: bool) -> None:
        """Make the folder, moving an earlier run aside unless it is resumed, and a log file in it.

        Raises:
            UserError: the folder cannot be made, or another training is running in it.
        """
        self.path = log_folder(name)
        self._lock: Optional[int] = None
        # A full disk ends training with one line, not with a traceback of the logger.
        logging.raiseExceptions = False
        try:
            self._acquire(name)
            logger.set_logger_dir(self.path, action="k" if resume else "b")
            # Again: the locked file was moved aside with the earlier run, or was not there.
            self._acquire(name)
            remove_leftovers(self.path)
        except OSError as error:
            self.close()
            # Tensorpack has closed the file, and would fail on it in the next training of this process.
            logger._FILE_HANDLER = None
            raise UserError(f"--logdir {name}: {error}") from None

    def _acquire(self, name: str) -> None:
        self.close()
        if not os.path.isdir(self.path):
            return
        self._lock = os.open(os.path.join(self.path, _LOCK), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UserError(
                f"--logdir {name}: another training is running in {self.path}; expected another name"
            ) from None
        except OSError:
            return  # a file system without locks

    def close(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> "LogFolder":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


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


class Statistics(MonitorBase):
    """Collect scalars and write one row per epoch.

    Attributes:
        rows: list of dict, the rows written so far.
    """

    _chief_only = True

    def __init__(self, folder: str, rows: Iterable[Row], early_stop: EarlyStop) -> None:
        """Continue the ``rows`` of earlier epochs in a log folder."""
        self.rows = list(rows)
        self._path = os.path.join(folder, FILE_NAME)
        self._early_stop = early_stop
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
            write_atomically(self._path, json.dumps(self.rows).encode("utf-8"))
        except UserError as error:
            self._early_stop.fail(str(error))

    def _trigger(self) -> None:
        self.write()
