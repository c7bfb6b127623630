"""Tensorpack callbacks of the recipe."""

from dgl.tf_compat import tf  # noqa: F401  (chosen before tensorpack loads TensorFlow)

from tensorpack.callbacks import Callback, JSONWriter, MinSaver, ProxyCallback  # isort: skip
from tensorpack.train import StopTraining  # isort: skip


class StopOnFailure(Callback):
    """Stop as soon as the training pictures come to an end by a failure."""

    def __init__(self, flow):
        self._flow = flow

    def _trigger_step(self):
        if self._flow.error is not None:
            raise StopTraining("its pictures failed")


class EveryEpochs(ProxyCallback):
    """Trigger a callback every ``period`` epochs and at the last one, so that no run goes unmeasured."""

    def __init__(self, callback, period):
        super(EveryEpochs, self).__init__(callback)
        self._period = period

    def _trigger_epoch(self):
        if self.epoch_num % self._period == 0 or self.epoch_num == self.trainer.max_epoch:
            self.cb.trigger()


class BestSaver(MinSaver):
    """Keep the checkpoint with the least value of a statistic, across interruptions.

    The best value of an interrupted run is read from the run's own ``stats.json``, so a worse epoch after
    a resume does not take its place.
    """

    def __init__(self, statistic):
        super(BestSaver, self).__init__(statistic)
        history = JSONWriter.load_existing_json() or []
        earlier = [(row["global_step"], row[statistic]) for row in history if statistic in row]
        if earlier:
            self.best = min(earlier, key=lambda item: item[1])
