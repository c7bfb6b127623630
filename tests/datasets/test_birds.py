"""The drawn birds: what an image is, that only heads differ, the layout on disk, and what is bundled."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy.random import default_rng
from refusals import refusal
from trees import contents

from dgl.cli.localize import make_parser, run
from dgl.data import load_data
from dgl.datasets import SHIPPED_CHECKPOINT, SHIPPED_IMAGES, sample_images
from dgl.datasets.birds import CLASS_NAMES, render_bird, write_data_set
from dgl.datasets.birds import data_set as birds
from dgl.datasets.birds.__main__ import main
from dgl.errors import run_script
from dgl.predict.postprocess import iou
from dgl.weights import open_checkpoint, read_card

SIDE = 64


def _lines(folder, name):
    with open(os.path.join(str(folder), name), encoding="utf-8") as stream:
        return [line.split() for line in stream.read().splitlines()]


def _write(out, **changes):
    settings = {"train_per_class": 2, "test_per_class": 1, "longest_side": SIDE, "workers": 1}
    return write_data_set(str(out), progress=False, **{**settings, **changes})


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    out = tmp_path_factory.mktemp("birds") / "set"
    assert _write(out, seed=3)
    return out


@pytest.mark.parametrize("class_index", range(len(CLASS_NAMES)))
@pytest.mark.parametrize("longest_side", [96, 150])
def test_image_mask_and_box_agree(class_index, longest_side):
    drawn = render_bird(class_index, default_rng(class_index), longest_side)
    assert drawn.image.dtype == np.uint8 and drawn.mask.dtype == np.uint8
    assert drawn.image.shape == drawn.mask.shape + (3,)
    assert max(drawn.mask.shape) == longest_side
    assert set(np.unique(drawn.mask)) == {0, 1}
    rows, columns = np.nonzero(drawn.mask)
    assert drawn.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    _, _, stats, _ = cv2.connectedComponentsWithStats(drawn.mask, connectivity=8)
    assert stats[1:, cv2.CC_STAT_AREA].max() > 0.9 * drawn.mask.sum()


@pytest.mark.parametrize("seed", range(6))
def test_species_of_a_genus_differ_in_the_head_alone(seed):
    first = 2 * (seed % 4)
    one, other = (render_bird(k, default_rng(seed), 160) for k in (first, first + 1))
    difference = np.abs(one.image.astype(int) - other.image.astype(int)).max(axis=-1) > 8
    bird = (one.mask | other.mask).astype(bool)
    assert 0.02 * bird.sum() < difference.sum() < 0.3 * bird.sum()
    # The camera's blur carries a head's color at most this far over its border.
    near = cv2.dilate(bird.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    assert not (difference & ~near).any()
    assert (one.mask != other.mask).sum() < 0.15 * bird.sum()


def test_size_and_place_vary_over_the_stated_range():
    parts, centers = [], []
    for seed in range(60):
        drawn = render_bird(seed % 8, default_rng(seed), SIDE)
        height, width = drawn.mask.shape
        x0, y0, x1, y1 = drawn.box
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        parts.append(max((x1 - x0) / width, (y1 - y0) / height))
        centers.append(((x0 + x1) / 2 / width, (y0 + y1) / 2 / height))
    assert 0.3 < min(parts) < 0.55 and 0.8 < max(parts) < 0.98
    assert (np.ptp(centers, axis=0) > 0.3).all()


def test_the_files_are_those_of_cub_and_boxes_masks_and_images_agree(data_set):
    found = {}
    for split, images in (("train", 2), ("test", 1)):
        samples = load_data(str(data_set), split, layout="cub200").samples
        assert [sample.class_index for sample in samples] == list(range(8)) * images
        found.update((sample.id, sample) for sample in samples)
    folders = [f"{k:03d}.{name}" for k, name in enumerate(CLASS_NAMES, 1)]
    assert [row[1] for row in _lines(data_set, "classes.txt")] == folders
    listed = [path for _, path in _lines(data_set, "images.txt")]
    assert sorted(listed) == sorted(found) and all(path.split("/")[0] in folders for path in listed)
    on_disk = {p for p in contents(data_set) if p.endswith(".jpg")}
    assert on_disk == {os.path.join("images", *path.split("/")) for path in listed}
    for sample in found.values():
        image = cv2.imread(sample.path)
        mask = cv2.imread(sample.mask_paths[0], cv2.IMREAD_UNCHANGED)
        assert mask.shape == image.shape[:2] and set(np.unique(mask)) == {0, 255}
        rows, columns = np.nonzero(mask)
        tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert sample.boxes == (tight,)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_bytes_do_not_depend_on_the_workers(data_set, tmp_path, monkeypatch, method):
    monkeypatch.setattr(birds, "START_METHOD", method)
    assert _write(tmp_path / "set", seed=3, workers=2)
    assert contents(tmp_path / "set") == contents(data_set)


def die(*_):
    os._exit(1)


def test_a_worker_that_dies_ends_the_drawing(tmp_path, monkeypatch):
    monkeypatch.setattr(birds, "_make_image", die)
    assert "worker process ended" in refusal(_write, tmp_path / "set", workers=2)
    assert os.listdir(str(tmp_path)) == []


_FORK_AFTER_THREADS = """
import sys, time
import cv2, numpy as np
from dgl.datasets.birds import data_set as birds
cv2.setNumThreads(2)
cv2.GaussianBlur(np.zeros((1500, 1500, 3), np.uint8), (0, 0), 5)
time.sleep(0.7)  # OpenCV's threads stop spinning and wait: only then does the fork matter
birds.START_METHOD = "fork"
birds.write_data_set(sys.argv[1], 3, 1, 1, 64, 2, False)
assert cv2.getNumThreads() == 2
"""


def test_forked_workers_do_not_wait_for_threads_of_the_parent(tmp_path, root):
    command = [sys.executable, "-c", _FORK_AFTER_THREADS, str(tmp_path / "set")]
    subprocess.run(command, cwd=root, check=True, timeout=60)
    assert os.listdir(str(tmp_path)) == ["set"]


def test_the_same_again_is_left_alone_and_other_contents_are_refused(data_set, tmp_path):
    before = contents(data_set)
    assert _write(data_set, seed=3) is False
    assert "other settings" in refusal(_write, data_set, seed=9)
    (tmp_path / "note.txt").write_text("mine")
    assert "new or empty" in refusal(_write, tmp_path)
    assert "found a file" in refusal(_write, tmp_path / "note.txt")
    assert contents(tmp_path) == {"note.txt": b"mine"} and contents(data_set) == before
    copy = shutil.copytree(str(data_set), str(tmp_path / "incomplete"))
    path = dict(_lines(copy, "images.txt"))["5"]
    os.remove(os.path.join(copy, "images", path))
    assert os.path.basename(path) in refusal(_write, copy, seed=3)


@pytest.mark.parametrize(
    "flag",
    "--seed=-1 --seed=x --train-per-class=0 --test-per-class=0 --size=20 --size=5000 --workers=0 "
    "--samples=elsewhere --color=red".split(),
)
def test_bad_flags_end_in_one_line(tmp_path, capsys, flag):
    with pytest.raises(SystemExit) as end:
        run_script(main, ["--out", str(tmp_path / "set"), flag])
    assert end.value.code == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and message.startswith("error: ")
    assert flag.split("=")[0] in message
    assert os.listdir(str(tmp_path)) == []


def test_samples_are_small_files_of_different_classes(tmp_path):
    paths = birds.write_samples(str(tmp_path))
    names = sorted(map(os.path.basename, paths))
    assert len(names) == 6 and names == sorted(os.listdir(str(tmp_path)))
    assert set(names) < {f"bird_{name.lower()}.jpg" for name in CLASS_NAMES}
    for path in paths:
        assert os.path.getsize(path) < 80000
        assert max(cv2.imread(path).shape) == birds.SAMPLE_SIDE


@pytest.mark.slow
def test_bundled_birds_are_classified_and_most_of_them_localized(tmp_path, root):
    assert os.path.join(root, "images") == SHIPPED_IMAGES
    flags = ["--outdir", str(tmp_path), "--clayer", "conv5_3", "--gpu=-1"]
    assert run(make_parser("demo").parse_args(flags)) == 0
    found = sorted(os.listdir(str(tmp_path)))
    own = [os.path.splitext(os.path.basename(path))[0] for path in sample_images()]
    assert found == sorted(own + ["results.jsonl"])
    overlaps, right = [], 0
    for class_index, seed in birds.SAMPLES:
        name = read_card(SHIPPED_CHECKPOINT).class_names[class_index]
        drawn = render_bird(class_index, default_rng(seed), birds.SAMPLE_SIDE)
        folder = tmp_path / f"bird_{name.lower()}"
        with open(str(folder / "vgg_conv5_3_dgl.json"), encoding="utf-8") as stream:
            record = json.load(stream)
        right += record["class_name"] == name
        overlaps.append(iou(record["box"], drawn.box)[0, 0])
    assert right >= 5 and np.median(overlaps) >= 0.5  # of 6


def test_the_bundled_checkpoint_is_small_and_bare():
    assert os.path.getsize(SHIPPED_CHECKPOINT) <= 6e6
    names = open_checkpoint(SHIPPED_CHECKPOINT).shapes
    assert not [name for name in names if "Momentum" in name or "step" in name]
