"""Stop training early: on a signal, a failure, or a loss that is not finite.

A request takes effect at the end of a step, so a checkpoint always holds the state after whole steps.
Several processes exchange requests at every step, so that all stop after the same one and none waits
for another's gradients.
"""

import signal
import threading
from typing import Any, Callable, Dict, NamedTuple, NoReturn, Optional

import numpy as np

from dgl.data.flows import FailureKeeper
from dgl.tf_compat import tf
from dgl.training.distributed import SINGLE, Ranks

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.train import StopTraining  # isort: skip

# Ranks exchange a reason as a number, of which the largest wins: its exit code, plus this if the state must
# not be saved.
_DO_NOT_SAVE = 1000
_OTHER_RANK = "another process of the run stopped and printed why"


class StopReason(NamedTuple):
    """Why training stops early."""

    message: str  # one line
    exit_code: int = 1  # of the process: 1 for an error, 128 + N for signal N
    save: bool = False  # whether the current state is sound, so that a checkpoint of it is saved


def code_of(reason: Optional[StopReason]) -> int:
    """The number by which ranks exchange a reason; 0 for none."""
    if reason is None:
        return 0
    return reason.exit_code + (0 if reason.save else _DO_NOT_SAVE)


class EarlyStop(Callback):
    """Stop training at the end of a step on request, such as by a signal, after saving a sound state.

    A second signal has its usual effect.
    """

    _chief_only = False
    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, ranks: Ranks = SINGLE) -> None:
        self.reason: Optional[StopReason] = None  # of the first request
        # Steps from a request to the stop: several processes first exchange requests.
        self.delay = 0 if ranks.single else 1
        self.save: Optional[Callable[[], Any]] = None  # called before a stop in a sound state
        self._ranks = ranks
        self._agreed = 0  # largest code of several ranks, exchanged with the last step
        self._previous_handlers: Dict[int, Any] = {}

    def request(self, reason: StopReason) -> None:
        """Request a stop; safe in signal handlers and threads."""
        if self.reason is None:
            self.reason = reason

    def fail(self, message: str) -> NoReturn:
        """Stop immediately without saving; only for the trainer's own callbacks."""
        self.request(StopReason(message))
        raise StopTraining(message)

    def stop_if_requested(self) -> None:
        """Raise ``StopTraining`` if a rank requested it; to be called equally often on all ranks."""
        self._stop_for(self._exchange())

    def _exchange(self) -> int:
        own = code_of(self.reason)
        if self._ranks.single:
            return own
        return int(tf.get_default_session().run(self._largest, {self._own: own}))

    def _stop_for(self, code: int) -> None:
        if not code:
            return
        if self.reason is None or code_of(self.reason) != code:
            self.reason = StopReason(_OTHER_RANK, code % _DO_NOT_SAVE, code < _DO_NOT_SAVE)
        if self.reason.save and self._ranks.chief and self.save is not None:
            self.save()
        # The launcher ends all processes as soon as one fails, so the others wait for the checkpoint.
        self._exchange()
        raise StopTraining(self.reason.message)

    def _on_signal(self, number: int, _: Any) -> None:
        signal.signal(number, self._previous_handlers[number])
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        self.request(StopReason("stopped by " + name, 128 + number, save=True))

    def _setup_graph(self) -> None:
        if not self._ranks.single:
            import horovod.tensorflow as hvd

            self._own = tf.placeholder(tf.int32, [])
            self._largest = hvd.allreduce(self._own, op=hvd.Max, name="dgl_early_stop")

    def _before_train(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Python delivers signals to the main thread only
        for number in self.SIGNALS:
            # A signal that is ignored, as under `nohup`, stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous_handlers[number] = signal.signal(number, self._on_signal)

    def _before_run(self, _: Any) -> Any:
        if self._ranks.single:
            return None
        return tf.train.SessionRunArgs(self._largest, {self._own: code_of(self.reason)})

    def _after_run(self, _: Any, values: Any) -> None:
        if not self._ranks.single:
            self._agreed = int(values.results)

    def _trigger_step(self) -> None:
        self._stop_for(code_of(self.reason) if self._ranks.single else self._agreed)

    def _after_train(self) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)


class StopOnDataFailure(Callback):
    """Stop training when the flow of training images has failed."""

    _chief_only = False

    def __init__(self, flow: FailureKeeper, early_stop: EarlyStop, towers: int = 1) -> None:
        self._flow = flow
        self._early_stop = early_stop
        self._towers = towers
        self._steps = 0

    def _trigger_step(self) -> None:
        self._steps += 1
        if self._flow.error is not None:
            # A failed flow repeats its last batch: a step on that is not worth saving.
            batches = (self._steps + self._early_stop.delay) * self._towers
            reason = StopReason(str(self._flow.error), save=batches <= self._flow.given)
            self._early_stop.request(reason)


class StopOnBadLoss(Callback):
    """Stop training at the first step with a loss, on any tower, that is NaN or infinite."""

    _chief_only = False

    def __init__(self, early_stop: EarlyStop, last_checkpoint: Callable[[], str]) -> None:
        """Prepare; ``last_checkpoint()`` describes the last good checkpoint."""
        self._early_stop = early_stop
        self._last_checkpoint = last_checkpoint

    def _before_train(self) -> None:
        self._costs = [tower["cost"] for tower in self.trainer.towers.training()]

    def _before_run(self, _: Any) -> Any:
        return tf.train.SessionRunArgs(self._costs)

    def _after_run(self, _: Any, values: Any) -> None:
        for cost in values.results:
            if not np.isfinite(cost):
                message = (
                    f"step {self.global_step} (epoch {self.epoch_num}): the loss is {cost}; "
                    f"{self._last_checkpoint()}; expected a smaller --base-lr, or sound weights and images"
                )
                self._early_stop.request(StopReason(message))
