"""Real trainings that are interrupted, killed or run out of disk space, and are resumed."""

import os
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from own_process import hear_signals
from small_trainings import load_last, train

from benchmarks.survival import Training
from dgl.errors import UserError

pytestmark = pytest.mark.slow

_MAX_SECONDS = 200  # for whatever is waited for


class Runs(Training):
    """Short runs of the real script, with two processes that decode."""

    steps, epochs = 10, 4

    def command(self, name):
        return [*super().command(name), "--workers", "2"]

    def start(self, name, *flags, before=()):
        """Start or resume a run in a process of its own."""
        return subprocess.Popen(
            [*before, *self.command(name), *map(str, flags)],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=hear_signals,
        )

    def resume(self, name, more=""):
        """Start or resume a run in this process, to its end."""
        train(self._folder, f"{' '.join(self.command(name)[2:])} {more}")

    def finish(self, process):
        """Wait for the end of a run: (exit code, output)."""
        text = process.communicate(timeout=_MAX_SECONDS)[0].decode("utf-8", "replace")
        assert "Traceback" not in text, text[-3000:]
        return process.returncode, text.replace("\r", "\n")

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


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the run ``whole``, and ``parts``, which is interrupted by Ctrl-C and SIGKILL."""
    runs = Runs(str(tmp_path_factory.mktemp("survival")))
    interrupt(runs, signal.SIGINT, "stopped by Ctrl-C; go on with --resume")
    interrupt(runs, signal.SIGKILL, "")
    runs.resume("parts")
    runs.resume("whole")
    return runs


def test_a_run_that_is_interrupted_again_and_again_loses_nothing(runs):
    """The result is equal to the bit."""
    expected, found = runs.results("whole"), runs.results("parts")
    assert list(expected) == list(found)
    assert [name for name in expected if expected[name] != found[name]] == []


def check_is_kept(runs, name, error, message):
    """A copy of the run ``whole`` was resumed and failed: its last good checkpoint is as before."""
    assert message in error
    assert f"the last good checkpoint is train_log/run{name}/model-40" in error
    np.testing.assert_equal(load_last(runs.out(name)), load_last(runs.out("whole")))
    assert not [n for n in os.listdir(runs.out(name)) if "tempstate" in n or "_temp" in n]


def test_a_full_disk_leaves_the_last_good_checkpoint(runs):
    """Files may not grow beyond 1 MB (2048 blocks of 512 bytes); a checkpoint has 2.5."""
    shutil.copytree(runs.out("whole"), runs.out("disk"))
    before = ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh"]
    code, text = runs.finish(runs.start("disk", "--epoch", 6, before=before))
    (line,) = re.findall("^error: .*", text, re.MULTILINE)
    assert code == 1
    check_is_kept(runs, "disk", line, "cannot be written (File too large)")


def test_a_loss_that_overflows_leaves_the_last_good_checkpoint(runs):
    shutil.copytree(runs.out("whole"), runs.out("loss"))
    with pytest.raises(UserError) as caught:
        runs.resume("loss", "--epoch 6 --base-lr 1e30 --save-minutes 60 --workers 0")
    check_is_kept(runs, "loss", str(caught.value), "step 42 (epoch 5): the loss is")


def test_a_killed_decoder_ends_the_run_with_one_line(runs):
    """It neither succeeds nor hangs, and leaves no process."""
    process = runs.start("decoder", "--save-minutes", 0.001, "--epoch", 1000)
    runs.wait_for_step("decoder", 1, process)
    decoders = descendants(process.pid)
    os.kill(decoders[-1], signal.SIGKILL)
    code, text = runs.finish(process)
    assert (code, len(decoders)) == (1, 2), text
    (error,) = re.findall("^error: .*", text, re.MULTILINE)
    assert "ended by itself" in error and "--resume" in error
    assert not any(os.path.exists(f"/proc/{decoder}") for decoder in decoders)
