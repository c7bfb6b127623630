"""Trainings of the real script in a folder of its own, to be disturbed and to go on."""

import subprocess
import time

from own_process import hear_signals

from benchmarks.survival import Training
from dgl.training.checkpointing import last_checkpoint
from dgl.weights import open_checkpoint

_LONGEST = 200  # seconds for whatever is waited for


class Runs(Training):
    """:class:`benchmarks.survival.Training` with flags to add, and two processes that decode."""

    steps, epochs = 6, 6

    def __init__(self, folder):
        self.folder = str(folder)
        super().__init__(self.folder)

    def start(self, name, *flags, **options):
        """Start or resume a run; the process, its output piped."""
        command = self.command(name) + ["--workers", "2"] + [str(flag) for flag in flags]
        return subprocess.Popen(
            options.pop("before", []) + command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=hear_signals,
            **options,
        )

    def finish(self, name, *flags, **options):
        """Run to the end; (exit code, what it printed)."""
        process = self.start(name, *flags, **options)
        text = process.communicate(timeout=_LONGEST)[0].decode("utf-8", "replace")
        return process.returncode, text

    def last(self, name):
        """Variable name -> array of a run's last checkpoint."""
        checkpoint = open_checkpoint(last_checkpoint(self.out(name)))
        return {variable: checkpoint.read(variable) for variable in checkpoint.shapes}

    def wait_for_step(self, name, step, process):
        """Until a run has kept a checkpoint of at least ``step`` steps."""
        end = time.time() + _LONGEST
        while self.progress(name) < step:
            assert process.poll() is None and time.time() < end, process.communicate()[0][-3000:]
            time.sleep(0.01)


def error_lines(text):
    """The lines that `run_script` prints on an error."""
    return [line for line in text.replace("\r", "\n").split("\n") if line.startswith("error: ")]
