"""Ending a training before its last epoch, in order: who asks for it, and when it happens.

Whatever goes wrong or asks for an end (a signal, a loss that is no number, a process that decodes and is
gone, a disk that is full) leaves a :class:`Reason` here; training stops at the end of the step, so that
what is kept is the state after whole steps.
"""

import signal
import threading
from typing import Any, Callable, Dict, NamedTuple, NoReturn, Optional

from dgl.tf_compat import tf

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.train import StopTraining  # isort: skip

_NAMES = {signal.SIGINT: "Ctrl-C"}


class Reason(NamedTuple):
    """Why a training ends early.

    Attributes:
        message: one line.
        exit_code: of the process: 1 for an error, 128 + N for signal N.
        keeps: whether the state of this moment is sound and worth keeping.
    """

    message: str
    exit_code: int = 1
    keeps: bool = False


class Halting(Callback):
    """Ends training at the end of the step in which it is asked to, and keeps the state where it is sound.

    While training runs, SIGINT (Ctrl-C), SIGTERM and SIGHUP ask for that; the same signal once more does
    what it does to any program.

    Attributes:
        reason: :class:`Reason`, or ``None`` as long as nobody asked. The first one counts.
    """

    _chief_only = False
    delay = 0  # steps from a request to the end
    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.reason: Optional[Reason] = None
        self._keep: Optional[Callable[[], Any]] = None
        self._earlier: Dict[int, Any] = {}

    def keep_with(self, keep: Callable[[], Any]) -> None:
        """Have ``keep()`` called when training ends in a state that is worth keeping."""
        self._keep = keep

    def ask(self, reason: Reason) -> None:
        """Ask for an end; safe in signal handlers and threads."""
        if self.reason is None:
            self.reason = reason

    def fail(self, message: str) -> NoReturn:
        """End training at once, keeping nothing more; to be called in the trainer's own callbacks."""
        self.ask(Reason(message))
        raise StopTraining(message)

    def stop_if_asked(self) -> None:
        """Raise ``StopTraining`` when somebody asked for it, between two steps."""
        if self.reason is None:
            return
        if self.reason.keeps and self._keep is not None:
            self._keep()
        raise StopTraining(self.reason.message)

    def _on_signal(self, number, _):
        signal.signal(number, self._earlier[number])
        name = _NAMES.get(number, signal.Signals(number).name)
        self.ask(Reason("stopped by " + name, 128 + number, keeps=True))

    def _before_train(self):
        if threading.current_thread() is not threading.main_thread():
            return  # Python gives signals to the main thread alone
        for number in self.SIGNALS:
            # What is ignored, as `nohup` has it, stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._earlier[number] = signal.signal(number, self._on_signal)

    def _trigger_step(self):
        self.stop_if_asked()

    def _after_train(self):
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
