"""True boxes from XML and labelme files, masks, and hostile or damaged ones."""

import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image
from refusals import refusal

from dgl.data import annotations
from dgl.data.annotations import IGNORED, OBJECT, read_annotation, read_labelme, read_mask
from dgl.errors import UserError

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30.5</xmax><ymax>4e1</ymax></bndbox>"
CAT = f"<object><name>cat</name>{BOX}</object>"
ENTITIES = '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]>'


def write(tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return str(path)


def annotation(*parts):
    return "<annotation>{}</annotation>".format("".join(parts))


def refused(tmp_path, text):
    message = refusal(read_annotation, write(tmp_path, text))
    assert message.startswith(str(tmp_path / "a.xml")) and "expected" in message
    return message


def test_objects_and_size(tmp_path):
    size = "<size><width>500</width><height> 375 </height><depth>3</depth></size>"
    part = f"<part><name>ear</name>{BOX}</part>"
    second = f"<object>{part}<name>\n red fox </name>{BOX}</object>"
    text = annotation("<folder>../..</folder>", size, CAT, second)
    found = read_annotation(write(tmp_path, text))
    assert found.names == ("cat", "red fox")
    assert found.boxes == ((1.0, 2.0, 30.5, 40.0),) * 2
    assert found.size == (500, 375)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path, encoding):
    text = annotation(CAT.replace("cat", "m\u00f6we"))
    assert read_annotation(write(tmp_path, text.encode(encoding))).names == ("m\u00f6we",)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no well-formed XML"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "no well-formed XML"),
        (annotation(CAT)[:-30], "no well-formed XML"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "no well-formed XML"),
        ("<html/>", "<html>; expected <annotation>"),
        (annotation(f"<object>{BOX}</object>"), "object 1: no <name>"),
        (annotation(CAT, f"<object><name> </name>{BOX}</object>"), "object 2: no <name>"),
        (annotation("<object><name>cat</name></object>"), "object 1: 0 <bndbox>; expected one"),
        (annotation(CAT.replace(BOX, BOX + BOX)), "object 1: 2 <bndbox>; expected one"),
        (annotation(CAT.replace("<xmin>1</xmin>", "")), "<xmin> is missing; expected a number"),
        (annotation(CAT.replace("4e1", "four")), "<ymax> is 'four'; expected a number"),
        (annotation(CAT.replace("4e1", "nan")), "object 1: box 1 2 30.5 nan; expected finite"),
        (annotation(CAT.replace("4e1", "1")), "object 1: box 1 2 30.5 1; expected finite x0 <="),
        (annotation("<size><width>5</width></size>"), "<height> of the image is missing"),
        (annotation("<size><width>-5</width></size>"), "<width> of the image is '-5'"),
        (ENTITIES + annotation(CAT), "without document type and entities"),
        ((ENTITIES + annotation(CAT)).encode("utf-16"), "without document type and entities"),
    ],
)
def test_damaged_file_names_what_was_expected(tmp_path, text, message):
    assert re.search(message, refused(tmp_path, text))


def test_huge_file_is_not_read(tmp_path, monkeypatch):
    text = annotation(CAT, " " * (1024 * 1024))
    assert "more than 1048576 bytes" in refused(tmp_path, text)
    monkeypatch.setattr(annotations, "MAX_XML_BYTES", len(text))
    assert read_annotation(write(tmp_path, text)).names == ("cat",)


def save(path, array):
    Image.fromarray(array).save(str(path))
    return str(path)


def boxed(height, width, x0, y0, x1, y1, value=255):
    mask = np.zeros((height, width), np.uint8)
    mask[y0:y1, x0:x1] = value
    return mask


@pytest.mark.parametrize("value", [1, 128, 255])
@pytest.mark.parametrize("shape", [(100, 80), (224, 224), (300, 500)])
def test_object_is_the_union_and_ignore_counts_beside_it_alone(tmp_path, shape, value):
    first = boxed(*shape + (10, 10, 40, 30, value))
    second = boxed(*shape + (30, 20, 60, 50, value))
    ignore = boxed(*shape + (20, 20, 70, 70, value))
    paths = [save(tmp_path / "a.png", first), save(tmp_path / "b.png", second)]
    found = read_mask(paths, save(tmp_path / "i.png", ignore), 224)
    near = [
        cv2.resize(array, (224, 224), interpolation=cv2.INTER_NEAREST) > 0
        for array in (first | second, ignore)
    ]
    expected = np.where(near[0], OBJECT, np.where(near[1], IGNORED, 0))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    assert set(np.unique(found)) == {0, OBJECT, IGNORED}


def test_masks_of_two_sizes_are_refused(tmp_path):
    one = save(tmp_path / "a.png", boxed(50, 60, 0, 0, 30, 50))
    two = save(tmp_path / "b.png", boxed(60, 50, 0, 0, 30, 50))
    with pytest.raises(UserError, match=r"b\.png: expected masks of one size, got 60 x 50 in .*a"):
        read_mask([one, two], None, 224)
    with pytest.raises(UserError, match=r"none\.png: no such file"):
        read_mask([one], str(tmp_path / "none.png"), 224)


CORNERS = [[1, 2], [50, 60]]


def labelme(*shapes, **fields):
    """Text of a labelme file; a shape is ``(label, points)``."""
    rows = [{"label": s, "points": p, "shape_type": "rectangle"} for s, p in shapes]
    return json.dumps(dict({"version": "3.5.0", "shapes": rows, "imageData": None}, **fields))


@pytest.mark.parametrize(
    "text, message",
    [
        (b"", "no JSON"),
        (b"[" * 100000, "no JSON"),
        (b'{"shapes": {}}', 'no list "shapes"'),
        (b'{"shapes": [3]}', 'shape 1: no "label"'),
        (labelme(("apple", CORNERS), (" ", CORNERS)), 'shape 2: no "label"'),
        (labelme(("apple", [[1, 2]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [3]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [True, 4]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [float("nan"), 4]])), "shape 1: box"),
        (labelme(("apple", [[1, 2], [3, 4e300]])), "shape 1: box"),
        (
            b'{"shapes":[{"label":"a","points":[[1,2],[3,' + b"9" * 1000000 + b"]]}]}",
            "shape 1: box",
        ),
        (labelme(("apple", CORNERS), imageWidth=0.5, imageHeight=3), "imageWidth"),
        (labelme(("apple", CORNERS)).replace("rectangle", "circle"), "shape_type 'circle'"),
    ],
)
def test_damaged_labelme(tmp_path, text, message):
    path = tmp_path / "apple_44.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    line = refusal(read_labelme, str(path))
    assert line.startswith(f"{path}: ") and message in line and "expected" in line
    assert len(line) < len(str(path)) + 300


@pytest.mark.parametrize("shape_type", ["rectangle", "polygon", None])
def test_a_box_encloses_its_points_in_any_order(tmp_path, shape_type):
    text = labelme(("apple", [[70, 20.5], [10, 60]]), ("pear", [[1, 2], [3, 4], [0, 9]]))
    path = tmp_path / "a.json"
    document = json.loads(text)
    for shape in document["shapes"]:
        shape["shape_type"] = shape_type
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
    found = read_labelme(str(path))
    assert found.names == ("apple", "pear") and found.size is None
    assert found.boxes == ((10, 20.5, 70, 60), (0, 2, 3, 9))
