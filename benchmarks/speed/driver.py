"""Start a process of a contender and exchange messages with it."""

import contextlib
import json
import os
import subprocess
import sys

import numpy as np

from dgl.errors import UserError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Worker:
    """A process of one library, which is asked and answers, one request at a time.

    Attributes:
        library: module of :mod:`benchmarks.speed.workers`.
        configuration: str, what the library chose for speed.
        chosen: the same for ``Setup.chosen``, or ``None`` where there is no choice.
    """

    def __init__(self, library, setup, log, environment=()):
        """Start it.

        Args:
            library: str.
            setup: :class:`benchmarks.speed.workers.Setup`.
            log: binary file for what the frameworks print.
            environment: variables to set, beside those that are.

        Raises:
            UserError: the process ended or could not do it.
        """
        self.library = library
        own = dict(os.environ, OMP_NUM_THREADS=str(setup.threads), CUDA_VISIBLE_DEVICES="")
        own.update(environment)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.workers", library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env=own,
        )
        try:
            answer = self.ask(do="setup", setup=setup._asdict())
            self.configuration, self.chosen = answer["configuration"], answer["chosen"]
        except BaseException:
            self.close()
            raise

    def ask(self, **request):
        """Send a request and wait for its answer, a dict.

        Raises:
            UserError: the process ended, or answers that something failed.
        """
        try:
            self._process.stdin.write((json.dumps(request) + "\n").encode("utf-8"))
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise UserError(f"contender {self.library}: its process ended by itself")
        answer = json.loads(line.decode("utf-8"))
        if "error" in answer:
            raise UserError("contender {}: {}".format(self.library, answer["error"]))
        return answer

    def time(self, case, classes, calls, warm_up, sized=False):
        """Seconds of calls; the answer of ``time`` in :mod:`benchmarks.speed.workers.__main__`."""
        return self.ask(
            do="time",
            case=case._asdict(),
            classes=classes,
            calls=calls,
            warm_up=warm_up,
            sized=sized,
        )

    def maps(self, case, classes, folder):
        """Name -> array of one call: ``maps`` and ``logits``, what there is of them."""
        path = os.path.join(folder, "answer.npz")
        self.ask(do="maps", case=case._asdict(), classes=classes, out=path)
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}

    def peak_megabytes(self):
        """Most memory that the process has held."""
        return self.ask(do="memory")["megabytes"]

    def close(self):
        """End the process."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
