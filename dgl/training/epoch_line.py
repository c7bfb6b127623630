"""What an epoch came to, for people: one line on the console, and pictures a second."""

import time
from collections import OrderedDict
from typing import Dict, Mapping, Optional

from dgl.tf_compat import tf  # noqa: F401  (chosen before tensorpack loads TensorFlow)
from dgl.training.watching import GT_KNOWN

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.callbacks.monitor import MonitorBase  # isort: skip
from tensorpack.utils import logger  # isort: skip

THROUGHPUT = "pictures-per-second"
_MINUTE, _HOUR, _DAY = 60, 60 * 60, 24 * 60 * 60

# statistic -> how the line tells it, in its order
_TOLD = OrderedDict(
    [
        ("xentropy-loss", "loss {:.3f}".format),
        ("train-error-top1", lambda value: "train-error {:.1f} %".format(100 * value)),
        ("val-error-top1", lambda value: "val-error {:.1f} %".format(100 * value)),
        (GT_KNOWN, lambda value: "GT-known {:.1f} %".format(100 * value)),
        ("learning_rate", "lr {:.3g}".format),
        (THROUGHPUT, "{:.3g} pictures/s".format),
    ]
)


class Throughput(Callback):
    """The scalar ``pictures-per-second``: over the steps of an epoch, without what follows them."""

    def __init__(self, batch: int):
        """Prepare; ``batch`` is the pictures of a step, of all towers and processes."""
        self._batch = batch

    def _before_epoch(self):
        self._steps = self.trainer.loop.steps_per_epoch
        self._start = time.time()

    def _after_epoch(self):
        seconds = time.time() - self._start
        if self._steps and seconds > 0:
            self.trainer.monitors.put_scalar(THROUGHPUT, self._steps * self._batch / seconds)


class EpochLine(MonitorBase):
    """Logs a line an epoch: its statistics, and how long the rest of the training will take."""

    def __init__(self, steps: int):
        """Prepare; ``steps`` is those of a whole epoch."""
        self._steps = steps
        self._values: Dict[str, float] = {}
        self._done = 0

    def process_scalar(self, name: str, val: float) -> None:
        """Take a scalar of this epoch."""
        self._values[name] = val

    def _before_train(self):
        self._start = time.time()

    def _trigger_step(self):
        self._done += 1

    def _trigger_epoch(self):
        left = None
        if self._done:
            rest = (self.trainer.max_epoch - self.epoch_num) * self._steps
            left = (time.time() - self._start) / self._done * rest
        logger.info(epoch_line(self.epoch_num, self.trainer.max_epoch, self._values, left))
        self._values = {}


def epoch_line(
    epoch: int, last: int, values: Mapping[str, float], seconds_left: Optional[float] = None
) -> str:
    """Such as ``epoch 3/30  loss 1.234  val-error 40.2 %  lr 0.002  63 pictures/s  about 2 min left``.

    Args:
        epoch: its number, counted from 1.
        last: the number of the last epoch.
        values: statistic -> value; what is missing is left out.
        seconds_left: until the end of the training, or ``None`` where nobody knows.
    """
    parts = ["epoch {:>{}}/{}".format(epoch, len(str(last)), last)]
    parts += [tell(values[name]) for name, tell in _TOLD.items() if name in values]
    if seconds_left and epoch < last:
        parts.append("about {} left".format(duration(seconds_left)))
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Such as ``45 s``, ``12 min``, ``1 h 12 min`` or ``2 d 3 h``: as exact as an estimate is."""
    if seconds < _MINUTE:
        return "{} s".format(max(1, int(seconds)))
    if seconds < _HOUR:
        return "{} min".format(int(seconds // _MINUTE))
    if seconds < _DAY:
        return "{} h {} min".format(int(seconds // _HOUR), int(seconds % _HOUR // _MINUTE))
    return "{} d {} h".format(int(seconds // _DAY), int(seconds % _DAY // _HOUR))
