"""One record per image: its prediction, and the box, IoU and outcome of every entry."""

import numpy as np
from fake_predictor import SIZE, FakePredictor, make_dataset

from dgl.data.image_io import read_image
from dgl.data.views import resize_center_crop
from dgl.evaluation.fusion import entry_name


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
