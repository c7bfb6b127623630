"""Tensorpack callbacks of the recipe: watching the loss and the pictures, validation now and then."""

from typing import Callable

import numpy as np

from dgl.data.flows import FailureKeeper
from dgl.tf_compat import tf  # noqa: F401  (chosen before tensorpack loads TensorFlow)
from dgl.training.halt import Halting, Reason

from tensorpack.callbacks import Callback, ProxyCallback  # isort: skip


class StopOnFailure(Callback):
    """End training as soon as the training pictures come to an end by a failure."""

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
                    "step {} (epoch {}): the loss is {}; {}; expected a smaller --base-lr, or weights "
                    "and pictures that are sound".format(
                        self.global_step, self.epoch_num, bad, self._describe()
                    )
                )
            )


class EveryEpochs(ProxyCallback):
    """Trigger a callback every ``period`` epochs and at the last one, so that no run goes unmeasured."""

    def __init__(self, callback: Callback, period: int):
        super(EveryEpochs, self).__init__(callback)
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
