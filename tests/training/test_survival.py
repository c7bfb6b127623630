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
from dgl.cli.parser import main
from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training.checkpointing import last_checkpoint
from dgl.weights import open_checkpoint

pytestmark = pytest.mark.slow

_MAX_SECONDS = 200  # for whatever is waited for


class Runs(Training):
    """Short runs of the real script, with two processes that decode."""

    steps, epochs = 5, 4

    def command(self, name):
        return [*super().command(name), "--workers", "2"]

    def start(self, name, *flags, before=()):
        """Start or resume a run."""
        return self.popen([*before, *self.command(name), *map(str, flags)])

    def popen(self, command, **options):
        """Start a command in the folder of the runs."""
        return subprocess.Popen(
            command,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=hear_signals,
            **options,
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


def descendants(process):
    """Ids of the processes below a process."""
    command = ["ps", "--ppid", str(process), "-o", "pid="]
    children = subprocess.run(command, stdout=subprocess.PIPE).stdout.split()
    return [p for child in map(int, children) for p in [child, *descendants(child)]]


def interrupt(runs, number, message):
    """Start or resume the run ``parts``, and end it by a signal when it has saved three more steps."""
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


# Trains once for each list of flags, in a new graph.
TRAIN = """
import runpy, sys
from dgl.tf_compat import tf
for flags in sys.argv[2:]:
    with tf.Graph().as_default():
        runpy.run_path(sys.argv[1])["main"](flags.split())
"""


@pytest.fixture(scope="module")
def runs(root, tmp_path_factory):
    """A folder with the run ``whole``, and ``parts``, which is interrupted by Ctrl-C and SIGKILL."""
    runs = Runs(str(tmp_path_factory.mktemp("survival")))
    interrupt(runs, signal.SIGINT, "stopped by Ctrl-C; go on with --resume")
    interrupt(runs, signal.SIGKILL, "")
    (python, script, *whole), (_, _, *parts) = runs.command("whole"), runs.command("parts")
    command = [python, "-c", TRAIN, script, " ".join(whole), " ".join(parts)]
    code, text = runs.finish(runs.popen(command, env={**os.environ, "PYTHONPATH": root}))
    assert code == 0, text[-3000:]
    return runs


def test_a_run_that_is_interrupted_again_and_again_loses_nothing(runs):
    """The result is equal to the bit."""
    expected, found = runs.results("whole"), runs.results("parts")
    assert list(expected) == list(found)
    assert [name for name in expected if expected[name] != found[name]] == []


@pytest.fixture
def check_failure(runs):
    """Resume a copy of the run ``whole`` by ``train(name)``, which returns the error of a failure."""

    def check(name, train, message):
        shutil.copytree(runs.out("whole"), runs.out(name))
        expected = runs.variables(name)
        error = train(name)
        assert message in error
        assert f"the last good checkpoint is train_log/run{name}/model-20" in error
        found = runs.variables(name)
        assert all(np.array_equal(expected[variable], found[variable]) for variable in expected)
        assert not [n for n in os.listdir(runs.out(name)) if "tempstate" in n or "_temp" in n]

    return check


def test_a_full_disk_leaves_the_last_good_checkpoint(runs, check_failure):
    """Files may not grow beyond 1 MB (2048 blocks of 512 bytes); a checkpoint has 2.5."""

    def train(name):
        before = ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh"]
        code, text = runs.finish(runs.start(name, "--epoch", 6, before=before))
        assert code == 1
        (line,) = [n for n in text.replace("\r", "\n").split("\n") if n.startswith("error: ")]
        return line

    check_failure("disk", train, "cannot be written (File too large)")


def test_a_loss_that_overflows_leaves_the_last_good_checkpoint(runs, check_failure, monkeypatch):
    def train(name):
        flags = "--epoch 6 --base-lr 1e30 --save-minutes 60 --workers 0".split()
        with pytest.raises(UserError) as caught, tf.Graph().as_default():
            main(["train", "--mode", "vgg", *runs.command(name)[2:], *flags])
        return str(caught.value)

    monkeypatch.chdir(os.path.dirname(os.path.dirname(runs.out("whole"))))
    check_failure("loss", train, "step 22 (epoch 5): the loss is")
