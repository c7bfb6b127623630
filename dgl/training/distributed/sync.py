"""What ranks do in the same step: stop, when one of them wants to.

A rank that stops by itself leaves the others waiting in an exchange. So a wish travels with the step: every
``session.run`` of the training also takes the largest code over all ranks, which all then know after the
same step.
"""

from typing import cast

from dgl.tf_compat import tf
from dgl.training.distributed.ranks import Ranks
from dgl.training.early_stop import Halting, Reason

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.train import StopTraining  # isort: skip

# A reason as a number: its exit code, and more for a state that is not to be kept: the worst counts.
_UNSOUND = 1000
_ANOTHER = "another process of the run asked for the end, and told why"


class TogetherFlag(Callback):
    """A code from any rank, known to all after the same step.

    A process by itself exchanges nothing.

    Attributes:
        agreed: 0, or the largest code that a rank had requested before the last step or exchange.
    """

    _chief_only = False

    def __init__(self, ranks: Ranks):
        self._ranks = ranks
        self._wanted = self._told = 0
        self.agreed = 0

    def request(self, code: int) -> None:
        """Ask for a stop after the step that begins next; safe in signal handlers and threads.

        Args:
            code: int from 1 to 2**31 - 1; where several are requested, the largest counts.
        """
        if code < 1:
            raise ValueError(f"a code is 1 or more, not {code}")
        self._wanted = max(self._wanted, code)

    def exchange(self) -> None:
        """Learn of requests between two steps; all ranks have to call it, in the same order."""
        self._told = self._wanted
        if self._ranks.alone:
            self.agreed = self._told
        else:
            session = tf.get_default_session()
            self.agreed = int(session.run(self._largest, {self._mine: self._told}))

    def _setup_graph(self):
        if not self._ranks.alone:
            import horovod.tensorflow as hvd

            self._mine = tf.placeholder(tf.int32, [])
            self._largest = hvd.allreduce(self._mine, op=hvd.Max, name="dgl_together")

    def _before_run(self, _):
        self._told = self._wanted
        if self._ranks.alone:
            return None
        return tf.train.SessionRunArgs(self._largest, {self._mine: self._told})

    def _after_run(self, _, values):
        self.agreed = self._told if self._ranks.alone else int(values.results)


class JointHalting(Halting):
    """:class:`~dgl.training.early_stop.Halting` for one of several processes: all end after the same step.

    What one of them asks for in a step is told in the next one, after which all stop. The chief keeps the
    state, and the others wait for that: a launcher ends every process as soon as one has ended with an
    error.
    """

    delay = 1  # steps from a request to the end

    def __init__(self, ranks: Ranks):
        super().__init__()
        self._flag = TogetherFlag(ranks)
        self._ranks = ranks

    def ask(self, reason: Reason) -> None:
        """Ask for an end of all; safe in signal handlers and threads."""
        super().ask(reason)
        self._flag.request(code_of(cast(Reason, self.reason)))

    def stop_if_asked(self) -> None:
        """Raise ``StopTraining`` when a rank asked for it, between two steps; called by all alike."""
        self._flag.exchange()
        self._stop_if_agreed()

    def _stop_if_agreed(self):
        code = self._flag.agreed
        if not code:
            return
        if self.reason is None or code_of(self.reason) != code:
            self.reason = reason_of(code)
        if self.reason.keeps and self._ranks.chief and self._keep is not None:
            self._keep()
        self._flag.exchange()
        raise StopTraining(self.reason.message)

    def _setup_graph(self):
        self._flag.setup_graph(self.trainer)

    def _before_run(self, context):
        return self._flag.before_run(context)

    def _after_run(self, context, values):
        self._flag.after_run(context, values)

    def _trigger_step(self):
        self._stop_if_agreed()


def code_of(reason: Reason) -> int:
    """int, 1 or more: a :class:`~dgl.training.early_stop.Reason` as the number that travels."""
    return reason.exit_code + (0 if reason.keeps else _UNSOUND)


def reason_of(code: int) -> Reason:
    """The :class:`~dgl.training.early_stop.Reason` of a number that came from another rank."""
    return Reason(_ANOTHER, code % _UNSOUND, keeps=code < _UNSOUND)
