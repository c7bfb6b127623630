"""Run scripts in real processes on many bad inputs at once and check exit code and memory."""

import os
import shutil
import subprocess
import sys
import time

from . import ROOT, images, mutate
from .case import write_case
from .data_sets import FOLDERS, LISTS

SECONDS = 300
MEGABYTES = 3000

_TRAIN = os.path.join(ROOT, "train_code", "dgl_vgg.py")
_DEMO = os.path.join(ROOT, "test_code", "dome_image_DGL.py")
_EVALUATE = os.path.join(ROOT, "test_code", "evaluate_localization.py")
_STEP = [
    "--width",
    "0.0625",
    "--final-size",
    "64",
    "--gpu=-1",
    "--batch",
    "2",
    "--steps",
    "1",
    "--epoch",
    "1",
    "--workers",
    "1",
]


class Files:
    """What :func:`~benchmarks.robustness.case.write_case` takes."""

    def __init__(self, files, nodes=None):
        self.files = files
        self.nodes = nodes or {}


def _bad_images(slow):
    found = {}
    for number, case in enumerate(images.cases()):
        if case.slow or case.nodes or (number % 9 and not slow):
            continue
        for name, data in case.files.items():
            extension = os.path.splitext(name)[1]
            found[f"{number:04d}{extension}"] = data() if callable(data) else data
    return found


def _run(argv, folder):
    """``(exit code, output, seconds, megabytes)`` of a process in ``folder``."""
    path = os.path.join(folder, "output.txt")
    started = time.time()
    with open(path, "wb") as stream:
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
        process = subprocess.Popen(
            [sys.executable] + argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
        while True:
            found, status, usage = os.wait4(process.pid, os.WNOHANG)
            if found or time.time() - started > SECONDS:
                break
            time.sleep(0.05)
        if not found:
            process.kill()
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    with open(path, "rb") as stream:
        output = stream.read().decode("utf-8", "backslashreplace")
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    return code, output, time.time() - started, usage.ru_maxrss / 1024.0


def _fault(code, output, seconds, megabytes):
    if code < 0:
        return "hang" if seconds > SECONDS else f"killed by signal {-code}"
    if "Traceback (most recent call last)" in output:
        return "traceback: " + output.strip().splitlines()[-1][:300]
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if megabytes > MEGABYTES:
        return f"memory: {megabytes:.0f} MB"
    return None


def _damage_log(folder, relative, data=None, make=None):
    path = os.path.join(folder, "train_log", "bad", relative)
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
    if make is not None:
        make(path, folder)
    else:
        with open(path, "wb") as stream:
            stream.write(data)


def runs(work, load, many=True):
    """Yields ``(what, inputs, fault, seconds, megabytes)`` of every process.

    Args:
        work: str, an empty folder.
        load: str, a sound small checkpoint.
        many: bool, whether every image is there, or one in nine; and whether trainings are resumed.
    """
    bad = _bad_images(many)
    folder = os.path.join(work, "run")
    images_folder, data = os.path.join(work, "images"), os.path.join(work, "data")
    outside = os.path.join(work, "outside")
    write_case(Files(bad), images_folder, outside)
    lists = dict(LISTS)
    names = sorted(bad)
    for split in ("train", "val"):
        lists.update((f"{split}/{name}", bad[name]) for name in names)
        key = f"labels/tiny/{split}.txt"
        lists[key] += "".join(f"{name} 0 1 2 30 40\n" for name in names).encode()
    write_case(Files(lists), data, outside)
    sound = os.path.join(work, "sound")
    write_case(Files(FOLDERS), sound, outside)
    os.makedirs(folder)
    train = [_TRAIN, "--data", data, "--logdir", "bad"] + _STEP
    again = [_TRAIN, "--data", sound, "--logdir", "bad", "--resume"] + _STEP + ["--epoch", "2"]
    evaluate = [
        "--gpu=-1",
        "--clayer",
        "1",
        "--method",
        "cam",
        "--gallery",
        "4",
        "--resamples",
        "0",
    ]

    def run(what, inputs, argv):
        code, output, seconds, megabytes = _run(argv, folder)
        fault = _fault(code, output, seconds, megabytes)
        return what, inputs, code, fault, seconds, megabytes

    yield run(
        "demo on a folder",
        len(bad),
        [_DEMO, "--load", load, "--data_path", images_folder, "--gpu=-1", "--outdir", "demo"],
    )
    yield run(
        "evaluation",
        len(bad),
        [_EVALUATE, "--load", load, "--data", data, "--out", "evaluation"] + evaluate,
    )
    yield run(
        "evaluation, strict",
        len(bad),
        [_EVALUATE, "--load", load, "--data", data, "--out", "strict", "--strict"] + evaluate,
    )
    yield run(
        "validation",
        len(bad),
        [_TRAIN, "--data", data, "--val", "--load", load, "--final-size", "64", "--gpu=-1"],
    )
    if not many:
        return
    yield run("demo on a folder, again", len(bad), [
        _DEMO, "--load", load, "--data_path", images_folder, "--gpu=-1", "--outdir", "demo",
        "--resume"])  # fmt: skip
    # Validation stops at the first image that cannot be read.
    sound_validation = dict(lists, **{"labels/tiny/val.txt": LISTS["labels/tiny/val.txt"]})
    write_case(Files(sound_validation), data, outside)
    yield run("a step of training", len(bad), train)
    log, kept = os.path.join(folder, "train_log"), os.path.join(work, "kept")
    shutil.rmtree(log, ignore_errors=True)
    if _run([_TRAIN, "--data", sound, "--logdir", "bad"] + _STEP, folder)[0]:
        raise RuntimeError("the sound training failed")
    os.rename(log, kept)
    for what, relative, content, make in (
        ("stats.json cut", "stats.json", b'[{"epoch_num": 1, "glob', None),
        ("stats.json of another kind", "stats.json", b'{"a": [1, 2]}', None),
        ("stats.json a pipe", "stats.json", None, mutate.make_fifo),
        ("model.json a folder", "model.json", None, mutate.make_folder),
        ("the state file cut", "checkpoint", b'model_checkpoint_path: "mod', None),
        ("the state file a pipe", "checkpoint", None, mutate.make_fifo),
        ("the state file to elsewhere", "checkpoint", b'model_checkpoint_path: "/etc/x"\n', None),
    ):
        shutil.rmtree(log, ignore_errors=True)
        shutil.copytree(kept, log)
        _damage_log(folder, relative, content, make)
        yield run("training resumed, " + what, 1, again)
