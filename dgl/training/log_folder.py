"""``train_log/<name>``: one training at a time; an earlier one is moved aside, never written over."""

import fcntl
import logging
import os
from typing import Optional

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training.checkpointing import remove_leftovers

from tensorpack.utils import logger  # isort: skip

LOG_ROOT = "train_log"
_LOCK = ".lock"


def log_folder(name: str) -> str:
    """Path of the log folder ``name``."""
    return os.path.join(LOG_ROOT, name)


class LogFolder:
    """A log folder that this process writes to; a context manager that holds it against other trainings.

    Attributes:
        path: the folder.
    """

    def __init__(self, name: str, resume: bool):
        """Make the folder, and tensorpack's log file in it.

        Args:
            name: below ``train_log/``.
            resume: whether an earlier run in it goes on; otherwise it is moved aside.

        Raises:
            UserError: the folder cannot be made, or another training is running in it.
        """
        self.path = log_folder(name)
        # A log line that cannot be written is no reason for a traceback in the middle of training.
        logging.raiseExceptions = False
        try:
            self._hold(name)
            logger.set_logger_dir(self.path, action="k" if resume else "b")
            # Moved aside together with the earlier run, or not there at all.
            self._hold(name)
            remove_leftovers(self.path)
        except OSError as error:
            self.close()
            # Tensorpack has dropped the file before, and would trip over that the next time.
            logger._FILE_HANDLER = None
            raise UserError(f"--logdir {name}: {error}") from None

    _lock: Optional[int] = None

    def _hold(self, name):
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
        """Let others use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
