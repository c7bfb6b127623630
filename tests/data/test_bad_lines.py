"""One wrong line among many of any layout's lists is recorded with its image, and all others are read."""

import json

import pytest
from trees import make, xml

from dgl.data.layouts import load_data
from dgl.data.text_files import UnknownClassError
from dgl.errors import UserError

MANY = 400
INDICES = range(MANY)
NAMES = [f"{number}.jpg" for number in INDICES]


def wsol(**changed):
    files = {
        "image_ids": NAMES,
        "class_labels": [f"{name},{n % 3}" for n, name in enumerate(NAMES)],
        "image_sizes": [f"{name},9,8" for name in NAMES],
        "localization": [f"{name},1,2,3,4" for name in NAMES],
    }
    return {f"val/{key}.txt": joined(rows, changed.get(key)) for key, rows in files.items()}


def joined(rows, change):
    rows = list(rows)
    if change is not None:
        rows[7] = change
    return "".join(row + "\n" for row in rows)


def cub(**changed):
    files = {
        "images": [f"{n + 1} {name}" for n, name in enumerate(NAMES)],
        "image_class_labels": [f"{n + 1} {n % 3 + 1}" for n in INDICES],
        "train_test_split": [f"{n + 1} 0" for n in INDICES],
        "bounding_boxes": [f"{n + 1} 1 2 3 4" for n in INDICES],
        "classes": ["1 a", "2 b", "3 c"],
    }
    return {key + ".txt": joined(rows, changed.get(key)) for key, rows in files.items()}


def listed(change):
    rows = [f"{name} {n % 3} 1 2 3 4" for n, name in enumerate(NAMES)]
    return {"labels/set/val.txt": joined(rows, change), "images/0.jpg": "x"}


def voc(change=None, text=None):
    files = {"ImageSets/Main/val.txt": joined([name[:-4] for name in NAMES], change)}
    files.update({f"Annotations/{n}.xml": xml(("abc"[n % 3], (1, 2, 3, 4))) for n in INDICES})
    if text is not None:
        files["Annotations/7.xml"] = text
    return {**files, "JPEGImages/0.jpg": "x"}


def ilsvrc(change=None, text=None):
    files = {f"Annotations/CLS-LOC/val/{n}.xml": xml(("abc"[n % 3], (1, 2, 3, 4))) for n in INDICES}
    if text is not None:
        files["Annotations/CLS-LOC/val/7.xml"] = text
    rows = [f"{n} {n + 1}" for n in INDICES]
    return {
        **files,
        "ImageSets/CLS-LOC/val.txt": joined(rows, change),
        "LOC_synset_mapping.txt": "a x\nb y\nc z\n",
        "Data/CLS-LOC/val/0.JPEG": "x",
    }


def yolo(text=None, names=("a", "b", "c")):
    files = {f"labels/val/{n}.txt": f"{n % 3} 0.5 0.5 0.2 0.2\n" for n in INDICES}
    files.update({"images/val/" + name: "x" for name in NAMES})
    if text is not None:
        files["labels/val/7.txt"] = text
    return {**files, "classes.txt": "\n".join(names) + "\n"}


def coco(image=None, annotation=None):
    images = [{"id": n, "file_name": name} for n, name in enumerate(NAMES)]
    annotations = [{"image_id": n, "category_id": n % 3, "bbox": [1, 2, 3, 4]} for n in INDICES]
    images[7].update(image or {})
    annotations[7].update(annotation or {})
    categories = [{"id": n, "name": name} for n, name in enumerate("abc")]
    document = {"images": images, "annotations": annotations, "categories": categories}
    return {"val.json": json.dumps(document), "images/0.jpg": "x"}


BAD = {
    "wsolevaluation: label": (wsol(class_labels="7.jpg,cat"), r"class_labels\.txt:8: label 'cat'"),
    "wsolevaluation: no label": (wsol(class_labels="7.jpg"), r"class_labels\.txt:8"),
    "wsolevaluation: size": (wsol(image_sizes="7.jpg,0,8"), r"image_sizes\.txt:8: size '0,8'"),
    "wsolevaluation: box": (wsol(localization="7.jpg,3,2,1,4"), r"localization\.txt:8: box 3 2"),
    "wsolevaluation: mask": (wsol(localization="7.jpg,m.png,"), r"localization\.txt:8: boxes and"),
    "wsolevaluation: empty": (wsol(class_labels=""), r"labels\.txt: no line for '7\.jpg'"),
    "cub: label": (cub(image_class_labels="8 cat"), r"class_labels\.txt:8: class 'cat'"),
    "cub: split": (cub(train_test_split="8 2"), r"split\.txt:8: '2'; expected 1"),
    "cub: box": (cub(bounding_boxes="8 1 2 3"), r"boxes\.txt:8: '1 2 3'; expected"),
    "cub: no box": (cub(bounding_boxes=""), r"boxes\.txt: no line for id 8"),
    "cub: path": (cub(images="8 ../../7.jpg"), r"images\.txt:8: path .* leads out"),
    "list: class": (listed("7.jpg x 1 2 3 4"), r"val\.txt:8: class 'x'"),
    "list: box": (listed("7.jpg 1 1 2 3"), r"val\.txt:8: 3 numbers after the class"),
    "list: path": (listed("/7.jpg 1 1 2 3 4"), r"val\.txt:8: path .* leads out"),
    "voc: list": (voc("../7"), r"val\.txt:8: path .* leads out"),
    "voc: missing": (voc("none"), r"none\.xml: no such file"),
    "voc: damaged": (voc(text="<annotation>"), r"7\.xml: no well-formed XML"),
    "ilsvrc: list": (ilsvrc("7"), r"val\.txt:8: '7'; expected 'id number'"),
    "ilsvrc: damaged": (ilsvrc(text="<annotation>"), r"7\.xml: no well-formed XML"),
    "ilsvrc: class": (ilsvrc(text=xml(("d", (1, 2, 3, 4)))), r"class 'd' is not one of"),
    "ilsvrc: no object": (ilsvrc(text=xml()), r"7\.xml \(no object\); expected an XML file"),
    "yolo: number": (yolo("1 0.5 0.5 x 0.2\n"), r"7\.txt:1: 'x' is no fraction"),
    "yolo: pixels": (yolo("1 50 50 20 20\n"), r"7\.txt:1: '50' is no fraction"),
    "coco: box": (coco(annotation={"bbox": [1, 2, 3]}), r"annotations\[7\]: \"bbox\" is"),
    "coco: image": (coco(image={"file_name": 7}), r"images\[7\]: \"file_name\" is '7'"),
    "coco: path": (coco(image={"file_name": "../../7.jpg"}), r"images\[7\]: path .* leads out"),
}


def number_of(sample):
    return int(sample.id.split("/")[-1].split(".")[0])


def order(kind):
    return (lambda number: f"{number}.jpg") if "yolo" in kind else int


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_line_is_recorded(kind, tmp_path):
    files, reason = BAD[kind]
    found = load_data(make(tmp_path, files), "val")
    (told,) = found.skipped
    assert "\n" not in told
    with pytest.raises(UserError, match=reason):
        raise UserError(told)
    assert [number_of(s) for s in found.samples] == sorted(set(INDICES) - {7}, key=order(kind))
    assert all(s.class_index == number_of(s) % 3 for s in found.samples)
    assert all(len(s.boxes) == 1 for s in found.samples if "yolo" not in kind)


TWICE = {
    "wsolevaluation": wsol(image_ids="6.jpg"),
    "cub": cub(images="7 7.jpg"),
    "voc": voc("6"),
    "coco": coco(image={"id": 6}),
    "list of two classes": listed("6.jpg 1 1 2 3 4"),
}


@pytest.mark.parametrize("kind", TWICE)
def test_an_image_that_is_there_twice(kind, tmp_path):
    """Of two lines that contradict each other neither counts."""
    found = load_data(make(tmp_path, TWICE[kind]), "val")
    assert 1 <= len(found.skipped) <= 4
    kept = {number_of(sample) for sample in found.samples}
    assert kept >= set(INDICES) - {6, 7} and 7 not in kept and len(found) == len(kept)


SHIFTED = {
    "cub": cub(image_class_labels="8 0"),
    "list": {**listed("7.jpg 3 1 2 3 4"), "labels/set/classes.txt": "a\nb\nc\n"},
    "yolo": yolo("3 0.5 0.5 0.2 0.2\n"),
    "coco": coco(annotation={"category_id": 3}),
}


@pytest.mark.parametrize("kind", SHIFTED)
def test_a_class_out_of_range_is_never_left_out(kind, tmp_path):
    """Labels of one class in a thousand may be all that tells that they count from 1."""
    with pytest.raises(UnknownClassError):
        load_data(make(tmp_path, SHIFTED[kind]), "val")


@pytest.mark.parametrize("name", ["classes.txt", "LOC_synset_mapping.txt", "categories"])
def test_lists_of_classes_are_whole(name, tmp_path):
    """Without one class all behind it would have another index."""
    files = {
        "classes.txt": {**cub(), "classes.txt": "1 a\nx\n3 c\n"},
        "LOC_synset_mapping.txt": {**ilsvrc(), "LOC_synset_mapping.txt": "a x\na y\nc z\n"},
        "categories": {**coco(), "val.json": coco()["val.json"].replace('"b"', "3")},
    }[name]
    with pytest.raises(UserError):
        load_data(make(tmp_path, files), "val")
