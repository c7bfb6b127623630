"""Photographs from three repositories: the rule, small replicas of the clones, and the copy at hand."""

import io
import json
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from dgl.data import check_files, load_data, read_image
from dgl.data.photos5 import data_set, layout, rule
from dgl.data.photos5.data_set import main, report, write_data_set
from dgl.data.photos5.labelme import read_labelme
from dgl.data.photos5.sources import (
    ID_TAKEN,
    NO_OBJECT,
    NO_PICTURE,
    OTHER_LABELS,
    OTHER_NAME,
    find_sources,
)
from dgl.data.voc_xml import read_annotation
from dgl.errors import UserError, run_script

CLASSES = ("apple", "banana", "kangaroo", "orange", "raccoon")

KANGAROO = "annots/{}.xml", "images/{}.jpg"
RACCOON = "annotations/{}.xml", "images/{}.jpg"
TRAIN = "data/bbox/train/{}.json", "data/bbox/train/{}.jpg"
TEST = "data/bbox/test/{}.json", "data/bbox/test/{}.jpg"


def gradient(width, height):
    """A smooth picture that tells its corners apart, (height, width, 3) uint8."""
    x = np.linspace(0, 255, width)[np.newaxis, :]
    y = np.linspace(0, 255, height)[:, np.newaxis]
    return np.stack(np.broadcast_arrays(x, y, (x + y) / 2), axis=2).astype(np.uint8)


def encoded(pixels, form="JPEG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def xml(boxes, size, name="kangaroo", filename="../../elsewhere.png"):
    objects = "".join(
        "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
        "<ymax>{}</ymax></bndbox></object>".format(name, *box)
        for box in boxes
    )
    return (
        "<annotation><folder>images</folder><filename>{0}</filename><path>/{0}</path><size>"
        "<width>{1}</width><height>{2}</height><depth>3</depth></size>{3}</annotation>"
    ).format(filename, size[0], size[1], objects)


def labelme(*shapes, **fields):
    """Text of a labelme file; a shape is ``(label, points)``."""
    rows = [
        {"label": s, "points": p, "shape_type": "rectangle", "fill_color": None} for s, p in shapes
    ]
    document = {"version": "3.5.0", "flags": {}, "shapes": rows, "imagePath": "../../x.jpg"}
    document["imageData"] = None
    document.update(fields)
    return json.dumps(document)


def put(root, places, name, annotation, picture):
    for place, content in zip(places, (annotation, picture)):
        if content is not None:
            path = os.path.join(str(root), place.format(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as stream:
                stream.write(content if isinstance(content, bytes) else content.encode("utf-8"))


class Clones:
    """Small replicas of the three repositories, every class in both splits."""

    def __init__(self, root, filled=True):
        self.raccoon, self.kangaroo, self.fruit = (root / name for name in ("rac", "kan", "fru"))
        self.out = root / "made" / "photos5"
        if filled:
            self._fill()

    def _fill(self):
        picture = encoded(gradient(120, 80))
        box = (10, 20, 70, 60)
        for number in (1, 2, 3, 4, 7, 9):
            text = xml([box], (120, 80), "kangaroo")
            put(self.kangaroo, KANGAROO, "{:05d}".format(number), text, picture)
            text = xml([box], (120, 80), "raccoon", "raccoon-77.png")
            put(self.raccoon, RACCOON, "raccoon-{}".format(number), text, picture)
            for label in ("apple", "banana", "orange"):
                text = labelme((label, [[70, 20], [10, 60]]))
                places = TRAIN if number < 6 else TEST
                put(self.fruit, places, "{}_{}".format(label, number), text, picture)

    def folders(self):
        return [str(path) for path in (self.raccoon, self.kangaroo, self.fruit)]

    def make(self, out=None):
        return write_data_set(*self.folders(), out=str(out or self.out), progress=False)

    def arguments(self):
        flags = ("--raccoon", "--kangaroo", "--fruit")
        pairs = [part for pair in zip(flags, self.folders()) for part in pair]
        return pairs + ["--out", str(self.out)]

    def picture(self, image_id):
        return str(self.out / rule.split_of(image_id) / (layout.relative_path(image_id) + ".jpg"))

    def xml(self, image_id):
        path = self.out / "annotations" / rule.split_of(image_id)
        return str(path / (layout.relative_path(image_id) + ".xml"))

    def line(self, image_id):
        path = self.out / "labels" / "photos5" / (rule.split_of(image_id) + ".txt")
        start = layout.relative_path(image_id) + ".jpg "
        found = [line for line in path.read_text().splitlines() if line.startswith(start)]
        return [int(value) for value in found[0].split()[1:]] if len(found) == 1 else found


@pytest.fixture
def clones(tmp_path):
    return Clones(tmp_path)


def reasons(result):
    return {os.path.basename(item.path): item.reason for item in result.dropped}


def contents(folder):
    """Path below a folder -> its bytes (``None`` for a folder)."""
    found = {}
    for top, folders, names in os.walk(str(folder)):
        for name in folders + names:
            path = os.path.join(top, name)
            key = os.path.relpath(path, str(folder))
            found[key] = None
            if name in names:
                with open(path, "rb") as stream:
                    found[key] = stream.read()
    return found


# The rule


@pytest.mark.parametrize("class_name", CLASSES)
def test_id_tells_class_and_split(class_name):
    for number in (0, 7, 20, 12345, 99999):
        image_id = rule.make_id(class_name, number)
        assert image_id == class_name + "_" + str(number).rjust(5, "0")
        assert rule.class_index_of(image_id) == CLASSES.index(class_name)
        is_val = zlib.crc32(image_id.encode()) % 4 == 0
        assert rule.split_of(image_id) == ("val" if is_val else "train")
        expected = image_id if is_val else class_name + "/" + image_id
        assert layout.relative_path(image_id) == expected


@pytest.mark.parametrize(
    "image_id", ["cat_00001", "apple_1", "apple_000001", "apple_0000\u0661", "apple_00001\n", ""]
)
def test_what_is_no_id(image_id):
    with pytest.raises(ValueError, match="is no id"):
        rule.class_index_of(image_id)


def test_numbers_beyond_five_digits():
    with pytest.raises(ValueError):
        rule.make_id("apple", 100000)


@pytest.mark.parametrize(
    "size, expected",
    [
        ((384, 384), (384, 384)),
        ((383, 12), (383, 12)),
        ((385, 385), (384, 384)),
        ((640, 426), (384, 256)),
        ((945, 531), (384, 216)),
        ((344, 626), (211, 384)),
        ((9000, 2), (384, 1)),
    ],
)
def test_size(size, expected):
    assert rule.scaled_size(size) == expected


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
    assert rule.scaled_box(box, size, rule.scaled_size(size)) == expected


@pytest.mark.parametrize("image_id, size, box, expected", SCALED)
def test_copy_at_hand_has_those_boxes(shared_data, image_id, size, box, expected):
    annotation = _copy_annotation(shared_data, image_id)
    assert annotation.size == rule.scaled_size(size)
    assert expected in annotation.boxes


@pytest.mark.parametrize(
    "box, expected",
    [
        ((-5, -5, 300, 300), (0, 0, 99, 49)),
        ((10, 10, 10.4, 40), None),
        ((100, 0, 140, 40), None),
        ((-9, -9, 0, 40), None),
        ((0.5, 1.5, 2.5, 3.5), (0, 2, 2, 4)),
    ],
)
def test_box_of_a_picture_that_is_not_scaled(box, expected):
    assert rule.scaled_box(box, (100, 50), (100, 50)) == expected


def test_largest_box_is_the_first_of_equals():
    boxes = [(0, 0, 2, 2), (5, 5, 7, 15), (0, 0, 10, 2), (1, 1, 2, 2)]
    assert rule.largest_box(boxes) == (5, 5, 7, 15)
    assert rule.largest_box(boxes[::-1]) == (0, 0, 10, 2)


# Replicas


def test_both_layouts_load_the_same_pictures(clones):
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
            assert rule.split_of(image_id) == split
            assert sample.boxes == boxes[sample.id] == ((10, 20, 70, 60),)
        assert [sample.id for sample in by_list.samples] == sorted(labels)
        counts = [list(labels.values()).count(k) for k in range(5)]
        assert result.kept[split] == counts and all(counts)
    assert result.dropped == [] and sum(map(sum, result.kept.values())) == 30


def test_what_is_written(clones):
    clones.make()
    written = contents(clones.out)
    assert written["classes.txt"] == b"apple\nbanana\nkangaroo\norange\nraccoon\n"
    top = {path.split(os.sep)[0] for path in written}
    assert top == {"annotations", "classes.txt", "labels", "train", "val"}
    stems = {}
    for path in written:
        stem, extension = os.path.splitext(path)
        if extension in (".jpg", ".xml"):
            stem = os.path.relpath(stem, "annotations") if extension == ".xml" else stem
            stems.setdefault(extension, set()).add(stem)
    assert stems[".jpg"] == stems[".xml"] and len(stems[".jpg"]) == 30
    assert clones.line("raccoon_00007") == [4, 10, 20, 70, 60]


def test_two_builds_are_identical_whatever_the_order_of_listing(clones, tmp_path, monkeypatch):
    put(clones.kangaroo, KANGAROO, "00444", xml([(9, 9, 99, 99)], (500, 400)), _noise(500, 400))
    clones.make()
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listdir(path)[::-1])
    clones.make(tmp_path / "again")
    assert contents(clones.out) == contents(tmp_path / "again")


def _noise(width, height):
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    return encoded(values.astype(np.uint8))


def test_large_picture_is_scaled_with_its_boxes(clones):
    boxes = [(0, 0, 30, 30), (100, 50, 450, 350), (480, 10, 500, 390)]
    picture = encoded(gradient(500, 400), quality=95)
    put(clones.kangaroo, KANGAROO, "00444", xml(boxes, (500, 400)), picture)
    assert clones.make().dropped == []
    annotation = read_annotation(clones.xml("kangaroo_00444"))
    assert annotation.size == (384, 307)
    assert annotation.names == ("kangaroo",) * 3
    # 0.768 across, 307 / 400 down; the right side of the last is clipped to the last column.
    assert annotation.boxes == ((0, 0, 23, 23), (77, 38, 346, 269), (369, 8, 383, 299))
    assert clones.line("kangaroo_00444") == [2, 77, 38, 346, 269]
    pixels = read_image(clones.picture("kangaroo_00444")).astype(float)
    assert pixels.shape == (307, 384, 3)
    # A gradient stays one under scaling; JPEG at quality 88 moves it by a few levels.
    assert np.abs(pixels - gradient(384, 307)).max() < 8
    with Image.open(clones.picture("kangaroo_00444")) as image:
        reference = Image.open(io.BytesIO(encoded(gradient(8, 8), quality=88)))
        assert image.format == "JPEG" and image.quantization == reference.quantization


def _cubic(x):
    """Keys' cubic kernel with a = -1/2."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _cubic_matrix(old, new):
    """(new, old) weights of shrinking a row, the kernel widened by the scale."""
    scale = old / new
    centres = (np.arange(new)[:, np.newaxis] + 0.5) * scale
    weights = _cubic((np.arange(old) + 0.5 - centres) / scale)
    return weights / weights.sum(axis=1, keepdims=True)


def test_scaling_is_bicubic(clones):
    pixels = np.random.default_rng(1).integers(64, 192, (300, 500, 3)).astype(np.uint8)
    text = xml([(1, 2, 50, 60)], (500, 300))
    put(clones.kangaroo, KANGAROO, "00444", text, encoded(pixels, "PNG"))
    sources, _ = find_sources(*clones.folders())
    image, _ = data_set._prepare([s for s in sources if s.id == "kangaroo_00444"][0])
    down, across = _cubic_matrix(300, 230), _cubic_matrix(500, 384)
    expected = np.einsum("ij,jkc,lk->ilc", down, pixels.astype(float), across, optimize=True)
    # Pillow rounds to whole levels after each axis; values this far from black and white are not clipped.
    assert np.abs(np.asarray(image) - expected).max() < 1.5


def test_small_picture_keeps_its_size(clones):
    clones.make()
    annotation = read_annotation(clones.xml("kangaroo_00001"))
    assert annotation.size == (120, 80)
    pixels = read_image(clones.picture("kangaroo_00001")).astype(float)
    assert np.abs(pixels - gradient(120, 80)).max() < 12


@pytest.mark.parametrize(
    "picture",
    [
        encoded(gradient(120, 80), "PNG"),
        encoded(gradient(120, 80)[:, :, 2]),
        encoded(gradient(120, 80)[:, :, 2], "PNG"),
    ],
    ids=["png", "grey", "grey png"],
)
def test_any_format_becomes_jpeg_of_three_channels(clones, picture):
    put(clones.kangaroo, KANGAROO, "00444", xml([(1, 2, 50, 60)], (120, 80)), picture)
    assert clones.make().dropped == []
    with Image.open(clones.picture("kangaroo_00444")) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (120, 80))
        blue = np.asarray(image)[:, :, 2].astype(float)
    assert np.abs(blue - gradient(120, 80)[:, :, 2]).max() < 12


@pytest.mark.parametrize("declared, kept", [((80, 120), True), ((120, 80), False)])
def test_orientation(clones, declared, kept):
    """Boxes are of the upright picture; where the annotation is of the other one, it is dropped."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = encoded(gradient(120, 80), exif=exif)
    put(clones.kangaroo, KANGAROO, "00444", xml([(1, 2, 50, 60)], declared), picture)
    result = clones.make()
    assert reasons(result) == ({} if kept else {"00444.xml": data_set.OTHER_SIZE})
    assert os.path.exists(clones.picture("kangaroo_00444")) == kept
    if kept:
        with Image.open(clones.picture("kangaroo_00444")) as image:
            assert image.size == (80, 120) and not image.getexif()
            # A quarter turn clockwise: the stored left column is the top row.
            pixels = np.asarray(image).astype(float)
        turned = gradient(120, 80).transpose(1, 0, 2)[:, ::-1]
        assert np.abs(pixels - turned).max() < 12


PICTURE = encoded(gradient(120, 80))
BOX = [(1, 2, 50, 60)]


@pytest.mark.parametrize(
    "annotation, picture, reason",
    [
        (xml(BOX, (120, 80)), PICTURE[: len(PICTURE) * 2 // 3], data_set.DAMAGED),
        (xml(BOX, (120, 80)), b"", data_set.DAMAGED),
        (xml(BOX, (120, 80)), b"<html>not found</html>", data_set.DAMAGED),
        (xml(BOX, (120, 81)), PICTURE, data_set.OTHER_SIZE),
        (xml(BOX, (240, 160)), PICTURE, data_set.OTHER_SIZE),
        (xml(BOX, (0, 0)), PICTURE, None),
        (xml([(130, 2, 150, 60)], (120, 80)), PICTURE, data_set.NO_BOX),
        (xml([], (120, 80)), PICTURE, NO_OBJECT),
        (xml(BOX, (120, 80), "wallaby"), PICTURE, OTHER_LABELS),
        (xml(BOX, (120, 80)), None, NO_PICTURE),
    ],
)
def test_dropped(clones, annotation, picture, reason):
    put(clones.kangaroo, KANGAROO, "00444", annotation, picture)
    result = clones.make()
    assert reasons(result) == ({} if reason is None else {"00444.xml": reason})
    assert os.path.exists(clones.picture("kangaroo_00444")) == (reason is None)
    text = report(result)
    if reason is not None:
        assert "1 dropped\n  1 {}: annots/00444.xml".format(reason) in text


def test_box_outside_is_left_out_and_told(clones):
    boxes = [(130, 2, 150, 60), (1, 2, 50, 60)]
    put(clones.kangaroo, KANGAROO, "00444", xml(boxes, (120, 80)), PICTURE)
    result = clones.make()
    assert result.boxes_left_out == 1
    assert read_annotation(clones.xml("kangaroo_00444")).boxes == ((1, 2, 50, 60),)
    assert "1 boxes without area left out" in report(result)


CORNERS = [[1, 2], [50, 60]]


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
    put(clones.fruit, TEST, name, text, PICTURE)
    result = clones.make()
    if image_id is None:
        expected = reason or data_set.OTHER_SIZE
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
def test_an_id_is_one_picture_and_the_other_is_told_of(clones, places, name, holder):
    """The first claim is that of the file named after its label, then train, then a short name."""
    text = labelme(("orange", [[1, 1], [5, 5]]))
    put(clones.fruit, places, name, text, PICTURE)
    result = clones.make()
    (dropped,) = result.dropped
    assert dropped.reason == ID_TAKEN and dropped.path.endswith(places[0].format(name))
    image_id = rule.make_id("orange", int(holder.split("_")[1]))
    assert dropped.detail == "{} is {}.json".format(image_id, holder)
    assert clones.line(image_id) == [3, 10, 20, 70, 60]
    assert read_annotation(clones.xml(image_id)).boxes == ((10, 20, 70, 60),)


def test_sources_go_by_the_names_of_files(clones):
    sources, dropped = find_sources(*clones.folders())
    assert dropped == [] and len(sources) == 30
    assert [source.id for source in sources] == sorted({source.id for source in sources})
    for source in sources:
        # Every annotation of the replicas names another picture, outside the clone.
        stem = os.path.splitext(os.path.basename(source.annotation_path))[0]
        assert os.path.basename(source.image_path) == stem + ".jpg"
        assert int(stem.replace("-", "_").split("_")[-1]) == int(source.id[-5:])


# Hostile or damaged input


@pytest.mark.parametrize(
    "text, message",
    [
        (b"", "no JSON"),
        (b"[" * 100000, "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[]", 'no list "shapes"'),
        (b'{"shapes": {}}', 'no list "shapes"'),
        (b'{"shapes": [3]}', 'shape 1: no "label"'),
        (labelme((["apple"], CORNERS)), 'shape 1: no "label"'),
        (labelme(("apple", CORNERS), (" ", CORNERS)), 'shape 2: no "label"'),
        (labelme(("apple", None)), "shape 1: no proper"),
        (labelme(("apple", [[1, 2]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [3]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], ["3", "4"]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [True, 4]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [float("nan"), 4]])), "shape 1: box"),
        (labelme(("apple", [[1, 2], [3, 4e300]])), "shape 1: box"),
        (
            b'{"shapes":[{"label":"a","points":[[1,2],[3,' + b"9" * 1000000 + b"]]}]}",
            "shape 1: box",
        ),
        (labelme(("apple", CORNERS), imageWidth=0.5, imageHeight=3), "imageWidth"),
        (labelme(("apple", CORNERS), imageWidth=10), "imageWidth"),
        (labelme(("apple", CORNERS)).replace("rectangle", "circle"), "shape_type 'circle'"),
    ],
)
def test_damaged_labelme(clones, text, message):
    put(clones.fruit, TRAIN, "apple_44", text, PICTURE)
    path = str(clones.fruit / "data" / "bbox" / "train" / "apple_44.json")
    with pytest.raises(UserError) as caught:
        clones.make()
    line = str(caught.value)
    assert line.startswith(path + ": ") and message in line and "expected" in line
    assert "\n" not in line and len(line) < len(path) + 300
    assert not os.path.exists(str(clones.out))


def test_labelme_of_any_size_and_kind(tmp_path):
    large = tmp_path / "a.json"
    with open(str(large), "wb") as stream:
        stream.truncate(16 * 1024 * 1024 + 1)
    with pytest.raises(UserError, match="a.json: more than 16777216 bytes; expected"):
        read_labelme(str(large))
    os.mkfifo(str(tmp_path / "b.json"))
    for name, reason in (("b.json", "not a file"), ("c.json", "cannot be read")):
        with pytest.raises(UserError, match=name + ": " + reason):
            read_labelme(str(tmp_path / name))


@pytest.mark.parametrize("shape_type", ["rectangle", "polygon", None])
def test_a_box_encloses_its_points_in_any_order(tmp_path, shape_type):
    text = labelme(("apple", [[70, 20.5], [10, 60]]), ("pear", [[1, 2], [3, 4], [0, 9]]))
    path = tmp_path / "a.json"
    document = json.loads(text)
    for shape in document["shapes"]:
        shape["shape_type"] = shape_type
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
    found = read_labelme(str(path))
    assert found.names == ("apple", "pear") and found.size is None
    assert found.boxes == ((10, 20.5, 70, 60), (0, 2, 3, 9))


def test_damaged_xml(clones):
    put(clones.raccoon, RACCOON, "raccoon-44", "<!DOCTYPE a><annotation/>", PICTURE)
    with pytest.raises(UserError, match=r"raccoon-44.xml: .*expected"):
        clones.make()
    assert not os.path.exists(str(clones.out))


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


def test_a_split_without_pictures(clones):
    for root in clones.folders():
        for top, _, names in os.walk(root):
            for name in names:
                if name.endswith(".jpg"):
                    with open(os.path.join(top, name), "wb") as stream:
                        stream.write(b"x")
    with pytest.raises(
        UserError, match="no picture for train is left.*30 does not decode"
    ) as caught:
        clones.make()
    assert "\n" not in str(caught.value)
    assert os.listdir(str(clones.out.parent)) == []


# What is there afterwards


def test_out_in_use(clones):
    clones.out.mkdir(parents=True)
    clones.make()
    before = contents(clones.out)
    with pytest.raises(UserError, match="--out .*expected a new or empty folder"):
        clones.make()
    assert contents(clones.out) == before
    with pytest.raises(UserError, match="--out .*found a file"):
        clones.make(clones.out / "classes.txt")
    with pytest.raises(UserError, match=r"--out .*cannot be written"):
        clones.make(clones.out / "classes.txt" / "below")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_build_that_ends_early(clones, monkeypatch, error):
    writes = []
    original = data_set._write

    def fail(path, data):
        writes.append(path)
        if len(writes) == 5:
            raise error
        original(path, data)

    monkeypatch.setattr(data_set, "_write", fail)
    with pytest.raises((UserError, KeyboardInterrupt)) as caught:
        clones.make()
    if isinstance(error, OSError):
        assert "--out {}: cannot be written (No space".format(clones.out) in str(caught.value)
    assert os.listdir(str(clones.out.parent)) == []


def test_clones_are_only_read(clones):
    before = [contents(folder) for folder in clones.folders()]
    clones.make()
    assert [contents(folder) for folder in clones.folders()] == before


# The command


def test_command(clones, root):
    put(clones.fruit, TRAIN, "mixed_1", labelme(("apple", CORNERS), ("orange", CORNERS)), PICTURE)
    command = [sys.executable, "-m", "dgl.data.photos5"] + clones.arguments()
    done = subprocess.run(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "wrote {}".format(clones.out)
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:8]}
    assert list(rows) == list(CLASSES) + ["total"]
    for column, split in enumerate(("train", "val")):
        listed = (clones.out / "labels" / "photos5" / (split + ".txt")).read_text().splitlines()
        assert int(rows["total"][column]) == len(listed)
        for k, name in enumerate(CLASSES):
            count = sum(line.split()[1] == str(k) for line in listed)
            assert int(rows[name][column]) == count
    assert lines[8:] == [
        "1 dropped",
        "  1 {}: train/mixed_1.json ('apple', 'orange')".format(OTHER_LABELS),
    ]


def test_command_on_bad_input(clones, capsys):
    arguments = clones.arguments()
    arguments[3] = str(clones.out)
    with pytest.raises(SystemExit) as caught:
        run_script(main, arguments)
    assert caught.value.code == 1
    streams = capsys.readouterr()
    assert streams.out == "" and streams.err.startswith("error: --kangaroo ")
    assert streams.err.count("\n") == 1


def test_report_names_a_few(clones):
    for number in range(50, 57):
        put(clones.kangaroo, KANGAROO, "{:05d}".format(number), xml([], (9, 9)), PICTURE)
    put(clones.kangaroo, KANGAROO, "\n\x1b[31m", xml([], (9, 9)), PICTURE)
    text = report(clones.make())
    assert "8 dropped" in text
    assert (
        "  7 {}: annots/00050.xml, annots/00051.xml, annots/00052.xml, ...".format(NO_OBJECT)
        in text
    )
    assert "  1 {}: annots/\\n\\x1b[31m.xml".format(OTHER_NAME) in text


# The copy at hand

# Written when orange_20.json had the id already: mixed_20.json has oranges only. The picture and the
# XML are those of orange_20, as here.
SECOND_LINE = "orange_00020.jpg 3 51 25 303 284"


def _copy_annotation(shared_data, image_id):
    folder = os.path.join(shared_data, "photos5", "annotations", rule.split_of(image_id))
    return read_annotation(os.path.join(folder, layout.relative_path(image_id) + ".xml"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_copy_at_hand_obeys_the_rule(shared_data, split):
    data = os.path.join(shared_data, "photos5")
    with open(os.path.join(data, "classes.txt"), encoding="utf-8") as stream:
        assert tuple(stream.read().split()) == rule.CLASS_NAMES
    with open(os.path.join(data, "labels", "photos5", split + ".txt"), encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    if split == "val":
        assert lines.count(SECOND_LINE) == 1
        lines.remove(SECOND_LINE)
    ids = [os.path.basename(line.split(".")[0]) for line in lines]
    assert len(set(ids)) == len(ids) == {"train": 476, "val": 162}[split]
    made = []
    for image_id in ids:
        assert rule.split_of(image_id) == split
        annotation = _copy_annotation(shared_data, image_id)
        boxes = [tuple(map(int, box)) for box in annotation.boxes]
        made.append(layout.list_line(image_id, boxes))
        text = layout.annotation_xml(image_id, annotation.size, boxes)
        relative = layout.relative_path(image_id)
        path = os.path.join(data, "annotations", split, relative + ".xml")
        with open(path, "rb") as stream:
            assert stream.read() == text.encode()
        with Image.open(os.path.join(data, split, relative + ".jpg")) as image:
            assert image.size == annotation.size == rule.scaled_size(image.size)
            assert (image.format, image.mode) == ("JPEG", "RGB")
        # What is small enough already stays as it is.
        for box in boxes:
            assert rule.scaled_box(box, annotation.size, annotation.size) == box
    assert made == lines
    assert lines == sorted(lines)


def test_copy_at_hand_is_encoded_alike(shared_data):
    path = os.path.join(shared_data, "photos5", "val", "orange_00020.jpg")
    made = Image.open(io.BytesIO(data_set._jpeg(Image.new("RGB", (16, 16)))))
    with Image.open(path) as image:
        assert image.quantization == made.quantization
        assert [row[1:3] for row in image.layer] == [row[1:3] for row in made.layer]


def test_copy_at_hand_comes_out_of_the_layouts_it_came_from(shared_data, tmp_path):
    """Its pictures, small already, laid out as the clones are, give the same lists and XML."""
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
