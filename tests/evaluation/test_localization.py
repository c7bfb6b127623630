"""The batch evaluation with a predictor whose maps and predictions are known: figures, rows, gallery."""

import numpy as np
import pytest
from fake_predictor import PROTOCOLS, SIZE, FakePredictor, damage, make_dataset, rows_of
from refusals import check_refusal

from dgl.data.image_io import read_image
from dgl.data.views import resize_center_crop, squash

SEEING, BLIND = FakePredictor.entries


@pytest.mark.parametrize("batch, workers", [(1, 1), (2, 2), (32, 2)])
def test_maps_at_the_true_boxes_are_right_and_maps_elsewhere_are_wrong(evaluate, batch, workers):
    _, result = evaluate(batch=batch, workers=workers)
    fixed, wsol = rows_of(result, "fixed_threshold"), rows_of(result, "wsolevaluation")
    assert list(fixed) == list(wsol) == FakePredictor.entries
    for key in ("gt_known", "top1_loc", "top5_loc"):
        assert (fixed[SEEING][key], fixed[BLIND][key]) == (100.0, 0.0)
    for key in ("max_box_acc", "max_box_acc_v2"):
        assert wsol[SEEING][key] == 100.0
    # At threshold 0 the foreground is all but whole, which no box here fills to a half.
    assert wsol[BLIND]["max_box_acc"] == 0.0
    assert {row["images"] for row in list(fixed.values()) + list(wsol.values())} == {5}
    assert result["classification"] == {"top1_error": 0.0, "top5_error": 0.0}


def test_wrong_predictions_count_against_top1_and_top5_alone(evaluate):
    _, result = evaluate(predictor=FakePredictor(wrong=[1], lost=[3, 4]))
    row = rows_of(result, "fixed_threshold")[SEEING]
    assert row["gt_known"] == 100.0
    assert row["top1_loc"] == pytest.approx(40.0)
    assert row["top5_loc"] == pytest.approx(60.0)
    assert result["classification"] == pytest.approx({"top1_error": 60.0, "top5_error": 40.0})


def test_images_without_boxes_are_skipped_but_classified(evaluate, tmp_path):
    dataset = make_dataset(tmp_path, boxed=[1, 2])
    evaluation, result = evaluate(dataset, FakePredictor(wrong=[0]))
    for protocol in PROTOCOLS:
        row = rows_of(result, protocol)[SEEING]
        assert (row["images"], row["skipped"]) == (2, 3)
    assert rows_of(result, "fixed_threshold")[SEEING]["top1_loc"] == 100.0
    assert result["classification"]["top1_error"] == pytest.approx(20.0)
    rows = evaluation.image_rows()
    assert [row["seeing@layer/1:iou"] is None for row in rows] == [True, False, False, True, True]
    assert [item["id"] for item in evaluation.gallery] == ["1.png", "2.png"]


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_an_unreadable_image_is_left_out_and_told_of(evaluate, tmp_path, caplog, batch):
    dataset = make_dataset(tmp_path)
    damage(dataset, 3)
    found, metrics = evaluate(dataset, batch=batch, predictor=FakePredictor(wrong=[1, 3]))
    assert metrics["errors"] == 1
    ((key, (name, reason)),) = found.results.errors.items()
    assert (int(key), name) == (3, "3.png")
    assert "3.png" in reason and "left out" in caplog.text
    assert [row["id"] for row in found.image_rows()] == ["0.png", "1.png", "2.png", "4.png"]
    assert metrics["classification"]["top1_error"] == 25.0
    assert rows_of(metrics, "fixed_threshold")[SEEING]["images"] == 4
    check_refusal(r"3\.png", evaluate, dataset, batch=batch, strict=True)
    damage(dataset, *range(5))
    words = r"none of 5 images can be read; the first: .*0\.png"
    check_refusal(words, evaluate, dataset, batch=batch)


def test_each_protocol_has_its_own_view_in_bgr(evaluate, tmp_path):
    dataset = make_dataset(tmp_path, count=3)
    found, result = evaluate(dataset, batch=2)
    # Batches overlap; the protocols of one follow each other.
    calls = sorted(found.calls, key=lambda call: call[1][0])
    assert [len(images) for images, _ in calls] == [2, 2, 1, 1]
    images = [read_image(sample.path) for sample in dataset.samples]
    cropped = np.concatenate([batch for batch, _ in calls[0::2]])
    squashed = np.concatenate([batch for batch, _ in calls[1::2]])
    for index, image in enumerate(images):
        crop, _ = resize_center_crop(image, (), 128, SIZE)
        np.testing.assert_array_equal(cropped[index], crop[..., ::-1])
        np.testing.assert_array_equal(squashed[index], squash(image, (), SIZE)[0][..., ::-1])
    assert (cropped != squashed).any()
    assert len({result["protocols"][name]["geometry"] for name in PROTOCOLS}) == 2
    # Maps are of the true class in both.
    for _, class_index in calls[:2]:
        np.testing.assert_array_equal(class_index, [0, 1])


@pytest.mark.parametrize("protocols", [("fixed_threshold",), ("wsolevaluation",), PROTOCOLS[::-1]])
def test_protocols_can_be_chosen(evaluate, protocols):
    evaluation, result = evaluate(protocols=protocols, threshold=0.3, step=0.1)
    assert tuple(result["protocols"]) == protocols
    assert len(evaluation.calls) == len(protocols)
    is_last = list(evaluation.image_rows()[0])[-1] == "rank"
    assert is_last == ("fixed_threshold" not in protocols)
    fixed, wsol = (result["protocols"].get(name) for name in PROTOCOLS)
    assert fixed is None or (fixed["threshold"], fixed["iou"]) == (0.3, 0.5)
    assert wsol is None or (wsol["step"], len(wsol["rows"][0]["curve"])) == (0.1, 10)


def test_image_rows(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    evaluation, _ = evaluate(dataset, FakePredictor(wrong=[1], lost=[4]), batch=2)
    rows = evaluation.image_rows()
    assert [row["id"] for row in rows] == [sample.id for sample in dataset.samples]
    assert [row["class_index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["predicted_index"] for row in rows] == [0, 2, 2, 3, 5]
    assert [row["rank"] for row in rows] == [1, 2, 1, 1, 8]
    for row in rows:
        same = row["predicted_index"] == row["class_index"]
        assert (row["probability"] == row["class_probability"]) is same
        assert 0 <= row["class_probability"] <= row["probability"] <= 1
        for name, is_right, case in (("seeing", True, "right"), ("blind", False, "elsewhere")):
            assert row[name + "@layer/1:gt_known"] is is_right
            assert row[name + "@layer/1:case"] == case
        assert row["seeing@layer/1:iou"] > 0.8
    # The box is the true one as the crop has it, within a step of the map (its pixels are two wide).
    for row, sample in zip(rows, dataset.samples):
        _, moved = resize_center_crop(read_image(sample.path), sample.boxes, 128, SIZE)
        found = [row["seeing@layer/1:" + key] for key in ("x0", "y0", "x1", "y1")]
        np.testing.assert_allclose(found, moved[0], atol=3)


@pytest.mark.parametrize("wanted", [0, 1, 2, 3, 9])
def test_gallery_runs_from_the_worst_to_the_best(evaluate, wanted):
    found, _ = evaluate(gallery=wanted, batch=2)
    by_iou = sorted(found.image_rows(), key=lambda row: row["seeing@layer/1:iou"])
    picked = np.linspace(0, 4, min(wanted, 5)).round().astype(int)
    drawn = sorted(by_iou[rank]["id"] for rank in picked)
    assert [item["id"] for item in found.gallery] == drawn


def test_gallery_images_and_records(evaluate, tmp_path):
    evaluation, _ = evaluate(predictor=FakePredictor(wrong=[1]))
    for item, row in zip(evaluation.gallery, evaluation.image_rows()):
        tile = read_image(str(tmp_path / "out" / item["file"]))
        # The image and two maps side by side.
        assert tile.shape[1] > 2.5 * tile.shape[0] and tile.std() > 20
        assert (item["id"], item["correct"]) == (row["id"], row["rank"] == 1)
        for name in ("seeing@layer/1", "blind@layer/1"):
            assert item["ious"][name] == pytest.approx(row[name + ":iou"])
    named = [(item["true_class"], item["predicted_class"]) for item in evaluation.gallery]
    assert named == [("zero", "zero"), ("one", "two"), ("two", "two"), ("3", "3"), ("4", "4")]
