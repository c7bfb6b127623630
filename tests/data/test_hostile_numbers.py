"""Digits without end: every format parses or refuses them in a time linear in their length.

The bound is generous: what each test reads takes well under a second, and where the time is quadratic in
the length of a number or of a run of white space, more than ten seconds or minutes.
"""

import time

import pytest

from dgl.data.annotations import MAX_BYTES, read_annotation
from dgl.data.cub import load_cub
from dgl.data.label_list import load_label_list, parse_line
from dgl.data.sample import MAX_LINE_BYTES, is_number
from dgl.data.wsol_metadata import read_metadata
from dgl.errors import UserError

SECONDS = 5
LINES = 200
# What a line leaves for its digits: everything but its path, its label and three small numbers.
LENGTH = MAX_LINE_BYTES - 64
# Each begins as a number and is none at its very end.
HOSTILE = {
    "exponent": lambda n: "1" * (n - 1) + "e",
    "point": lambda n: "1" * (n - 2) + ".x",
    "fraction": lambda n: "-1." + "1" * (n - 5) + "e+",
    "halves": lambda n: "1" * (n // 2) + "." + "1" * (n // 2 - 2) + ".",
    "power": lambda n: "1e" + "1" * (n - 3) + "x",
    "digits": lambda n: "1" * n,
}

hostile = pytest.mark.parametrize("make", list(HOSTILE.values()), ids=list(HOSTILE))


@pytest.fixture(autouse=True)
def bounded():
    started = time.time()
    yield
    assert time.time() - started < SECONDS


def refused(call, *args):
    with pytest.raises(UserError) as caught:
        call(*args)
    message = str(caught.value)
    assert "expected" in message and "\n" not in message and len(message) < 600
    return message


@hostile
def test_is_number(make):
    for _ in range(LINES):
        assert not is_number(make(LENGTH))
    assert not is_number(make(MAX_BYTES))


@hostile
def test_xml(tmp_path, make):
    sides = "".join(f"<{side}>1</{side}>" for side in ("xmin", "ymin", "xmax"))
    text = (
        "<annotation><object><name>a</name><bndbox>{}<ymax>{}</ymax></bndbox></object></annotation>"
    )
    text = text.format(sides, make(MAX_BYTES - 200))
    assert MAX_BYTES - 200 < len(text) < MAX_BYTES
    (tmp_path / "a.xml").write_text(text)
    message = refused(read_annotation, str(tmp_path / "a.xml"))
    assert "a.xml: object 1: <ymax> is '" in message


@hostile
def test_label_list_without_extensions(tmp_path, make):
    # What is no number belongs to the path, so that every line is read to its end.
    folder = tmp_path / "labels" / "set"
    folder.mkdir(parents=True)
    path = "a " + make(LENGTH)
    (folder / "val.txt").write_text((path + " 3\n") * LINES)
    samples = load_label_list(str(tmp_path), "val").samples
    assert [(sample.id, sample.class_index) for sample in samples] == [(path, 3)] * LINES


@hostile
@pytest.mark.parametrize("before", ["a.jpg ", "a.jpg 0 ", "a.jpg 0 1 2 3 "])
def test_label_list_with_extensions(make, before):
    for _ in range(LINES):
        message = refused(parse_line, before + make(LENGTH), "list.txt:1")
        assert message.startswith("list.txt:1: ")


@pytest.mark.parametrize(
    "text",
    [
        ".jpg " * (LENGTH // 5) + "x",
        ".jpg" * (LENGTH // 4),
        "a.jpg" + " " * LENGTH + "x",
        "a.jpg" + " \t" * (LENGTH // 2) + "\n",
        ".jpg" + " " * LENGTH + "\nx",
        "a " * (LENGTH // 2) + "x",
        "1 " * (LENGTH // 2) + "1",
    ],
    ids=["extensions", "joined", "spaces", "newline", "second-line", "words", "numbers"],
)
def test_label_list_of_separators(text):
    for _ in range(LINES // 4):
        refused(parse_line, text, "list.txt:1")


@hostile
def test_cub(tmp_path, make):
    ids = range(1, LINES + 1)
    files = {
        "images.txt": "".join(f"{i} c/{i}.jpg\n" for i in ids),
        "image_class_labels.txt": "".join(f"{i} 1\n" for i in ids),
        "train_test_split.txt": "".join(f"{i} 0\n" for i in ids),
        "classes.txt": "1 c\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for place in range(4):
        values = [make(LENGTH) if i == place else "1" for i in range(4)]
        text = "".join("{} {}\n".format(i, " ".join(values)) for i in ids)
        (tmp_path / "bounding_boxes.txt").write_text(text)
        message = refused(load_cub, str(tmp_path), "test")
        assert "bounding_boxes.txt:1: " in message


@hostile
def test_wsol_metadata(tmp_path, make):
    ids = [f"{i}.jpg" for i in range(LINES)]
    files = {
        "image_ids.txt": "".join(key + "\n" for key in ids),
        "class_labels.txt": "".join(key + ",0\n" for key in ids),
        "image_sizes.txt": "".join(key + ",9,9\n" for key in ids),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for place in range(4):
        values = [make(LENGTH) if i == place else "1" for i in range(4)]
        text = "".join("{},{}\n".format(key, ",".join(values)) for key in ids)
        (tmp_path / "localization.txt").write_text(text)
        message = refused(read_metadata, str(tmp_path))
        assert "localization.txt:1: " in message
