"""The rule: ids, splits, sizes and boxes by public numbers, and the copy at hand after them."""

import zlib

import pytest
from photos5_clones import CLASSES, copy_annotation

from dgl.datasets.photos5 import sources as layout
from dgl.datasets.photos5 import sources as rule


@pytest.mark.parametrize("class_name", CLASSES)
def test_id_tells_class_and_split(class_name):
    for number in (0, 7, 20, 12345, 99999):
        image_id = rule.make_id(class_name, number)
        assert image_id == class_name + "_" + str(number).rjust(5, "0")
        assert rule.class_index_of(image_id) == CLASSES.index(class_name)
        is_val = zlib.crc32(image_id.encode()) % 4 == 0
        assert rule.split_of(image_id) == ("val" if is_val else "train")
        expected = image_id if is_val else class_name + "/" + image_id
        assert layout.relative_path(image_id) == expected


@pytest.mark.parametrize(
    "image_id", ["cat_00001", "apple_1", "apple_000001", "apple_0000\u0661", "apple_00001\n", ""]
)
def test_what_is_no_id(image_id):
    with pytest.raises(ValueError, match="is no id"):
        rule.class_index_of(image_id)


def test_numbers_beyond_five_digits():
    with pytest.raises(ValueError):
        rule.make_id("apple", 100000)


@pytest.mark.parametrize(
    "size, expected",
    [
        ((384, 384), (384, 384)),
        ((383, 12), (383, 12)),
        ((385, 385), (384, 384)),
        ((640, 426), (384, 256)),
        ((945, 531), (384, 216)),
        ((344, 626), (211, 384)),
        ((9000, 2), (384, 1)),
    ],
)
def test_size(size, expected):
    assert rule.scaled_size(size) == expected


# Public annotations and what the copy at hand makes of them.
SCALED = [
    ("raccoon_00130", (640, 426), (223, 62, 497, 307), (134, 37, 298, 184)),
    ("raccoon_00130", (640, 426), (453, 41, 640, 423), (272, 25, 383, 254)),
    ("kangaroo_00181", (945, 531), (69, 28, 571, 442), (28, 11, 232, 180)),
    ("kangaroo_00182", (427, 320), (12, 152, 133, 299), (11, 137, 120, 269)),
    ("kangaroo_00182", (427, 320), (102, 185, 188, 303), (92, 166, 169, 273)),
    ("kangaroo_00182", (427, 320), (201, 133, 297, 299), (181, 120, 267, 269)),
    ("kangaroo_00183", (626, 344), (259, 28, 626, 264), (159, 17, 383, 162)),
]


@pytest.mark.parametrize("image_id, size, box, expected", SCALED)
def test_box_is_scaled_rounded_and_clipped(image_id, size, box, expected):
    assert rule.scaled_box(box, size, rule.scaled_size(size)) == expected


@pytest.mark.parametrize("image_id, size, box, expected", SCALED)
def test_copy_at_hand_has_those_boxes(shared_data, image_id, size, box, expected):
    annotation = copy_annotation(shared_data, image_id)
    assert annotation.size == rule.scaled_size(size)
    assert expected in annotation.boxes


@pytest.mark.parametrize(
    "box, expected",
    [
        ((-5, -5, 300, 300), (0, 0, 99, 49)),
        ((10, 10, 10.4, 40), None),
        ((100, 0, 140, 40), None),
        ((-9, -9, 0, 40), None),
        ((0.5, 1.5, 2.5, 3.5), (0, 2, 2, 4)),
    ],
)
def test_box_of_a_picture_that_is_not_scaled(box, expected):
    assert rule.scaled_box(box, (100, 50), (100, 50)) == expected


def test_largest_box_is_the_first_of_equals():
    boxes = [(0, 0, 2, 2), (5, 5, 7, 15), (0, 0, 10, 2), (1, 1, 2, 2)]
    assert rule.largest_box(boxes) == (5, 5, 7, 15)
    assert rule.largest_box(boxes[::-1]) == (0, 0, 10, 2)
