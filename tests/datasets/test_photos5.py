"""The photographs: which images of the clones count, scaling, what is dropped, the command."""

import io
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import trees
from PIL import Image
from trees import labelme

from dgl.data import check_files, load_data, read_image
from dgl.datasets.photos5 import report, scaled_box, scaled_size, split_of, write_data_set
from dgl.errors import UserError

CLASSES = ("apple", "banana", "kangaroo", "orange", "raccoon")
KANGAROO = "kangaroo", "annots/{}.xml", "images/{}.jpg"
RACCOON = "raccoon", "annotations/{}.xml", "images/{}.jpg"
TRAIN = "fruit", "data/bbox/train/{}.json", "data/bbox/train/{}.jpg"
TEST = "fruit", "data/bbox/test/{}.json", "data/bbox/test/{}.jpg"

# Reasons to drop an image.
DAMAGED = "does not decode completely"
OTHER_SIZE = "its size disagrees with its annotation"
NO_OBJECT = "without an object"
OTHER_LABELS = "labeled as several classes or another one"


def gradient(width, height):
    """A smooth image that tells its corners apart, (height, width, 3) uint8."""
    y, x = np.mgrid[: 255 : height * 1j, : 255 : width * 1j]
    return np.stack([x, y, (x + y) / 2], axis=2).astype(np.uint8)


def encoded(pixels, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


PHOTO = encoded(gradient(120, 80))
BOX = [(1, 2, 50, 60)]
CORNERS = [[1, 2], [50, 60]]


def xml(boxes, size, name="kangaroo", filename="../../elsewhere.png"):
    text = trees.xml(*((name, box) for box in boxes), size=size)
    return text.replace("<size>", f"<filename>{filename}</filename><path>/{filename}</path><size>")


class Clones:
    """Small replicas of the three repositories that the photographs come from."""

    def __init__(self, root):
        self.root, self.out = root, root / "made" / "photos5"
        self.folders = {name: str(root / name) for name in ("raccoon", "kangaroo", "fruit")}

    def put(self, places, name, annotation, photo=PHOTO):
        repository, *paths = places
        contents = zip(paths, (annotation, photo))
        files = {path.format(name): content for path, content in contents if content is not None}
        trees.make(self.root / repository, files)

    def make(self):
        return write_data_set(**self.folders, out=str(self.out), progress=False)

    def sample(self, image_id, layout="ilsvrc"):
        """The image as a layout has it, or none."""
        samples = load_data(str(self.out), split_of(image_id), layout=layout).samples
        return next((s for s in samples if s.id.endswith(image_id + ".jpg")), None)


@pytest.fixture
def clones(tmp_path):
    """Clones with every class in both splits."""
    made, box = Clones(tmp_path), (10, 20, 70, 60)
    for number in (1, 2, 3, 4, 7, 9):
        made.put(KANGAROO, f"{number:05d}", xml([box], (120, 80)))
        made.put(RACCOON, f"raccoon-{number}", xml([box], (120, 80), "raccoon", "raccoon-77.png"))
        for label in ("apple", "banana", "orange"):
            places = TRAIN if number < 6 else TEST
            made.put(places, f"{label}_{number}", labelme((label, [[70, 20], [10, 60]])))
    return made


# Public annotations and what the copy at hand makes of them, then an image that is not scaled.
@pytest.mark.parametrize("size, box, expected", [
    ((640, 426), (223, 62, 497, 307), (134, 37, 298, 184)),
    ((640, 426), (453, 41, 640, 423), (272, 25, 383, 254)),
    ((945, 531), (69, 28, 571, 442), (28, 11, 232, 180)),
    ((427, 320), (12, 152, 133, 299), (11, 137, 120, 269)),
    ((427, 320), (102, 185, 188, 303), (92, 166, 169, 273)),
    ((427, 320), (201, 133, 297, 299), (181, 120, 267, 269)),
    ((626, 344), (259, 28, 626, 264), (159, 17, 383, 162)),
    ((100, 50), (-5, -5, 300, 300), (0, 0, 99, 49)), ((100, 50), (-9, -9, 0, 40), (0, 0, 0, 40)),
    ((100, 50), (10, 10, 10.4, 40), (10, 10, 10, 40)), ((100, 50), (100, 0, 140, 40), (99, 0, 99, 40)),
    ((100, 50), (0.5, 1.5, 2.5, 3.5), (0, 2, 2, 4)),
])  # fmt: skip
def test_box_is_scaled_rounded_and_clipped(size, box, expected):
    assert scaled_box(box, size, scaled_size(size)) == expected


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
    clones.put(places, name, labelme(("orange", [[1, 1], [5, 5]])))
    (dropped,) = clones.make().dropped
    assert dropped.reason == "its id belongs to another image" and dropped.path.endswith(
        places[1].format(name)
    )
    image_id = f"orange_{int(holder.split('_')[1]):05d}"
    assert dropped.detail == f"{image_id} is {holder}.json"
    for sample in (clones.sample(image_id), clones.sample(image_id, "imagenet")):
        assert (sample.class_index, sample.boxes) == (3, ((10, 20, 70, 60),))


@pytest.mark.parametrize("name, folder, message", [
    ("fruit", "../kangaroo", "--fruit .*clone of narumiruna/"),
    ("raccoon", "../kangaroo", "--raccoon .*clone of datitran/"),
    ("kangaroo", "../made", "--kangaroo .*clone of experiencor/"),
    ("fruit", "empty", "--fruit .*: no annotation in .*train"),
])  # fmt: skip
def test_what_is_no_clone(clones, name, folder, message):
    (clones.root / "fruit" / "empty" / "data" / "bbox" / "train").mkdir(parents=True)
    (clones.root / "fruit" / "empty" / "data" / "bbox" / "test").mkdir()
    clones.folders[name] = os.path.join(clones.folders[name], folder)
    with pytest.raises(UserError, match=message):
        clones.make()


def test_large_image_is_scaled_with_its_boxes(clones):
    boxes = [(0, 0, 30, 30), (100, 50, 450, 350), (480, 10, 500, 390)]
    photo = encoded(gradient(500, 400), quality=95)
    clones.put(KANGAROO, "00444", xml(boxes, (500, 400)), photo)
    assert clones.make().dropped == []
    sample = clones.sample("kangaroo_00444")
    assert (sample.size, sample.class_index) == ((384, 307), 2)
    # 0.768 across, 307 / 400 down; the right side of the last is clipped to the last column.
    assert sample.boxes == ((0, 0, 23, 23), (77, 38, 346, 269), (369, 8, 383, 299))
    assert clones.sample("kangaroo_00444", "imagenet").boxes == ((77, 38, 346, 269),)
    pixels = read_image(sample.path).astype(float)
    assert pixels.shape == (307, 384, 3)
    # A gradient stays one under scaling; JPEG at quality 88 moves it by a few levels.
    assert np.abs(pixels - gradient(384, 307)).max() < 8


@pytest.mark.parametrize("declared, kept", [((80, 120), True), ((120, 80), False)])
def test_orientation(clones, declared, kept):
    """Boxes are of the upright image; where the annotation is of the other one, it is dropped."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = encoded(gradient(120, 80), exif=exif)
    clones.put(KANGAROO, "00444", xml(BOX, declared), photo)
    dropped = clones.make().dropped
    assert [item.reason for item in dropped] == ([] if kept else [OTHER_SIZE])
    sample = clones.sample("kangaroo_00444")
    assert (sample is not None) == kept
    if kept:
        with Image.open(sample.path) as image:
            assert image.size == (80, 120) and not image.getexif()
            # A quarter turn clockwise: the stored left column is the top row.
            pixels = np.asarray(image).astype(float)
        turned = gradient(120, 80).transpose(1, 0, 2)[:, ::-1]
        assert np.abs(pixels - turned).max() < 12


@pytest.mark.parametrize(
    "places, name, annotation, photo, reason",
    [
        (KANGAROO, "00444", xml(BOX, (120, 80)), PHOTO[: len(PHOTO) * 2 // 3], DAMAGED),
        (KANGAROO, "00444", xml(BOX, (120, 81)), PHOTO, OTHER_SIZE),
        (KANGAROO, "00444", xml(BOX, (0, 0)), PHOTO, None),
        (KANGAROO, "00444", xml([(130, 2, 150, 60)], (120, 80)), PHOTO, "no box lies in the image"),
        (KANGAROO, "00444", xml([], (120, 80)), PHOTO, NO_OBJECT),
        (KANGAROO, "00444", xml(BOX, (120, 80), "wallaby"), PHOTO, OTHER_LABELS),
        (KANGAROO, "00444", xml(BOX, (120, 80)), None, "no image of that name"),
        (TEST, "mixed_44", labelme(("apple", CORNERS), ("orange", CORNERS)), PHOTO, OTHER_LABELS),
        (TEST, "apple_44", labelme(), PHOTO, NO_OBJECT),
        (TEST, "mixed_44", labelme(("apple", CORNERS), ("apple", CORNERS)), PHOTO, None),
        (TEST, "apple_444444", labelme(("apple", CORNERS)), PHOTO, "not named by the rule"),
        (TEST, "apple_44", labelme(("apple", CORNERS), imageWidth=9, imageHeight=9), PHOTO,
         OTHER_SIZE),
    ],
)  # fmt: skip
def test_dropped(clones, places, name, annotation, photo, reason):
    clones.put(places, name, annotation, photo)
    result = clones.make()
    own = "/".join(places[1].format(name).split("/")[-2:])
    assert sum(map(sum, result.kept.values())) == 30 + (reason is None)
    image_id = "kangaroo_00444" if places is KANGAROO else "apple_00044"
    assert (clones.sample(image_id) is None) == (reason is not None)
    assert reason is None or f"1 dropped\n  1 {reason}: {own}" in report(result)


def test_a_split_without_images(clones):
    for path in clones.root.rglob("*.jpg"):
        path.write_bytes(b"x")
    with pytest.raises(UserError, match="no image for train is left.*30 does not decode") as caught:
        clones.make()
    assert "\n" not in str(caught.value)
    assert os.listdir(str(clones.out.parent)) == []


def test_command(clones, root):
    """Both layouts of what it writes load the same images, which it counts."""
    clones.put(TRAIN, "mixed_1", labelme(("apple", CORNERS), ("orange", CORNERS)))
    flags = [part for name, path in clones.folders.items() for part in ("--" + name, path)]
    command = [sys.executable, "-m", "dgl.datasets.photos5", *flags, "--out", str(clones.out)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"wrote {clones.out}"
    rows = {line.split()[0]: list(map(int, line.split()[1:])) for line in lines[2:8]}
    assert list(rows) == [*CLASSES, "total"]
    for column, split in enumerate(("train", "val")):
        by_list = load_data(str(clones.out), split)
        by_xml = load_data(str(clones.out), split, layout="ilsvrc")
        assert (by_list.format, by_list.name, by_xml.format) == ("imagenet", "photos5", "ilsvrc")
        assert by_list.class_names == by_xml.class_names == CLASSES
        check_files(by_list, by_xml)
        found = [(sample.id, sample.class_index, sample.boxes) for sample in by_list.samples]
        assert found == sorted((s.id, s.class_index, s.boxes) for s in by_xml.samples)
        for path, class_index, boxes in found:
            image_id = os.path.splitext(os.path.basename(path))[0]
            assert image_id.startswith(CLASSES[class_index]) and split_of(image_id) == split
            assert boxes == ((10, 20, 70, 60),)
        labels = [class_index for _, class_index, _ in found]
        assert set(labels) == set(range(5))
        assert [row[column] for row in rows.values()] == [*map(labels.count, range(5)), len(labels)]
    assert lines[8:] == ["1 dropped", f"  1 {OTHER_LABELS}: train/mixed_1.json ('apple', 'orange')"]


def test_copy_at_hand_comes_out_of_the_layouts_it_came_from(shared_data, tmp_path):
    """Its images, small already, laid out as the clones are, give the same lists and XML."""
    data = os.path.join(shared_data, "photos5")
    clones = Clones(tmp_path)
    for sample in (
        s for n in ("train", "val") for s in load_data(data, n, layout="ilsvrc").samples
    ):
        class_name, number = os.path.basename(sample.id)[:-4].split("_")
        text = xml(sample.boxes, sample.size, class_name)
        if class_name == "kangaroo":
            places, name = KANGAROO, number
        elif class_name == "raccoon":
            places, name = RACCOON, f"raccoon-{int(number)}"
        else:
            places, name = TRAIN if int(number) < 77 else TEST, f"{class_name}_{int(number)}"
            text = labelme(*((class_name, [box[2:], box[:2]]) for box in sample.boxes))
        clones.put(places, name, text, pathlib.Path(sample.path).read_bytes())
    result = clones.make()
    assert result.dropped == [] and result.boxes_left_out == 0
    assert result.kept == {"train": [70, 69, 119, 67, 151], "val": [24, 22, 44, 23, 49]}
    xmls, lists = (trees.contents(os.path.join(data, name)) for name in ("annotations", "labels"))
    # Written when orange_20.json had the id already: mixed_20.json has oranges only. The image and the
    # XML are those of orange_20, as here.
    key = os.path.join("photos5", "val.txt")
    lists[key] = lists[key].replace(b"orange_00020.jpg 3 51 25 303 284\n", b"")
    assert trees.contents(clones.out / "annotations") == xmls
    assert trees.contents(clones.out / "labels") == lists
