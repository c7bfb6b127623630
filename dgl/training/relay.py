"""Pass signals from ``horovodrun`` to a rank, and the rank's exit code back.

    horovodrun -np 4 python -m dgl.training.relay train_code/dgl_vgg.py --data DATA ...

On SIGTERM ``horovodrun`` signals the children of the shell that it started a rank with. A shell such as
bash replaces itself by the rank, which then is killed without a signal; behind this process it is a
child.
"""

import signal
import subprocess
import sys
from typing import Any, List, Optional, Sequence

_SIGNALS = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2


def relay(command: Sequence[str]) -> int:
    """Run a command, forwarding signals; returns its exit code, 128 + N if signal N ended it."""
    child: Optional[subprocess.Popen[bytes]] = None
    early: List[int] = []

    def forward(number: int, _: Any) -> None:
        early.append(number) if child is None else child.send_signal(number)

    for number in _SIGNALS:
        # A signal that is ignored, as under `nohup`, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    child = subprocess.Popen(command)
    for received in early:
        child.send_signal(received)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(relay([sys.executable] + sys.argv[1:]))
