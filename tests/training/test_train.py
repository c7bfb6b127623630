"""Whole trainings without a GPU, each in a process of its own: what is kept, resuming, towers.

Where trainings are compared number by number, a batch is the whole list and the training view is the
validation view: then every step is the same, whatever the order of the images.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from deterministic import picture
from tiny import vgg_shapes, vgg_variables, write_list

from dgl.tf_compat import tf
from dgl.weights import save_npz

pytestmark = pytest.mark.slow

CLASSES = 4
# Two steps an epoch; the rate falls after epoch 2, the place of the interruption.
STEPS = 2
COMMON = f"--final-size 32 --steps {STEPS} --lr-epochs 2 --workers 0 --base-lr 0.002"

# Each training has its own graph; tensorpack's log folder is set anew by every one.
DRIVER = """
import runpy, sys
script, *trainings = sys.argv[1:]
main = runpy.run_path(script)["main"]
from dgl.tf_compat import tf
from dgl.data import flows
flows.augment = lambda image, size, rng: flows.center_view(image, size)
for flags in trainings:
    with tf.Graph().as_default():
        main(flags.split())
"""


SCRIPT = os.path.join("train_code", "dgl_vgg.py")


def train(root, folder, *trainings):
    """Run trainings one after another in one new process in ``folder``; returns what it printed."""
    flags = [f"--data data {COMMON} {training}" for training in trainings]
    return execute(folder, ["-c", DRIVER, os.path.join(root, SCRIPT)] + flags)


def execute(folder, arguments):
    done = subprocess.run(
        [sys.executable] + arguments,
        cwd=str(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    text = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, text[-4000:]
    return text


def load_all(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def load_last(folder):
    return load_all(tf.train.latest_checkpoint(str(folder)))


def trained_names(slots=True):
    names = list(vgg_shapes(CLASSES))
    return names + [name + "/Momentum" for name in names] if slots else names


def distance(one, other, names):
    """The largest difference of a variable, relative to that variable's largest value."""
    return max(np.abs(one[n] - other[n]).max() / np.abs(one[n]).max() for n in names)


def files_of(folder):
    """Name -> content of everything but the text log."""
    return {
        name: open(os.path.join(str(folder), name), "rb").read()
        for name in os.listdir(str(folder))
        if not name.startswith("log.log")
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Working folder: ``data`` with an image a class, ``half`` with the first two, ``start.npz``."""
    folder = tmp_path_factory.mktemp("train")
    rows = [(f"{i}.jpg", picture(i + 1, 50, 60), i, ()) for i in range(CLASSES)]
    write_list(folder / "data", "train", rows)
    write_list(folder / "data", "val", rows)
    write_list(folder / "half", "train", rows[:2])
    write_list(folder / "half", "val", rows)
    save_npz(str(folder / "start.npz"), vgg_variables(CLASSES))
    return folder


@pytest.fixture(scope="module")
def runs(root, folder):
    """Four epochs at once, and two epochs and two more; the state in between is in ``paused``."""
    logs = folder / "train_log"
    start = "--load start.npz --batch 4 --seed 1 "
    train(root, folder, start + "--logdir straight --epoch 4", start + "--logdir parts --epoch 2")
    shutil.copytree(str(logs / "parts"), str(logs / "paused"))
    text = train(root, folder, start + "--logdir parts --epoch 4 --resume")
    return {"logs": logs, "text": text}


@pytest.fixture(scope="module")
def towers(root, folder):
    """One step from the same weights: by one tower, by two, and by one on half of the pictures."""
    start = "--load start.npz --epoch 1 --steps 1 "
    train(
        root,
        folder,
        start + "--logdir one --batch 4 --towers 1",
        start + "--logdir two --batch 4 --towers 2",
        start + "--logdir half --batch 2 --towers 1 --data half --classnum 4",
    )
    return {name: load_last(folder / "train_log" / name) for name in ("one", "two", "half")}


def test_what_a_run_leaves(runs):
    names = os.listdir(str(runs["logs"] / "straight"))
    last = [f"model-{4 * STEPS}.{end}" for end in ("index", "data-00000-of-00001")]
    # Only the last checkpoint and the best one are kept.
    assert sorted(n for n in names if n.startswith("model-")) == sorted(last)
    assert "min-val-error-top1.index" in names
    assert "min-val-error-top1.data-00000-of-00001" in names
    assert {"checkpoint", "model.json", "stats.json", "log.log"} <= set(names)
    assert any(name.startswith("events.out.tfevents") for name in names)
    with open(str(runs["logs"] / "straight" / "model.json")) as stream:
        card = json.load(stream)
    assert (card["mode"], card["image_size"], card["data_set"]) == ("vgg", 32, "tiny")


def test_tensorboard_has_the_statistics(runs):
    folder = runs["logs"] / "straight"
    events = next(n for n in os.listdir(str(folder)) if n.startswith("events.out.tfevents"))
    tags = set()
    for event in tf.train.summary_iterator(str(folder / events)):
        tags |= {value.tag for value in event.summary.value}
    assert {"val-error-top1", "learning_rate", "cost", "xentropy-loss"} <= tags
    assert any("train-error-top1" in tag for tag in tags)
    assert not any("top5" in tag for tag in tags)


def stats(folder):
    with open(str(folder / "stats.json")) as stream:
        return {row["epoch_num"]: row for row in json.load(stream) if row["epoch_num"] > 0}


def test_validation_at_the_last_epoch_of_a_short_run(runs):
    rows = stats(runs["logs"] / "straight")
    assert sorted(rows) == [1, 2, 3, 4]
    assert [epoch for epoch in rows if "val-error-top1" in rows[epoch]] == [4]
    assert rows[4]["val-error-top1"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert not any("top5" in key for row in rows.values() for key in row)
    assert sorted(stats(runs["logs"] / "paused")) == [1, 2]
    assert "val-error-top1" in stats(runs["logs"] / "paused")[2]


def test_the_best_checkpoint_is_that_of_its_epoch(runs):
    best = load_all(runs["logs"] / "straight" / "min-val-error-top1")
    last = load_last(runs["logs"] / "straight")
    assert distance(last, best, trained_names()) == 0


def test_training_learns(runs):
    rows = stats(runs["logs"] / "straight")
    assert rows[4]["xentropy-loss"] < rows[1]["xentropy-loss"]
    start, last = vgg_variables(CLASSES), load_last(runs["logs"] / "straight")
    assert all((last[name] != start[name]).any() for name in start)


def test_a_resumed_run_continues_at_its_epoch(runs):
    rows, straight = stats(runs["logs"] / "parts"), stats(runs["logs"] / "straight")
    assert sorted(rows) == [1, 2, 3, 4]
    assert [rows[epoch]["global_step"] for epoch in (1, 2, 3, 4)] == [2, 4, 6, 8]
    for epoch, row in rows.items():
        assert row["learning_rate"] == pytest.approx(straight[epoch]["learning_rate"])
    assert rows[2]["learning_rate"] == pytest.approx(0.002)
    assert rows[3]["learning_rate"] == pytest.approx(0.0002)
    assert "Start Epoch 3" in runs["text"]
    assert "Start Epoch 2" not in runs["text"]


def test_a_resumed_run_equals_an_uninterrupted_one(runs):
    """Weights and momentum alike; they had not yet arrived there when the run was interrupted."""
    straight = load_last(runs["logs"] / "straight")
    parts, paused = load_last(runs["logs"] / "parts"), load_last(runs["logs"] / "paused")
    names = trained_names()
    assert (straight["global_step"], parts["global_step"], paused["global_step"]) == (8, 8, 4)
    assert distance(straight, parts, names) < 1e-4
    for name in names:
        if name.endswith("/Momentum"):
            assert distance(straight, paused, [name]) > 1e-2, name


@pytest.fixture(scope="module")
def again(root, folder, runs):
    """The finished run resumed once more, and then another one of its name, by the script itself."""
    before = files_of(runs["logs"] / "parts")
    text = train(root, folder, "--batch 4 --logdir parts --epoch 4 --resume")
    between = files_of(runs["logs"] / "parts")
    flags = "--data data --batch 2 --width 0.125 --norm bn --logdir parts --epoch 1 --workers 2"
    flags += " --final-size 32 --gpu -1"
    execute(folder, [os.path.join(root, SCRIPT)] + flags.split())
    return {"before": before, "text": text, "between": between}


def test_resuming_a_finished_run_does_nothing(again):
    assert "has all of its 4 epochs already" in again["text"]
    assert "Start Epoch" not in again["text"]
    assert again["between"] == again["before"]


def test_another_run_of_the_same_name_moves_the_earlier_one_aside(runs, again):
    aside = [
        name
        for name in os.listdir(str(runs["logs"]))
        if name.startswith("parts") and name != "parts"
    ]
    assert len(aside) == 1
    assert files_of(runs["logs"] / aside[0]) == again["between"]
    assert sorted(stats(runs["logs"] / "parts")) == [1]
    assert load_last(runs["logs"] / "parts")["global_step"] == STEPS


def test_two_towers_are_one_batch(towers):
    """One step; the momentum slot after it is the gradient."""
    one, two = towers["one"], towers["two"]
    assert one["global_step"] == two["global_step"] == 1
    assert distance(one, two, trained_names(slots=False)) < 1e-5
    start = vgg_variables(CLASSES)
    assert all((two[name] != start[name]).any() for name in start)
    assert distance(one, two, trained_names()) < 5e-5


def test_one_tower_on_half_of_the_pictures_is_not(towers):
    one, half = towers["one"], towers["half"]
    assert distance(one, half, trained_names(slots=False)) > 1e-3
    assert distance(one, half, trained_names()) > 1e-1


def test_a_trained_checkpoint_can_be_measured_by_name(root, folder, runs):
    text = train(root, folder, "--val --load train_log/straight/min-val-error-top1")
    error = 100 * stats(runs["logs"] / "straight")[4]["val-error-top1"]
    assert f"top1_error: {error}" in text
    assert "images: 4" in text


def test_a_seed_repeats_a_run_to_the_bit(root, folder):
    """With decoding processes, augmentation and shuffling as they are."""
    for name in ("one", "other", "another"):
        seed = 6 if name == "another" else 5
        flags = "--data data --final-size 32 --width 0.125 --workers 2 --batch 3 --gpu=-1 --epoch 2"
        flags += f" --steps 5 --logdir {name} --seed {seed}"
        execute(folder, [os.path.join(root, SCRIPT)] + flags.split())
    one, other, another = (
        load_last(folder / "train_log" / name) for name in ("one", "other", "another")
    )
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])
    assert np.any(one["conv3_1/W"] != another["conv3_1/W"])


def test_a_killed_decoder_ends_the_run_with_one_line(root, folder):
    """Neither success nor a wait for ever, and nothing left running."""
    command = [sys.executable, os.path.join(root, SCRIPT)]
    command += [
        "--data",
        "data",
        "--final-size",
        "32",
        "--width",
        "0.125",
        "--workers",
        "2",
        "--batch",
        "2",
        "--gpu=-1",
    ]
    command += ["--steps", "100000", "--epoch", "1", "--logdir", "killed"]
    run = subprocess.Popen(
        command, cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    watchdog = threading.Timer(120, run.kill)
    watchdog.start()
    lines, decoders = [], []
    for line in run.stdout:
        lines.append(line.decode("utf-8", "replace"))
        if "Start Epoch 1" in lines[-1]:
            decoders = _children(run.pid)
            os.kill(decoders[-1], signal.SIGKILL)
    run.stdout.close()
    watchdog.cancel()
    text = "".join(lines)
    assert (run.wait(), len(decoders)) == (1, 2), text
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert "a process that decodes images ended by itself (exit code -9)" in error
    assert "--resume" in error and "Traceback" not in text, text
    assert not any(os.path.exists(f"/proc/{process}") for process in decoders)


def _children(parent):
    """Processes of a process, oldest first."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stream:
                if int(stream.read().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry))
        except OSError:
            continue
    return sorted(found)
