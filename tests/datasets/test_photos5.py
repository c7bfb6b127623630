"""The photographs: which images of the clones count, scaling, what is dropped, the command."""

import io
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
from photos5_clones import (
    BOX,
    CLASSES,
    CORNERS,
    KANGAROO,
    PHOTO,
    RACCOON,
    SECOND_LINE,
    TEST,
    TRAIN,
    Clones,
    encoded,
    gradient,
    labelme,
    put,
    reasons,
    xml,
)
from PIL import Image
from trees import contents

from dgl.data import check_files, load_data, read_image
from dgl.data.annotations import read_annotation
from dgl.datasets.photos5 import class_index_of, report, scaled_box, scaled_size, split_of
from dgl.errors import UserError


@pytest.fixture
def clones(tmp_path):
    return Clones(tmp_path)


DAMAGED = "does not decode completely"
OTHER_SIZE = "its size disagrees with its annotation"
NO_BOX = "no box lies in the image"
NO_IMAGE = "no image of that name"
NO_OBJECT = "without an object"
OTHER_LABELS = "labeled as several classes or another one"
OTHER_NAME = "not named by the rule"
ID_TAKEN = "its id belongs to another image"


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("number", [0, 7, 20, 12345, 99999])
def test_an_id_gives_class_and_split(class_name, number):
    image_id = f"{class_name}_{number:05d}"
    assert class_index_of(image_id) == CLASSES.index(class_name)
    assert split_of(image_id) == ("train" if zlib.crc32(image_id.encode()) % 4 else "val")


# Public annotations and what the copy at hand makes of them.
SCALED = [
    ("raccoon_00130", (640, 426), (223, 62, 497, 307), (134, 37, 298, 184)),
    ("raccoon_00130", (640, 426), (453, 41, 640, 423), (272, 25, 383, 254)),
    ("kangaroo_00181", (945, 531), (69, 28, 571, 442), (28, 11, 232, 180)),
    ("kangaroo_00182", (427, 320), (12, 152, 133, 299), (11, 137, 120, 269)),
    ("kangaroo_00182", (427, 320), (102, 185, 188, 303), (92, 166, 169, 273)),
    ("kangaroo_00182", (427, 320), (201, 133, 297, 299), (181, 120, 267, 269)),
    ("kangaroo_00183", (626, 344), (259, 28, 626, 264), (159, 17, 383, 162)),
]


@pytest.mark.parametrize("image_id, size, box, expected", SCALED)
def test_box_is_scaled_rounded_and_clipped(image_id, size, box, expected):
    assert scaled_box(box, size, scaled_size(size)) == expected


@pytest.mark.parametrize(
    "box, expected",
    [
        ((-5, -5, 300, 300), (0, 0, 99, 49)),
        ((10, 10, 10.4, 40), (10, 10, 10, 40)),
        ((100, 0, 140, 40), (99, 0, 99, 40)),
        ((-9, -9, 0, 40), (0, 0, 0, 40)),
        ((0.5, 1.5, 2.5, 3.5), (0, 2, 2, 4)),
    ],
)
def test_box_of_an_image_that_is_not_scaled(box, expected):
    assert scaled_box(box, (100, 50), (100, 50)) == expected


@pytest.mark.parametrize(
    "name, text, image_id, reason",
    [
        ("mixed_44", labelme(("apple", CORNERS), ("orange", CORNERS)), None, OTHER_LABELS),
        ("apple_44", labelme(("pear", CORNERS)), None, OTHER_LABELS),
        ("apple_44", labelme(), None, NO_OBJECT),
        ("apple_444444", labelme(("apple", CORNERS)), None, OTHER_NAME),
        ("mixed_44", labelme(("orange", CORNERS), ("orange", CORNERS)), "orange_00044", None),
        ("apple_44", labelme(("banana", CORNERS)), "banana_00044", None),
        ("apple_44", labelme(("apple", CORNERS), imageWidth=9, imageHeight=9), None, None),
    ],
)
def test_fruit_by_its_labels(clones, name, text, image_id, reason):
    put(clones.fruit, TEST, name, text, PHOTO)
    result = clones.make()
    if image_id is None:
        expected = reason or OTHER_SIZE
        assert reasons(result) == {name + ".json": expected}
        assert sum(map(sum, result.kept.values())) == 30
    else:
        assert result.dropped == []
        names = read_annotation(clones.xml(image_id)).names
        assert set(names) == {image_id.split("_")[0]}


@pytest.mark.parametrize(
    "places, name, holder",
    [
        (TRAIN, "mixed_7", "test/orange_7"),
        (TEST, "orange_1", "train/orange_1"),
        (TRAIN, "orange_01", "train/orange_1"),
    ],
)
def test_an_id_is_one_image_and_the_other_is_reported(clones, places, name, holder):
    """The first claim is that of the file named after its label, then train, then a short name."""
    text = labelme(("orange", [[1, 1], [5, 5]]))
    put(clones.fruit, places, name, text, PHOTO)
    result = clones.make()
    (dropped,) = result.dropped
    assert dropped.reason == ID_TAKEN and dropped.path.endswith(places[0].format(name))
    image_id = f"orange_{int(holder.split('_')[1]):05d}"
    assert dropped.detail == f"{image_id} is {holder}.json"
    assert clones.line(image_id) == [3, 10, 20, 70, 60]
    assert read_annotation(clones.xml(image_id)).boxes == ((10, 20, 70, 60),)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: setattr(c, "fruit", c.kangaroo), "--fruit .*clone of narumiruna/"),
        (lambda c: setattr(c, "raccoon", c.kangaroo), "--raccoon .*clone of datitran/"),
        (lambda c: setattr(c, "kangaroo", c.out), "--kangaroo .*clone of experiencor/"),
        (lambda c: _empty(c.kangaroo / "annots"), "--kangaroo .*: no annotation in annots"),
        (
            lambda c: _empty(c.fruit / "data" / "bbox" / "test"),
            "--fruit .*: no annotation in .*test",
        ),
    ],
)
def test_what_is_no_clone(clones, change, message):
    change(clones)
    with pytest.raises(UserError, match=message):
        clones.make()


def _empty(folder):
    for path in folder.iterdir():
        path.unlink()


def test_large_image_is_scaled_with_its_boxes(clones):
    boxes = [(0, 0, 30, 30), (100, 50, 450, 350), (480, 10, 500, 390)]
    photo = encoded(gradient(500, 400), quality=95)
    put(clones.kangaroo, KANGAROO, "00444", xml(boxes, (500, 400)), photo)
    assert clones.make().dropped == []
    annotation = read_annotation(clones.xml("kangaroo_00444"))
    assert annotation.size == (384, 307)
    assert annotation.names == ("kangaroo",) * 3
    # 0.768 across, 307 / 400 down; the right side of the last is clipped to the last column.
    assert annotation.boxes == ((0, 0, 23, 23), (77, 38, 346, 269), (369, 8, 383, 299))
    assert clones.line("kangaroo_00444") == [2, 77, 38, 346, 269]
    pixels = read_image(clones.photo("kangaroo_00444")).astype(float)
    assert pixels.shape == (307, 384, 3)
    # A gradient stays one under scaling; JPEG at quality 88 moves it by a few levels.
    assert np.abs(pixels - gradient(384, 307)).max() < 8
    with Image.open(clones.photo("kangaroo_00444")) as image:
        reference = Image.open(io.BytesIO(encoded(gradient(8, 8), quality=88)))
        assert image.format == "JPEG" and image.quantization == reference.quantization


@pytest.mark.parametrize("declared, kept", [((80, 120), True), ((120, 80), False)])
def test_orientation(clones, declared, kept):
    """Boxes are of the upright image; where the annotation is of the other one, it is dropped."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = encoded(gradient(120, 80), exif=exif)
    put(clones.kangaroo, KANGAROO, "00444", xml([(1, 2, 50, 60)], declared), photo)
    result = clones.make()
    assert reasons(result) == ({} if kept else {"00444.xml": OTHER_SIZE})
    assert os.path.exists(clones.photo("kangaroo_00444")) == kept
    if kept:
        with Image.open(clones.photo("kangaroo_00444")) as image:
            assert image.size == (80, 120) and not image.getexif()
            # A quarter turn clockwise: the stored left column is the top row.
            pixels = np.asarray(image).astype(float)
        turned = gradient(120, 80).transpose(1, 0, 2)[:, ::-1]
        assert np.abs(pixels - turned).max() < 12


@pytest.mark.parametrize(
    "annotation, photo, reason",
    [
        (xml(BOX, (120, 80)), PHOTO[: len(PHOTO) * 2 // 3], DAMAGED),
        (xml(BOX, (120, 80)), b"", DAMAGED),
        (xml(BOX, (120, 80)), b"<html>not found</html>", DAMAGED),
        (xml(BOX, (120, 81)), PHOTO, OTHER_SIZE),
        (xml(BOX, (240, 160)), PHOTO, OTHER_SIZE),
        (xml(BOX, (0, 0)), PHOTO, None),
        (xml([(130, 2, 150, 60)], (120, 80)), PHOTO, NO_BOX),
        (xml([], (120, 80)), PHOTO, NO_OBJECT),
        (xml(BOX, (120, 80), "wallaby"), PHOTO, OTHER_LABELS),
        (xml(BOX, (120, 80)), None, NO_IMAGE),
    ],
)
def test_dropped(clones, annotation, photo, reason):
    put(clones.kangaroo, KANGAROO, "00444", annotation, photo)
    result = clones.make()
    assert reasons(result) == ({} if reason is None else {"00444.xml": reason})
    assert os.path.exists(clones.photo("kangaroo_00444")) == (reason is None)
    text = report(result)
    if reason is not None:
        assert f"1 dropped\n  1 {reason}: annots/00444.xml" in text


def test_a_split_without_images(clones):
    for root in clones.folders():
        for top, _, names in os.walk(root):
            for name in names:
                if name.endswith(".jpg"):
                    with open(os.path.join(top, name), "wb") as stream:
                        stream.write(b"x")
    with pytest.raises(UserError, match="no image for train is left.*30 does not decode") as caught:
        clones.make()
    assert "\n" not in str(caught.value)
    assert os.listdir(str(clones.out.parent)) == []


def test_command(clones, root):
    put(clones.fruit, TRAIN, "mixed_1", labelme(("apple", CORNERS), ("orange", CORNERS)), PHOTO)
    command = [sys.executable, "-m", "dgl.datasets.photos5"] + clones.arguments()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"wrote {clones.out}"
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:8]}
    assert list(rows) == list(CLASSES) + ["total"]
    for column, split in enumerate(("train", "val")):
        listed = (clones.out / "labels" / "photos5" / (split + ".txt")).read_text().splitlines()
        assert int(rows["total"][column]) == len(listed)
        for k, name in enumerate(CLASSES):
            count = sum(line.split()[1] == str(k) for line in listed)
            assert int(rows[name][column]) == count
    assert lines[8:] == ["1 dropped", f"  1 {OTHER_LABELS}: train/mixed_1.json ('apple', 'orange')"]


def test_copy_at_hand_comes_out_of_the_layouts_it_came_from(shared_data, tmp_path):
    """Its images, small already, laid out as the clones are, give the same lists and XML."""
    data = os.path.join(shared_data, "photos5")
    clones = Clones(tmp_path, filled=False)
    for split in ("train", "val"):
        for sample in load_data(data, split, layout="ilsvrc").samples:
            class_name, number = os.path.basename(sample.id)[:-4].split("_")
            root, places, form = {
                "kangaroo": (clones.kangaroo, KANGAROO, "{:05d}"),
                "raccoon": (clones.raccoon, RACCOON, "raccoon-{}"),
            }.get(
                class_name, (clones.fruit, TRAIN if int(number) < 77 else TEST, class_name + "_{}")
            )
            if root == clones.fruit:
                text = labelme(*[(class_name, [box[2:], box[:2]]) for box in sample.boxes])
            else:
                text = xml(sample.boxes, sample.size, class_name)
            with open(sample.path, "rb") as stream:
                put(root, places, form.format(int(number)), text, stream.read())
    result = clones.make()
    assert result.dropped == [] and result.boxes_left_out == 0
    assert result.kept == {"train": [70, 69, 119, 67, 151], "val": [24, 22, 44, 23, 49]}
    for folder in ("annotations", "labels"):
        made, expected = contents(clones.out / folder), contents(os.path.join(data, folder))
        if folder == "labels":
            key = os.path.join("photos5", "val.txt")
            expected[key] = expected[key].replace(SECOND_LINE.encode() + b"\n", b"")
        assert made == expected


def test_both_layouts_load_the_same_images(clones):
    result = clones.make()
    for split in ("train", "val"):
        by_list = load_data(str(clones.out), split)
        by_xml = load_data(str(clones.out), split, layout="ilsvrc")
        assert (by_list.format, by_list.name, by_xml.format) == ("imagenet", "photos5", "ilsvrc")
        assert by_list.class_names == by_xml.class_names == CLASSES
        labels = {sample.id: sample.class_index for sample in by_list.samples}
        assert {sample.id: sample.class_index for sample in by_xml.samples} == labels
        check_files(by_list)
        check_files(by_xml)
        boxes = {sample.id: sample.boxes for sample in by_xml.samples}
        for sample in by_list.samples:
            image_id = os.path.splitext(os.path.basename(sample.id))[0]
            assert image_id.startswith(CLASSES[sample.class_index])
            assert split_of(image_id) == split
            assert sample.boxes == boxes[sample.id] == ((10, 20, 70, 60),)
        assert [sample.id for sample in by_list.samples] == sorted(labels)
        counts = [list(labels.values()).count(k) for k in range(5)]
        assert result.kept[split] == counts and all(counts)
    assert result.dropped == [] and sum(map(sum, result.kept.values())) == 30
