"""Trainings by the real script in two and three local processes, which Horovod brings together.

What one process computes on the joint batch is the second computation; that the comparisons can fail is
shown by the same training without the exchange of gradients.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from networks import vgg_shapes, vgg_variables
from sample_images import write_list
from small_trainings import distance, rows_of

from dgl.tf_compat import tf
from dgl.training.log_folder import read_rows
from dgl.weights import save_npz

pytest.importorskip("horovod")
pytestmark = [pytest.mark.horovod, pytest.mark.slow]

SCRIPT = os.path.join("train_code", "dgl_vgg.py")
HOROVODRUN = os.path.join(os.path.dirname(sys.executable), "horovodrun")
CLASSES = 8
WEIGHTS = list(vgg_shapes(CLASSES))
IMAGES = 10  # no multiple of the batch: epochs of the data end in the middle of one
BATCH, STEPS = 4, 5  # two passes over the images
SECONDS = 240  # for a run to end by itself, starting included


def launch(ranks, arguments, folder):
    command = [sys.executable] + [str(argument) for argument in arguments]
    if ranks > 1:
        command = [HOROVODRUN, "-np", str(ranks), "--gloo"] + command
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=str(folder), **pipes)


def finish(process, seconds=SECONDS):
    """(exit code, what it printed); a process that outlasts ``seconds`` is a failure."""
    try:
        text = process.communicate(timeout=seconds)[0].decode("utf-8", "replace")
    finally:
        process.kill()
    return process.returncode, text


def drive(root, folder, ranks, *trainings):
    """Run trainings one after another in each of ``ranks`` processes."""
    driver = os.path.join(root, "tests", "training", "rank_driver.py")
    flags = [
        f"--data {folder}/data --final-size 32 --workers 0 --base-lr 0.002 --load {folder}/start.npz "
        f"--seed 1 --batch {BATCH} --steps {STEPS} --epoch 1 {training}"
        for training in trainings
    ]
    code, text = finish(launch(ranks, [driver, os.path.join(root, SCRIPT), folder] + flags, folder))
    assert code == 0, text[-6000:]


def left_by(folder, name, rank=0):
    with np.load(str(folder / f"{name}-{rank}.npz")) as archive:
        return {key: archive[key] for key in archive.files}


def last_row(folder, name):
    return read_rows(str(folder / "rank0" / "train_log" / name))[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``data`` with images to train on and seven to validate on, ``few`` with two of these."""
    folder = tmp_path_factory.mktemp("ranks")
    # The boxes are for the chief's GT-known; half of them are too small to be found.
    rows = rows_of(IMAGES, CLASSES, [((1, 1, 58, 48),), ((20, 20, 24, 24),)])
    for name, measured in (("data", 7), ("few", 2)):
        write_list(folder / name, "train", rows)
        write_list(folder / name, "val", rows[:measured])
    save_npz(str(folder / "start.npz"), vgg_variables(CLASSES))
    return folder


FEW = "--data {}/few --batch 3 --steps 1 --classnum 8 --logdir few"


@pytest.fixture(scope="module")
def one(root, folder):
    """Variables after a training by one process."""
    drive(root, folder, 1, "--logdir one", FEW.format(folder) + "1")
    return left_by(folder, "one")


@pytest.fixture(scope="module")
def two(root, folder, one):
    """By two processes: as it should be, and without the exchange of gradients."""
    drive(root, folder, 2, "--logdir two", "--logdir apart")
    return [left_by(folder, "two", rank) for rank in (0, 1)]


def test_two_processes_are_one_on_the_joint_batch(folder, one, two):
    for name, value in two[0].items():
        if name in WEIGHTS or name.endswith("/Momentum") or name == "global_step":
            np.testing.assert_array_equal(value, two[1][name], name)
    assert two[0]["global_step"] == STEPS
    assert distance(one, two[0], WEIGHTS) < 1e-5
    assert distance(vgg_variables(CLASSES), one, WEIGHTS) > 1e-3  # they have moved
    # Neither holds without the exchange of gradients.
    apart = [left_by(folder, "apart", rank) for rank in (0, 1)]
    assert distance(*apart, WEIGHTS) > 1e-3
    assert distance(one, apart[0], WEIGHTS) > 1e-3


def test_every_image_once_in_each_pass_over_both_ranks(one, two):
    slices = [rank["drawn"][: STEPS * BATCH // 2].reshape(STEPS, BATCH // 2) for rank in two]
    joint = np.concatenate(slices, axis=1).ravel()
    everything = sorted(f"{i}.jpg" for i in range(IMAGES))
    for first in range(0, STEPS * BATCH, IMAGES):
        assert sorted(joint[first : first + IMAGES]) == everything
    # And in the order of one process.
    assert list(joint) == list(one["drawn"][: STEPS * BATCH])


def test_only_the_chief_writes_and_draws_what_one_process_does(folder, one, two):
    """GT-known equal, and the maps in its event file; the other rank goes on meanwhile."""
    assert os.listdir(str(folder / "rank1")) == []
    log = folder / "rank0" / "train_log" / "two"
    kept = {"checkpoint", "stats.json", "model.json", "min-val-error-top1.index"}
    assert kept <= set(os.listdir(str(log)))
    known = [last_row(folder, name)["val-gt-known"] for name in ("one", "two")]
    assert 0 < known[0] == known[1] < 1
    (events,) = log.glob("events.*")
    tags = {v.tag for e in tf.train.summary_iterator(str(events)) for v in e.summary.value}
    assert {f"maps/{n} {n}" for n in range(7)} <= tags


def errors_of(folder, name):
    row = last_row(folder, name)
    return [row["val-error-top1"], row["val-error-top5"]]


def test_validation_counts_what_one_process_counts(folder, one, two):
    assert errors_of(folder, "two") == errors_of(folder, "one")
    # Seven images are divided unevenly; some are right, some wrong.
    assert 0 < errors_of(folder, "one")[1] < 1


def test_validation_with_fewer_images_than_ranks(root, folder, one):
    drive(root, folder, 3, FEW.format(folder) + "3")
    assert errors_of(folder, "few3") == errors_of(folder, "few1")
    assert distance(left_by(folder, "few1"), left_by(folder, "few3"), WEIGHTS) < 1e-5


def run_of(root, folder, name, steps, workers=0, *more):
    """A training in two processes, of one epoch; its state is kept every second or so."""
    flags = "--data data --final-size 32 --base-lr 0.0001 --load start.npz --seed 1 --gpu=-1"
    flags += f" --batch {BATCH} --epoch 1 --save-minutes 0.02 --logdir {name}"
    flags += f" --steps {steps} --workers {workers}"
    return launch(2, [os.path.join(root, SCRIPT)] + flags.split() + list(more), folder)


def wait_for(process, word):
    """Read what the training prints until ``word`` comes."""
    watchdog = threading.Timer(SECONDS, process.kill)
    watchdog.start()
    read = b""
    while word not in read:
        part = process.stdout.readline()
        assert part, read.decode("utf-8", "replace")[-4000:]
        read += part
    watchdog.cancel()


def processes_of(rank, name):
    """Ids of the rank's Python processes that train ``name``: the trainer, and those that decode."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parts = [Path("/proc", entry, each).read_bytes() for each in ("environ", "cmdline")]
        except OSError:
            continue
        settings, words = (part.decode("utf-8", "replace").split("\0") for part in parts)
        if f"HOROVOD_RANK={rank}" in settings and name in words and "python" in Path(words[0]).name:
            found.append(int(entry))
    return sorted(found)


def kept_step(folder, name):
    log = str(folder / "train_log" / name)
    return int(tf.train.load_checkpoint(log).get_tensor("global_step"))


def goes_on(root, folder, name):
    """Whether ``--resume`` goes on from the last checkpoint, to the step."""
    before = kept_step(folder, name)
    code, text = finish(run_of(root, folder, name, before + 3, 0, "--resume"))
    assert code == 0, text[-4000:]
    return before > 0 and kept_step(folder, name) == before + 3


def ended(process, name):
    """What a run printed that ended early, with an error and in time, leaving no process."""
    begun = time.time()
    code, text = finish(process, 60)
    print(f"the run ended after {time.time() - begun:.1f} s")
    assert code != 0, text
    assert not processes_of(0, name) + processes_of(1, name)
    return text


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_run_which_can_be_resumed(root, folder, rank):
    name = f"killed{rank}"
    process = run_of(root, folder, name, 1000000)
    wait_for(process, b"Model saved to")
    os.kill(processes_of(rank, name)[0], signal.SIGKILL)
    ended(process, name)
    assert goes_on(root, folder, name)


SIGTERM = "stopped by SIGTERM; go on with --resume"
DECODER = "a worker process ended by itself"


@pytest.mark.parametrize(
    "whom, told", [("horovodrun", SIGTERM), ("rank", SIGTERM), ("decoder", DECODER)]
)
def test_what_ends_one_stops_all_with_the_state_kept(root, folder, whom, told):
    name = "stopped-" + whom
    process = run_of(root, folder, name, 1000000, 1)
    wait_for(process, b"Model saved to")
    trainer, decoder = processes_of(1, name)
    earlier = kept_step(folder, name)
    victim = {"horovodrun": process.pid, "rank": trainer, "decoder": decoder}[whom]
    os.kill(victim, signal.SIGTERM)
    text = ended(process, name)
    assert told in text
    # horovodrun itself ends with a traceback; the ranks do not.
    assert not re.search(r"^\[\d\]<std...>:Traceback", text, re.MULTILINE), text
    assert kept_step(folder, name) > earlier
    assert goes_on(root, folder, name)
