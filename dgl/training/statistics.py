"""``stats.json``: one row per epoch, in the format of tensorpack's ``JSONWriter``.

Unlike ``JSONWriter`` it replaces the file atomically, completes a row when more of an epoch is known, keeps
the rows of a resumed run, and stops training if the file cannot be written.
"""

import json
import os
from typing import Any, Dict, Iterable, List

from dgl.errors import UserError, first_line
from dgl.training.early_stop import EarlyStop
from dgl.utils.files import read_bounded, write_atomically

from tensorpack.callbacks.monitor import JSONWriter, MonitorBase  # isort: skip

FILE_NAME = JSONWriter.FILENAME
_EPOCH, _STEP = "epoch_num", "global_step"
_MAX_BYTES = 1 << 28

Row = Dict[str, Any]


def read_rows(folder: str) -> List[Row]:
    """Read the rows of a log folder, oldest first; none if there is no file.

    Returns:
        list of dict; each has ``epoch_num`` and ``global_step``.

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
