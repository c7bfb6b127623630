"""Real trainings without a GPU: the files that they leave, resuming, towers.

Where trainings are compared, a batch is the whole list and the training view is the validation view: then
every step is the same, whatever the order of the images.
"""

import os
from types import SimpleNamespace

import pytest
from networks import vgg_shapes, vgg_variables
from real_runs import distance, load_last, train
from sample_images import write_list
from small_trainings import CLASSES, rows_of

from dgl.tf_compat import tf
from dgl.training.checkpointing import checkpoint_files
from dgl.training.log_folder import read_rows
from dgl.weights import read_card, save_npz

pytestmark = pytest.mark.slow

# Two steps per epoch; the rate falls after epoch 2, where the run is interrupted.
STEPS = 2
COMMON = f"--data data --final-size 32 --steps {STEPS} --lr-epochs 2 --workers 0 --base-lr 0.002 --watch 0"


def trained_names(slots=True):
    names = list(vgg_shapes(CLASSES))
    return names + [name + "/Momentum" for name in names] if slots else names


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Log folders: ``straight`` of four epochs at once, ``parts`` of two and two more.

    And ``one`` and ``two``: one step by one tower and by two.
    """
    folder = tmp_path_factory.mktemp("train")
    for split in ("train", "val"):
        write_list(folder / "data", split, rows_of(CLASSES))
    save_npz(str(folder / "start.npz"), vgg_variables(CLASSES))
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
    names = set(os.listdir(runs.logs / "straight"))
    # Only the last checkpoint and the best one are kept.
    assert {n for n in names if n.startswith("model-")} == set(checkpoint_files("model-8"))
    assert names > {*checkpoint_files("min-val-error-top1"), "checkpoint", "stats.json", "log.log"}
    card = read_card(str(runs.logs / "straight"))
    assert (card.mode, card.image_size, card.data_set) == ("vgg", 32, "tiny")


def test_tensorboard_has_the_statistics(runs):
    folder = runs.logs / "straight"
    (events,) = folder.glob("events.out.tfevents*")
    found = tf.train.summary_iterator(str(events))
    tags = {value.tag for event in found for value in event.summary.value}
    assert {"val-error-top1", "learning_rate", "xentropy-loss", "pictures-per-second"} <= tags
    assert any("train-error-top1" in tag for tag in tags)
    assert not any("top5" in tag for tag in tags)


def stats(folder):
    return {row["epoch_num"]: row for row in read_rows(str(folder)) if row["epoch_num"] > 0}


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
    rates = [row["learning_rate"] for row in rows.values()]
    assert rates == pytest.approx([0.002, 0.002, 0.0002, 0.0002])
    assert "Start Epoch 3" in runs.resumed and "Start Epoch 2" not in runs.resumed
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
