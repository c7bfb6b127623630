"""A process between ``horovodrun`` and a rank, which passes signals and the exit code on.

    horovodrun -np 4 python -m dgl.training.relay train_code/dgl_vgg.py --data DATA ...

On SIGTERM ``horovodrun`` asks the children of the shell that it started a rank with to end, and waits. A
shell such as bash replaces itself by the rank, whose children then are asked, and it itself is stopped at
once. With this process in the shell's or in the rank's place, the rank is asked either way.
"""

import signal
import subprocess
import sys
from typing import List, Optional, Sequence, Tuple

_PASSED_ON: Tuple[int, ...] = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def relay(command: Sequence[str]) -> int:
    """Run a command and pass on to it the signals that this process gets.

    Args:
        command: list of str.

    Returns:
        its exit code; 128 + N where signal N ended it.
    """
    child: Optional[subprocess.Popen] = None
    early: List[int] = []

    def pass_on(number, _):
        early.append(number) if child is None else child.send_signal(number)

    for number in _PASSED_ON:
        # What is ignored, as `nohup` has it, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    child = subprocess.Popen(command)
    for number in early:
        child.send_signal(number)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(relay([sys.executable] + sys.argv[1:]))
