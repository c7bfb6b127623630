"""The process that passes signals on, with a child that ends in order."""

import os
import signal
import subprocess
import sys

import pytest
from own_process import hear_signals

CHILD = """
import os, signal, sys, time
def end(number, frame):
    print("asked by", number, flush=True)
    sys.exit(40 + number)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, end)
os.write(1, b"ready\\n")  # not by print, which a signal must not interrupt to print
for _ in range(600):  # one that comes just before a sleep does not end it
    time.sleep(0.1)
"""


def relayed(root, code, *more):
    command = [sys.executable, "-m", "dgl.training.relay", "-c", code] + list(more)
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, preexec_fn=hear_signals)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_reaches_the_child_and_its_exit_code_comes_back(root, number):
    process = relayed(root, CHILD)
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, number)
    assert process.communicate()[0].decode() == f"asked by {int(number)}\n"
    assert process.returncode == 40 + number


@pytest.mark.parametrize("code", [0, 3, -signal.SIGKILL])
def test_exit_codes_and_arguments(root, code):
    echo = """
import os, sys
print(sys.argv[1], flush=True)
code = int(sys.argv[2])
sys.exit(code) if code >= 0 else os.kill(os.getpid(), -code)
"""
    process = relayed(root, echo, "a b", str(int(code)))
    assert process.communicate()[0] == b"a b\n"
    assert process.returncode == (code if code >= 0 else 128 - code)


def test_it_does_not_load_tensorflow(root):
    code = "import sys, dgl.training.relay; assert 'tensorflow' not in ' '.join(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
