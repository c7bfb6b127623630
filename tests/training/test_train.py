"""Real trainings without a GPU: the files that they leave, resuming, towers, data that fail.

Where trainings are compared, a batch is the whole list and the training view is the validation view: then
every step is the same, whatever the order of the images.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from networks import vgg_shapes, vgg_variables
from real_runs import load_last, train
from sample_images import blob_image, write_list

from dgl.tf_compat import tf
from dgl.weights import save_npz

pytestmark = pytest.mark.slow

CLASSES = 4
# Two steps per epoch; the rate falls after epoch 2, where the run is interrupted.
STEPS = 2
COMMON = f"--data data --final-size 32 --steps {STEPS} --lr-epochs 2 --workers 0 --base-lr 0.002 --watch 0"


def trained_names(slots=True):
    names = list(vgg_shapes(CLASSES))
    return names + [name + "/Momentum" for name in names] if slots else names


def distance(one, other, names):
    """The largest difference of a variable, relative to that variable's largest value."""
    return max(np.abs(one[n] - other[n]).max() / np.abs(one[n]).max() for n in names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``data`` with an image per class, and ``start.npz``."""
    folder = tmp_path_factory.mktemp("train")
    rows = [(f"{i}.jpg", blob_image(i + 1, 50, 60), i, ()) for i in range(CLASSES)]
    write_list(folder / "data", "train", rows)
    write_list(folder / "data", "val", rows)
    save_npz(str(folder / "start.npz"), vgg_variables(CLASSES))
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    """Log folders: ``straight`` of four epochs at once, ``parts`` of two and two more.

    And ``one`` and ``two``: one step by one tower and by two.
    """
    start = COMMON + " --load start.npz "
    runs, step = start + "--batch 4 --seed 1 ", start + "--epoch 1 --steps 1 "
    texts = train(
        folder,
        runs + "--logdir straight --epoch 4",
        runs + "--logdir parts --epoch 2",
        runs + "--logdir parts --epoch 4 --resume",
        runs + "--logdir parts --epoch 4 --resume",
        COMMON + " --val --load train_log/straight/min-val-error-top1",
        step + "--logdir one --batch 4",
        step + "--logdir two --batch 4 --towers 2",
        still=True,
    )
    logs = folder / "train_log"
    return SimpleNamespace(logs=logs, resumed=texts[2], again=texts[3], measured=texts[4])


def test_what_a_run_leaves(runs):
    names = os.listdir(str(runs.logs / "straight"))
    last = [f"model-{4 * STEPS}.{end}" for end in ("index", "data-00000-of-00001")]
    # Only the last checkpoint and the best one are kept.
    assert sorted(n for n in names if n.startswith("model-")) == sorted(last)
    assert "min-val-error-top1.index" in names
    assert "min-val-error-top1.data-00000-of-00001" in names
    assert {"checkpoint", "model.json", "stats.json", "log.log"} <= set(names)
    assert any(name.startswith("events.out.tfevents") for name in names)
    with open(str(runs.logs / "straight" / "model.json")) as stream:
        card = json.load(stream)
    assert (card["mode"], card["image_size"], card["data_set"]) == ("vgg", 32, "tiny")


def test_tensorboard_has_the_statistics(runs):
    folder = runs.logs / "straight"
    events = next(n for n in os.listdir(str(folder)) if n.startswith("events.out.tfevents"))
    tags = set()
    for event in tf.train.summary_iterator(str(folder / events)):
        tags |= {value.tag for value in event.summary.value}
    assert {"val-error-top1", "learning_rate", "xentropy-loss", "pictures-per-second"} <= tags
    assert any("train-error-top1" in tag for tag in tags)
    assert not any("top5" in tag for tag in tags)


def stats(folder):
    with open(str(folder / "stats.json")) as stream:
        return {row["epoch_num"]: row for row in json.load(stream) if row["epoch_num"] > 0}


def test_validation_at_the_last_epoch_of_a_short_run(runs):
    rows = stats(runs.logs / "straight")
    assert sorted(rows) == [1, 2, 3, 4]
    assert [epoch for epoch in rows if "val-error-top1" in rows[epoch]] == [4]
    assert rows[4]["val-error-top1"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert not any("top5" in key for row in rows.values() for key in row)


def test_training_learns(runs):
    rows = stats(runs.logs / "straight")
    assert rows[4]["xentropy-loss"] < rows[1]["xentropy-loss"]
    start, last = vgg_variables(CLASSES), load_last(runs.logs / "straight")
    assert all((last[name] != start[name]).any() for name in start)


def test_a_resumed_run_continues_at_its_epoch(runs):
    rows, straight = stats(runs.logs / "parts"), stats(runs.logs / "straight")
    assert sorted(rows) == [1, 2, 3, 4]
    assert [rows[epoch]["global_step"] for epoch in (1, 2, 3, 4)] == [2, 4, 6, 8]
    for epoch, row in rows.items():
        assert row["learning_rate"] == pytest.approx(straight[epoch]["learning_rate"])
    assert rows[2]["learning_rate"] == pytest.approx(0.002)
    assert rows[3]["learning_rate"] == pytest.approx(0.0002)
    assert "Start Epoch 3" in runs.resumed
    assert "Start Epoch 2" not in runs.resumed
    weights = [load_last(runs.logs / name) for name in ("straight", "parts")]
    assert distance(*weights, trained_names()) < 1e-4


def test_resuming_a_finished_run_does_nothing(runs):
    assert "all of its 4 epochs already" in runs.again and "Start Epoch" not in runs.again


def test_two_towers_are_one_batch(runs):
    """One step; the momentum slot after it is the gradient."""
    one, two = (load_last(runs.logs / name) for name in ("one", "two"))
    assert one["global_step"] == two["global_step"] == 1
    assert distance(one, two, trained_names(slots=False)) < 1e-5
    start = vgg_variables(CLASSES)
    assert all((two[name] != start[name]).any() for name in start)
    assert distance(one, two, trained_names()) < 5e-5


def test_val_measures_a_trained_checkpoint(runs):
    error = 100 * stats(runs.logs / "straight")[4]["val-error-top1"]
    assert f"top1_error: {error}" in runs.measured and "images: 4" in runs.measured


def test_a_killed_decoder_ends_the_run_with_one_line(root, folder):
    """It neither succeeds nor hangs, and leaves no process."""
    flags = (
        "--data data --final-size 32 --width 0.125 --workers 2 --batch 2 --gpu=-1 --steps 100000"
    )
    script = os.path.join(root, "train_code", "dgl_vgg.py")
    run = subprocess.Popen(
        [sys.executable, script, *flags.split(), "--logdir", "killed"],
        cwd=str(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    watchdog = threading.Timer(120, run.kill)
    watchdog.start()
    text, decoders = "", []
    for line in run.stdout:
        text += line.decode("utf-8", "replace")
        if "Start Epoch 1" in text and not decoders:
            command = ["ps", "--ppid", str(run.pid), "-o", "pid="]
            decoders = list(map(int, subprocess.check_output(command).split()))
            os.kill(decoders[-1], signal.SIGKILL)
    run.stdout.close()
    watchdog.cancel()
    assert (run.wait(), len(decoders)) == (1, 2), text
    (error,) = re.findall(r"^error: .*", text, re.MULTILINE)
    assert "ended by itself" in error and "--resume" in error and "Traceback" not in text
    assert not any(os.path.exists(f"/proc/{process}") for process in decoders)
