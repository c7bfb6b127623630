"""Kill trainings, evaluations and labelings at random, resume them, and check that nothing is lost.

    python -m benchmarks.survival --kills 50 --out benchmarks/results/survival.json

A training (or another) is started and killed with SIGKILL, in turn at a moment drawn evenly over its
whole duration, start included; within milliseconds of a write; and as a half-written file is seen.
It is resumed and killed again until it ends by itself; then its results are compared with those of a run
that nothing disturbed: to the bit, file by file. Runs follow each other until there have been enough kills.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from tqdm import tqdm

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from dgl.errors import UserError, run_script
from dgl.utils.files import write_atomically

CLASSES, IMAGES, SIDE = 4, 18, 48
BATCHES = 40
_LONGEST = 300  # seconds; a run that takes longer hangs
_POLL = 0.001
_AFTER_WRITE = 0.03  # seconds: kills near a file follow its appearance by less
_UNFINISHED = ("tempstate", ".tmp", "_temp", ".copy")


_ROWS = (
    ("kills", "kills"),
    ("of them near a write", "near_a_write"),
    ("of them with a file half-written", "unfinished_files"),
    ("of them with results kept before", "mid_run"),
    ("runs, each killed until it ended by itself", "runs"),
    ("resumes that failed", "failed_resumes"),
    ("resumes that began before what had been kept", "lost"),
    ("results compared", "compared"),
    ("results that differ from an undisturbed run's", "differing"),
)


class Training:
    """The real script on a few small images, shuffled and augmented, kept every second."""

    shows_half_files = True
    name = "training"
    batch, steps, epochs = 4, 12, 12

    def __init__(self, folder):
        self._folder = folder
        write_images(os.path.join(folder, "data"), "train")

    def out(self, run):
        """Folder of the results of run number ``run``."""
        return os.path.join(self._folder, "train_log", f"run{run}")

    def command(self, run):
        """The command that begins run number ``run``, or goes on with it."""
        flags = (
            "--data data --seed 3 --width 0.125 --norm bn --final-size 32 --gpu=-1 --workers 1 "
            "--lr-epochs 3,7 --save-minutes 0.015 --resume "
            f"--batch {self.batch} --steps {self.steps} --epoch {self.epochs} --logdir run{run}"
        )
        return [sys.executable, os.path.join(ROOT, "train_code", "dgl_vgg.py")] + flags.split()

    def progress(self, run):
        """int: steps that a resume need not do again."""
        from dgl.training.checkpointing import last_checkpoint

        prefix = last_checkpoint(self.out(run))
        return int(prefix.rpartition("-")[2]) if prefix else 0

    def results(self, run):
        """What has to be equal: name -> bytes."""
        from dgl.training.log_folder import read_rows
        from dgl.weights import open_checkpoint

        out = self.out(run)
        found = {}
        for prefix in (f"model-{self.steps * self.epochs}", "min-val-error-top1"):
            checkpoint = open_checkpoint(os.path.join(out, prefix))
            for name in sorted(checkpoint.shapes):
                found[prefix + ":" + name] = np.asarray(checkpoint.read(name)).tobytes()
        # Running averages over training batches begin anew with each process, and are not results.
        kept = ("epoch_num", "global_step", "learning_rate", "val-error-top1")
        for row in read_rows(out):
            for name in sorted(set(row) & set(kept)):
                found["epoch {}:{}".format(row["epoch_num"], name)] = repr(row[name]).encode()
        found["checkpoints"] = repr(sorted(n for n in os.listdir(out) if "model-" in n)).encode()
        return found


class _OfImages:
    """A command that goes through the images of one split, and writes a folder for each run."""

    shows_half_files = True

    def __init__(self, folder):
        self._folder = folder
        write_images(os.path.join(folder, "data"), self.split, BATCHES)

    def out(self, run):
        """Folder of the results of run number ``run``."""
        return os.path.join(self._folder, f"run{run}")


class Evaluation(_OfImages):
    """The batch evaluation of the checkpoint that comes with the project, an image a batch."""

    name = "evaluation"
    split = "val"

    def command(self, run):
        """The command that begins run number ``run``, or goes on with it."""
        flags = "--data data --clayer 1-3 --batch 1 --gallery 0 --resamples 50"
        flags += " --gpu=-1 --load {} --out run{}".format(
            os.path.join(ROOT, "dgl", "pretrained", "birds_vgg.npz"), run
        )
        script = os.path.join(ROOT, "test_code", "evaluate_localization.py")
        return [sys.executable, script] + flags.split()

    def progress(self, run):
        """int: batches that a resume need not do again."""
        if os.path.exists(os.path.join(self.out(run), "records.json")):
            return BATCHES
        try:
            names = os.listdir(os.path.join(self.out(run), "partial"))
        except OSError:
            return 0
        return sum(name.startswith("batch-") for name in names)

    def results(self, run):
        """What has to be equal: name -> bytes."""
        found = {}
        for name in ("metrics.json", "images.csv", "records.json"):
            with open(os.path.join(self.out(run), name), "rb") as stream:
                found[name] = stream.read()
        return found


class Labeling(_OfImages):
    """`dgl label` by the default network, with masks and in every format, two images a batch."""

    name = "labeling"
    split = "train"
    # It adds to one file, and its formats are written in one step at the end.
    shows_half_files = False

    def command(self, run):
        """The command that begins run number ``run``, or goes on with it."""
        flags = "data --split train --objects all --masks --batch 2 --gpu=-1 --format coco yolo voc"
        flags += f" labelstudio csv --out run{run}"
        return [sys.executable, "-m", "dgl.cli", "label"] + flags.split()

    def progress(self, run):
        """int: images that a resume need not do again."""
        try:
            with open(os.path.join(self.out(run), "objects.jsonl"), "rb") as stream:
                return max(0, stream.read().count(b"\n") - 1)
        except OSError:
            return 0

    def results(self, run):
        """What has to be equal: name -> bytes, of every file."""
        found = {}
        for path in _files(self.out(run)):
            with open(path, "rb") as stream:
                found[os.path.relpath(path, self.out(run))] = stream.read()
        return found


WORK = {make.name: make for make in (Training, Evaluation, Labeling)}


def write_images(data, split, count=IMAGES):
    """A data set in the list format, of noisy images, for training and validation."""
    from PIL import Image

    rng = np.random.RandomState(0)
    for name in {split, "val"}:
        os.makedirs(os.path.join(data, name))
        lines = []
        for index in range(count):
            image = rng.randint(0, 256, (SIDE, SIDE, 3), dtype="uint8")
            Image.fromarray(image).save(os.path.join(data, name, f"{index}.png"))
            lines.append(f"{index}.png {index % CLASSES} 5 5 40 40")
        path = os.path.join(data, "labels", "noise", name + ".txt")
        write_atomically(path, ("\n".join(lines) + "\n").encode("utf-8"))


def _files(folder):
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                found[path] = os.stat(path).st_mtime_ns
            except OSError:
                continue  # gone meanwhile
    return found


def _unfinished(folder):
    """Names of files that are being written."""
    names = []
    for one in (folder, os.path.join(folder, "partial")):
        with contextlib.suppress(OSError):
            names += os.listdir(one)
    return {name for name in names if any(mark in name for mark in _UNFINISHED)}


class Attempt:
    """One process of a run, to be killed or to end by itself."""

    def __init__(self, work, run, folder):
        self._out = work.out(run)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            work.command(run), cwd=folder, stdout=self._log, stderr=subprocess.STDOUT
        )
        self._started = time.time()

    def _over(self):
        if time.time() - self._started > _LONGEST:
            self.kill()
            raise UserError(f"hangs: {self.text()[-2000:]}")
        return self._process.poll() is not None

    def wait(self, seconds=float("inf")):
        """Until it ends or ``seconds`` have passed; whether it has ended."""
        while not self._over():
            if time.time() - self._started >= seconds:
                return False
            time.sleep(_POLL)
        return True

    def wait_for_write(self, count, delay):
        """Until ``delay`` seconds after its ``count``-th change of files; whether it has ended."""
        known = _files(self._out)
        while count and not self._over():
            now = _files(self._out)
            if now != known:
                known, count = now, count - 1
            time.sleep(_POLL)
        end = time.time() + delay
        while time.time() < end:
            time.sleep(_POLL)
        return self._over()

    def wait_for_half_a_file(self, number):
        """Until its ``number``-th file under a temporary name is seen; whether it has ended."""
        seen = set()
        while len(seen) < number and not self._over():
            seen |= _unfinished(self._out)
        return self._over()

    def kill(self):
        """SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def text(self):
        """What it printed."""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    @property
    def code(self):
        """Its exit code."""
        return self._process.returncode


def differences(expected, found):
    """Names of results that are not the same bytes."""
    names = list(expected) + [name for name in found if name not in expected]
    return [name for name in names if expected.get(name) != found.get(name)]


def survive(make, kills, seed=0, progress=True):
    """Kill and resume.

    Args:
        make: a value of :data:`WORK`.
        kills: how many.
        seed: of the moments.
        progress: whether to show a bar.

    Returns:
        ordered dict of figures: ``kills``, ``near_a_write`` (those among them), ``unfinished_files``
        (kills that left a file half-written under a temporary name), ``mid_run`` (kills with results
        kept before), ``runs``, ``failed_resumes``, ``lost`` (kept results that a resume did not have),
        ``differing`` (results that are not those of the undisturbed run), ``compared`` (results
        compared).
    """
    rng = random.Random(seed)
    figures = dict.fromkeys((key for _, key in _ROWS), 0)
    folder = tempfile.mkdtemp()
    try:
        work = make(folder)
        whole = Attempt(work, "whole", folder)
        started = time.time()
        whole.wait()
        if whole.code:
            raise UserError(f"the undisturbed run failed: {whole.text()[-2000:]}")
        duration = time.time() - started
        expected = work.results("whole")
        with tqdm(total=kills, unit=" kills", desc=work.name, disable=not progress) as bar:
            while figures["kills"] < kills:
                _one_run(work, folder, rng, duration, kills, figures, bar)
                found = work.results(figures["runs"])
                figures["compared"] += len(expected)
                figures["differing"] += len(differences(expected, found))
                figures["runs"] += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def _one_run(work, folder, rng, duration, kills, figures, bar):
    """One run to its end, killed on the way as long as kills are left."""
    run, before = figures["runs"], 0
    while True:
        attempt = Attempt(work, run, folder)
        near = figures["kills"] % 4
        if figures["kills"] == kills:
            over = attempt.wait()
        elif near == 1 or (near == 3 and not work.shows_half_files):
            over = attempt.wait_for_write(rng.randint(1, 8), rng.random() * _AFTER_WRITE)
        elif near == 3:
            over = attempt.wait_for_half_a_file(rng.randint(1, 8))
        else:
            over = attempt.wait(rng.random() * duration)
        if over:
            if attempt.code:
                figures["failed_resumes"] += 1
                raise UserError(f"a resume failed: {attempt.text()[-2000:]}")
            return
        attempt.kill()
        now = work.progress(run)
        figures["kills"] += 1
        figures["near_a_write"] += near in (1, 3)
        figures["mid_run"] += now > 0
        figures["unfinished_files"] += bool(_unfinished(work.out(run)))
        figures["lost"] += now < before
        before = now
        bar.update()


def table(record):
    """The figures of a record as a table in Markdown."""
    names = [name for name in sorted(WORK, reverse=True) if name in record]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for words, key in _ROWS:
        values = [f"{record[name][key]:,}" for name in names]
        lines.append("| {} | {} |".format(words, " | ".join(values)))
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of each")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--only", choices=sorted(WORK), help="measure one, keep the others' figures"
    )
    parser.add_argument("--out", required=True, help="JSON file of the figures")
    args = parser.parse_args(argv)
    from dgl.tf_compat import tf

    record = {}
    if args.only and os.path.exists(args.out):
        with open(args.out) as stream:
            record = json.load(stream)
    for name in [args.only] if args.only else sorted(WORK):
        record[name] = {
            "command": f"python -m benchmarks.survival --kills {args.kills} --seed {args.seed} "
            f"--only {name} --out {args.out}",
            "tensorflow": tf.VERSION,
            "python": platform.python_version(),
        }
        record[name].update(survive(WORK[name], args.kills, args.seed))
        print(name, dict(record[name]))
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    return 0


if __name__ == "__main__":
    run_script(main)
