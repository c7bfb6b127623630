"""COCO, PASCAL VOC and YOLO: several objects of several classes an image, and bad files."""

import json
import os

import pytest
from PIL import Image
from trees import coco, make, xml

from dgl.data import check_files, detect_layout, load_data, read_image
from dgl.data.image_io import image_size
from dgl.errors import UserError

CLASSES = ("cat", "dog", "eel")
# One image of two classes, one of one class, one without objects; boxes (x0, y0, x1, y1), 100 x 80 pixels.
OBJECTS = {
    "a.jpg": [("dog", (10, 20, 50, 40)), ("cat", (0, 0, 100, 80)), ("dog", (1, 2, 3, 4))],
    "b c.jpg": [("eel", (5, 6, 7.5, 8.25))],
    "empty.jpg": [],
}
EXPECTED = [
    ("a.jpg#0", "a.jpg", 0, [(0, 0, 100, 80)]),
    ("a.jpg#1", "a.jpg", 1, [(10, 20, 50, 40), (1, 2, 3, 4)]),
    ("b c.jpg", "b c.jpg", 2, [(5, 6, 7.5, 8.25)]),
]


def write_images(folder, names=OBJECTS, size=(100, 80)):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", size).save(str(folder / name))


def as_xywh(box):
    return (box[0], box[1], box[2] - box[0], box[3] - box[1])


def as_coco():
    boxes = {n: [(c, as_xywh(box)) for c, box in found] for n, found in OBJECTS.items()}
    return coco(boxes, CLASSES)


def as_yolo(found, size=(100, 80)):
    lines = []
    for name, (x0, y0, x1, y1) in found:
        numbers = ((x0 + x1) / 2 / size[0], (y0 + y1) / 2 / size[1])
        numbers += ((x1 - x0) / size[0], (y1 - y0) / size[1])
        lines.append(" ".join([str(CLASSES.index(name)), *map(repr, numbers)]))
    return "\n".join(lines)


def write_coco(root):
    write_images(root / "images")
    return make(root, {"annotations.json": as_coco()})


def write_voc(root):
    write_images(root / "JPEGImages")
    files = {
        f"Annotations/{name[:-4]}.xml": xml(
            *[(c, (x0 + 1, y0 + 1, x1, y1)) for c, (x0, y0, x1, y1) in found], size=(100, 80)
        )
        for name, found in OBJECTS.items()
    }
    return make(root, files)


def write_yolo(root):
    write_images(root / "images")
    files = {f"labels/{name[:-4]}.txt": as_yolo(found) for name, found in OBJECTS.items() if found}
    return make(root, dict(files, **{"classes.txt": "\n".join(CLASSES)}))


WRITERS = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("with_boxes", [True, False])
def test_an_image_is_there_once_for_each_of_its_classes(tmp_path, layout, with_boxes, caplog):
    data = WRITERS[layout](tmp_path)
    assert detect_layout(data) == layout
    dataset = load_data(data, "val", with_boxes=with_boxes)
    assert (dataset.class_names, dataset.classes, dataset.format) == (CLASSES, 3, layout)
    for sample, (identity, name, class_index, boxes) in zip(dataset.samples, EXPECTED):
        assert (sample.id, sample.class_index) == (identity, class_index)
        assert os.path.basename(sample.path) == name
        # Without a list of the splits, XML's names of the classes are sorted, as these are.
        expected = boxes if with_boxes else []
        assert [pytest.approx(box, abs=1e-9) for box in sample.boxes] == expected
        assert not with_boxes or sample.size == (100, 80)
    assert len(dataset) == len(EXPECTED)
    check_files(dataset)
    assert "1 images have no object and are left out: empty" in caplog.text


@pytest.mark.parametrize("layout", WRITERS)
def test_a_class_beyond_the_given_number(tmp_path, layout):
    with pytest.raises(UserError, match=r"class 2 is out of range; expected 0 to 1"):
        load_data(WRITERS[layout](tmp_path), "val", classes=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_those_of_the_upright_image(tmp_path, orientation):
    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "images" / "a.jpg"
    Image.new("RGB", (100, 80)).save(str(path), exif=exif)
    height, width = read_image(str(path)).shape[:2]
    assert image_size(str(path)) == (width, height)
    data = make(tmp_path, {"classes.txt": "cat", "labels/a.txt": "0 0.5 0.25 0.5 0.5"})
    (sample,) = load_data(data, "val").samples
    assert sample.boxes[0] == pytest.approx((width / 4, 0, width * 3 / 4, height / 2))


def test_tiff_and_what_is_no_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = str(tmp_path / "a.tif")
    Image.new("RGB", (100, 80)).save(path, exif=exif)
    assert image_size(path) == read_image(path).shape[1::-1]
    (tmp_path / "b.jpg").write_bytes(b"x")
    assert image_size(str(tmp_path / "b.jpg")) is None is image_size(str(tmp_path / "absent"))


# COCO


@pytest.mark.parametrize(
    "name, images",
    [
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_val2017.json", "images/val2017"),
        ("annotations/instances_val.json", "val"),
        ("annotations/val.json", "images"),
        ("val.json", ""),
        ("valid/_annotations.coco.json", "valid"),
        ("annotations/instances_default.json", "images/default"),
        ("labels.json", "data"),
        ("result.json", "."),
    ],
)
def test_where_coco_is_found(tmp_path, name, images):
    images = "images" if "default" in images else images
    files = {name: as_coco(), os.path.join(images, "b c.jpg"): "x"}
    if "val" in name:  # the other split is another file
        files[name.replace("valid", "train").replace("val", "train")] = coco({"t.jpg": []})
    data = make(tmp_path, files)
    dataset = load_data(data, "test", layout="coco")
    assert dataset.samples[2].path == os.path.normpath(os.path.join(data, images, "b c.jpg"))


def test_coco_ids_leave_gaps_and_crowds_do_not_count(tmp_path):
    document = json.loads(as_coco())
    document["categories"] = document["categories"][::-1]
    document["annotations"][0]["iscrowd"] = 1
    dataset = load_data(make(tmp_path, {"coco.json": json.dumps(document)}), "val")
    assert dataset.class_names == CLASSES
    assert [sample.boxes for sample in dataset.samples if sample.class_index == 1] == [
        ((1, 2, 3, 4),)
    ]


def changed(part, number, **values):
    document = json.loads(as_coco())
    document[part][number].update(values)
    return json.dumps(document)


NO_BOX = r'annotations\[1\]: "bbox" is {}; expected \[x, y, width, height\]'
BAD_COCO = {
    '{"images": [': "no JSON",
    '{"images": ' + "[" * 100000: "no JSON",
    '{"images": []}': 'no list "annotations"',
    '{"images": [], "annotations": [], "categories": []}': "none of 0 images has an object",
    changed("images", 1, id=None).replace(
        '{"id": null', '3, {"id": 1'
    ): r"images\[1\]: '3'; expected an object",
    coco({"a.jpg": []}): "none of 1 images has an object",
    changed("annotations", 1, bbox=None): NO_BOX.format("missing"),
    changed("annotations", 1, bbox=[1, 2, "3", 4]): NO_BOX.format(".*"),
    changed("annotations", 1, bbox=[1, 2, -3, 4]): r"annotations\[1\]: box 1 2 -2 6; expected",
    changed("annotations", 1, bbox=[float("nan"), 2, 3, 4]): "box nan 2",
    changed("annotations", 0, image_id=99): r"annotations\[0\]: image_id '99' is not among",
    changed("annotations", 0, category_id=8): r"annotations\[0\]: category_id '8' is not among",
    changed("annotations", 0, image_id=[1]): '"image_id" is .*; expected a number or a text',
    changed("images", 1, id=10): r"images\[1\]: id '10' a second time",
    changed("images", 1, file_name="a.jpg"): r"images\[1\]: 'a.jpg' is images\[0\] already",
    changed("images", 1, file_name="/etc/passwd"): "leads out of the data folder",
    changed("categories", 1, name=""): r'categories\[1\]: no "name"',
    changed("categories", 1, id=True): '"id" is .True.; expected a number or a text',
}


@pytest.mark.parametrize("number", range(len(BAD_COCO)))
def test_bad_coco(tmp_path, number):
    text, message = list(BAD_COCO.items())[number]
    data = make(tmp_path, {"val.json": text})
    with pytest.raises(UserError, match=message) as caught:
        load_data(data, "val", layout="coco")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_several_coco_files_of_one_split(tmp_path):
    files = {"annotations/instances_val2014.json": as_coco(), "annotations/val.json": as_coco()}
    with pytest.raises(UserError, match="several files of the val split"):
        load_data(make(tmp_path, files), "val")


# PASCAL VOC


def test_voc_difficult_objects_do_not_count(tmp_path):
    text = xml(("cat", (1, 1, 3, 3)), ("dog", (2, 2, 5, 5))).replace(
        "<name>cat</name>", "<name>cat</name><difficult>1</difficult>"
    )
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
    with pytest.raises(UserError, match=r"several data sets; name one of \['VOC2007', 'VOC2012'\]"):
        load_data(str(tmp_path), "val")
    assert load_data(str(tmp_path), "val", "VOC2012").name == "VOC2012"


def test_voc_names_of_files_choose_between_equal_stems(tmp_path):
    files = {"images/a.jpg": "x", "images/a.png": "x"}
    text = xml(("cat", (1, 1, 3, 3)))
    for name, expected in (("sub/a.png", "a.png"), ("../../x", "a.jpg")):
        named = text.replace("<annotation>", f"<annotation><filename>{name}</filename>")
        (sample,) = load_data(
            make(tmp_path, dict(files, **{"annotations/a.xml": named})), "val"
        ).samples
        assert sample.id == expected


@pytest.mark.parametrize(
    "files, message",
    [
        ({"ImageSets/Main/val.txt": "a\na\n"}, r"val.txt:2: 'a' a second time"),
        ({"ImageSets/Main/other.txt": "a\n"}, r"val.txt: no such file"),
        ({"classes.txt": "dog\n"}, r"a.xml: class 'cat'; expected one of those in .*classes.txt"),
        ({"Annotations/a.xml": '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>'}, "without document"),
        ({"Annotations/a.xml": xml(("cat", (5, 1, 3, 3)))}, "box 5 1 3 3; expected"),
    ],
)
def test_bad_voc(tmp_path, files, message):
    sound = {"Annotations/a.xml": xml(("cat", (1, 1, 3, 3))), "JPEGImages/a.jpg": "x"}
    with pytest.raises(UserError, match=message) as caught:
        load_data(make(tmp_path, dict(sound, **files)), "val", layout="voc")
    assert "\n" not in str(caught.value)


# YOLO


@pytest.mark.parametrize(
    "config, images, labels, identity",
    [
        ("val: images/val", "images/val/x/a.jpg", "labels/val/x/a.txt", "val/x/a.jpg"),
        (
            "path: ../datasets\nval: valid/images",
            "valid/images/a.jpg",
            "valid/labels/a.txt",
            "a.jpg",
        ),
        ("val: ../valid/images", "valid/images/a.jpg", "valid/labels/a.txt", "a.jpg"),
        ("path: set\nval: images", "set/images/a.jpg", "set/labels/a.txt", "a.jpg"),
        ("val: lists/val.txt", "images/c/a.jpg", "labels/c/a.txt", "c/a.jpg"),
        ("test: [images/1, images/2]", "images/2/a.jpg", "labels/2/a.txt", "2/a.jpg"),
        ("val: .", "a.jpg", "a.txt", "a.jpg"),
    ],
)
def test_where_yolo_is_found(tmp_path, config, images, labels, identity):
    for number in "12":
        (tmp_path / "images" / number).mkdir(parents=True)
    (tmp_path / images).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 20)).save(str(tmp_path / images))
    files = {"data.yaml": "names: {1: no, 0: yes}\n" + config, labels: "1 0.5 0.5 1 1\n"}
    data = make(tmp_path, dict(files, **{"lists/val.txt": "./../images/c/a.jpg\n"}))
    dataset = load_data(data, "val")
    assert dataset.class_names == ("yes", "no")  # not booleans
    (sample,) = dataset.samples
    assert (sample.id, sample.class_index, sample.boxes) == (identity, 1, ((0, 0, 10, 20),))
    assert os.path.samefile(sample.path, str(tmp_path / images))


def test_yolo_polygons_count_by_their_box(tmp_path):
    write_images(tmp_path / "images", ["a.jpg"])
    line = "0 " + " ".join(f"{0.1 + 0.8 * (i % 2):.6f} {0.5 - i / 1e4:.6f}" for i in range(2000))
    data = make(tmp_path, {"data.yaml": "names: [cat]\nval: images", "labels/a.txt": line})
    (sample,) = load_data(data, "val").samples
    assert sample.boxes[0] == pytest.approx((10, 0.3001 * 80, 90, 0.5 * 80))


@pytest.mark.parametrize(
    "files, message",
    [
        ({"data.yaml": "names: ["}, "data.yaml: no YAML"),
        ({"data.yaml": "- 1"}, "data.yaml: no mapping"),
        ({"data.yaml": "[" * 5000}, "data.yaml: no YAML"),
        ({"data.yaml": "names: !!python/object/apply:os.system [ls]\nval: images"}, None),
        ({"data.yaml": "val: images"}, "data.yaml: no names"),
        ({"data.yaml": "names: {0: a, 2: b}\nval: images"}, "expected indices 0 to 1"),
        ({"data.yaml": "names: [cat]"}, "data.yaml: no val; expected"),
        ({"data.yaml": "names: [cat]\nval: absent"}, "val: .*absent: no such file or folder"),
        ({"data.yaml": "names: [cat]\nval: ../.."}, "leads out of the data folder"),
        ({"data.yaml": "names: [cat]\nval: /etc"}, "leads out of the data folder"),
        ({"data.yaml": "names: [cat]\nval: images\nkpt_shape: [3]"}, "labels of poses"),
        ({"labels/a.txt": "0 0.5 0.5 1\n"}, r"a.txt:1: 4 numbers; expected 'class x y width"),
        ({"labels/a.txt": "0 nan 0.5 1 1\n"}, r"a.txt:1: 'nan' is no fraction"),
        ({"labels/a.txt": "cat 0.5 0.5 1 1\n"}, r"a.txt:1: class 'cat'"),
        ({"labels/a.txt": "1 0.5 0.5 1 1\n"}, r"a.txt:1: class 1 is out of range"),
        ({"labels/a.txt": "0 0.5 0.5 -0.005 1\n"}, r"a.txt:1: box .*; expected"),
        ({"labels/a.txt": ""}, "none of 1 images has an object"),
        ({"val.txt": "../a.jpg\n", "data.yaml": "names: [cat]\nval: val.txt"}, "val.txt:1: path"),
    ],
)
def test_bad_yolo(tmp_path, files, message):
    write_images(tmp_path / "images", ["a.jpg"])
    sound = {"data.yaml": "names: [cat]\nval: images", "labels/a.txt": "0 0.5 0.5 1 1\n"}
    data = make(tmp_path, dict(sound, **files))
    if message is None:  # a tag is not looked at
        assert load_data(data, "val").class_names == ("ls",)
        return
    with pytest.raises(UserError, match=message) as caught:
        load_data(data, "val")
    assert "\n" not in str(caught.value)


def test_links_in_a_circle(tmp_path):
    write_images(tmp_path / "images", ["a.jpg"])
    os.symlink(str(tmp_path / "images"), str(tmp_path / "images" / "again"))
    data = make(tmp_path, {"data.yaml": "names: [cat]\nval: images", "labels/a.txt": "0 .5 .5 1 1"})
    assert [sample.id for sample in load_data(data, "val").samples] == ["a.jpg"]
