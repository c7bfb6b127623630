"""Real trainings without a GPU: the files that they leave, attention maps, resuming, towers.

Maps and GT-known are computed again from the last checkpoint by the predictor, whose graph is another one:
weights as constants, BatchNorm folded.
"""

import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
from networks import vgg_variables
from refusals import check_refusal
from sample_images import write_list
from small_trainings import BOXES, CLASSES, distance, load_last, rows_of, train

from benchmarks.watching import read_events
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import GEOMETRIES
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator
from dgl.predict.overlay import draw_boxes, overlay
from dgl.predict.postprocess import normalize, resize_map
from dgl.predict.predictor import Predictor
from dgl.training.attention_callback import choose_images
from dgl.training.checkpointing import checkpoint_files
from dgl.training.log_folder import read_rows
from dgl.weights import read_card, save_npz

pytestmark = pytest.mark.slow

SIZE, DRAWN, STEPS, EPOCHS, IMAGES = 64, 3, 2, 3, 12
COMMON = (
    f"--data data --width 0.125 --norm bn --final-size {SIZE} --batch 4 --steps {STEPS} --workers 0 "
    "--base-lr 0.02 --gpu=-1 --seed 3 --lr-epochs 2"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    for split in ("train", "val"):
        write_list(folder / "data", split, rows_of(IMAGES, boxes=BOXES, ending=".png"))
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    """A run with attention maps, one that is interrupted, and one without maps.

    Their log folders, what was printed, and of the first one tag -> step -> RGB image, and all tags.
    """
    maps = f"--watch {DRAWN} --watch-layer 1 2"
    texts = train(
        folder,
        f"{COMMON} --logdir whole --epoch {EPOCHS} {maps}",
        f"{COMMON} --logdir parts --epoch 2 {maps}",
        f"{COMMON} --logdir parts --epoch {EPOCHS} {maps} --resume",
        f"{COMMON} --logdir off --epoch {EPOCHS} --watch 0",
        f"{COMMON} --logdir off --epoch {EPOCHS} --watch 0 --resume",
        f"{COMMON} --val --load train_log/off/min-val-error-top1",
    )
    names = ("whole", "_", "resumed", "off", "again", "validation")
    logs = folder / "train_log"
    images, tags = read_events(str(logs / "whole"))
    return SimpleNamespace(logs=logs, images=images, tags=set(tags), **dict(zip(names, texts)))


def rows(folder):
    return [row for row in read_rows(str(folder)) if row["epoch_num"] > 0]


def test_what_a_run_leaves(runs):
    names = set(os.listdir(runs.logs / "off"))
    # Only the last checkpoint and the best one are kept.
    last = checkpoint_files(f"model-{EPOCHS * STEPS}")
    assert {name for name in names if name.startswith("model-")} == set(last)
    assert names > {*checkpoint_files("min-val-error-top1"), "checkpoint", "stats.json", "log.log"}
    card = read_card(str(runs.logs / "off"))
    assert (card.mode, card.image_size, card.data_set) == ("vgg", SIZE, "tiny")


def test_validation_is_at_the_last_epoch_of_a_short_run_and_that_of_val(runs):
    found = rows(runs.logs / "off")
    assert [row["epoch_num"] for row in found if "val-error-top1" in row] == [EPOCHS]
    printed = float(re.search(r"top1_error: ([0-9.]+)", runs.validation).group(1))
    assert f"images: {IMAGES}" in runs.validation
    assert printed == pytest.approx(100 * found[-1]["val-error-top1"], abs=0.01)
    assert not any("top5" in key for row in found for key in row)


def test_tensorboard_has_the_statistics(runs):
    scalars = {"val-error-top1", "learning_rate", "xentropy-loss", "pictures-per-second"}
    assert scalars <= runs.tags
    assert any("train-error-top1" in tag for tag in runs.tags)
    assert not any("top5" in tag for tag in runs.tags)
    check_refusal("no maps", read_events, str(runs.logs / "off"))


@pytest.fixture(scope="module")
def again(folder, runs):
    """Views, maps and boxes of run ``whole``, computed again from its last checkpoint."""
    samples = load_data(str(folder / "data"), "val").samples
    chosen = choose_images(samples, DRAWN, 20, ("conv5_3", "conv5_2"))
    view = GEOMETRIES["fixed_threshold"].view
    views = {s: view(read_image(s.path), np.array(s.boxes, float), SIZE) for s in chosen.measured}
    predictor = Predictor("vgg", str(runs.logs / "whole"), (1, 2), ("dgl",), gpu="-1")
    raw = predictor(
        np.stack([view.image[..., ::-1] for view in views.values()]),
        np.array([sample.class_index for sample in views]),
    ).maps
    maps = {
        (sample, layer): resize_map(normalize(raw["dgl", layer][n]), SIZE, SIZE)
        for n, sample in enumerate(views)
        for layer in chosen.layers
    }
    localize = FixedThresholdEvaluator(CLASSES).localize
    found = {key: localize(maps[key], views[key[0]].boxes) for key in maps}
    return SimpleNamespace(images=chosen, views=views, maps=maps, found=found)


def test_the_same_images_at_every_epoch(runs):
    assert list(runs.images) == ["maps/0 0", "maps/1 1", "maps/2 2"]
    for by_step in runs.images.values():
        assert sorted(by_step) == [STEPS, 2 * STEPS, 3 * STEPS]
        views = [image[:, :SIZE] for image in by_step.values()]
        assert all(np.array_equal(views[0], other) for other in views[1:])
        assert {image.shape for image in by_step.values()} == {(SIZE, 3 * SIZE + 2 * 4, 3)}
    firsts = [by_step[STEPS][:, :SIZE] for by_step in runs.images.values()]
    assert not np.array_equal(firsts[0], firsts[1])


def test_drawn_maps_are_those_of_the_last_checkpoint(runs, again):
    """The image to the bit; overlays to 1.5 of 255 on average, as a box may move by a pixel."""
    for sample, by_step in zip(again.images.drawn, runs.images.values()):
        drawn, view = by_step[EPOCHS * STEPS], again.views[sample]
        parts = [drawn[:, n * (SIZE + 4) : n * (SIZE + 4) + SIZE] for n in range(3)]
        assert np.array_equal(parts[0], draw_boxes(view.image, truth=view.boxes))
        for layer, part in zip(again.images.layers, parts[1:]):
            heat = overlay(view.image, again.maps[sample, layer])
            expected = draw_boxes(heat, again.found[sample, layer][0], view.boxes)
            assert np.abs(part.astype(int) - expected).mean() < 1.5


def test_gt_known_is_that_of_the_last_checkpoint(runs, again):
    """Exactly, but for images whose overlap is within 0.05 of the half that decides."""
    overlaps = np.array([again.found[s, "conv5_3"][1] for s in again.images.measured])
    right = rows(runs.logs / "whole")[-1]["val-gt-known"] * len(overlaps)
    assert len(overlaps) == IMAGES and right == pytest.approx(round(right))
    assert np.sum(overlaps >= 0.55) - 1e-6 <= right <= np.sum(overlaps >= 0.45) + 1e-6
    assert np.sum(overlaps >= 0.55) > 0 and np.sum(overlaps >= 0.45) < IMAGES


@pytest.mark.parametrize("other", ["off", "parts"])
def test_attention_maps_do_not_change_training(runs, other):
    """Without maps, and with them but interrupted: the same variables, equal to the bit."""
    whole, found = (load_last(runs.logs / name) for name in ("whole", other))
    assert sorted(whole) == sorted(found)
    assert [n for n in whole if whole[n].tobytes() != found[n].tobytes()] == []
    assert whole["global_step"] == EPOCHS * STEPS


def test_a_resumed_run_draws_what_an_uninterrupted_one_draws(runs):
    images = read_events(str(runs.logs / "parts"))[0]
    np.testing.assert_equal(images, runs.images)
    assert list(images) == list(runs.images)
    whole, parts, off = (
        [(row["epoch_num"], row.get("val-gt-known")) for row in rows(runs.logs / name)]
        for name in ("whole", "parts", "off")
    )
    assert whole == parts and len(whole) == EPOCHS
    assert off == [(epoch, None) for epoch, _ in whole]


def test_what_is_printed(runs):
    """One line per epoch, with GT-known where it is measured."""
    lines = re.findall(r"\] epoch (\d)/3  loss .*  GT-known .*  lr .* images/s\n", runs.whole)
    assert lines == ["1", "2", "3"]
    assert "xentropy-loss:" not in runs.whole  # a line of tensorpack's for each scalar
    assert "GT-known" not in runs.off.partition("Start Epoch")[2]
    assert "Start Epoch 3" in runs.resumed and "Start Epoch 2" not in runs.resumed
    assert f"all of its {EPOCHS} epochs already" in runs.again and "Start Epoch" not in runs.again


def test_two_towers_are_one_batch(folder):
    """One step; the momentum slot after it is the gradient."""
    save_npz(str(folder / "start.npz"), vgg_variables(CLASSES))
    flags = (
        f"--data data --final-size 32 --steps 1 --epoch 1 --batch {IMAGES} --workers 0 --watch 0 "
        "--base-lr 0.002 --load start.npz"
    )
    train(folder, f"{flags} --logdir one", f"{flags} --logdir two --towers 2", still=True)
    one, two = (load_last(folder / "train_log" / name) for name in ("one", "two"))
    assert one["global_step"] == two["global_step"] == 1
    start = vgg_variables(CLASSES)
    assert distance(one, two, start) < 1e-5
    assert all((two[name] != start[name]).any() for name in start)
    assert distance(one, two, [name + "/Momentum" for name in start]) < 5e-5
