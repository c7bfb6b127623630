"""`evaluate_localization.py --maps`: saved maps against metadata, without a model."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from command_runs import command, metrics_of
from refusals import check_refusal, refusal
from straight_boxes import random_images, straight_hits
from trees import make, read_csv, wsol

from dgl.evaluation.saved_maps import read_map
from dgl.predict.overlay import write_image

pytestmark = pytest.mark.usefixtures("quick_charts")
IMAGES, SIDE = 60, 224


def write_case(folder, count, seed=0, masks=False):
    """Write maps, metadata and masks; returns (id, map, boxes in pixels, (width, height)) of each image."""
    rng = np.random.RandomState(seed)
    images, drawn = [], []
    for index, score_map in enumerate(random_images(count, seed)[0]):
        key = f"val{index % 3}/image_{index:04d}.jpg"
        width, height = int(rng.randint(60, 700)), int(rng.randint(60, 700))
        boxes = []
        for _ in range(rng.randint(1, 5)):
            x0, x1 = np.sort(rng.randint(0, width, 2)).tolist()
            y0, y1 = np.sort(rng.randint(0, height, 2)).tolist()
            boxes.append((x0, y0, x1, y1))
        kind = [np.float16, np.float32, np.float64][index % 3]
        score_map = cv2.resize(score_map, (SIDE, SIDE)).astype(kind)
        save_map(folder / "maps", key, score_map)
        images.append((key, score_map, boxes, (width, height)))
        if not masks:
            continue
        mask, name = np.zeros((height, width), np.uint8), key.replace("/", "_") + ".png"
        for x0, y0, x1, y1 in boxes:
            mask[y0 : y1 + 1, x0 : x1 + 1] = 255
        write_image(str(folder / "masks" / name), np.repeat(mask[..., None], 3, 2))
        drawn.append(f"{key},{name},\n")
    rows = [(key, 0, boxes) for key, _, boxes, _ in images]
    files = wsol("metadata", rows, [size for _, _, _, size in images])
    if masks:
        files["metadata/localization.txt"] = "".join(drawn)
    make(folder, files)
    return images


def save_map(folder, key, score_map):
    path = folder / (key + ".npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(str(path), score_map)


def scaled(boxes, width, height):
    """Boxes in the pixels of an image as whole ones of the map."""
    sides = (width, height, width, height)
    return [[int(value * SIDE / side) for value, side in zip(box, sides)] for box in boxes]


def straight_figures(images, step):
    """MaxBoxAcc's curve, MaxBoxAccV2 by overlap, in percent, and the thresholds, by a loop over all."""
    thresholds = np.arange(0, 1, step)
    right, right_v2 = 0, 0
    for _, score_map, boxes, size in images:
        largest, every = straight_hits(score_map, thresholds, scaled(boxes, *size))
        right, right_v2 = right + largest.astype(float), right_v2 + every.astype(float)
    best = right_v2.max(axis=1) * 100.0 / len(images)
    return right * 100.0 / len(images), dict(zip(("30", "50", "70"), best)), thresholds


def score(folder, *flags):
    """The metrics of the maps in ``folder``, written to its ``out``."""
    flags = ("--maps", folder / "maps", "--metadata", folder / "metadata") + flags
    code = command(*flags, "--out", folder / "out")
    metrics = metrics_of(folder / "out")
    assert code == (1 if metrics["errors"] else 0)
    return metrics


def test_the_script_gives_exactly_the_straight_numbers(root, tmp_path):
    curve, per_iou, thresholds = straight_figures(write_case(tmp_path, IMAGES), 0.01)
    script = os.path.join(root, "test_code", "evaluate_localization.py")
    flags = ["--maps", "maps", "--metadata", "metadata", "--out", "out"]
    options = {"capture_output": True, "check": True, "cwd": str(tmp_path)}
    result = subprocess.run([sys.executable, script, *flags], **options)
    metrics = metrics_of(tmp_path / "out")
    assert metrics["curve"] == curve.tolist()
    assert metrics["thresholds"] == thresholds.tolist()
    assert metrics["max_box_acc"] == curve.max()
    assert metrics["best_threshold"] == thresholds[curve.argmax()]
    assert metrics["max_box_acc_v2_per_iou"] == per_iou
    assert metrics["max_box_acc_v2"] == pytest.approx(np.mean(list(per_iou.values())), rel=1e-15)
    assert "pxap" not in metrics
    assert (metrics["errors"], metrics["images"], metrics["skipped"]) == (0, IMAGES, 0)
    low, high = metrics["max_box_acc_interval"]
    assert low <= metrics["max_box_acc"] <= high
    assert "{:.1f}".format(metrics["max_box_acc"]) in result.stdout.decode("utf-8")
    assert "tensorflow" not in metrics["versions"]  # which is not waited for


def test_the_fine_step_equals_the_straight_numbers_without_labels_too(tmp_path):
    curve, per_iou, _ = straight_figures(write_case(tmp_path, 6, seed=3), 0.001)
    os.remove(str(tmp_path / "metadata" / "class_labels.txt"))
    metrics = score(tmp_path, "--cam-interval", 0.001)
    assert metrics["curve"] == curve.tolist() and len(curve) == 1000
    assert metrics["max_box_acc_v2_per_iou"] == per_iou


def test_masks_are_scored_by_pixels(tmp_path):
    write_case(tmp_path, 8, masks=True)
    metrics = score(tmp_path, "--mask-root", tmp_path / "masks")
    assert "max_box_acc" not in metrics
    low, high = metrics["pxap_interval"]
    assert 0 < low <= metrics["pxap"] <= high < 100
    check_refusal("--mask-root: expected the folder of the masks", score, tmp_path)


def test_two_programs_are_compared_on_the_same_images(tmp_path):
    for key, _, boxes, size in write_case(tmp_path, 30):
        ((x0, y0, x1, y1),) = scaled(boxes[:1], *size)
        perfect = np.zeros((224, 224), "float32")
        perfect[y0:y1, x0:x1] = 1
        save_map(tmp_path / "perfect", key, perfect)
    flags = ["--maps", tmp_path / "perfect", tmp_path / "maps", "--metadata", tmp_path / "metadata"]
    assert command(*flags, "--out", tmp_path / "out", "--resamples", 200) == 0
    protocol = metrics_of(tmp_path / "out")["protocols"]["wsolevaluation"]
    first, second = protocol["rows"]
    assert (first["method"], second["method"]) == ("perfect", "maps")
    (compared,) = protocol["comparisons"]
    assert compared["difference"] == first["max_box_acc"] - second["max_box_acc"] > 20
    assert compared["p_value"] < 0.05 and compared["interval"][0] > 0


def spoiled(value):
    score_map = np.zeros((224, 224), "float32")
    score_map[0, 0] = value
    return score_map


HALF_A_HEADER = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9"


@pytest.mark.parametrize(
    "content, message",
    [
        (spoiled(1.01), "values from 0 to 1.01"),
        (spoiled(np.nan), "values from nan"),
        (np.zeros((7, 7), "float32"), "7 x 7"),
        (np.zeros((224, 224), "uint8"), "uint8"),
        (np.zeros((1000, 1000)), "too large"),
        (np.array([{"a": 1}], dtype=object), "not an array"),
        (HALF_A_HEADER, "not an array"),
        (None, "no such file"),
    ],
)
def test_a_map_that_is_none_is_named(tmp_path, content, message):
    path = tmp_path / "map.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(str(path), content)
    found = refusal(read_map, str(path))
    assert "map.npy: " in found and message in found


@pytest.mark.parametrize("workers", [1, 2])
def test_maps_that_cannot_be_read_are_recorded(tmp_path, workers):
    images = write_case(tmp_path, 12)
    os.remove(str(tmp_path / "maps" / (images[3][0] + ".npy")))
    save_map(tmp_path / "maps", images[5][0], np.ones((9, 9)))
    metrics = score(tmp_path, "--workers", workers)
    assert (metrics["errors"], metrics["images"]) == (2, 10)
    rows = read_csv(tmp_path / "out" / "errors.csv")
    assert [row["id"] for row in rows] == [images[3][0], images[5][0]]
    assert "no such file" in rows[0]["error"] and "9 x 9" in rows[1]["error"]
    left = [image for index, image in enumerate(images) if index not in (3, 5)]
    assert metrics["curve"] == straight_figures(left, 0.01)[0].tolist()
    check_refusal("no such file", score, tmp_path, "--strict")


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--maps", "maps"], "--metadata"),
        (["--maps", "nowhere", "--metadata", "metadata"], "nowhere: no such folder"),
        (["--maps", "maps", "--metadata", "nowhere"], "--metadata nowhere: no such folder"),
        (["--maps", "metadata", "--metadata", "metadata"], "none of 3 maps"),
        (["--maps", "maps", "--metadata", "metadata", "--mask-root", "nowhere"], "--mask-root"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, monkeypatch, flags, message):
    write_case(tmp_path, 3)
    monkeypatch.chdir(tmp_path)
    check_refusal(message, command, *flags, "--out", "out")
    assert not (tmp_path / "out").exists()


def test_an_id_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    write_case(tmp_path, 3)
    save_map(tmp_path, "secret", np.zeros((224, 224), "float32"))
    for name, more in (("image_ids", ""), ("class_labels", ",0"), ("image_sizes", ",9,9")):
        path = tmp_path / "metadata" / (name + ".txt")
        path.write_text(path.read_text() + "../secret" + more + "\n")
    check_refusal("leads out of the data folder", score, tmp_path)
