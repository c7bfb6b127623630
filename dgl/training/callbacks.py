"""Tensorpack callbacks: failures, finite loss, validation intervals, the console's line for each epoch.

Tensorpack callbacks of the recipe: watching the loss and the images, validation now and then.
"""

import time
from typing import Callable, Dict, Mapping, Optional

import numpy as np

from dgl.data.flows import FailureKeeper
from dgl.tf_compat import tf
from dgl.training.attention_callback import GT_KNOWN
from dgl.training.early_stop import Halting, Reason

from tensorpack.callbacks import Callback, ProxyCallback  # isort: skip
from tensorpack.callbacks.monitor import MonitorBase  # isort: skip
from tensorpack.utils import logger  # isort: skip


class StopOnFailure(Callback):
    """End training as soon as the training images come to an end by a failure."""

    _chief_only = False

    def __init__(self, flow: FailureKeeper, halting: Halting, towers: int = 1):
        self._flow = flow
        self._halting = halting
        self._towers = towers
        self._steps = 0

    def _trigger_step(self):
        self._steps += 1
        if self._flow.error is not None:
            # After the failure the flow repeats its last point: such a step is not worth keeping.
            steps = self._steps + self._halting.delay
            sound = steps * self._towers <= self._flow.given
            self._halting.ask(Reason(str(self._flow.error), keeps=sound))


class FiniteLoss(Callback):
    """End training at the first step whose loss, on any tower, is not a finite number."""

    _chief_only = False

    def __init__(self, halting: Halting, describe: Callable[[], str]):
        """Prepare; ``describe()`` says which checkpoint is the last good one."""
        self._halting = halting
        self._describe = describe

    def _before_train(self):
        towers = self.trainer.towers.training()
        self._costs = [tower["cost"] for tower in towers]

    def _before_run(self, _):
        return tf.train.SessionRunArgs(self._costs)

    def _after_run(self, _, run_values):
        if not np.all(np.isfinite(run_values.results)):
            bad = next(cost for cost in run_values.results if not np.isfinite(cost))
            self._halting.ask(
                Reason(
                    f"step {self.global_step} (epoch {self.epoch_num}): the loss is {bad}; {self._describe()}; expected a smaller --base-lr, or weights "
                    "and images that are sound"
                )
            )


class EveryEpochs(ProxyCallback):
    """Trigger a callback every ``period`` epochs and at the last one, so that no run goes unmeasured."""

    def __init__(self, callback: Callback, period: int):
        super().__init__(callback)
        self._period = period

    def _trigger_epoch(self):
        if is_due(self.epoch_num, self._period, self.trainer.max_epoch):
            self.cb.trigger()


def is_due(epoch: int, period: int, last: int) -> bool:
    """Whether what is done every ``period`` epochs and after the last one follows epoch ``epoch``."""
    return epoch % period == 0 or epoch == last


class FirstEpoch(Callback):
    """Gives the first epoch of a run that goes on only the steps that are left of it."""

    _chief_only = False

    def __init__(self, left: int):
        self._left = left

    def _before_train(self):
        self._whole = self.trainer.loop.steps_per_epoch
        self.trainer.loop.steps_per_epoch = self._left

    def _after_epoch(self):
        self.trainer.loop.steps_per_epoch = self._whole


# What an epoch came to, for people: one line on the console, and images a second.

THROUGHPUT = "pictures-per-second"
_MINUTE, _HOUR, _DAY = 60, 60 * 60, 24 * 60 * 60

# statistic -> how the line tells it, in its order
_TOLD = {
    "xentropy-loss": "loss {:.3f}".format,
    "train-error-top1": lambda value: f"train-error {100 * value:.1f} %",
    "val-error-top1": lambda value: f"val-error {100 * value:.1f} %",
    GT_KNOWN: lambda value: f"GT-known {100 * value:.1f} %",
    "learning_rate": "lr {:.3g}".format,
    THROUGHPUT: "{:.3g} pictures/s".format,
}


class Throughput(Callback):
    """The scalar ``pictures-per-second``: over the steps of an epoch, without what follows them."""

    def __init__(self, batch: int):
        """Prepare; ``batch`` is the images of a step, of all towers and processes."""
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
        parts.append(f"about {duration(seconds_left)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Such as ``45 s``, ``12 min``, ``1 h 12 min`` or ``2 d 3 h``: as exact as an estimate is."""
    if seconds < _MINUTE:
        return f"{max(1, int(seconds))} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    return f"{int(seconds // _DAY)} d {int(seconds % _DAY // _HOUR)} h"
