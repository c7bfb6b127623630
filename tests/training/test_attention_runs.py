"""Attention maps of real trainings: their event files against the checkpoints that they leave.

Maps and GT-known are computed again from the last checkpoint by the predictor, whose graph is another one:
weights as constants, BatchNorm folded.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from real_runs import load_last, train
from sample_images import write_list
from small_trainings import BOXES, CLASSES, rows_of

from benchmarks.watching import read_events
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import GEOMETRIES
from dgl.errors import UserError
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator
from dgl.predict.overlay import draw_boxes, overlay
from dgl.predict.postprocess import normalize, resize_map
from dgl.predict.predictor import Predictor
from dgl.training.attention_callback import choose_images
from dgl.training.log_folder import read_rows

pytestmark = pytest.mark.slow

SIZE, DRAWN, STEPS, EPOCHS = 64, 3, 2, 3
COMMON = (
    f"--data data --width 0.125 --norm bn --final-size {SIZE} --batch 4 --steps {STEPS} --workers 0 "
    "--base-lr 0.02 --gpu=-1 --seed 3 --lr-epochs 2"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Log folders, and what each training printed."""
    folder = tmp_path_factory.mktemp("attention")
    for split in ("train", "val"):
        write_list(folder / "data", split, rows_of(12, boxes=BOXES, ending=".png"))
    maps = f"--watch {DRAWN} --watch-layer 1 2"
    texts = train(
        folder,
        f"{COMMON} --logdir whole --epoch {EPOCHS} {maps}",
        f"{COMMON} --logdir parts --epoch 2 {maps}",
        f"{COMMON} --logdir parts --epoch {EPOCHS} {maps} --resume",
        f"{COMMON} --logdir off --epoch {EPOCHS} --watch 0",
    )
    return SimpleNamespace(folder=folder, logs=folder / "train_log", whole=texts[0], off=texts[3])


def measured(folder):
    """GT-known of every epoch of a run."""
    return [row["val-gt-known"] for row in read_rows(str(folder)) if row["epoch_num"] > 0]


@pytest.fixture(scope="module")
def images(runs):
    """Tag -> step -> RGB image, from the event file of run ``whole``."""
    return read_events(str(runs.logs / "whole"))[0]


@pytest.fixture(scope="module")
def again(runs):
    """Views, maps and boxes of run ``whole``, computed again from its last checkpoint."""
    samples = load_data(str(runs.folder / "data"), "val").samples
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


def test_the_same_images_at_every_epoch(images):
    assert list(images) == ["maps/0 0", "maps/1 1", "maps/2 2"]
    for by_step in images.values():
        assert sorted(by_step) == [STEPS, 2 * STEPS, 3 * STEPS]
        views = [image[:, :SIZE] for image in by_step.values()]
        assert all(np.array_equal(views[0], other) for other in views[1:])
        assert {image.shape for image in by_step.values()} == {(SIZE, 3 * SIZE + 2 * 4, 3)}
    firsts = [by_step[STEPS][:, :SIZE] for by_step in images.values()]
    assert not np.array_equal(firsts[0], firsts[1])


def test_drawn_maps_are_those_of_the_last_checkpoint(images, again):
    """The image to the bit; overlays to 1.5 of 255 on average, as a box may move by a pixel."""
    for sample, by_step in zip(again.images.drawn, images.values()):
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
    right = measured(runs.logs / "whole")[-1] * len(overlaps)
    assert len(overlaps) == 12 and right == pytest.approx(round(right))
    assert np.sum(overlaps >= 0.55) - 1e-6 <= right <= np.sum(overlaps >= 0.45) + 1e-6
    assert np.sum(overlaps >= 0.55) > 0 and np.sum(overlaps >= 0.45) < 12


@pytest.mark.parametrize("other", ["off", "parts"])
def test_attention_maps_do_not_change_training(runs, other):
    """Without maps, and with them but interrupted: the same variables, equal to the bit."""
    whole, found = (load_last(runs.logs / name) for name in ("whole", other))
    assert sorted(whole) == sorted(found)
    assert [n for n in whole if whole[n].tobytes() != found[n].tobytes()] == []
    assert whole["global_step"] == EPOCHS * STEPS


def test_a_resumed_run_draws_what_an_uninterrupted_one_draws(runs, images):
    parts = read_events(str(runs.logs / "parts"))[0]
    assert list(images) == list(parts)
    for tag, by_step in images.items():
        assert sorted(parts[tag]) == sorted(by_step)
        assert all(np.array_equal(image, parts[tag][step]) for step, image in by_step.items())
    assert len(measured(runs.logs / "whole")) == EPOCHS
    assert measured(runs.logs / "whole") == measured(runs.logs / "parts")


def test_no_attention_maps(runs):
    with pytest.raises(UserError, match="no maps"):
        read_events(str(runs.logs / "off"))
    assert not any("val-gt-known" in row for row in read_rows(str(runs.logs / "off")))
    assert "GT-known" not in runs.off.partition("Start Epoch")[2]


def test_one_line_per_epoch(runs):
    lines = re.findall(r"\] epoch (\d)/3  loss .*  GT-known .*  lr .* images/s\n", runs.whole)
    assert lines == ["1", "2", "3"]
    assert "xentropy-loss:" not in runs.whole  # a line of tensorpack's for each scalar
