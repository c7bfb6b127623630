"""Boxes that reach over their image or lie outside it, and images of another size than declared."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from fake_predictor import SHAPES, SIZE, FakePredictor, make_dataset, make_plan, rows_of

from dgl.data.image_io import read_image
from dgl.data.views import resize_center_crop, squash
from dgl.errors import UserError
from dgl.evaluation.batches import BatchRunner


def with_boxes(dataset, boxes, **options):
    """The data set with other boxes, by index of the sample."""
    samples = [
        dataclasses.replace(sample, boxes=boxes.get(i, sample.boxes), **options)
        for i, sample in enumerate(dataset.samples)
    ]
    return dataclasses.replace(dataset, samples=samples)


def figures_of(result):
    return json.dumps([result["classification"], result["protocols"]])


def test_boxes_over_the_border_are_clipped_and_counted(evaluate, tmp_path, caplog):
    dataset = make_dataset(tmp_path)
    width = SHAPES[1][1]
    over, outside = (-7.0, 30.0, width + 9.0, 60.0), (1000.0, 0.0, 1009.0, 5.0)
    cut = {1: ((0.0, 30.0, float(width), 60.0),)}
    raw = {1: (over, outside), 3: (outside,) + dataset.samples[3].boxes}
    with caplog.at_level(logging.WARNING):
        evaluation, expected, _ = evaluate(with_boxes(dataset, cut))
        assert (expected["boxes_clipped"], expected["boxes_outside"]) == (0, 0)
        assert not caplog.records
        found_evaluation, found, _ = evaluate(with_boxes(dataset, raw), batch=2)
    assert (found["boxes_clipped"], found["boxes_outside"]) == (1, 2)
    assert figures_of(found) == figures_of(expected)
    assert found_evaluation.image_rows() == evaluation.image_rows()
    (record,) = caplog.records
    assert "rectangles: 1 boxes reach over" in record.getMessage()
    assert "2 lie outside it and do not count; the first in 1.png" in record.getMessage()
    json.dumps(found)


def test_boxes_within_their_image_come_through_unchanged(tmp_path):
    """Views are those of the boxes as listed: fractions, borders and boxes without area too."""
    dataset = make_dataset(tmp_path, count=2)
    height, width = SHAPES[0]
    boxes = ((0, 0, width, height), (3.25, 4.5, 17.75, 30), (0, 5, 0, 9), (6, 7, 6, 7))
    dataset = with_boxes(dataset, {0: boxes})
    predictor = FakePredictor()
    batches = BatchRunner(predictor, dataset, make_plan(predictor, dataset))
    _, views, fit, _ = batches._load(0)
    image = read_image(dataset.samples[0].path)
    np.testing.assert_array_equal(views[0].boxes, resize_center_crop(image, boxes, 128, SIZE)[1])
    np.testing.assert_array_equal(views[1].boxes, squash(image, boxes, 224)[1])
    assert (fit.clipped, fit.outside) == (0, 0)


def test_image_whose_boxes_all_vanish_counts_as_one_without(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    outside = {2: ((-9.0, -9.0, -1.0, -1.0),), 4: ((500.0, 0.0, 510.0, 5.0),)}
    evaluation, found, _ = evaluate(with_boxes(dataset, outside))
    expected_evaluation, expected, _ = evaluate(with_boxes(dataset, {2: (), 4: ()}))
    assert (found["boxes_clipped"], found["boxes_outside"]) == (0, 2)
    assert figures_of(found) == figures_of(expected)
    assert rows_of(found, "fixed_threshold")[FakePredictor.entries[0]]["skipped"] == 2
    assert evaluation.image_rows() == expected_evaluation.image_rows()
    everywhere = dict.fromkeys(range(5), ((-9.0, -9.0, -1.0, -1.0),))
    with pytest.raises(UserError, match="at least one image with a true box"):
        evaluate(with_boxes(dataset, everywhere))


def test_images_of_another_size_than_declared_are_told_of(evaluate, tmp_path, caplog):
    dataset = make_dataset(tmp_path, boxed=[1, 2])
    right = [(width, height) for height, width in SHAPES]
    samples = [dataclasses.replace(s, size=size) for s, size in zip(dataset.samples, right)]
    with caplog.at_level(logging.WARNING):
        evaluate(dataclasses.replace(dataset, samples=samples))
        assert not caplog.records
        evaluate(with_boxes(dataset, {}, size=(160, 240)))
    (record,) = caplog.records
    assert "rectangles: 1 images with boxes are not as large" in record.getMessage()
    assert record.getMessage().endswith("the first: 2.png is 150 x 150, declared 160 x 240")
