"""COCO, PASCAL VOC and YOLO: several objects of several classes an image, and bad files."""

import json
import os
import re

import pytest
from PIL import Image
from refusals import refusal
from sample_images import exif_of
from trees import coco, make, xml

from dgl.data import check_files, detect_layout, load_data, read_image
from dgl.data.image_io import image_size

CLASSES = ("cat", "dog", "eel")
SIZE = (100, 80)
# One image of two classes, one of one class, one without objects.
COCO = coco(
    {
        "a.jpg": [("dog", (10, 20, 40, 20)), ("cat", (0, 0, 100, 80)), ("dog", (1, 2, 2, 2))],
        "b c.jpg": [("eel", (5, 6, 2.5, 2.25))],
        "empty.jpg": [],
    },
    CLASSES,
)
DOG, CAT, SMALL_DOG = ("dog", (11, 21, 50, 40)), ("cat", (1, 1, 100, 80)), ("dog", (2, 3, 3, 4))
TREES = {
    "coco": {"annotations.json": COCO},
    "voc": {
        "Annotations/a.xml": xml(DOG, CAT, SMALL_DOG, size=SIZE),
        "Annotations/b c.xml": xml(("eel", (6, 7, 7.5, 8.25)), size=SIZE),
        "Annotations/empty.xml": xml(size=SIZE),
    },
    "yolo": {
        "labels/a.txt": "1 0.3 0.375 0.4 0.25\n0 0.5 0.5 1 1\n1 0.02 0.0375 0.02 0.025\n",
        "labels/b c.txt": "2 0.0625 0.0890625 0.025 0.028125\n",
        "classes.txt": "\n".join(CLASSES),
    },
}
EXPECTED = [
    ("a.jpg#0", "a.jpg", 0, [(0, 0, 100, 80)]),
    ("a.jpg#1", "a.jpg", 1, [(10, 20, 50, 40), (1, 2, 3, 4)]),
    ("b c.jpg", "b c.jpg", 2, [(5, 6, 7.5, 8.25)]),
]


def write(root, layout):
    """A data set with three images; returns its folder."""
    write_images(root, "a.jpg", "b c.jpg", "empty.jpg")
    return make(root, TREES[layout])


def write_images(root, *names):
    (root / "images").mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", SIZE).save(str(root / "images" / name))


@pytest.mark.parametrize("layout", TREES)
@pytest.mark.parametrize("with_boxes", [True, False])
def test_an_image_is_there_once_for_each_of_its_classes(tmp_path, layout, with_boxes, caplog):
    data = write(tmp_path, layout)
    assert detect_layout(data) == layout
    dataset = load_data(data, "val", with_boxes=with_boxes)
    assert (dataset.class_names, dataset.classes, dataset.format) == (CLASSES, 3, layout)
    for sample, (identity, name, class_index, boxes) in zip(dataset.samples, EXPECTED):
        assert (sample.id, sample.class_index) == (identity, class_index)
        assert os.path.basename(sample.path) == name
        # Without a list of the splits, XML's names of the classes are sorted, as these are.
        expected = boxes if with_boxes else []
        assert [pytest.approx(box, abs=1e-9) for box in sample.boxes] == expected
        assert not with_boxes or sample.size == SIZE
    assert len(dataset) == len(EXPECTED)
    check_files(dataset)
    assert "1 images have no object and are left out: empty" in caplog.text
    assert "class 2 is out of range; expected 0 to 1" in refusal(load_data, data, "val", classes=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_boxes_are_those_of_the_upright_image(tmp_path, name, orientation):
    data = make(tmp_path, {"classes.txt": "cat", "labels/a.txt": "0 0.5 0.25 0.5 0.5"})
    path = str(tmp_path / "images" / name)
    os.mkdir(os.path.dirname(path))
    Image.new("RGB", SIZE).save(path, exif=exif_of(orientation))
    height, width = read_image(path).shape[:2]
    assert image_size(path) == (width, height)
    assert image_size(str(tmp_path / "classes.txt")) is None is image_size(str(tmp_path / "absent"))
    (sample,) = load_data(data, "val").samples
    assert sample.boxes[0] == pytest.approx((width / 4, 0, width * 3 / 4, height / 2))


# COCO


@pytest.mark.parametrize("name, images", [
    ("annotations/instances_val2017.json", "val2017"), ("annotations/instances_val.json", "val"),
    ("annotations/instances_val2017.json", "images/val2017"), ("annotations/val.json", "images"),
    ("valid/_annotations.coco.json", "valid"), ("annotations/instances_default.json", "images"),
    ("val.json", ""), ("labels.json", "data"), ("result.json", "."),
])  # fmt: skip
def test_where_coco_is_found(tmp_path, name, images):
    files = {name: COCO, os.path.join(images, "b c.jpg"): "x"}
    if "val" in name:  # the other split is another file
        files[name.replace("valid", "train").replace("val", "train")] = coco({"t.jpg": []})
    data = make(tmp_path, files)
    dataset = load_data(data, "test", layout="coco")
    assert dataset.samples[2].path == os.path.normpath(os.path.join(data, images, "b c.jpg"))


def test_coco_ids_leave_gaps_and_crowds_do_not_count(tmp_path):
    document = json.loads(COCO)
    document["categories"] = document["categories"][::-1]
    document["annotations"][0]["iscrowd"] = 1
    dataset = load_data(make(tmp_path, {"coco.json": json.dumps(document)}), "val")
    assert dataset.class_names == CLASSES
    (boxes,) = [sample.boxes for sample in dataset.samples if sample.class_index == 1]
    assert boxes == ((1, 2, 3, 4),)


# PASCAL VOC


def test_voc_difficult_objects_do_not_count(tmp_path):
    text = xml(("cat", (1, 1, 3, 3)), ("dog", (2, 2, 5, 5)))
    text = text.replace("<name>cat</name>", "<name>cat</name><difficult>1</difficult>")
    dataset = load_data(make(tmp_path, {"annotations/a.xml": text, "images/a.png": "x"}), "train")
    (sample,) = dataset.samples
    assert (sample.id, sample.class_index, sample.boxes) == ("a.png", 1, ((1, 1, 5, 5),))
    assert dataset.class_names == ("cat", "dog")


def test_voc_indices_agree_between_splits_and_years_are_chosen(tmp_path):
    files = {
        "VOC2007/Annotations/a.xml": xml(("dog", (0, 0, 3, 3))),
        "VOC2007/Annotations/b.xml": xml(("cat", (1, 1, 3, 3))),
        "VOC2007/JPEGImages/a.jpg": "x",
        "VOC2007/ImageSets/Main/train.txt": "a\n",
        "VOC2007/ImageSets/Main/test.txt": "b\n",
    }
    dataset = load_data(make(tmp_path, files), "train")
    assert (dataset.class_names, dataset.samples[0].class_index) == (("cat", "dog"), 1)
    assert dataset.samples[0].boxes == ((0, 0, 3, 3),)  # counted from 0
    make(tmp_path, {name.replace("2007", "2012"): text for name, text in files.items()})
    several = "several data sets; name one of ['VOC2007', 'VOC2012']"
    assert several in refusal(load_data, str(tmp_path), "val")
    assert load_data(str(tmp_path), "val", "VOC2012").name == "VOC2012"


def test_voc_names_of_files_choose_between_equal_stems(tmp_path):
    make(tmp_path, {"images/a.jpg": "x", "images/a.png": "x"})
    text = xml(("cat", (1, 1, 3, 3)))
    for name, expected in (("sub/a.png", "a.png"), ("../../x", "a.jpg")):
        named = text.replace("<annotation>", f"<annotation><filename>{name}</filename>")
        (sample,) = load_data(make(tmp_path, {"annotations/a.xml": named}), "val").samples
        assert sample.id == expected


# YOLO


@pytest.mark.parametrize(
    "config, images, labels, identity",
    [
        ("val: images/val", "images/val/x/a.jpg", "labels/val/x/a.txt", "val/x/a.jpg"),
        ("path: ../set\nval: valid/images", "valid/images/a.jpg", "valid/labels/a.txt", "a.jpg"),
        ("val: ../valid/images", "valid/images/a.jpg", "valid/labels/a.txt", "a.jpg"),
        ("path: set\nval: images", "set/images/a.jpg", "set/labels/a.txt", "a.jpg"),
        ("val: lists/val.txt", "images/c/a.jpg", "labels/c/a.txt", "c/a.jpg"),
        ("test: [images/1, images/2]", "images/2/a.jpg", "labels/2/a.txt", "2/a.jpg"),
        ("val: .", "a.jpg", "a.txt", "a.jpg"),
    ],
)
def test_where_yolo_is_found(tmp_path, config, images, labels, identity):
    files = {"data.yaml": "names: {1: no, 0: yes}\n" + config, labels: "1 0.5 0.5 1 1\n"}
    files.update({"images/1/x": "", images: "", "lists/val.txt": "./../images/c/a.jpg\n"})
    data = make(tmp_path, files)
    Image.new("RGB", (10, 20)).save(str(tmp_path / images))
    dataset = load_data(data, "val")
    assert dataset.class_names == ("yes", "no")  # not booleans
    (sample,) = dataset.samples
    assert (sample.id, sample.class_index, sample.boxes) == (identity, 1, ((0, 0, 10, 20),))
    assert os.path.samefile(sample.path, str(tmp_path / images))


def test_yolo_polygons_count_by_their_box(tmp_path):
    write_images(tmp_path, "a.jpg")
    line = "0 " + " ".join(f"{0.1 + 0.8 * (i % 2):.6f} {0.5 - i / 1e4:.6f}" for i in range(2000))
    data = make(tmp_path, {"data.yaml": "names: [cat]\nval: images", "labels/a.txt": line})
    (sample,) = load_data(data, "val").samples
    assert sample.boxes[0] == pytest.approx((10, 0.3001 * 80, 90, 0.5 * 80))


def test_yolo_tags_are_not_looked_at_and_links_in_a_circle_are_not_followed(tmp_path):
    write_images(tmp_path, "a.jpg")
    os.symlink(str(tmp_path / "images"), str(tmp_path / "images" / "again"))
    config = "names: !!python/object/apply:os.system [ls]\nval: images"
    data = make(tmp_path, {"data.yaml": config, "labels/a.txt": "0 .5 .5 1 1"})
    dataset = load_data(data, "val")
    assert dataset.class_names == ("ls",) and [s.id for s in dataset.samples] == ["a.jpg"]


# Bad files


def changed(part, number, **values):
    document = json.loads(COCO)
    document[part][number].update(values)
    return {"val.json": json.dumps(document)}


ONE_CAT = "names: [cat]\n"
BAD = {
    "coco": [
        ({"val.json": '{"images": ' + "[" * 100000}, "no JSON"),
        ({"val.json": '{"images": []}'}, 'no list "annotations"'),
        ({"val.json": coco({}, annotations=[3])}, r"annotations\[0\]: '3'; expected an object"),
        ({"val.json": coco({"a.jpg": []})}, "none of 1 images has an object"),
        ({"val2014.json": COCO}, "several files of the val split"),
        (changed("annotations", 1, bbox=None), r'annotations\[1\]: "bbox" is missing'),
        (changed("annotations", 1, bbox=[1, 2, "3", 4]), r'annotations\[1\]: "bbox" is'),
        (changed("annotations", 1, bbox=[1, 2, -3, 4]), r"annotations\[1\]: box 1 2 -2 6"),
        (changed("annotations", 0, image_id=99), r"annotations\[0\]: image_id '99' is not among"),
        (changed("annotations", 0, category_id=8), r"\[0\]: category_id '8' is not among"),
        (changed("images", 1, id=10), r"images\[1\]: id '10' a second time"),
        (changed("images", 1, file_name="a.jpg"), r"images\[1\]: 'a.jpg' is images\[0\] already"),
        (changed("categories", 1, name=""), r'categories\[1\]: no "name"'),
        (changed("categories", 1, id=True), '"id" is .True.; expected a number or a text'),
    ],
    "voc": [
        ({"ImageSets/Main/val.txt": "a\na\n"}, r"val.txt:2: 'a' a second time"),
        ({"ImageSets/Main/other.txt": "a\n"}, r"val.txt: no such file"),
        ({"classes.txt": "dog\n"}, r"a.xml: class 'cat'; expected one of those in .*classes.txt"),
    ],
    "yolo": [
        ({"data.yaml": "[" * 5000}, "data.yaml: no YAML"),
        ({"data.yaml": "- 1"}, "data.yaml: no mapping"),
        ({"data.yaml": "val: images"}, "data.yaml: no names"),
        ({"data.yaml": "names: {0: a, 2: b}\nval: images"}, "expected indices 0 to 1"),
        ({"data.yaml": ONE_CAT}, "data.yaml: no val; expected"),
        ({"data.yaml": ONE_CAT + "val: absent"}, "val: .*absent: no such file or folder"),
        ({"data.yaml": ONE_CAT + "val: ../.."}, "leads out of the data folder"),
        ({"data.yaml": ONE_CAT + "val: images\nkpt_shape: [3]"}, "labels of poses"),
        ({"labels/a.txt": "0 0.5 0.5 1\n"}, r"a.txt:1: 4 numbers; expected 'class x y width"),
        ({"labels/a.txt": "cat 0.5 0.5 1 1\n"}, r"a.txt:1: class 'cat'"),
        ({"labels/a.txt": "0 0.5 0.5 -0.005 1\n"}, r"a.txt:1: box .*; expected"),
        ({"labels/a.txt": ""}, "none of 1 images has an object"),
        ({"val.txt": "../a.jpg\n", "data.yaml": ONE_CAT + "val: val.txt"}, "val.txt:1: path"),
    ],
}
SOUND = {
    "coco": {"val.json": COCO},
    "voc": {"Annotations/a.xml": xml(("cat", (1, 1, 3, 3)))},
    "yolo": {"data.yaml": ONE_CAT + "val: images", "labels/a.txt": "0 0.5 0.5 1 1\n"},
}


@pytest.mark.parametrize("layout, row", [(layout, row) for layout in BAD for row in BAD[layout]])
def test_bad_files(tmp_path, layout, row):
    write_images(tmp_path, "a.jpg")
    data = make(tmp_path, {**SOUND[layout], **row[0]})
    found = refusal(load_data, data, "val", layout=layout)
    assert re.search(row[1], found) and len(found) < 600
