"""The published list format."""

import logging
import re
import time

import pytest
import trees
from refusals import refusal

from dgl.data.layouts.label_list import guess_image_root, list_names, load_label_list, parse_line
from dgl.data.sample import Sample
from dgl.data.text_files import MAX_LINE_BYTES
from dgl.errors import UserError


def make(tmp_path, dataname="set", **lists):
    return trees.make(tmp_path, {f"labels/{dataname}/{n}.txt": t for n, t in lists.items()})


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a.jpg 3", ("a.jpg", 3, ())),
        ("d/a.JPEG 3 1 2 3 4", ("d/a.JPEG", 3, ((1, 2, 3, 4),))),
        ("a.jpg\t0  1.5 2 3e1 4.", ("a.jpg", 0, ((1.5, 2, 30, 4),))),
        ("a.jpg 1 1 2 3 4 5 6 7 8", ("a.jpg", 1, ((1, 2, 3, 4), (5, 6, 7, 8)))),
        ("my bird 2 1 2 3 4.jpg 0 1 2 3 4", ("my bird 2 1 2 3 4.jpg", 0, ((1, 2, 3, 4),))),
        ("a  b\u00a0c.jpg 7", ("a  b\u00a0c.jpg", 7, ())),
        ("a.jpg old/b.png 7", ("a.jpg old/b.png", 7, ())),
        ("no extension 3 1 2 3 4", ("no extension", 3, ((1, 2, 3, 4),))),
        ("123 0", ("123", 0, ())),
        ("a.jpg 0 -2 -1 5 5", ("a.jpg", 0, ((-2, -1, 5, 5),))),
    ],
)
def test_parse_line(text, expected):
    assert parse_line(text, "l:1") == expected


@pytest.mark.parametrize("text", [
    "a.jpg", "a.jpg -1", "a.jpg 1.5", "a.jpg 99999999999999999999", "7 8 9 10 11",
    "a.jpg 0 1 2", "a.jpg 0 1 2 3 4 5", "a.jpg 0 1 2 x 4", "a.jpg 0 nan 2 3 4", "a.jpg 0 3 2 1 4",
])  # fmt: skip
def test_bad_line_names_the_line_and_what_was_expected(text):
    assert re.match("list.txt:12: .*expected", refusal(parse_line, text, "list.txt:12"))


def test_imagenet_and_cub_image_roots(tmp_path):
    data = make(tmp_path, train="c/a.jpg 1\n", val="a b.jpg 0 1 2 3 4\n")
    train, val = (load_label_list(data, split, "set") for split in ("train", "val"))
    assert train.samples == [Sample("c/a.jpg", str(tmp_path / "train" / "c" / "a.jpg"), 1)]
    assert val.samples[0].path == str(tmp_path / "val" / "a b.jpg")
    assert (val.name, val.format, val.split, val.classes) == ("set", "imagenet", "val", 1)
    cub = load_label_list(data, "val", "set", image_root="cub")
    assert (cub.format, cub.samples[0].path) == ("cub", str(tmp_path / "images" / "a b.jpg"))


@pytest.mark.parametrize("root, split, train_boxes, is_xywh", [
    ("cub", "train", None, True), ("cub", "train", "xyxy", False),
    ("cub", "val", None, False), ("cub", "val", "xywh", False), ("imagenet", "val", None, False),
    ("imagenet", "train", None, False), ("imagenet", "train", "xywh", True),
])  # fmt: skip
def test_what_four_numbers_mean(tmp_path, root, split, train_boxes, is_xywh):
    line = "a.jpg 0 10 20 30 40\n"
    data = make(tmp_path, train=line, val=line)
    dataset = load_label_list(data, split, image_root=root, train_boxes=train_boxes)
    assert dataset.samples[0].boxes == ((10, 20, 40, 60) if is_xywh else (10, 20, 30, 40),)


def test_val_and_test_stand_for_each_other(tmp_path):
    only_val = make(tmp_path / "1", train="t.jpg 0", val="v.jpg 0")
    both = make(tmp_path / "2", test="s.jpg 0", val="v.jpg 0")
    assert load_label_list(only_val, "test").samples[0].path.endswith("/val/v.jpg")
    assert load_label_list(only_val, "test").split == "test"
    assert load_label_list(both, "test").samples[0].path.endswith("/test/s.jpg")
    missing = "labels/set/train.txt: no such file; expected labels/"
    assert missing in refusal(load_label_list, both, "train")


def test_labels_against_an_explicit_number_of_classes(tmp_path):
    data = make(tmp_path, val="a.jpg 0\n\nb.jpg 5\n")
    assert load_label_list(data, "val").classes == 6
    assert load_label_list(data, "val", classes=10).classes == 10
    with pytest.raises(UserError, match=r"val\.txt:3: class 5 .* expected 0 to 4 \(5 classes"):
        load_label_list(data, "val", classes=5)


def test_class_names(tmp_path):
    data = make(tmp_path, val="a.jpg 1\n")
    trees.make(tmp_path, {"classes.txt": "cat\ndog\nred fox\n"})
    dataset = load_label_list(data, "val")
    assert (dataset.class_names, dataset.classes) == (("cat", "dog", "red fox"), 3)
    make(tmp_path, classes="one\n")
    with pytest.raises(UserError, match=r"val\.txt:1: class 1 is out of range; expected 0 to 0"):
        load_label_list(data, "val")
    # A network may be wider than the list of names.
    assert load_label_list(data, "val", classes=1000).classes == 1000


def test_image_on_two_lines_of_val_is_reported(tmp_path, caplog):
    data = make(tmp_path, train="a.jpg 0\na.jpg 1\n", val="a.jpg 0\nb.jpg 1\n./a.jpg 0 1 2 3 4\n")
    with caplog.at_level(logging.WARNING):
        assert len(load_label_list(data, "train")) == 2
        assert not caplog.records
        assert len(load_label_list(data, "val")) == 3
    assert "'a.jpg' on lines 1 and 3" in caplog.text


def test_data_name(tmp_path):
    missing = "labels/x/train.txt: no such file; expected labels/"
    assert missing in refusal(load_label_list, str(tmp_path), "train", "x")
    data = make(tmp_path, "one", train="a.jpg 0")
    (tmp_path / "labels" / "no-list").mkdir()
    assert list_names(data) == ["one"]
    assert load_label_list(data, "train").name == "one"
    make(tmp_path, "two", train="a.jpg 0")
    several = "several data sets; name one of ['one', 'two']"
    assert several in refusal(load_label_list, data, "train")
    unknown = "no data set '../x' here; expected one of ['one', "
    assert unknown in refusal(load_label_list, data, "train", "../x")


@pytest.mark.parametrize("files, expected", [
    ([], None), (["images/x"], "cub"), (["train/x"], "imagenet"), (["val/x"], "imagenet"),
    (["images/x", "val/x"], None), (["images/v.jpg", "val/x"], "cub"),
    (["images/x", "val/v.jpg"], "imagenet"), (["images/x", "train/t.jpg"], "imagenet"),
])  # fmt: skip
def test_guess_image_root(tmp_path, files, expected):
    trees.make(tmp_path, dict.fromkeys(files, "x"))
    assert guess_image_root(make(tmp_path, val="v.jpg 0\n", train="t.jpg 0\n")) == expected


SEPARATORS = {
    "extensions": ".jpg " * (MAX_LINE_BYTES // 5) + "x",
    "joined": ".jpg" * (MAX_LINE_BYTES // 4),
    "spaces": "a.jpg" + " " * MAX_LINE_BYTES + "x",
    "newline": "a.jpg" + " \t" * (MAX_LINE_BYTES // 2) + "\n",
    "second-line": ".jpg" + " " * MAX_LINE_BYTES + "\nx",
    "words": "a " * (MAX_LINE_BYTES // 2) + "x",
    "numbers": "1 " * (MAX_LINE_BYTES // 2) + "1",
}


@pytest.mark.parametrize("kind", SEPARATORS)
def test_label_list_of_separators(kind):
    """Quadratic time would take minutes."""
    started = time.time()
    for _ in range(20):
        with pytest.raises(UserError, match=r"^list\.txt:1: "):
            parse_line(SEPARATORS[kind], "list.txt:1")
    assert time.time() - started < 5
