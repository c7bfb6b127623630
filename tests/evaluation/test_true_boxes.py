"""True boxes beyond their image, of a frame that EXIF turns, and images of another size than declared."""

import dataclasses
import json

import pytest
from fake_predictor import SHAPES, FakePredictor, make_dataset, rows_of, store_turned

from dgl.data.image_io import read_image
from dgl.errors import UserError


def with_boxes(dataset, boxes, size=lambda i: None):
    """The data set with other boxes, by index of the sample, and sizes."""
    samples = [
        dataclasses.replace(sample, boxes=boxes.get(i, sample.boxes), size=size(i))
        for i, sample in enumerate(dataset.samples)
    ]
    return dataclasses.replace(dataset, samples=samples)


def figures_of(result, clipped, outside):
    assert (result["boxes_clipped"], result["boxes_outside"]) == (clipped, outside)
    return json.dumps([result["classification"], result["protocols"]])


def test_boxes_over_the_border_are_clipped_and_counted(evaluate, tmp_path, caplog):
    dataset = make_dataset(tmp_path)
    width = SHAPES[1][1]
    over, outside = (-7.0, 30.0, width + 9.0, 60.0), (1000.0, 0.0, 1009.0, 5.0)
    cut = {1: ((0.0, 30.0, float(width), 60.0),)}
    raw = {1: (over, outside), 3: (outside,) + dataset.samples[3].boxes}
    caplog.set_level("WARNING")
    evaluation, expected = evaluate(with_boxes(dataset, cut))
    assert not caplog.records
    found_evaluation, found = evaluate(with_boxes(dataset, raw), batch=2)
    assert figures_of(found, 1, 2) == figures_of(expected, 0, 0)
    assert found_evaluation.image_rows() == evaluation.image_rows()
    (record,) = caplog.records
    assert "rectangles: 1 boxes reach over" in record.getMessage()
    assert "2 lie outside it and do not count; the first in 1.png" in record.getMessage()


def test_image_whose_boxes_all_vanish_counts_as_one_without(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    outside = {2: ((-9.0, -9.0, -1.0, -1.0),), 4: ((500.0, 0.0, 510.0, 5.0),)}
    evaluation, found = evaluate(with_boxes(dataset, outside))
    expected_evaluation, expected = evaluate(with_boxes(dataset, {2: (), 4: ()}))
    assert figures_of(found, 0, 2) == figures_of(expected, 0, 0)
    assert rows_of(found, "fixed_threshold")[FakePredictor.entries[0]]["skipped"] == 2
    assert evaluation.image_rows() == expected_evaluation.image_rows()
    with pytest.raises(UserError, match="at least one image with a true box"):
        evaluate(with_boxes(dataset, dict.fromkeys(range(5), outside[2])))


def test_images_of_another_size_than_declared_are_told_of_once(evaluate, tmp_path, caplog):
    dataset = make_dataset(tmp_path, boxed=[1, 2])
    caplog.set_level("WARNING")
    for size, told in (
        (lambda i: SHAPES[i][::-1], ()),
        (lambda i: (160, 240), ("rectangles: 1 images with boxes are not as large",
                                "the first: 2.png is 150 x 150, declared 160 x 240")),
        (lambda i: SHAPES[i], ("of them with width and height swapped", "--boxes-frame raw")),
    ):  # fmt: skip
        caplog.clear()
        evaluate(with_boxes(dataset, {}, size=size))
        assert len(caplog.records) == bool(told)
        assert all(part in caplog.text for part in told)


def turned(dataset, folder, orientation):
    """The same images, stored so that EXIF turns them; their boxes in the frame that is stored."""
    boxes, samples = {}, []
    for number, sample in enumerate(dataset.samples):
        image = read_image(sample.path)
        samples.append(dataclasses.replace(sample, path=str(folder / f"turned{number}.png")))
        store_turned(samples[-1].path, image, orientation)
        (x0, y0, x1, y1), (height, width) = sample.boxes[0], image.shape[:2]
        boxes[number] = ((y0, width - x1, y1, width - x0),)
        if orientation == 3:
            boxes[number] = ((width - x1, height - y1, width - x0, height - y0),)
    return with_boxes(dataclasses.replace(dataset, samples=samples), boxes)


@pytest.mark.parametrize("orientation", [3, 6])
def test_boxes_of_the_raw_frame(evaluate, tmp_path, orientation, caplog):
    dataset = make_dataset(tmp_path)
    other = turned(dataset, tmp_path, orientation)
    caplog.set_level("WARNING")
    raw = {"name": "rectangles", "split": "val", "images": len(other), "boxes_frame": "raw"}
    expected = evaluate(dataset)[1]["protocols"]
    assert json.dumps(evaluate(other, data=raw)[1]["protocols"]) == json.dumps(expected)
    assert not caplog.records
    assert evaluate(other)[1]["protocols"] != expected
    told = "fit them only with width and height swapped (boxes made in images that EXIF"
    assert (told in caplog.text) == (orientation == 6)
