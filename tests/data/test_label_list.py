"""The published list format, and lists as other systems write them, which are read as the plain one is."""

import csv
import functools
import io
import re
import time

import pytest
import trees
from refusals import check_refusal, refusal

from dgl.data.layouts import load_data
from dgl.data.layouts.label_list import guess_image_root, list_names, parse_line
from dgl.data.text_files import MAX_LINE_BYTES

load_label_list = functools.partial(load_data, layout="imagenet")


def make(tmp_path, dataname="set", **lists):
    return trees.make(tmp_path, {f"labels/{dataname}/{n}.txt": t for n, t in lists.items()})


@pytest.mark.parametrize("text, expected", [
    ("a.jpg 3", ("a.jpg", 3, ())), ("d/a.JPEG 3 1 2 3 4", ("d/a.JPEG", 3, ((1, 2, 3, 4),))),
    ("a.jpg\t0  1.5 2 3e1 4.", ("a.jpg", 0, ((1.5, 2, 30, 4),))),
    ("a.jpg 1 1 2 3 4 5 6 7 8", ("a.jpg", 1, ((1, 2, 3, 4), (5, 6, 7, 8)))),
    ("my bird 2 1 2 3 4.jpg 0 1 2 3 4", ("my bird 2 1 2 3 4.jpg", 0, ((1, 2, 3, 4),))),
    ("a  b\u00a0c.jpg 7", ("a  b\u00a0c.jpg", 7, ())), ("a.jpg old/b.png 7", ("a.jpg old/b.png", 7, ())),
    ("no extension 3 1 2 3 4", ("no extension", 3, ((1, 2, 3, 4),))), ("123 0", ("123", 0, ())),
    ("a.jpg 0 -2 -1 5 5", ("a.jpg", 0, ((-2, -1, 5, 5),))),
])  # fmt: skip
def test_parse_line(text, expected):
    assert parse_line(text, "l:1") == expected


@pytest.mark.parametrize("text", [
    "a.jpg", "a.jpg -1", "a.jpg 1.5", "a.jpg 99999999999999999999", "7 8 9 10 11",
    "a.jpg 0 1 2", "a.jpg 0 1 2 3 4 5", "a.jpg 0 1 2 x 4", "a.jpg 0 nan 2 3 4", "a.jpg 0 3 2 1 4",
    "a.jpg,apple", '"a.jpg"', "a.jpg;0;1;2", '"a.jpg,0', "label,0",
])  # fmt: skip
def test_bad_line_names_the_line_and_what_was_expected(text):
    assert re.match("list.txt:12: .*expected", refusal(parse_line, text, "list.txt:12"))


@pytest.mark.parametrize("layout, split, is_xywh", [
    ("cub", "train", True), ("cub", "val", False), ("imagenet", "train", False),
])  # fmt: skip
def test_what_four_numbers_mean(tmp_path, layout, split, is_xywh):
    line = "a.jpg 0 10 20 30 40\n"
    (sample,) = load_data(make(tmp_path, train=line, val=line), split, layout=layout).samples
    assert sample.boxes == ((10, 20, 40, 60) if is_xywh else (10, 20, 30, 40),)


def test_class_names(tmp_path):
    data = make(tmp_path, val="a.jpg 1\n")
    trees.make(tmp_path, {"classes.txt": "cat\ndog\nred fox\n"})
    dataset = load_label_list(data, "val")
    assert (dataset.class_names, dataset.classes) == (("cat", "dog", "red fox"), 3)
    make(tmp_path, classes="one\n")
    words = r"val\.txt:1: class 1 is out of range; expected 0 to 0"
    check_refusal(words, load_label_list, data, "val")
    # A network may be wider than the list of names.
    assert load_label_list(data, "val", classes=1000).classes == 1000


def test_data_name(tmp_path):
    (tmp_path / "labels" / "no-list").mkdir(parents=True)
    missing = "labels/x/train.txt: no such file; expected labels/"
    assert missing in refusal(load_label_list, str(tmp_path), "train", "x")
    data = make(tmp_path, "one", train="a.jpg 0")
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
        check_refusal(r"^list\.txt:1: ", parse_line, SEPARATORS[kind], "list.txt:1")
    assert time.time() - started < 5


# Lists of other systems

ROWS = [
    ("apple/a b.jpg", 0, (1, 2, 30, 40)),
    ("pear/ä.png", 1, ()),
    ("pear/c,d.jpg", 1, (0, 0, 9, 9)),
]
LINES = ["{} {} {}".format(name, label, " ".join(map(str, box))) for name, label, box in ROWS]


def table(delimiter=",", quoting=csv.QUOTE_ALL, head=("filename", "label", "x0", "y0", "x1", "y1")):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    if head:
        writer.writerow(head)
    writer.writerows([name, label, *(box or [""] * 4)] for name, label, box in ROWS)
    return text.getvalue()


LISTS = {
    "LF": "\n".join(LINES).encode(),
    "CRLF": "\r\n".join(LINES).encode(),
    "CR": "\r".join(LINES).encode(),
    "CR at the end too": ("\r".join(LINES) + "\r").encode(),
    "byte order mark": ("\ufeff" + "\n".join(LINES)).encode(),
    "UTF-16": "\r\n".join(LINES).encode("utf-16"),
    "UTF-16 LE without mark": "\n".join(LINES).encode("utf-16-le"),
    "UTF-16 BE, CR": ("\ufeff" + "\r".join(LINES)).encode("utf-16-be"),
    "Windows separators": "\n".join(LINES).replace("/", "\\").encode(),
    "CSV in quotes": table().encode(),
    "CSV without headings": table(head=None).encode(),
    "CSV, few quotes": table(quoting=csv.QUOTE_MINIMAL).encode(),
    "CSV with semicolons": table(";", csv.QUOTE_MINIMAL).encode("utf-16"),
    "CSV and Windows separators": table().replace("/", "\\").encode(),
    "tabs": "\n".join(LINES).replace(".jpg ", ".jpg\t").replace(".png ", ".png\t").encode(),
}


@pytest.mark.parametrize("name", ["val.txt", "validation.txt", "val.csv"])
@pytest.mark.parametrize("kind", LISTS)
def test_a_label_list(tmp_path, kind, name):
    files = {"labels/set/" + name: LISTS[kind], "validation/x": ""}
    found = load_label_list(trees.make(tmp_path, files), "val")
    assert [(s.id, s.class_index) for s in found.samples] == [row[:2] for row in ROWS]
    assert [s.boxes for s in found.samples] == [(row[2],) if row[2] else () for row in ROWS]
    assert found.samples[0].path == str(tmp_path / "validation" / "apple" / "a b.jpg")


NAMED = {
    "quotes and spaces": ('"a b.jpg" 0\n"\u00e9.jpg" 1\n"c/d.jpg" 2\n', ""),
    "single quotes": ("'a b.jpg' 0\n'\u00e9.jpg' 1\n'c/d.jpg' 2\n", ""),
    "percent signs": ("a%20b.jpg 0\n%C3%A9.jpg 1\nc%2Fd.jpg 2\n", ""),
    "accents apart": ("a b.jpg 0\ne\u0301.jpg 1\nc/d.jpg 2\n", ""),
    "trailing white space": ("a b.jpg 0 \t\n\u00e9.jpg 1   \n\nc/d.jpg\t2 \n", ""),
    "the split's folder": ("val/a b.jpg 0\nval/\u00e9.jpg 1\nval/c/d.jpg 2\n", "val/"),
    "dots": ("./a b.jpg 0\n./\u00e9.jpg 1\nc/../c/d.jpg 2\n", ""),
}


@pytest.mark.parametrize("kind", NAMED)
def test_paths_in_other_spellings(tmp_path, kind):
    text, before = NAMED[kind]
    names = ["a b.jpg", "\u00e9.jpg", "c/d.jpg"]
    trees.make(tmp_path, {"val/" + name: "x" for name in names})
    samples = load_data(make(tmp_path, val=text), "val").samples
    expected = [(before + name, str(tmp_path / "val" / name), n) for n, name in enumerate(names)]
    assert [(s.id, s.path, s.class_index) for s in samples] == expected


@pytest.mark.parametrize(
    "headings, box",
    [
        ("path,label,x0,y0,x1,y1", (1, 2, 30, 40)),
        ("image,class,xmin,ymin,xmax,ymax", (1, 2, 30, 40)),
        ("image,class,x_min,y_min,x_max,y_max", (1, 2, 30, 40)),
        ("image,class,left,top,right,bottom", (1, 2, 30, 40)),
        ("image,class,bbox_x1,bbox_y1,bbox_x2,bbox_y2", (1, 2, 30, 40)),
        ("image,class,a,b,c,d", (1, 2, 30, 40)),
        ("path,label,x,y,w,h", (1, 2, 31, 42)),
        ("path,label,bbox_x,bbox_y,bbox_width,bbox_height", (1, 2, 31, 42)),
        ("path;label;left;top;width;height", (1, 2, 31, 42)),
        ("image,class,XMin,XMax,YMin,YMax", None),
        ("path,label,y0,x0,y1,x1", None),
    ],
)
def test_headings_say_what_the_numbers_of_a_box_are(tmp_path, headings, box):
    row = "a.jpg,0,1,2,30,40\n".replace(",", ";" if ";" in headings else ",")
    data = make(tmp_path, val=headings + "\n" + row)
    if box:
        assert load_label_list(data, "val").samples[0].boxes == (box,)
    else:
        expected = r"val\.txt:1: .*; expected a box as x0, y0, x1, y1"
        assert re.search(expected, refusal(load_label_list, data, "val"))


def test_boxes_in_fractions_are_refused(tmp_path):
    text = "a.jpg 0 0.1 0.2 0.9 1.0\nb.jpg 1 0 0 {} 1\n"
    data = trees.make(tmp_path, {"val/a.jpg": "x"})
    make(tmp_path, val=text.format(1))
    check_refusal("set val: .*fractions of the image.*expected pixels", load_data, data, "val")
    make(tmp_path, val=text.format(2))
    assert len(load_data(data, "val").samples) == 2


def test_an_image_on_two_lines_of_val_is_reported(tmp_path, caplog):
    trees.make(tmp_path, {"val/a\\b.jpg": "x"})  # a backslash is a part of the name
    text = "a\\b.jpg 0\nb.jpg 1\n./a\\b.jpg 0 1 2 3 4\n"
    data = make(tmp_path, train="a.jpg 0\na.jpg 1\n", val=text)
    assert len(load_label_list(data, "train")) == 2 and not caplog.records
    assert [sample.id for sample in load_label_list(data, "val").samples][::2] == ["a\\b.jpg"] * 2
    assert "b.jpg' on lines 1 and 3" in caplog.text
