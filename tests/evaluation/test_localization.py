"""The batch evaluation with a predictor whose maps and predictions are known: figures, rows, gallery."""

import os

import cv2
import numpy as np
import pytest
from fake_predictor import (
    PROTOCOLS,
    SIZE,
    FakePredictor,
    damage,
    make_dataset,
    make_plan,
    rows_of,
    run_all,
)

from dgl.data.image_io import read_image
from dgl.data.views import resize_center_crop, squash
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import entry_name
from dgl.evaluation.results import Store
from dgl.evaluation.summary import compute_metrics


@pytest.mark.parametrize("batch, workers", [(1, 1), (2, 2), (32, 2)])
def test_maps_at_the_true_boxes_are_right_and_maps_elsewhere_are_wrong(evaluate, batch, workers):
    _, result, _ = evaluate(batch=batch, workers=workers)
    fixed, wsol = rows_of(result, "fixed_threshold"), rows_of(result, "wsolevaluation")
    assert list(fixed) == list(wsol) == FakePredictor.entries
    seeing, blind = FakePredictor.entries
    for key in ("gt_known", "top1_loc", "top5_loc"):
        assert (fixed[seeing][key], fixed[blind][key]) == (100.0, 0.0)
    for key in ("max_box_acc", "max_box_acc_v2"):
        assert wsol[seeing][key] == 100.0
    # At threshold 0 the foreground is all but whole, which no box here fills to a half.
    assert wsol[blind]["max_box_acc"] == 0.0
    assert {row["images"] for row in list(fixed.values()) + list(wsol.values())} == {5}
    assert result["classification"] == {"top1_error": 0.0, "top5_error": 0.0}


def test_wrong_predictions_count_against_top1_and_top5_alone(evaluate):
    _, result, _ = evaluate(predictor=FakePredictor(wrong=[1], lost=[3, 4]))
    row = rows_of(result, "fixed_threshold")[FakePredictor.entries[0]]
    assert row["gt_known"] == 100.0
    assert row["top1_loc"] == pytest.approx(40.0)
    assert row["top5_loc"] == pytest.approx(60.0)
    assert result["classification"] == pytest.approx({"top1_error": 60.0, "top5_error": 40.0})


def test_top5_is_left_out_with_five_classes(evaluate, tmp_path):
    predictor = FakePredictor()
    predictor.classes = 5
    evaluation, result, _ = evaluate(make_dataset(tmp_path, classes=5), predictor)
    assert set(result["classification"]) == {"top1_error"}
    assert all("top5_loc" not in row for row in rows_of(result, "fixed_threshold").values())


def test_images_without_boxes_are_skipped_but_classified(evaluate, tmp_path):
    predictor = FakePredictor(wrong=[0])
    evaluation, result, _ = evaluate(make_dataset(tmp_path, boxed=[1, 2]), predictor)
    for protocol in PROTOCOLS:
        row = rows_of(result, protocol)[FakePredictor.entries[0]]
        assert (row["images"], row["skipped"]) == (2, 3)
    assert rows_of(result, "fixed_threshold")[FakePredictor.entries[0]]["top1_loc"] == 100.0
    assert result["classification"]["top1_error"] == pytest.approx(20.0)
    rows = evaluation.image_rows()
    assert [row["seeing@layer/1:iou"] is None for row in rows] == [True, False, False, True, True]
    assert [item["id"] for item in evaluation.gallery] == ["1.png", "2.png"]


def test_no_box_at_all_is_refused(evaluate, tmp_path):
    with pytest.raises(UserError, match="at least one image with a true box"):
        evaluate(make_dataset(tmp_path, boxed=[]))


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_an_unreadable_image_is_left_out_and_told_of(evaluate, tmp_path, caplog, batch):
    dataset = make_dataset(tmp_path)
    damage(dataset, 3)
    found, metrics, _ = evaluate(dataset, batch=batch, predictor=FakePredictor(wrong=[1, 3]))
    assert metrics["errors"] == 1
    ((key, (name, reason)),) = found.results.errors.items()
    assert (int(key), name) == (3, "3.png")
    assert "3.png" in reason and "left out" in caplog.text
    assert [row["id"] for row in found.image_rows()] == ["0.png", "1.png", "2.png", "4.png"]
    assert metrics["classification"]["top1_error"] == 25.0
    assert rows_of(metrics, "fixed_threshold")[FakePredictor.entries[0]]["images"] == 4


def test_strict_stops_at_an_unreadable_image(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    damage(dataset, 3)
    with pytest.raises(UserError, match=r"3\.png"):
        evaluate(dataset, strict=True)


def test_no_readable_image_at_all_is_an_error(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    damage(dataset, *range(5))
    with pytest.raises(UserError, match=r"none of 5 images can be read; the first: .*0\.png"):
        evaluate(dataset)


def test_each_protocol_has_its_own_view_in_bgr(evaluate, tmp_path):
    dataset = make_dataset(tmp_path, count=3)
    found, result, _ = evaluate(dataset, batch=2)
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
    geometries = {result["protocols"][name]["geometry"] for name in PROTOCOLS}
    assert len(geometries) == 2
    # Maps are of the true class in both.
    for _, class_index in calls[:2]:
        np.testing.assert_array_equal(class_index, [0, 1])


@pytest.mark.parametrize("protocols", [("fixed_threshold",), ("wsolevaluation",), PROTOCOLS[::-1]])
def test_protocols_can_be_chosen(evaluate, protocols):
    evaluation, result, predictor = evaluate(protocols=protocols, threshold=0.3, step=0.1)
    assert tuple(result["protocols"]) == protocols
    assert len(evaluation.calls) == len(protocols)
    assert result["classification"]["top1_error"] == 0.0
    assert len(evaluation.gallery) == 5
    if "fixed_threshold" in protocols:
        assert result["protocols"]["fixed_threshold"]["threshold"] == 0.3
        assert result["protocols"]["fixed_threshold"]["iou"] == 0.5
    if "wsolevaluation" in protocols:
        wsol = result["protocols"]["wsolevaluation"]
        assert wsol["step"] == 0.1
        assert len(wsol["rows"][0]["curve"]) == 10


def test_the_threshold_is_used(evaluate):
    """At 0.999 of the maximum nearly nothing of a smooth map is left."""

    class Smooth(FakePredictor):
        def __call__(self, images, class_index):
            found = super().__call__(images, class_index)
            blurred = {
                entry: np.stack([cv2.GaussianBlur(raw, (0, 0), 8) for raw in maps])
                for entry, maps in found.maps.items()
            }
            return found._replace(maps=blurred)

    figures = []
    for threshold in (0.4, 0.999):
        _, result, _ = evaluate(predictor=Smooth(), threshold=threshold)
        figures.append(rows_of(result, "fixed_threshold")[FakePredictor.entries[0]]["gt_known"])
    assert figures == [100.0, 0.0]


def test_an_interrupted_run_goes_on_to_the_same_numbers(tmp_path):
    """A run that ends at its third batch leaves two, which the next run takes over."""

    class Interrupted(FakePredictor):
        def __call__(self, images, class_index):
            if 4 in class_index:
                raise KeyboardInterrupt
            return super().__call__(images, class_index)

    dataset = make_dataset(tmp_path, count=9)
    damage(dataset, 1)
    plan = make_plan(FakePredictor(), dataset, batch=2)
    whole = run_all(FakePredictor(), dataset, plan)
    store = Store(tmp_path / "out", plan)
    with pytest.raises(KeyboardInterrupt):
        run_all(Interrupted(), dataset, plan, store)
    assert store.done() == [0, 1]
    predictor = FakePredictor()
    resumed = run_all(predictor, dataset, plan, Store(tmp_path / "out", plan))
    assert len(predictor.calls) == 2 * 3
    assert resumed.state_dict() == whole.state_dict()
    assert compute_metrics(resumed, seed=3) == compute_metrics(whole, seed=3)


def test_image_rows(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    evaluation, result, predictor = evaluate(dataset, FakePredictor(wrong=[1], lost=[4]), batch=2)
    rows = evaluation.image_rows()
    own = ["id", "class_index", "class_name", "predicted_index", "predicted_name", "probability"]
    own += ["class_probability", "rank"]
    for entry in predictor.entries:
        own += [
            f"{entry_name(entry)}:{key}"
            for key in ("x0", "y0", "x1", "y1", "iou", "case", "gt_known")
        ]
    assert all(list(row) == own for row in rows)
    assert [row["id"] for row in rows] == [sample.id for sample in dataset.samples]
    assert [row["class_index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["predicted_index"] for row in rows] == [0, 2, 2, 3, 5]
    assert [row["rank"] for row in rows] == [1, 2, 1, 1, 8]
    for row in rows:
        same = row["predicted_index"] == row["class_index"]
        assert (row["probability"] == row["class_probability"]) is same
        assert 0 <= row["class_probability"] <= row["probability"] <= 1
        assert row["seeing@layer/1:gt_known"] is True
        cases = [row[name + "@layer/1:case"] for name in ("seeing", "blind")]
        assert cases == ["right", "elsewhere"]
        assert row["blind@layer/1:gt_known"] is False
        assert row["seeing@layer/1:iou"] > 0.8
    # The box is the true one as the crop has it, within a step of the map (its pixels are two wide).
    for row, sample in zip(rows, dataset.samples):
        _, moved = resize_center_crop(read_image(sample.path), sample.boxes, 128, SIZE)
        found = [row["seeing@layer/1:" + key] for key in ("x0", "y0", "x1", "y1")]
        np.testing.assert_allclose(found, moved[0], atol=3)


def test_image_rows_without_the_fixed_protocol_are_the_predictions(evaluate):
    evaluation, _, _ = evaluate(protocols=("wsolevaluation",))
    assert list(evaluation.image_rows()[0])[-1] == "rank"


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
