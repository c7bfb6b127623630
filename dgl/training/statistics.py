"""``stats.json``: a row an epoch, in the format of tensorpack's ``JSONWriter``.

Beyond it: a row can be completed later, so that what a step gave is on disk before its checkpoint is; the
file changes at once or not at all; and what cannot be written ends training.
"""

import json
import os
from typing import Any, Dict, Iterable, List, Sequence

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training.early_stop import Halting
from dgl.utils.files import read_bounded, write_atomically

from tensorpack.callbacks.monitor import JSONWriter, MonitorBase  # isort: skip

FILE_NAME = JSONWriter.FILENAME
_EPOCH, _STEP = "epoch_num", "global_step"
_MOST_BYTES = 1 << 28


def read_rows(folder: str) -> List[Dict[str, Any]]:
    """The rows in a log folder, oldest first; none where there is no file.

    Returns:
        list of dict; each has ``epoch_num`` and ``global_step``.

    Raises:
        UserError: the file is damaged, or no file.
    """
    path = os.path.join(folder, FILE_NAME)
    data = read_bounded(path, _MOST_BYTES, "the statistics of a training")
    if data is None:
        return []
    try:
        rows = json.loads(data.decode("utf-8"))
        for row in rows:
            row[_EPOCH], row[_STEP] = int(row[_EPOCH]), int(row[_STEP])
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(
            "{}: damaged ({}); expected the statistics of a training, move it away to go on "
            "without".format(path, str(error).split("\n")[0])
        ) from None
    return rows


class Statistics(MonitorBase):
    """Collects scalars and keeps them, a row an epoch.

    Attributes:
        rows: list of dict, what has been kept.
    """

    _chief_only = True

    def __init__(self, folder: str, rows: Iterable[Dict[str, Any]], halting: Halting):
        """Go on from earlier rows.

        Args:
            folder: the log folder.
            rows: list of dict, of epochs before.
            halting: :class:`~dgl.training.early_stop.Halting`, told when the file cannot be written.
        """
        self.rows = list(rows)
        self._folder = folder
        self._halting = halting
        self._pending: Dict[str, float] = {}

    def process_scalar(self, name: str, val: float) -> None:
        """Take a scalar of this epoch."""
        self._pending[name] = val

    def keep(self) -> None:
        """Write what has come since the last time."""
        if not self._pending:
            return
        if not self.rows or self.rows[-1][_EPOCH] != self.epoch_num:
            self.rows.append({})
        self.rows[-1].update(self._pending)
        self.rows[-1].update({_EPOCH: self.epoch_num, _STEP: self.global_step})
        self._pending = {}
        try:
            write_rows(self._folder, self.rows)
        except UserError as error:
            self._halting.fail(str(error))

    def _trigger(self):
        self.keep()


def write_rows(folder: str, rows: Sequence[Dict[str, Any]]) -> None:
    """Write ``stats.json``.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    write_atomically(os.path.join(folder, FILE_NAME), json.dumps(rows).encode("utf-8"))
