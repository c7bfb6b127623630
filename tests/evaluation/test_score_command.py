"""`evaluate_localization.py --maps`: saved maps against metadata, without a model."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from wsol_files import straight_figures, write_case

from dgl.cli.evaluate import make_parser, run
from dgl.errors import UserError
from dgl.evaluation import saved_maps as scoring
from dgl.evaluation.saved_maps import read_map

IMAGES = 60
SCRIPT = os.path.join("test_code", "evaluate_localization.py")


def score(folder, out, *flags):
    flags = ["--maps", folder / "maps", "--metadata", folder / "metadata", "--out", out] + list(
        flags
    )
    code = run(make_parser("Score.").parse_args([str(flag) for flag in flags]))
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert code == (1 if metrics["errors"] else 0)
    return metrics


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    return folder, write_case(folder, IMAGES)


@pytest.fixture(scope="module")
def straight(case):
    return straight_figures(case[1], 0.01)


def test_the_script_gives_exactly_the_straight_numbers(case, straight, root, tmp_path):
    folder, _ = case
    command = [sys.executable, os.path.join(root, SCRIPT), "--maps", str(folder / "maps")]
    command += ["--metadata", str(folder / "metadata"), "--out", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, check=True)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    curve, per_iou, thresholds = straight
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
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "{:.1f}".format(metrics["max_box_acc_v2"]) in page
    # The other format's parser and TensorFlow are not waited for.
    assert "tensorflow" not in metrics["versions"]


def test_the_fine_step_equals_the_straight_numbers(tmp_path):
    images = write_case(tmp_path, 6, seed=3)
    metrics = score(tmp_path, tmp_path / "out", "--cam-interval", 0.001)
    curve, per_iou, _ = straight_figures(images, 0.001)
    assert metrics["curve"] == curve.tolist() and len(curve) == 1000
    assert metrics["max_box_acc_v2_per_iou"] == per_iou


def test_labels_are_not_needed(case, tmp_path):
    folder, _ = case
    write_case(tmp_path, 8)
    os.remove(str(tmp_path / "metadata" / "class_labels.txt"))
    assert score(tmp_path, tmp_path / "out")["images"] == 8


def test_masks_are_scored_by_pixels(tmp_path):
    images = write_case(tmp_path, 8, masks=True)
    metrics = score(tmp_path, tmp_path / "out", "--mask-root", tmp_path / "masks")
    assert "max_box_acc" not in metrics
    low, high = metrics["pxap_interval"]
    assert 0 < low <= metrics["pxap"] <= high < 100
    for key, score_map, _, _ in images:
        np.save(str(tmp_path / "maps" / (key + ".npy")), (1 - score_map).astype("float32"))
    assert score(tmp_path, tmp_path / "out2", "--mask-root", tmp_path / "masks") != metrics
    with pytest.raises(UserError, match="--mask-root: expected the folder of the masks"):
        score(tmp_path, tmp_path / "out3")
    with pytest.raises(UserError, match="--mask-root nowhere: no such folder"):
        score(tmp_path, tmp_path / "out3", "--mask-root", "nowhere")


def test_two_programs_are_compared_on_the_same_images(tmp_path):
    images = write_case(tmp_path, 30)
    for key, _, boxes, (width, height) in images:
        x0, y0, x1, y1 = boxes[0]
        perfect = np.zeros((224, 224), "float32")
        perfect[y0 * 224 // height : y1 * 224 // height, x0 * 224 // width : x1 * 224 // width] = 1
        path = str(tmp_path / "perfect" / (key + ".npy"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        np.save(path, perfect)
    flags = ["--maps", tmp_path / "perfect", tmp_path / "maps", "--metadata", tmp_path / "metadata"]
    flags += ["--out", tmp_path / "out", "--resamples", 200]
    assert run(make_parser("Score.").parse_args([str(flag) for flag in flags])) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    rows = metrics["protocols"]["wsolevaluation"]["rows"]
    assert [row["method"] for row in rows] == ["perfect", "maps"]
    (compared,) = metrics["protocols"]["wsolevaluation"]["comparisons"]
    assert compared["difference"] == rows[0]["max_box_acc"] - rows[1]["max_box_acc"] > 20
    assert compared["p_value"] < 0.05 and compared["interval"][0] > 0


def broken_maps():
    good = np.zeros((224, 224), "float32")
    outside, holed, inverted = good.copy(), good.copy(), good.copy()
    outside[0, 0], holed[0, 0], inverted[0, 0] = 1.01, np.nan, -0.01
    return [
        (outside, "values from 0 to 1.01"),
        (inverted, "values from -0.01"),
        (holed, "values from nan"),
        (np.zeros((7, 7), "float32"), "7 x 7"),
        (np.zeros((224, 224, 1), "float32"), "224 x 224 x 1"),
        (np.float32(0.5), "a single number"),
        (good.astype("uint8"), "uint8"),
        (np.array([{"a": 1}], dtype=object), "not an array"),
        (
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9",
            "not an array",
        ),
        (b"\x93NUMPY" + b"\xff" * 300, "not an array"),
        (None, "no such file"),
    ]


@pytest.mark.parametrize("content, message", broken_maps())
def test_a_map_that_is_none_is_named(tmp_path, content, message):
    path = str(tmp_path / "map.npy")
    if isinstance(content, bytes):
        with open(path, "wb") as stream:
            stream.write(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(UserError, match=r"map\.npy: .*" + message) as caught:
        read_map(path)
    assert "\n" not in str(caught.value)


def test_a_huge_claim_is_refused_before_it_is_read(tmp_path):
    path = str(tmp_path / "map.npy")
    np.save(path, np.zeros((1000, 1000)))
    with pytest.raises(UserError, match="too large"):
        read_map(path)


@pytest.mark.parametrize("workers", [1, 2])
def test_maps_that_cannot_be_read_are_recorded(tmp_path, workers):
    images = write_case(tmp_path, 12)
    os.remove(str(tmp_path / "maps" / (images[3][0] + ".npy")))
    np.save(str(tmp_path / "maps" / (images[5][0] + ".npy")), np.ones((9, 9)))
    metrics = score(tmp_path, tmp_path / "out", "--workers", workers)
    assert (metrics["errors"], metrics["images"]) == (2, 10)
    with open(str(tmp_path / "out" / "errors.csv"), encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == [images[3][0], images[5][0]]
    assert "no such file" in rows[0]["error"] and "9 x 9" in rows[1]["error"]
    left = [image for index, image in enumerate(images) if index not in (3, 5)]
    assert metrics["curve"] == straight_figures(left, 0.01)[0].tolist()
    with pytest.raises(UserError, match="no such file"):
        score(tmp_path, tmp_path / "out", "--strict")


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--maps", "maps"], "--metadata"),
        (["--maps", "nowhere", "--metadata", "metadata"], "nowhere: no such folder"),
        (["--maps", "maps", "--metadata", "nowhere"], "--metadata nowhere: no such folder"),
        (["--maps", "metadata", "--metadata", "metadata"], "none of 3 maps"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, monkeypatch, flags, message):
    write_case(tmp_path, 3)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(make_parser("Score.").parse_args(flags + ["--out", "out"]))
    assert not (tmp_path / "out").exists()


def test_an_id_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    write_case(tmp_path, 3)
    outside = tmp_path / "secret.npy"
    np.save(str(outside), np.zeros((224, 224), "float32"))
    for name, more in (("image_ids", ""), ("class_labels", ",0"), ("image_sizes", ",9,9")):
        path = tmp_path / "metadata" / (name + ".txt")
        path.write_text(path.read_text() + "../secret" + more + "\n")
    with pytest.raises(UserError, match="leads out of the data folder"):
        score(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("boxes", [[(0, 0, 99, 49)], [(3, 7, 50, 20), (10.5, 0, 60.9, 30)]])
@pytest.mark.parametrize("size", [(100, 50), (333, 77)])
def test_boxes_are_scaled_and_truncated(boxes, size):
    width, height = size
    expected = [
        [
            int(x0 * 224 / width),
            int(y0 * 224 / height),
            int(x1 * 224 / width),
            int(y1 * 224 / height),
        ]
        for x0, y0, x1, y1 in boxes
    ]
    assert scoring.scaled_boxes(boxes, size).tolist() == expected
