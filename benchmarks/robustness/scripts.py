"""Run cases through every script's ``main`` in one process, which loads TensorFlow once."""

import contextlib
import importlib.util
import io
import os
import pathlib
import re
import shutil
import sys
import tempfile
import traceback

from demo_runs import write_vgg

import dgl.predict.predictor
from dgl.cli.make_data import photos5_script as make_photos5
from dgl.cli.parser import main as command
from dgl.errors import UserError, run_script
from dgl.tf_compat import tf

from . import ROOT
from .case import write_case
from .data_sets import LISTS, jpeg

# Beside what progress bars write, nothing of the kind comes from this project.
_OBEYED = re.compile("\x1b\\][0-9]|\x1b\\[2J|\x9b2J|\u202e")
_DATA = ("label lists", "CUB", "ILSVRC", "wsolevaluation", "class folders")
_QUICK = [
    "--gallery",
    "0",
    "--resamples",
    "0",
    "--batch",
    "2",
    "--workers",
    "1",
    "--clayer",
    "1",
    "--method",
    "cam",
]
_SMALL = ["--width", "0.0625", "--final-size", "64", "--gpu=-1", "--batch", "2"]


class Fault(Exception):
    """What a script did that it must not."""


def _script(*path):
    path = os.path.join(ROOT, *path)
    name = "hostile_" + os.path.basename(path)[:-3]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


SCRIPTS = {
    "dgl_vgg.py": lambda: _script("train_code", "dgl_vgg.py"),
    "dome_image_DGL.py": lambda: _script("test_code", "dome_image_DGL.py"),
    "evaluate_localization.py": lambda: _script("test_code", "evaluate_localization.py"),
    "study_localization.py": lambda: _script("test_code", "study_localization.py"),
    "dgl.weights.export": lambda: lambda words: command(["export"] + words),
    "dgl.weights.convert": lambda: lambda words: command(["convert"] + words),
    "dgl.datasets.photos5": lambda: make_photos5,
}


_OUTPUT = tempfile.TemporaryFile()  # noqa: SIM115


@contextlib.contextmanager
def _captured():
    """Everything that the process writes, C++ libraries too; gives a callable for the text."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept, streams = [os.dup(1), os.dup(2)], (sys.stdout, sys.stderr)
    stream = _OUTPUT
    stream.seek(0)
    stream.truncate()
    for number in (1, 2):
        os.dup2(stream.fileno(), number)
    # As strict as those of a terminal.
    sys.stdout = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), "utf-8", line_buffering=True)
    sys.stderr = io.TextIOWrapper(
        os.fdopen(os.dup(2), "wb"), "utf-8", "backslashreplace", line_buffering=True
    )

    def text():
        sys.stdout.flush()
        sys.stderr.flush()
        stream.seek(0)
        return stream.read().decode("utf-8", "backslashreplace")

    try:
        yield text
    finally:
        sys.stdout.close()
        sys.stderr.close()
        sys.stdout, sys.stderr = streams
        for number, copy in zip((1, 2), kept):
            os.dup2(copy, number)
            os.close(copy)


def run_main(main, argv):
    """Call a script's ``main`` as its process would; gives ``(exit code, output)``."""
    with _captured() as text:
        try:
            run_script(main, argv)
        except SystemExit as error:
            code = error.code
        except Exception:
            traceback.print_exc()
            code = 1
        return code, text()


def check_end(code, output):
    """Raise :class:`Fault` unless a script ended as it should, :class:`UserError` where it refused."""
    if "Traceback (most recent call last)" in output:
        last = output[output.rindex("Traceback (most recent call last)") :].strip().splitlines()[-1]
        raise Fault("traceback: " + last[:300])
    if code not in (0, 1, 2):
        raise Fault(f"exit code {code}")
    if _OBEYED.search(output):
        raise Fault("the terminal obeys what it wrote")
    if code:
        told = [line for line in output.splitlines() if line.strip()]
        if not told:
            raise Fault(f"exit code {code} without a word")
        raise UserError(told[-1][:300])


class Scripts:
    """What runs cases through every script.

    Args:
        work: str, a folder for what all cases share.
    """

    def __init__(self, work):
        self._work = work
        self._mains = {}
        self.load = write_vgg(pathlib.Path(work))
        self.image = os.path.join(work, "sound.jpg")
        with open(self.image, "wb") as stream:
            stream.write(jpeg())
        self._data = os.path.join(work, "sound")
        write_case(_Sound, self._data, os.path.join(work, "nothing"))
        self._share_networks()

    def _share_networks(self):
        """A network of the sound checkpoint is built once for each set of flags."""
        make, built = dgl.predict.predictor.Predictor, {}

        def shared(mode, load, **options):
            if load != self.load:
                return make(mode, load, **options)
            key = repr(sorted(options.items()))
            if key not in built:
                built[key] = make(mode, load, **options)
                built[key].close = lambda: None
            return built[key]

        dgl.predict.predictor.Predictor = shared

    def calls(self, case, folder):
        """``(script, argument list)`` of everything that a case is given to."""
        out = os.path.join(folder, "OUT")
        evaluate = ["--load", self.load, "--out", out, "--gpu=-1"] + _QUICK
        demo = ["--load", self.load, "--outdir", out, "--gpu=-1"]
        if case.kind in _DATA:
            yield "dgl_vgg.py", ["--data", folder, "--print-recipe"] + _SMALL
            yield "evaluate_localization.py", ["--data", folder] + evaluate
        elif case.kind == "images":
            name = next(iter(list(case.files) + list(case.nodes)), "missing.jpg")
            yield "dome_image_DGL.py", ["--data_path", os.path.join(folder, name)] + demo
            yield "dome_image_DGL.py", ["--data_path", folder] + demo
        elif case.kind == "photos5":
            clones = [f"--{n}={folder}/{n}" for n in ("raccoon", "kangaroo", "fruit")]
            yield "dgl.datasets.photos5", clones + ["--out", out]
        elif case.kind == "maps":
            maps = ["--maps", folder + "/maps", "--metadata", folder + "/metadata", "--out", out]
            yield "evaluate_localization.py", maps + ["--resamples", "0", "--workers", "1"]
        elif case.kind in ("checkpoints", "model cards"):
            load = os.path.join(folder, case.files.get("LOAD", b"tiny.npz").decode())
            given = ["--data_path", self.image, "--outdir", out, "--load", load, "--gpu=-1"]
            yield "dome_image_DGL.py", given
            yield "dgl.weights.export", ["--load", load, "--out", out + ".npz"]
            yield "dgl.weights.convert", [load, "--out", out + ".npz"]
            training = ["--data", self._data, "--load", load, "--final-size", "64", "--gpu=-1"]
            yield "dgl_vgg.py", training + ["--print-recipe"]
            yield "dgl_vgg.py", training + ["--val"]
        elif case.kind == "results":
            yield "evaluate_localization.py", ["--merge", folder, "--out", out, "--resamples", "0"]
            study = ["--data", self._data, "--load", self.load, "--out", folder, "--gpu=-1"]
            layers = ["--alphas", "1", "--fuse-layers", "1-2", "--clayer", "1-2"]
            yield "study_localization.py", study + _QUICK + layers

    def call(self, script, argv):
        """A callable for :func:`~benchmarks.robustness.guard.attempt`."""
        if script not in self._mains:
            self._mains[script] = SCRIPTS[script]()

        def run(folder):
            with tf.Graph().as_default():
                check_end(*run_main(self._mains[script], argv))

        return run

    def clean(self, folder):
        """Drop what a call wrote."""
        shutil.rmtree(os.path.join(folder, "OUT"), ignore_errors=True)
        with contextlib.suppress(OSError):
            os.remove(os.path.join(folder, "OUT.npz"))


class _Sound:
    files = LISTS
    nodes = {}  # noqa: RUF012
