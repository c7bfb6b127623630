"""Large sets: one wrong line is recorded with its image, and a published set that is not whole is told."""

import json
import os
import re

import pytest
from refusals import refusal
from trees import coco, cub, make, wsol, xml

from dgl.data.layouts import cub as cub_layout
from dgl.data.layouts import ilsvrc, load_data, wsolevaluation
from dgl.data.text_files import UnknownClassError
from dgl.errors import UserError

INDICES = range(400)
NAMES = [f"{number}.jpg" for number in INDICES]
BOX = (1, 2, 3, 4)


def listed(*lines):
    return "".join(line + "\n" for line in lines)


def annotations(folder):
    return {f"{folder}/{n}.xml": xml(("abc"[n % 3], BOX)) for n in INDICES}


WSOL = wsol("val", [(name, n % 3, [BOX]) for n, name in enumerate(NAMES)])
CUB = cub([(name, n % 3, False, BOX) for n, name in enumerate(NAMES)], "abc")
LIST = {
    "labels/set/val.txt": listed(*(f"{name} {n % 3} 1 2 3 4" for n, name in enumerate(NAMES))),
    "images/0.jpg": "x",
}
VOC = {
    **annotations("Annotations"),
    "ImageSets/Main/val.txt": listed(*map(str, INDICES)),
    "JPEGImages/0.jpg": "x",
}
ILSVRC = {
    **annotations("Annotations/CLS-LOC/val"),
    "ImageSets/CLS-LOC/val.txt": listed(*(f"{n} {n + 1}" for n in INDICES)),
    "LOC_synset_mapping.txt": "a x\nb y\nc z\n",
    "Data/CLS-LOC/val/0.JPEG": "x",
}
YOLO = {
    **{f"labels/val/{n}.txt": f"{n % 3} 0.5 0.5 0.2 0.2\n" for n in INDICES},
    **{f"images/val/{name}": "x" for name in NAMES},
    "classes.txt": "a\nb\nc\n",
}
OBJECTS = {name: [("abc"[n % 3], BOX)] for n, name in enumerate(NAMES)}
COCO = {"val.json": coco(OBJECTS, "abc"), "images/0.jpg": "x"}


def changed(files, stem, new):
    """Files of which one has another eighth entry or, if it is the eighth image's own, another text."""
    if isinstance(new, dict):
        document = json.loads(files["val.json"])
        document[stem][7].update(new)
        return {**files, "val.json": json.dumps(document)}
    (path,) = (
        path
        for path, text in files.items()
        if text != "x" and os.path.splitext(os.path.basename(path))[0] == stem
    )
    rows = files[path].splitlines()
    return {**files, path: new if stem == "7" else listed(*rows[:7], new, *rows[8:])}


# What is changed, how, and the message.
BAD = {
    "wsolevaluation: label": (WSOL, "class_labels", "7.jpg,cat", r"labels\.txt:8: label 'cat'"),
    "wsolevaluation: no label": (WSOL, "class_labels", "7.jpg", r"class_labels\.txt:8"),
    "wsolevaluation: size": (WSOL, "image_sizes", "7.jpg,0,8", r"sizes\.txt:8: size '0,8'"),
    "wsolevaluation: box": (WSOL, "localization", "7.jpg,3,2,1,4", r"tion\.txt:8: box 3 2"),
    "wsolevaluation: mask": (WSOL, "localization", "7.jpg,m.png,", r"tion\.txt:8: boxes and"),
    "wsolevaluation: empty": (WSOL, "class_labels", "", r"labels\.txt: no line for id 7\.jpg"),
    "cub: label": (CUB, "image_class_labels", "8 cat", r"class_labels\.txt:8: class 'cat'"),
    "cub: split": (CUB, "train_test_split", "8 2", r"split\.txt:8: '2'; expected 1"),
    "cub: box": (CUB, "bounding_boxes", "8 1 2 3", r"boxes\.txt:8: '1 2 3'; expected"),
    "cub: no box": (CUB, "bounding_boxes", "", r"boxes\.txt: no line for id 8"),
    "list: class": (LIST, "val", "7.jpg x 1 2 3 4", r"val\.txt:8: class 'x'"),
    "list: box": (LIST, "val", "7.jpg 1 1 2 3", r"val\.txt:8: 3 numbers after the class"),
    "voc: list": (VOC, "val", "../7", r"val\.txt:8: path .* leads out"),
    "voc: missing": (VOC, "val", "none", r"none\.xml: no such file"),
    "voc: damaged": (VOC, "7", "<annotation>", r"7\.xml: no well-formed XML"),
    "ilsvrc: list": (ILSVRC, "val", "7", r"val\.txt:8: '7'; expected 'id number'"),
    "ilsvrc: damaged": (ILSVRC, "7", "<annotation>", r"7\.xml: no well-formed XML"),
    "ilsvrc: class": (ILSVRC, "7", xml(("d", BOX)), r"class 'd' is not one of"),
    "ilsvrc: no object": (ILSVRC, "7", xml(), r"7\.xml \(no object\); expected an XML file"),
    "yolo: number": (YOLO, "7", "1 0.5 0.5 x 0.2\n", r"7\.txt:1: 'x' is not a number"),
    "yolo: pixels": (YOLO, "7", "1 50 50 20 20\n", r"7\.txt:1: 50 is no fraction"),
    "coco: box": (COCO, "annotations", {"bbox": [1, 2]}, r"annotations\[7\]: \"bbox\" is"),
    "coco: image": (COCO, "images", {"file_name": 7}, r"images\[7\]: \"file_name\" is '7'"),
    "coco: path": (COCO, "images", {"file_name": "../../7.jpg"}, r"images\[7\]: path .* leads out"),
}


def number_of(sample):
    return int(sample.id.split("/")[-1].split(".")[0])


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_line_is_recorded(kind, tmp_path):
    *change, reason = BAD[kind]
    found = load_data(make(tmp_path, changed(*change)), "val")
    (told,) = found.skipped
    assert re.search(reason, told) and "\n" not in told
    order = str if "yolo" in kind else int
    assert [number_of(s) for s in found.samples] == sorted(set(INDICES) - {7}, key=order)
    assert all(s.class_index == number_of(s) % 3 for s in found.samples)
    assert all(len(s.boxes) == 1 for s in found.samples if "yolo" not in kind)


TWICE = {
    "wsolevaluation": (WSOL, "image_ids", "6.jpg"),
    "cub": (CUB, "images", "7 7.jpg"),
    "voc": (VOC, "val", "6"),
    "coco": (COCO, "images", {"id": 16}),
    "list of two classes": (LIST, "val", "6.jpg 1 1 2 3 4"),
}


@pytest.mark.parametrize("kind", TWICE)
def test_an_image_that_is_there_twice(kind, tmp_path):
    """Of two lines that contradict each other neither counts."""
    found = load_data(make(tmp_path, changed(*TWICE[kind])), "val")
    assert 1 <= len(found.skipped) <= 4
    kept = {number_of(sample) for sample in found.samples}
    assert kept >= set(INDICES) - {6, 7} and 7 not in kept and len(found) == len(kept)


REFUSED = {
    "cub: class": changed(CUB, "image_class_labels", "8 0"),
    "list: class": changed(
        {**LIST, "labels/set/classes.txt": "a\nb\nc\n"}, "val", "7.jpg 3 1 2 3 4"
    ),
    "yolo: class": changed(YOLO, "7", "3 0.5 0.5 0.2 0.2\n"),
    "coco: class": changed(COCO, "annotations", {"category_id": 3}),
    "classes.txt": {**CUB, "classes.txt": "1 a\nx\n3 c\n"},
    "LOC_synset_mapping.txt": {**ILSVRC, "LOC_synset_mapping.txt": "a x\na y\nc z\n"},
    "categories": {**COCO, "val.json": COCO["val.json"].replace('"b"', "3")},
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_class_out_of_range_or_a_wrong_list_of_classes_is_never_left_out(kind, tmp_path):
    """Labels of one class in a thousand may be all that tells that they count from 1."""
    with pytest.raises(UnknownClassError if kind.endswith(": class") else UserError):
        load_data(make(tmp_path, REFUSED[kind]), "val")


# The totals of images and of training images or boxes, and which of them is told to be wrong.
FULL = {
    "whole": (400, 400, None),
    "part": (500, 500, None),
    "lacking images": (401, 400, "400 images; expected 401"),
    "lacking boxes": (400, 401, "400 (boxes|test images); expected 401"),
}


@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("files", [WSOL, CUB, ILSVRC], ids=["wsolevaluation", "cub", "ilsvrc"])
def test_published_sets_are_recognized_by_their_size(tmp_path, monkeypatch, caplog, files, kind):
    images, second, message = FULL[kind]
    for module, published, small in (
        (cub_layout, {"CLASSES": 200, "IMAGES": 11788, "TEST_IMAGES": 5794}, (3, images, second)),
        (ilsvrc, {"CLASSES": 1000, "VAL_IMAGES": 50000, "VAL_BOXES": 80477}, (3, images, second)),
    ):
        for (name, value), other in zip(published.items(), small):
            assert getattr(module, name) == value
            monkeypatch.setattr(module, name, other)
    monkeypatch.setitem(wsolevaluation._TOTALS, ("ILSVRC", "val"), (images, second))
    data = make(tmp_path / "ILSVRC", files)
    if kind == "lacking boxes" and files is not CUB:
        assert len(load_data(data, "val", with_boxes=False)) == 400 and not caplog.records
    if message and (files, kind) != (ILSVRC, "lacking boxes"):
        assert re.search(message, refusal(load_data, data, "val"))
    else:
        assert len(load_data(data, "val")) == 400
        assert re.search(message or "^$", caplog.text)
