"""True boxes from XML and labelme files, masks, and hostile or damaged ones."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from refusals import refusal
from trees import labelme

from dgl.data.annotations import IGNORED, OBJECT, read_annotation, read_labelme, read_mask

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30.5</xmax><ymax>4e1</ymax></bndbox>"
CAT = f"<object><name>cat</name>{BOX}</object>"
ENTITIES = '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]>'


def write(tmp_path, text):
    path = tmp_path / "a"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def annotation(*parts):
    return "<annotation>{}</annotation>".format("".join(parts))


def test_objects_and_size(tmp_path):
    size = "<size><width>500</width><height> 375 </height><depth>3</depth></size>"
    part = f"<part><name>ear</name>{BOX}</part>"
    second = f"<object>{part}<name>\n red fox </name>{BOX}</object>"
    found = read_annotation(write(tmp_path, annotation(size, CAT, second)))
    assert found.names == ("cat", "red fox") and found.size == (500, 375)
    assert found.boxes == ((1.0, 2.0, 30.5, 40.0),) * 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path, encoding):
    text = annotation(CAT.replace("cat", "möwe"))
    assert read_annotation(write(tmp_path, text.encode(encoding))).names == ("möwe",)


def save(path, shape, box, value=255):
    """Write a mask that is ``value`` in a box; returns its path and its pixels."""
    x0, y0, x1, y1 = box
    mask = np.zeros(shape, np.uint8)
    mask[y0:y1, x0:x1] = value
    Image.fromarray(mask).save(str(path))
    return str(path), mask


@pytest.mark.parametrize("value", [1, 128, 255])
@pytest.mark.parametrize("shape", [(100, 80), (224, 224), (300, 500)])
def test_object_is_the_union_and_ignore_counts_beside_it_alone(tmp_path, shape, value):
    a, first = save(tmp_path / "a.png", shape, (10, 10, 40, 30), value)
    b, second = save(tmp_path / "b.png", shape, (30, 20, 60, 50), value)
    i, ignore = save(tmp_path / "i.png", shape, (20, 20, 70, 70), value)
    found = read_mask([a, b], i, 224)
    near = [
        cv2.resize(array, (224, 224), interpolation=cv2.INTER_NEAREST) > 0
        for array in (first | second, ignore)
    ]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.where(near[0], OBJECT, np.where(near[1], IGNORED, 0)))
    assert set(np.unique(found)) == {0, OBJECT, IGNORED}


def test_masks_of_two_sizes_are_refused(tmp_path):
    one, _ = save(tmp_path / "a.png", (50, 60), (0, 0, 30, 50))
    two, _ = save(tmp_path / "b.png", (60, 50), (0, 0, 30, 50))
    message = refusal(read_mask, [one, two], None, 224)
    assert message.startswith(f"{two}: expected masks of one size, got 60 x 50 in {one}")
    assert "none.png: no such file" in refusal(read_mask, [one], str(tmp_path / "none.png"), 224)


CORNERS = [[1, 2], [50, 60]]
DAMAGED = {
    read_annotation: [
        (annotation(CAT)[:-30], "no well-formed XML"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "no well-formed XML"),
        ("<html/>", "<html>; expected <annotation>"),
        (annotation(f"<object>{BOX}</object>"), "object 1: no <name>"),
        (annotation("<object><name>cat</name></object>"), "object 1: 0 <bndbox>; expected one"),
        (annotation(CAT.replace("<xmin>1</xmin>", "")), "object 1: '' is not a number"),
        (annotation(CAT.replace("4e1", "nan")), "object 1: box 1 2 30.5 nan; expected finite"),
        (annotation("<size><width>5</width></size>"), "<size> is '5' x ''; expected whole"),
        (ENTITIES + annotation(CAT), "without document type and entities"),
        ((ENTITIES + annotation(CAT)).encode("utf-16"), "without document type and entities"),
        (annotation(CAT, " " * (1024 * 1024)), "more than 1048576 bytes"),
    ],
    read_labelme: [
        ("[" * 100000, "no JSON"),
        ('{"shapes": {}}', 'no list "shapes"'),
        ('{"shapes": [3]}', 'shape 1: no "label"'),
        (labelme(("apple", CORNERS), (" ", CORNERS)), 'shape 2: no "label"'),
        (labelme(("apple", [[1, 2], [True, 4]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [float("nan"), 4]])), "shape 1: box"),
        (labelme(("apple", CORNERS)).replace("60", "9" * 1000000), "shape 1: box"),
        (labelme(("apple", CORNERS), imageWidth=0.5, imageHeight=3), "imageWidth"),
        (labelme(("apple", CORNERS)).replace("rectangle", "circle"), "shape_type 'circle'"),
    ],
}


@pytest.mark.parametrize(
    "read, row", [(read, row) for read, rows in DAMAGED.items() for row in rows]
)
def test_damaged_file_names_what_was_expected(tmp_path, read, row):
    path = write(tmp_path, row[0])
    message = refusal(read, path)
    assert message.startswith(path + ": ") and "expected" in message and row[1] in message
    assert len(message) < len(path) + 300


@pytest.mark.parametrize("shape_type", ["rectangle", "polygon", None])
def test_a_box_encloses_its_points_in_any_order(tmp_path, shape_type):
    text = labelme(("apple", [[70, 20.5], [10, 60]]), ("pear", [[1, 2], [3, 4], [0, 9]]))
    text = text.replace('"rectangle"', json.dumps(shape_type))
    found = read_labelme(write(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert found.names == ("apple", "pear") and found.size is None
    assert found.boxes == ((10, 20.5, 70, 60), (0, 2, 3, 9))
