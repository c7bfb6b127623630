"""XML annotations: what is read, and that hostile or damaged files end in one line."""

import os
import re
import time

import pytest

from dgl.data import annotations as voc_xml
from dgl.data.annotations import read_annotation
from dgl.errors import UserError

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30.5</xmax><ymax>4e1</ymax></bndbox>"
OBJECT = f"<object><name>cat</name>{BOX}</object>"


def write(tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return str(path)


def annotation(*parts):
    return "<annotation>{}</annotation>".format("".join(parts))


def refused(tmp_path, text):
    with pytest.raises(UserError) as caught:
        read_annotation(write(tmp_path, text))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "a.xml"))
    assert "expected" in message and "\n" not in message
    return message


def test_objects_and_size(tmp_path):
    size = "<size><width>500</width><height> 375 </height><depth>3</depth></size>"
    part = f"<part><name>ear</name>{BOX}</part>"
    second = f"<object>{part}<name>\n red fox </name>{BOX}</object>"
    text = annotation("<folder>../..</folder>", size, OBJECT, second)
    found = read_annotation(write(tmp_path, text))
    assert found.names == ("cat", "red fox")
    assert found.boxes == ((1.0, 2.0, 30.5, 40.0),) * 2
    assert found.size == (500, 375)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings(tmp_path, encoding):
    text = annotation(OBJECT.replace("cat", "m\u00f6we"))
    if encoding == "iso-8859-1":
        text = "<?xml version='1.0' encoding='iso-8859-1'?>" + text
    assert read_annotation(write(tmp_path, text.encode(encoding))).names == ("m\u00f6we",)


@pytest.mark.parametrize(
    "size", ["", "<size><width>0</width><height>0</height></size>"], ids=["none", "zero"]
)
def test_size_that_is_not_declared(tmp_path, size):
    found = read_annotation(write(tmp_path, annotation(size)))
    assert found == ((), (), None)


def test_no_such_file_is_none(tmp_path):
    assert read_annotation(str(tmp_path / "absent.xml")) is None


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no well-formed XML"),
        ("no XML", "no well-formed XML"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "no well-formed XML"),
        (annotation(OBJECT)[:-30], "no well-formed XML"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "no well-formed XML"),
        ("<?xml version='1.0' encoding='shift_jis'?><annotation/>", "no well-formed XML"),
        (annotation("\x01"), "no well-formed XML"),
        ("<html/>", "<html>; expected <annotation>"),
        (annotation(f"<object>{BOX}</object>"), "object 1: no <name>"),
        (
            annotation(OBJECT, f"<object><name> </name>{BOX}</object>"),
            "object 2: no <name>",
        ),
        (annotation("<object><name>cat</name></object>"), "object 1: 0 <bndbox>; expected one"),
        (annotation(OBJECT.replace(BOX, BOX + BOX)), "object 1: 2 <bndbox>; expected one"),
        (annotation(OBJECT.replace("<xmin>1</xmin>", "")), "<xmin> is missing; expected numbers"),
        (annotation(OBJECT.replace("4e1", "")), "<ymax> is missing; expected numbers"),
        (annotation(OBJECT.replace("4e1", "four")), "<ymax> is 'four'; expected numbers"),
        (annotation(OBJECT.replace("4e1", "1_0")), "<ymax> is '1_0'; expected numbers"),
        (annotation(OBJECT.replace("4e1", "nan")), "object 1: box 1 2 30.5 nan; expected finite"),
        (annotation(OBJECT.replace("4e1", "inf")), "object 1: box 1 2 30.5 inf; expected finite"),
        (annotation(OBJECT.replace("4e1", "1e999")), "object 1: box .*expected finite"),
        (annotation(OBJECT.replace("4e1", "1")), "object 1: box 1 2 30.5 1; expected finite x0 <="),
        (annotation("<size><width>5</width></size>"), "<height> of the image is missing"),
        (annotation("<size><width>-5</width></size>"), "<width> of the image is '-5'"),
    ],
)
def test_damaged_file_names_what_was_expected(tmp_path, text, message):
    assert re.search(message, refused(tmp_path, text))


LAUGHS = "".join(
    '<!ENTITY l{} "{}">'.format(i, f"&l{i - 1};" * 10 if i else "ha" * 10) for i in range(10)
)


@pytest.mark.parametrize(
    "document_type, content",
    [
        (f"<!DOCTYPE a [{LAUGHS}]>", "&l9;"),
        ('<!DOCTYPE a [<!ENTITY q "{}">]>'.format("x" * 50000), "&q;" * 50000),
        ('<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]>', "&f;"),
        ('<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]>', ""),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">', ""),
        ("<!DOCTYPE annotation>", ""),
    ],
    ids=["laughs", "quadratic", "external", "parameter", "external-type", "type"],
)
def test_hostile_file_is_refused_at_once(tmp_path, document_type, content):
    text = document_type + annotation(f"<object><name>{content}</name>{BOX}</object>")
    for data in (text, text.encode("utf-16")):
        started = time.time()
        message = refused(tmp_path, data)
        assert time.time() - started < 1
        assert "without document type and entities" in message
        assert len(message) < 500


def test_entity_that_nothing_declares(tmp_path):
    assert "no well-formed XML" in refused(tmp_path, annotation("&nothing;"))


def test_deeply_nested_file(tmp_path):
    deep = "<b>" * 100000 + "</b>" * 100000
    found = read_annotation(write(tmp_path, annotation(deep, OBJECT)))
    assert found.names == ("cat",)


def test_huge_file_is_not_read(tmp_path, monkeypatch):
    text = annotation(OBJECT, " " * (1024 * 1024))
    assert "more than 1048576 bytes" in refused(tmp_path, text)
    monkeypatch.setattr(voc_xml, "MAX_BYTES", len(text))
    assert read_annotation(write(tmp_path, text)).names == ("cat",)


def test_what_is_no_file(tmp_path):
    with pytest.raises(UserError, match="not a file; expected an XML file"):
        read_annotation(str(tmp_path))
    os.mkfifo(str(tmp_path / "pipe.xml"))
    with pytest.raises(UserError, match="not a file; expected an XML file"):
        read_annotation(str(tmp_path / "pipe.xml"))
