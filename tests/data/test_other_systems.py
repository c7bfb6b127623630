"""Lists and folders as other systems write them: each is read as the plain one is."""

import csv
import io

import pytest
from trees import make

from dgl.data.layouts import load_data
from dgl.data.layouts.label_list import load_label_list
from dgl.data.layouts.wsolevaluation import read_metadata
from dgl.errors import UserError

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
    make(tmp_path, {"labels/set/" + name: LISTS[kind]})
    (tmp_path / "validation").mkdir()
    found = load_label_list(str(tmp_path), "val")
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
    images = {"val/" + name: "x" for name in names}
    samples = load_data(make(tmp_path, {"labels/set/val.txt": text, **images}), "val").samples
    assert [(s.id, s.path, s.class_index) for s in samples] == [
        (before + name, str(tmp_path / "val" / name), n) for n, name in enumerate(names)
    ]


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
    make(tmp_path, {"labels/set/val.csv": headings + "\n" + row})
    if box:
        assert load_label_list(str(tmp_path), "val").samples[0].boxes == (box,)
    else:
        with pytest.raises(UserError, match=r"val\.csv:1: .*; expected a box as x0, y0, x1, y1"):
            load_label_list(str(tmp_path), "val")


def test_boxes_in_fractions_are_refused(tmp_path):
    text = "a.jpg 0 0.1 0.2 0.9 1.0\nb.jpg 1 0 0 {} 1\n"
    data = make(tmp_path, {"labels/set/val.txt": text.format(1), "val/a.jpg": "x"})
    with pytest.raises(UserError, match="set val: .*fractions of the image.*expected pixels"):
        load_data(data, "val")
    make(tmp_path, {"labels/set/val.txt": text.format(2)})
    assert len(load_data(data, "val").samples) == 2


@pytest.mark.parametrize("line", ["a.jpg,apple", '"a.jpg"', "a.jpg;0;1;2", '"a.jpg,0', "label,0"])
def test_another_table_gives_a_line(tmp_path, line):
    make(tmp_path, {"labels/set/val.txt": "b.jpg 0\n" + line + "\n"})
    with pytest.raises(UserError, match=r"val\.txt:2: .*expected"):
        load_label_list(str(tmp_path), "val")


@pytest.mark.parametrize("path", ["C:\\data\\a.jpg", "C:/data/a.jpg", "..\\..\\a.jpg"])
def test_paths_that_lead_out(tmp_path, path):
    make(tmp_path, {"labels/set/val.txt": path + " 0\n"})
    with pytest.raises(UserError, match="leads out of the data folder"):
        load_label_list(str(tmp_path), "val")


def test_a_backslash_in_a_name_that_is_there(tmp_path):
    data = make(tmp_path, {"labels/set/val.txt": "a\\b.jpg 0\n", "val/a\\b.jpg": "x"})
    (sample,) = load_label_list(data, "val").samples
    assert sample.id == "a\\b.jpg"


METADATA = {
    "image_ids.txt": ["a/1.jpg", "b/2.jpg"],
    "class_labels.txt": ["a/1.jpg,0", "b/2.jpg,1"],
    "image_sizes.txt": ["a/1.jpg,9,8", "b/2.jpg,7,6"],
    "localization.txt": ["a/1.jpg,1,2,3,4", "b/2.jpg,0,0,5,5"],
}


def quoted(lines):
    return [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]


FORMS = {
    "CR": lambda lines: "\r".join(lines).encode(),
    "UTF-16": lambda lines: "\r\n".join(lines).encode("utf-16"),
    "Windows separators": lambda lines: "\n".join(lines).replace("/", "\\").encode(),
    "quotes": lambda lines: "\n".join(quoted(lines)).encode(),
    "headings": lambda lines: "\n".join(["image_id,x"] * ("," in lines[0]) + lines).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_metadata_of_wsolevaluation(tmp_path, form):
    data = make(tmp_path, {name: FORMS[form](lines) for name, lines in METADATA.items()})
    found = read_metadata(data)
    assert [record.id.replace("\\", "/") for record in found] == METADATA["image_ids.txt"]
    assert [(r.label, r.size) for r in found] == [(0, (9, 8)), (1, (7, 6))]
    assert [r.boxes for r in found] == [((1, 2, 3, 4),), ((0, 0, 5, 5),)]
    make(tmp_path, {"a/1.jpg": "x"})
    sample = load_data(data, "test").samples[0]
    assert (sample.id, sample.path) == ("a/1.jpg", str(tmp_path / "a" / "1.jpg"))
