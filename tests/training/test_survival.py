"""Real trainings that are interrupted, killed or run out of disk space, and are resumed."""

import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from own_process import hear_signals

from benchmarks.survival import Training
from dgl.training.checkpointing import last_checkpoint
from dgl.weights import open_checkpoint

pytestmark = pytest.mark.slow

_MAX_SECONDS = 200  # for whatever is waited for


class Runs(Training):
    """Short runs of the real script, with two processes that decode."""

    steps, epochs = 5, 4

    def start(self, name, *flags, before=()):
        """Start or resume a run."""
        command = [*before, *self.command(name), "--workers", "2", *map(str, flags)]
        return subprocess.Popen(
            command,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=hear_signals,
        )

    def finish(self, process):
        """Wait for the end of a run: (exit code, output)."""
        text = process.communicate(timeout=_MAX_SECONDS)[0].decode("utf-8", "replace")
        assert "Traceback" not in text, text[-3000:]
        return process.returncode, text

    def variables(self, name):
        """Variable name -> array of a run's last checkpoint."""
        checkpoint = open_checkpoint(last_checkpoint(self.out(name)))
        return {variable: checkpoint.read(variable) for variable in checkpoint.shapes}

    def wait_for_step(self, name, step, process):
        """Wait until a run has saved a checkpoint of at least ``step`` steps."""
        end = time.time() + _MAX_SECONDS
        while self.progress(name) < step:
            assert process.poll() is None and time.time() < end, process.communicate()[0][-3000:]
            time.sleep(0.01)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the run ``whole``, which is not interrupted."""
    runs = Runs(str(tmp_path_factory.mktemp("survival")))
    code, text = runs.finish(runs.start("whole"))
    assert code == 0, text[-3000:]
    return runs


def descendants(process):
    """Ids of the processes below a process."""
    command = ["ps", "--ppid", str(process), "-o", "pid="]
    children = subprocess.run(command, stdout=subprocess.PIPE).stdout.split()
    return [p for child in map(int, children) for p in [child, *descendants(child)]]


def test_a_run_that_is_interrupted_again_and_again_loses_nothing(runs):
    """By Ctrl-C and SIGKILL; the result is equal to the bit."""
    interruptions = [
        (signal.SIGINT, "stopped by Ctrl-C; go on with --resume"),
        (signal.SIGKILL, ""),
    ]
    for number, message in interruptions:
        before = runs.progress("parts")
        process = runs.start("parts", "--save-minutes", 0.001)
        runs.wait_for_step("parts", before + 3, process)
        children = descendants(process.pid)
        process.send_signal(number)
        code, text = runs.finish(process)
        assert code == (-number if number == signal.SIGKILL else 128 + number)
        assert message in text
        assert before < runs.progress("parts") < runs.steps * runs.epochs
        if message:
            assert len(children) >= 2
            assert not any(os.path.exists(f"/proc/{child}") for child in children)
    assert runs.finish(runs.start("parts"))[0] == 0
    expected, found = runs.results("whole"), runs.results("parts")
    assert list(expected) == list(found)
    assert [name for name in expected if expected[name] != found[name]] == []


FAILURES = {
    # A learning rate that lets the loss overflow.
    "loss": (["--base-lr", "1e30", "--save-minutes", 60], [], "step 22 (epoch 5): the loss is"),
    # Files may not grow beyond 1 MB (2048 blocks of 512 bytes); a checkpoint has 2.5.
    "disk": ([], ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh"], "cannot be written (File too large)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_leaves_the_last_good_checkpoint(runs, name):
    flags, before, message = FAILURES[name]
    shutil.copytree(runs.out("whole"), runs.out(name))
    expected = runs.variables(name)
    code, text = runs.finish(runs.start(name, "--epoch", 6, *flags, before=before))
    (line,) = [n for n in text.replace("\r", "\n").split("\n") if n.startswith("error: ")]
    assert code == 1 and message in line
    assert f"the last good checkpoint is train_log/run{name}/model-20" in line
    found = runs.variables(name)
    assert all(np.array_equal(expected[variable], found[variable]) for variable in expected)
    assert not [n for n in os.listdir(runs.out(name)) if "tempstate" in n or "_temp" in n]
