"""``train_log/<name>``: one training at a time; an earlier run is moved aside, never overwritten."""

import fcntl
import logging
import os
from typing import Any, Optional

from dgl.errors import UserError
from dgl.training.checkpointing import remove_leftovers

from tensorpack.utils import logger  # isort: skip

LOG_ROOT = "train_log"
_LOCK = ".lock"


def log_folder(name: str) -> str:
    """Path of the log folder ``name``."""
    return os.path.join(LOG_ROOT, name)


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
