"""Call test functions in separate processes."""

import os
import signal
import subprocess
import sys

_TESTS = os.path.dirname(os.path.abspath(__file__))
_CALL = "import importlib, sys; getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(*sys.argv[3:])"


def call(module, function, *arguments):
    """Call ``module.function(*arguments)``, strings all; what it raises is a failure with its traceback."""
    paths = [_TESTS, os.path.dirname(_TESTS), os.environ.get("PYTHONPATH")]
    done = subprocess.run(
        [sys.executable, "-c", _CALL, module, function] + list(arguments),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths))),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-4000:]


def hear_signals():
    """For ``preexec_fn``: Ctrl-C does what it does on a terminal, though tests that a shell runs in the
    background, and their children with them, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
