"""What a training shows of itself: the event files read back, against the checkpoint that it left.

The maps and GT-known are computed a second time from the last checkpoint, by the predictor, whose graph is
another one: weights as constants, BatchNorm folded.
"""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tiny import write_list
from watched_images import CLASSES, SIZE, WATCHED, rows_of

from benchmarks.watching import draw, read_events, share_of_time
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import GEOMETRIES
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator
from dgl.predict.overlay import draw_boxes, overlay
from dgl.predict.postprocess import normalize, resize_map
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf
from dgl.training.attention_images import choose_watching
from dgl.training.statistics import read_rows
from dgl.weights import open_checkpoint

STEPS, EPOCHS = 2, 3
COMMON = (
    f"--width 0.125 --norm bn --final-size {SIZE} --batch 4 --steps {STEPS} --workers 0 --base-lr 0.02 --gpu=-1 "
    f"--seed 3 --lr-epochs 2 --watch {WATCHED} "
)


@pytest.fixture(scope="module")
def runs(root, tmp_path_factory):
    """Folder of the log folders, and what each training printed."""
    folder = tmp_path_factory.mktemp("watching")
    for split in ("train", "val"):
        write_list(folder / "data", split, rows_of(12))
        write_list(folder / "plain", split, rows_of(6, boxes=((),)))
    trainings = {
        "whole": f"--data data --epoch {EPOCHS} --watch-layer 1 2",
        "parts": "--data data --epoch 2 --watch-layer 1 2",
        "parts ": f"--data data --epoch {EPOCHS} --watch-layer 1 2 --resume",
        "off": f"--data data --epoch {EPOCHS} --watch 0",
        "plain": "--data plain --epoch 2",
    }
    driver = os.path.join(root, "tests", "training", "watch_driver.py")
    command = [sys.executable, driver, os.path.join(root, "train_code", "dgl_vgg.py")]
    command += [COMMON + f"--logdir {name.strip()} {flags}" for name, flags in trainings.items()]
    done = subprocess.run(
        command, cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300
    )
    text = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, text[-4000:]
    texts = dict(zip(trainings, text.split("== ")[1:]))
    return SimpleNamespace(folder=folder, logs=folder / "train_log", texts=texts)


def events(folder):
    """(tag -> step -> RGB image, tag -> step -> scalar) of every event file."""
    images, scalars = {}, {}
    for name in sorted(os.listdir(str(folder))):
        if not name.startswith("events.out.tfevents"):
            continue
        for event in tf.train.summary_iterator(str(folder / name)):
            for value in event.summary.value:
                if value.WhichOneof("value") == "image":
                    data = np.frombuffer(value.image.encoded_image_string, np.uint8)
                    assert data[1:4].tobytes() == b"PNG"
                    rgb = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
                    assert rgb.shape == (value.image.height, value.image.width, 3)
                    images.setdefault(value.tag, {})[event.step] = rgb
                elif value.WhichOneof("value") == "simple_value":
                    scalars.setdefault(value.tag, {})[event.step] = value.simple_value
    return images, scalars


def by_epoch(folder):
    return {row["epoch_num"]: row for row in read_rows(str(folder)) if row["epoch_num"] > 0}


class Again:
    """The watched images of run ``whole``, computed anew from its last checkpoint."""

    def __init__(self, runs):
        self.data = load_data(str(runs.folder / "data"), "val")
        self.watching = choose_watching(self.data.samples, WATCHED, 20, ("conv5_3", "conv5_2"))
        predictor = Predictor("vgg", str(runs.logs / "whole"), (1, 2), ("dgl",), gpu="-1")
        samples = self.watching.measured
        self.views = {
            sample: GEOMETRIES["fixed_threshold"].view(
                read_image(sample.path), np.array(sample.boxes, float), SIZE
            )
            for sample in samples
        }
        images = np.stack([self.views[sample].image[..., ::-1] for sample in samples])
        raw = predictor(images, np.array([sample.class_index for sample in samples])).maps
        evaluator = FixedThresholdEvaluator(CLASSES)
        self.maps = {
            (sample, layer): resize_map(normalize(raw["dgl", layer][n]), SIZE, SIZE)
            for n, sample in enumerate(samples)
            for layer in self.watching.layers
        }
        self.found = {
            key: evaluator.localize(score_map, self.views[key[0]].boxes)
            for key, score_map in self.maps.items()
        }


@pytest.fixture(scope="module")
def again(runs):
    return Again(runs)


@pytest.mark.slow
def test_the_same_pictures_at_every_epoch(runs):
    images, _ = events(runs.logs / "whole")
    assert list(images) == ["maps/0 0", "maps/1 1", "maps/2 2"]
    for by_step in images.values():
        assert sorted(by_step) == [STEPS, 2 * STEPS, 3 * STEPS]
        pictures = [image[:, :SIZE] for image in by_step.values()]
        assert all(np.array_equal(pictures[0], other) for other in pictures[1:])
        assert {image.shape for image in by_step.values()} == {(SIZE, 3 * SIZE + 2 * 4, 3)}
    firsts = [by_step[STEPS][:, :SIZE] for by_step in images.values()]
    assert not np.array_equal(firsts[0], firsts[1])


@pytest.mark.slow
def test_the_maps_change_as_the_network_learns(runs):
    images, _ = events(runs.logs / "whole")
    for by_step in images.values():
        maps = [by_step[step][:, SIZE:].astype(int) for step in sorted(by_step)]
        assert all(np.abs(one - other).mean() > 2 for one, other in zip(maps, maps[1:]))


@pytest.mark.slow
def test_what_is_drawn_is_the_map_of_the_last_checkpoint(runs, again):
    """The image to the bit; overlays to 1.5 of 255 on average, as a box may move by a pixel."""
    images, _ = events(runs.logs / "whole")
    for sample, by_step in zip(again.watching.pictures, images.values()):
        drawn, view = by_step[EPOCHS * STEPS], again.views[sample]
        parts = [drawn[:, n * (SIZE + 4) : n * (SIZE + 4) + SIZE] for n in range(3)]
        assert np.array_equal(parts[0], draw_boxes(view.image, truth=view.boxes))
        for layer, part in zip(again.watching.layers, parts[1:]):
            heat = overlay(view.image, again.maps[sample, layer])
            expected = draw_boxes(heat, again.found[sample, layer][0], view.boxes)
            assert np.abs(part.astype(int) - expected).mean() < 1.5


@pytest.mark.slow
def test_gt_known_is_that_of_the_last_checkpoint(runs, again):
    """Exactly, but for images whose overlap is within 0.05 of the half that decides."""
    overlaps = np.array([again.found[s, "conv5_3"][1] for s in again.watching.measured])
    row = by_epoch(runs.logs / "whole")[EPOCHS]
    right = row["val-gt-known"] * len(overlaps)
    assert len(overlaps) == 12 and right == pytest.approx(round(right))
    assert np.sum(overlaps >= 0.55) - 1e-6 <= right <= np.sum(overlaps >= 0.45) + 1e-6
    assert np.sum(overlaps >= 0.55) > 0 and np.sum(overlaps >= 0.45) < 12


@pytest.mark.slow
def test_scalars_by_epoch(runs):
    _, scalars = events(runs.logs / "whole")
    steps = [STEPS, 2 * STEPS, 3 * STEPS]
    for tag in ("val-gt-known", "learning_rate", "pictures-per-second", "xentropy-loss"):
        assert sorted(scalars[tag]) == steps, tag
    assert list(scalars["learning_rate"].values()) == pytest.approx([0.02, 0.02, 0.002])
    assert all(rate > 0 for rate in scalars["pictures-per-second"].values())
    rows = by_epoch(runs.logs / "whole")
    for epoch, step in enumerate(steps, 1):
        assert scalars["val-gt-known"][step] == pytest.approx(rows[epoch]["val-gt-known"])
        assert rows[epoch]["pictures-per-second"] > 0


@pytest.mark.slow
def test_a_line_an_epoch(runs):
    lines = re.findall(r"\] (epoch \d.*)", runs.texts["whole"])
    assert len(lines) == EPOCHS
    rows = by_epoch(runs.logs / "whole")
    number = r"([\d.e+-]+)"
    pattern = (
        r"epoch (\d)/3  loss {0}  train-error {0} %  (?:val-error {0} %  )?GT-known {0} %  lr {0}  "
    )
    for epoch, line in enumerate(lines, 1):
        match = re.match((pattern + r"{0} pictures/s(  about \d+ \w+ left)?$").format(number), line)
        told, loss, train_error, val_error, gt_known, rate, speed, left = match.groups()
        row = rows[epoch]
        assert int(told) == epoch
        assert float(loss) == pytest.approx(row["xentropy-loss"], abs=1e-3)
        assert float(train_error) == pytest.approx(100 * row["train-error-top1"], abs=0.06)
        assert float(gt_known) == pytest.approx(100 * row["val-gt-known"], abs=0.06)
        assert float(rate) == pytest.approx(row["learning_rate"], rel=1e-2)
        assert float(speed) == pytest.approx(row["pictures-per-second"], rel=1e-2)
        assert (val_error is not None) == (epoch == EPOCHS) == (left is None)
    assert float(val_error) == pytest.approx(100 * rows[EPOCHS]["val-error-top1"], abs=0.06)
    # Tensorpack's own lines of a scalar each are gone.
    assert "xentropy-loss:" not in runs.texts["whole"]


@pytest.mark.slow
def test_the_figure_of_the_event_file(runs, tmp_path):
    """A column an epoch beside the image, and a share that is one."""
    images, times = read_events(str(runs.logs / "whole"))
    assert {tag: sorted(found) for tag, found in images.items()} == {
        f"maps/{n} {n}": [STEPS, 2 * STEPS, 3 * STEPS] for n in range(WATCHED)
    }
    assert 0 < share_of_time(times) < 1
    rows = list(by_epoch(runs.logs / "whole").values())
    draw(str(tmp_path / "figure.png"), images, rows, [0, 2])
    height, width = read_image(str(tmp_path / "figure.png")).shape[:2]
    assert 400 < height < 700 and 600 < width < 900


def variables(folder):
    checkpoint = open_checkpoint(str(folder))
    return {name: np.asarray(checkpoint.read(name)) for name in checkpoint.shapes}


@pytest.mark.slow
@pytest.mark.parametrize("other", ["off", "parts"])
def test_watching_changes_no_training(runs, other):
    """Not watched, and watched but interrupted: every variable equal to the bit, none more, none fewer."""
    whole, found = variables(runs.logs / "whole"), variables(runs.logs / other)
    assert sorted(whole) == sorted(found)
    assert [n for n in whole if whole[n].tobytes() != found[n].tobytes()] == []
    assert whole["global_step"] == EPOCHS * STEPS


@pytest.mark.slow
def test_a_resumed_run_shows_what_an_undisturbed_one_shows(runs):
    (whole, _), (parts, _) = events(runs.logs / "whole"), events(runs.logs / "parts")
    assert list(whole) == list(parts)
    for tag, by_step in whole.items():
        assert sorted(parts[tag]) == sorted(by_step)
        assert all(np.array_equal(image, parts[tag][step]) for step, image in by_step.items())
    gt_known = [
        [row["val-gt-known"] for row in by_epoch(runs.logs / name).values()]
        for name in ("whole", "parts")
    ]
    assert gt_known[0] == gt_known[1]


@pytest.mark.slow
def test_nothing_is_watched(runs):
    images, scalars = events(runs.logs / "off")
    assert not images and "val-gt-known" not in scalars
    assert "GT-known" not in runs.texts["off"].partition("Start Epoch")[2]
    assert len(re.findall(r"\] epoch \d/3  loss", runs.texts["off"])) == EPOCHS


@pytest.mark.slow
def test_data_without_boxes_has_maps_but_no_gt_known(runs):
    images, scalars = events(runs.logs / "plain")
    assert len(images) == WATCHED and "val-gt-known" not in scalars
    assert all("val-gt-known" not in row for row in by_epoch(runs.logs / "plain").values())
    assert runs.texts["plain"].count("GT-known is not measured: no validation image of plain") == 1
