"""The gallery of an evaluation: which images it has, how they look, what is said of them."""

import os

import numpy as np
import pytest
from fake_predictor import FakePredictor

from dgl.data.image_io import read_image


@pytest.mark.parametrize("wanted", [0, 1, 2, 3, 9])
def test_gallery_runs_from_the_worst_to_the_best(evaluate, tmp_path, wanted):
    found, _, _ = evaluate(gallery=wanted, batch=2)
    by_iou = sorted(found.image_rows(), key=lambda row: row["seeing@layer/1:iou"])
    picked = np.linspace(0, 4, min(wanted, 5)).round().astype(int)
    drawn = sorted(int(by_iou[rank]["id"][0]) for rank in picked)
    assert [item["id"] for item in found.gallery] == [f"{i}.png" for i in drawn]
    files = [f"gallery/{index:06d}.jpg" for index in drawn]
    assert [item["file"] for item in found.gallery] == files
    if wanted:
        assert sorted(os.listdir(str(tmp_path / "out" / "gallery"))) == [f[8:] for f in files]


def test_gallery_images_and_records(evaluate, tmp_path):
    evaluation, _, _ = evaluate(predictor=FakePredictor(wrong=[1]))
    for item, row in zip(evaluation.gallery, evaluation.image_rows()):
        tile = read_image(str(tmp_path / "out" / item["file"]))
        # The image and two maps side by side.
        assert tile.shape[1] > 2.5 * tile.shape[0]
        assert tile.std() > 20
        assert (item["id"], item["correct"]) == (row["id"], row["rank"] == 1)
        assert item["probability"] == row["probability"]
        for name in ("seeing@layer/1", "blind@layer/1"):
            assert item["ious"][name] == pytest.approx(row[name + ":iou"])
    assert [item["correct"] for item in evaluation.gallery] == [True, False, True, True, True]
    named = [(item["true_class"], item["predicted_class"]) for item in evaluation.gallery]
    assert named == [("zero", "zero"), ("one", "two"), ("two", "two"), ("3", "3"), ("4", "4")]
