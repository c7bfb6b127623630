"""Tensorpack callbacks around an epoch: its length, how often to validate, its speed and summary line."""

import time
from typing import Dict

from dgl.training.attention_callback import GT_KNOWN

from tensorpack.callbacks import Callback, ProxyCallback  # isort: skip
from tensorpack.callbacks.monitor import MonitorBase  # isort: skip
from tensorpack.utils import logger  # isort: skip

THROUGHPUT = "pictures-per-second"  # a key of stats.json

_FORMATS = {
    "xentropy-loss": "loss {:.3f}",
    "train-error-top1": "train-error {:.1%}",
    "val-error-top1": "val-error {:.1%}",
    GT_KNOWN: "GT-known {:.1%}",
    "learning_rate": "lr {:.3g}",
    THROUGHPUT: "{:.3g} images/s",
}


def is_due(epoch: int, period: int, last: int) -> bool:
    """Whether what runs every ``period`` epochs and after the last one runs after epoch ``epoch``."""
    return epoch % period == 0 or epoch == last


class EveryEpochs(ProxyCallback):
    """Trigger a callback every ``period`` epochs and after the last one."""

    def __init__(self, callback: Callback, period: int) -> None:
        super().__init__(callback)
        self._period = period

    def _trigger_epoch(self) -> None:
        if is_due(self.epoch_num, self._period, self.trainer.max_epoch):
            self.cb.trigger()


class FirstEpoch(Callback):
    """Shorten the first epoch of a resumed run to the steps that are left of it."""

    _chief_only = False

    def __init__(self, left: int) -> None:
        self._left = left

    def _before_train(self) -> None:
        self._steps = self.trainer.loop.steps_per_epoch
        self.trainer.loop.steps_per_epoch = self._left

    def _after_epoch(self) -> None:
        self.trainer.loop.steps_per_epoch = self._steps


class Throughput(Callback):
    """Put the scalar ``pictures-per-second``, measured over the steps of an epoch.

    Unlike tensorpack's ``ThroughputTracker`` it puts none for a resumed epoch without steps.
    """

    def __init__(self, batch: int) -> None:
        """Prepare; ``batch`` is the number of images per step, over all towers and processes."""
        self._batch = batch

    def _before_epoch(self) -> None:
        self._steps = self.trainer.loop.steps_per_epoch
        self._start = time.time()

    def _after_epoch(self) -> None:
        seconds = time.time() - self._start
        if self._steps and seconds > 0:
            self.trainer.monitors.put_scalar(THROUGHPUT, self._steps * self._batch / seconds)


class EpochLine(MonitorBase):
    """Log a line such as ``epoch  3/30  loss 1.234  val-error 40.2%  lr 0.002  63 images/s``."""

    def __init__(self) -> None:
        self._values: Dict[str, float] = {}

    def process_scalar(self, name: str, val: float) -> None:
        """Take a scalar of this epoch."""
        self._values[name] = val

    def _trigger_epoch(self) -> None:
        last, values = self.trainer.max_epoch, self._values
        parts = ["epoch {:>{}}/{}".format(self.epoch_num, len(str(last)), last)]
        parts += [text.format(values[name]) for name, text in _FORMATS.items() if name in values]
        logger.info("  ".join(parts))
        self._values = {}
