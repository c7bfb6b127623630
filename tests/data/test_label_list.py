"""The published list format."""

import logging
import time

import pytest
import trees

from dgl.data.layouts.label_list import guess_image_root, list_names, load_label_list, parse_line
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


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg",
        "a.jpg -1",
        "a.jpg 1.5",
        "a.jpg 99999999999999999999",
        "a.jpg 0 1 2",
        "a.jpg 0 1 2 3 4 5",
        "a.jpg 0 1 2 x 4",
        "a.jpg 0 nan 2 3 4",
        "a.jpg 0 3 2 1 4",
        "7 8 9 10 11",
    ],
)
def test_bad_line_names_the_line_and_what_was_expected(text):
    with pytest.raises(UserError, match="^list.txt:12: .*expected") as caught:
        parse_line(text, "list.txt:12")
    assert "\n" not in str(caught.value)


def test_imagenet_and_cub_image_roots(tmp_path):
    data = make(tmp_path, train="c/a.jpg 1\n", val="a b.jpg 0 1 2 3 4\n")
    train = load_label_list(data, "train", "set")
    val = load_label_list(data, "val", "set")
    assert train.samples[0].path == str(tmp_path / "train" / "c" / "a.jpg")
    assert (train.samples[0].id, train.samples[0].boxes) == ("c/a.jpg", ())
    assert val.samples[0].path == str(tmp_path / "val" / "a b.jpg")
    assert (val.name, val.format, val.split, val.classes) == ("set", "imagenet", "val", 1)
    cub = load_label_list(data, "val", "set", image_root="cub")
    assert cub.samples[0].path == str(tmp_path / "images" / "a b.jpg")
    assert cub.format == "cub"


@pytest.mark.parametrize(
    "root, split, train_boxes, expected",
    [
        ("cub", "train", None, (10, 20, 40, 60)),
        ("cub", "val", None, (10, 20, 30, 40)),
        ("imagenet", "train", None, (10, 20, 30, 40)),
        ("imagenet", "val", None, (10, 20, 30, 40)),
        ("cub", "train", "xyxy", (10, 20, 30, 40)),
        ("imagenet", "train", "xywh", (10, 20, 40, 60)),
        ("cub", "val", "xywh", (10, 20, 30, 40)),
    ],
)
def test_what_four_numbers_mean(tmp_path, root, split, train_boxes, expected):
    line = "a.jpg 0 10 20 30 40\n"
    data = make(tmp_path, train=line, val=line)
    dataset = load_label_list(data, split, image_root=root, train_boxes=train_boxes)
    assert dataset.samples[0].boxes == (expected,)


def test_val_and_test_stand_for_each_other(tmp_path):
    only_val = make(tmp_path / "1", train="t.jpg 0", val="v.jpg 0")
    both = make(tmp_path / "2", test="s.jpg 0", val="v.jpg 0")
    assert load_label_list(only_val, "test").samples[0].path.endswith("/val/v.jpg")
    assert load_label_list(only_val, "test").split == "test"
    assert load_label_list(both, "test").samples[0].path.endswith("/test/s.jpg")
    with pytest.raises(UserError, match=r"labels/set/train\.txt: no such file; expected labels/"):
        load_label_list(both, "train")


def test_labels_against_an_explicit_number_of_classes(tmp_path):
    data = make(tmp_path, val="a.jpg 0\n\nb.jpg 5\n")
    assert load_label_list(data, "val").classes == 6
    assert load_label_list(data, "val", classes=10).classes == 10
    with pytest.raises(UserError, match=r"val\.txt:3: class 5 .* expected 0 to 4 \(5 classes"):
        load_label_list(data, "val", classes=5)


def test_class_names(tmp_path):
    data = make(tmp_path, val="a.jpg 1\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\nred fox\n")
    dataset = load_label_list(data, "val")
    assert (dataset.class_names, dataset.classes) == (("cat", "dog", "red fox"), 3)
    (tmp_path / "labels" / "set" / "classes.txt").write_text("one\n")
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
    with pytest.raises(UserError, match=r"labels/x/train\.txt: no such file; expected labels/"):
        load_label_list(str(tmp_path), "train", "x")
    data = make(tmp_path, "one", train="a.jpg 0")
    (tmp_path / "labels" / "no-list").mkdir()
    assert list_names(data) == ["one"]
    assert load_label_list(data, "train").name == "one"
    make(tmp_path, "two", train="a.jpg 0")
    with pytest.raises(UserError, match=r"several data sets; name one of \['one', 'two'\]"):
        load_label_list(data, "train")
    with pytest.raises(UserError, match=r"no data set '\.\./x' here; expected one of \['one', "):
        load_label_list(data, "train", "../x")


@pytest.mark.parametrize(
    "folders, images, expected",
    [
        (["images"], [], "cub"),
        (["train"], [], "imagenet"),
        (["val"], [], "imagenet"),
        ([], [], None),
        (["images", "val"], [], None),
        (["images", "val"], ["images/v.jpg"], "cub"),
        (["images", "val"], ["val/v.jpg"], "imagenet"),
        (["images", "train"], ["train/t.jpg"], "imagenet"),
    ],
)
def test_guess_image_root(tmp_path, folders, images, expected):
    data = make(tmp_path, val="v.jpg 0\n", train="t.jpg 0\n")
    for folder in folders:
        (tmp_path / folder).mkdir()
    for image in images:
        (tmp_path / image).write_bytes(b"x")
    assert guess_image_root(data) == expected


@pytest.mark.parametrize(
    "text",
    [
        ".jpg " * (MAX_LINE_BYTES // 5) + "x",
        ".jpg" * (MAX_LINE_BYTES // 4),
        "a.jpg" + " " * MAX_LINE_BYTES + "x",
        "a.jpg" + " \t" * (MAX_LINE_BYTES // 2) + "\n",
        ".jpg" + " " * MAX_LINE_BYTES + "\nx",
        "a " * (MAX_LINE_BYTES // 2) + "x",
        "1 " * (MAX_LINE_BYTES // 2) + "1",
    ],
    ids=["extensions", "joined", "spaces", "newline", "second-line", "words", "numbers"],
)
def test_label_list_of_separators(text):
    """Quadratic time would take minutes."""
    started = time.time()
    for _ in range(20):
        with pytest.raises(UserError, match=r"^list\.txt:1: "):
            parse_line(text, "list.txt:1")
    assert time.time() - started < 5


def test_one_bad_line_in_a_thousand_is_left_out(tmp_path, caplog):
    lines = [f"{n}.jpg {n % 7} 1 2 3 4" for n in range(1000)]
    lines[400] = "400.jpg x"
    data = make(tmp_path, val="\n".join(lines))
    with caplog.at_level(logging.WARNING):
        found = load_label_list(data, "val")
    assert (len(found), found.classes) == (999, 7)
    (reason,) = found.skipped
    assert "val.txt:401: class 'x'" in reason
    assert "1 of 1000 entries left out" in caplog.text


@pytest.mark.parametrize("wrong, total", [(1, 99), (11, 1000)])
def test_more_bad_lines_are_refused(tmp_path, wrong, total):
    lines = ["a.jpg x"] * wrong + [f"{n}.jpg 0" for n in range(total - wrong)]
    with pytest.raises(UserError, match=r"val\.txt:1: class 'x'"):
        load_label_list(make(tmp_path, val="\n".join(lines)), "val")
