"""The checks and the line reader that the loaders share."""

import dataclasses
import os

import pytest

from dgl.data import sample as sample_module
from dgl.data.sample import (
    DataSet,
    Sample,
    check_box,
    check_class_index,
    check_classes,
    check_split,
    is_number,
    read_lines,
    resolve_below,
)
from dgl.errors import UserError, first_few, quote


def test_sample_is_frozen_with_no_boxes_by_default():
    sample = Sample("a.jpg", "/data/a.jpg", 3)
    assert (sample.boxes, sample.mask_paths, sample.ignore_path) == ((), (), None)
    assert sample.size is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.class_index = 4


def test_data_set_length_and_class_names():
    dataset = DataSet("d", "folder", "val", [Sample("a", "/a", 0)] * 3, ("cat", "dog"), 4)
    assert len(dataset) == 3
    assert [dataset.class_name(i) for i in (0, 1, 3, -1)] == ["cat", "dog", "3", "-1"]
    assert DataSet("d", "folder", "val", [], None, 4).class_name(2) == "2"


@pytest.mark.parametrize("class_index, classes", [(0, 1), (4, 5), (999, 1000), (7, None)])
def test_class_index_in_range(class_index, classes):
    check_class_index(class_index, classes, "list.txt:1")


@pytest.mark.parametrize("class_index, classes", [(5, 5), (-1, 5), (10**8, None)])
def test_class_index_out_of_range_names_line_and_range(class_index, classes):
    with pytest.raises(UserError, match=r"list\.txt:7: class .* expected 0 to (4|999999) "):
        check_class_index(class_index, classes, "list.txt:7")


@pytest.mark.parametrize("classes", [0, -3, 10**7])
def test_explicit_number_of_classes_is_checked(classes):
    with pytest.raises(UserError, match="expected 1 to"):
        check_classes(classes)
    assert check_classes(5) == 5
    assert check_classes(None) is None


def test_split_is_checked():
    assert [check_split(split) for split in ("train", "val", "test")] == ["train", "val", "test"]
    with pytest.raises(UserError, match="unknown split 'trian'"):
        check_split("trian")


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (-2.5, 3, 4, 5), (3, 3, 3, 3)])
def test_box_accepted(box):
    assert check_box(box, "l:1") == tuple(float(v) for v in box)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "box",
    [(2, 0, 1, 5), (0, 6, 1, 5), (NAN, 0, 1, 1), (0, 0, NAN, 1), (0, 0, INF, 1), (0, -INF, 1, 1)],
)
def test_box_refused(box):
    with pytest.raises(UserError, match="^l:3: box .*expected finite x0 <= x1"):
        check_box(box, "l:3")


@pytest.mark.parametrize(
    "relative, path, identity",
    [
        ("a/b.jpg", "/data/images/a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "/data/images/a/b.jpg", "a/b.jpg"),
        ("a/../b.jpg", "/data/images/b.jpg", "b.jpg"),
        ("../val/b.jpg", "/data/val/b.jpg", "val/b.jpg"),
        ("a/b..c.jpg", "/data/images/a/b..c.jpg", "a/b..c.jpg"),
        ("..b.jpg", "/data/images/..b.jpg", "..b.jpg"),
    ],
)
def test_resolve_below(relative, path, identity):
    assert resolve_below("/data", "images", relative, "l:1") == (path, identity)


@pytest.mark.parametrize("relative", ["a/b.jpg", "./a/b.jpg", "x/../a//b.jpg"])
def test_resolve_below_the_data_folder_itself(relative):
    assert resolve_below("/data", "", relative, "l:1") == ("/data/a/b.jpg", "a/b.jpg")


@pytest.mark.parametrize("relative", ["/etc/x.jpg", "../x.jpg", "a/../../x.jpg", ".."])
def test_path_out_of_the_data_folder_itself_is_refused(relative):
    with pytest.raises(UserError, match="^l:9: path .* leads out of the data folder"):
        resolve_below("/data", "", relative, "l:9")


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(b"x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").symlink_to(tmp_path / "elsewhere")
    path, identity = resolve_below(str(tmp_path / "data"), "images", "a.jpg", "l:1")
    assert (identity, os.path.getsize(path)) == ("a.jpg", 1)


@pytest.mark.parametrize("relative", ["/etc/x.jpg", "../../x.jpg", "a/../../../x.jpg", "../.."])
def test_path_out_of_the_data_folder_is_refused(relative):
    with pytest.raises(UserError, match="^l:9: path .* leads out of the data folder"):
        resolve_below("/data", "images", relative, "l:9")


def test_quote_is_one_printable_line():
    assert quote("a\nb\x1b[31m") == "'a\\nb\\x1b[31m'"
    assert len(quote("x" * 500)) == 82


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0", True), ("007", True), ("+1.", True), ("-.5", True), ("1.25", True), ("3e1", True),
        ("1.E-2", True), (".5e+07", True), ("nan", True), ("-Infinity", True), ("INF", True),
        ("1" * 64, True), ("1" * 65, False), ("", False), (".", False), ("-", False), ("e5", False),
        ("1e", False), ("1e5.0", False), ("1.2.3", False), ("1_0", False), ("0x10", False),
        (" 1", False), ("1\n", False), ("\u0663", False), ("infinite", False),
    ],
)  # fmt: skip
def test_is_number(text, expected):
    assert is_number(text) is expected
    if expected:
        float(text)


@pytest.mark.parametrize(
    "items, limit, expected",
    [
        ([], 5, ""),
        ("abcde", 5, "a, b, c, d, e"),
        ("abcdef", 5, "a, b, c, d, e, ..."),
        (["one"], 1, "one"),
        (map(str, range(10**9)), 1, "0, ..."),
    ],
)
def test_first_few(items, limit, expected):
    assert first_few(items, limit) == expected


def write(tmp_path, data):
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"a 0\nb 1\n", [(1, "a 0"), (2, "b 1")]),
        (b"a 0\r\n\r\n \t\nb 1", [(1, "a 0"), (4, "b 1")]),
        (b"\xef\xbb\xbfa 0\n", [(1, "a 0")]),
        ("\u00e9\u2028\u3000x 0\n".encode(), [(1, "\u00e9\u2028\u3000x 0")]),
        (b"", []),
    ],
)
def test_read_lines(tmp_path, data, expected):
    assert list(read_lines(write(tmp_path, data))) == expected


@pytest.mark.parametrize(
    "data, message",
    [
        (b"a 0\nb\0c 1\n", r"list\.txt:2: binary data"),
        (b"a 0\n\nb\xff\xfe 1\n", r"list\.txt:3: not UTF-8"),
        ("a 0\n".encode("utf-16"), r"list\.txt:1: "),
        (b"a 0\n" + b"x" * 20000, r"list\.txt:2: line longer than"),
    ],
)
def test_read_lines_refuses_binary_data(tmp_path, data, message):
    with pytest.raises(UserError, match=message):
        list(read_lines(write(tmp_path, data)))


def test_read_lines_refuses_what_is_no_file(tmp_path):
    with pytest.raises(UserError, match="not a file"):
        list(read_lines(str(tmp_path)))
    with pytest.raises(UserError, match=r"absent\.txt: cannot be read: No such file"):
        list(read_lines(str(tmp_path / "absent.txt")))


def test_read_lines_refuses_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_module, "MAX_TEXT_BYTES", 10)
    assert len(list(read_lines(write(tmp_path, b"123456789\n")))) == 1
    with pytest.raises(UserError, match="11 bytes; expected a text file of at most 10"):
        list(read_lines(write(tmp_path, b"1234567890\n")))
