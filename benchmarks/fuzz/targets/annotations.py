"""Annotations of one image: PASCAL VOC XML and labelme's JSON."""

from benchmarks.fuzz.target import Target, check_boxes, place
from dgl.data.annotations import read_annotation, read_labelme


def _check(annotation):
    assert len(annotation.names) == len(annotation.boxes) and all(annotation.names)
    check_boxes(annotation.boxes)
    assert annotation.size is None or min(annotation.size) >= 1


def _voc_xml(data, folder):
    _check(read_annotation(place(folder, "a.xml", data)))


def _labelme(data, folder):
    _check(read_labelme(place(folder, "a.json", data)))


_OBJECT = (
    "<object><name>{}</name><bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax>3e1</xmax><ymax>40</ymax>"
    "</bndbox></object>"
)
_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;&x;">]><annotation>&y;'
    "</annotation>"
)
_OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'


def _xml_seeds():
    texts = [
        "<annotation></annotation>",
        "<annotation><size><width>500</width><height>375</height></size>{}{}</annotation>".format(
            _OBJECT.format("n01440764"), _OBJECT.format("dog")
        ),
        '<?xml version="1.0" encoding="iso-8859-1"?>\n<annotation>\n {}</annotation>'.format(
            _OBJECT.format("<![CDATA[a &]]>")
        ),
        "<annotation><!-- {} --><object/></annotation>".format("x"),
        _BOMB,
        _OUTSIDE,
    ]
    wide = "<annotation>{}</annotation>".format(_OBJECT.format("w")).encode("utf-16")
    return [text.encode("utf-8") for text in texts] + [wide]


def _labelme_seeds():
    return [
        b'{"shapes": [{"label": "dog", "points": [[1, 2], [30.5, 40]], "shape_type": "rectangle"}], '
        b'"imageWidth": 50, "imageHeight": 60}',
        b'{"shapes": [{"label": "x", "points": [[1, 2], [3, 1], [2, 9]]}]}',
        b'{"shapes": []}',
        '{"shapes": [], "imageHeight": 4, "imageWidth": 3}'.encode("utf-16"),
    ]


TARGETS = (
    Target(
        "voc_xml",
        _voc_xml,
        _xml_seeds,
        (b"<!DOCTYPE", b"<!ENTITY", b"<object>", b"</object>", b"<bndbox>", b"<name>", b"<xmin>",
         b"encoding=", b"utf-7", b"utf-16", b"utf-32", b"&#0;", b"&#10;", b"<![CDATA[", b"xmlns="),
    ),
    Target(
        "labelme",
        _labelme,
        _labelme_seeds,
        (b'"label"', b'"points"', b'"shapes"', b"null", b"true", b"NaN", b"Infinity", b"[[[[",
         b"1e999", b'"\\ud800"', b"{}", b'"shape_type"', b'"polygon"', b'"imageWidth"'),
    ),
)  # fmt: skip
