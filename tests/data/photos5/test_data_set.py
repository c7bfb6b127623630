"""Making the photographs: scaling, what is dropped, what is left behind, the command."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from photos5_clones import (
    BOX,
    CLASSES,
    CORNERS,
    KANGAROO,
    PICTURE,
    RACCOON,
    SECOND_LINE,
    TEST,
    TRAIN,
    Clones,
    contents,
    encoded,
    gradient,
    labelme,
    put,
    reasons,
    xml,
)
from PIL import Image

from dgl.data import load_data, read_image
from dgl.data.annotations import read_annotation
from dgl.datasets.photos5 import data_set
from dgl.datasets.photos5.data_set import main, report
from dgl.datasets.photos5.sources import (
    NO_IMAGE,
    NO_OBJECT,
    OTHER_LABELS,
    OTHER_NAME,
    find_sources,
)
from dgl.errors import UserError, run_script


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
    centers = (np.arange(new)[:, np.newaxis] + 0.5) * scale
    weights = _cubic((np.arange(old) + 0.5 - centers) / scale)
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
    ids=["png", "gray", "gray png"],
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
    """Boxes are of the upright image; where the annotation is of the other one, it is dropped."""
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
        (xml(BOX, (120, 80)), None, NO_IMAGE),
    ],
)
def test_dropped(clones, annotation, picture, reason):
    put(clones.kangaroo, KANGAROO, "00444", annotation, picture)
    result = clones.make()
    assert reasons(result) == ({} if reason is None else {"00444.xml": reason})
    assert os.path.exists(clones.picture("kangaroo_00444")) == (reason is None)
    text = report(result)
    if reason is not None:
        assert f"1 dropped\n  1 {reason}: annots/00444.xml" in text


def test_box_outside_is_left_out_and_told(clones):
    boxes = [(130, 2, 150, 60), (1, 2, 50, 60)]
    put(clones.kangaroo, KANGAROO, "00444", xml(boxes, (120, 80)), PICTURE)
    result = clones.make()
    assert result.boxes_left_out == 1
    assert read_annotation(clones.xml("kangaroo_00444")).boxes == ((1, 2, 50, 60),)
    assert "1 boxes without area left out" in report(result)


def test_a_split_without_pictures(clones):
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
        assert f"--out {clones.out}: cannot be written (No space" in str(caught.value)
    assert os.listdir(str(clones.out.parent)) == []


def test_clones_are_only_read(clones):
    before = [contents(folder) for folder in clones.folders()]
    clones.make()
    assert [contents(folder) for folder in clones.folders()] == before


def test_command(clones, root):
    put(clones.fruit, TRAIN, "mixed_1", labelme(("apple", CORNERS), ("orange", CORNERS)), PICTURE)
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
    assert lines[8:] == [
        "1 dropped",
        f"  1 {OTHER_LABELS}: train/mixed_1.json ('apple', 'orange')",
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
        put(clones.kangaroo, KANGAROO, f"{number:05d}", xml([], (9, 9)), PICTURE)
    put(clones.kangaroo, KANGAROO, "\n\x1b[31m", xml([], (9, 9)), PICTURE)
    text = report(clones.make())
    assert "8 dropped" in text
    assert f"  7 {NO_OBJECT}: annots/00050.xml, annots/00051.xml, annots/00052.xml, ..." in text
    assert f"  1 {OTHER_NAME}: annots/\\n\\x1b[31m.xml" in text


def test_copy_at_hand_is_encoded_alike(shared_data):
    path = os.path.join(shared_data, "photos5", "val", "orange_00020.jpg")
    made = Image.open(io.BytesIO(data_set._jpeg(Image.new("RGB", (16, 16)))))
    with Image.open(path) as image:
        assert image.quantization == made.quantization
        assert [row[1:3] for row in image.layer] == [row[1:3] for row in made.layer]


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
