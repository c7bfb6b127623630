"""Exported labels as others' libraries read them: pycocotools, globox, xmltodict, Label Studio's tools."""

import copy
import csv
import json
import os
from urllib.parse import unquote

import numpy as np
import pytest
from made_labels import CLASSES, an_object, header, make_store
from PIL import Image, ImageOps
from trees import contents

from dgl.data import load_data
from dgl.labeling.decisions import ACCEPTED, CHANGED, REJECTED, Decision, append_decision
from dgl.labeling.formats import ExportOptions, export, format_names
from dgl.labeling.labels import ImageLabels
from dgl.labeling.store import LabelStore

_SIDES = ("x0", "y0", "x1", "y1")


@pytest.fixture
def made(tmp_path):
    return make_store(tmp_path)


def with_objects(images):
    """(image, object) of every object that is exported."""
    return [(labels, found) for labels in images for found in labels.objects]


def test_coco_is_read_by_pycocotools_and_agrees_with_itself(made):
    tools = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    out, images = made
    path = os.path.join(export(out, "coco"), "annotations.json")
    coco = tools.COCO(path)
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    found = coco.loadAnns(coco.getAnnIds())
    assert [tuple(one["bbox"]) for one in found] == [
        (o.box[0], o.box[1], o.box[2] - o.box[0], o.box[3] - o.box[1])
        for _, o in with_objects(images)
    ]
    for one in coco.loadImgs(coco.getImgIds()):
        image = ImageOps.exif_transpose(
            Image.open(os.path.join(out, "coco", "images", one["file_name"]))
        )
        assert image.size == (one["width"], one["height"])
    run = evaluation.COCOeval(coco, coco.loadRes(copy.deepcopy(found)), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    assert run.stats[0] == pytest.approx(1.0)


def test_coco_masks_cover_their_boxes(tmp_path):
    tools = pytest.importorskip("pycocotools.coco")
    out, images = make_store(tmp_path, masks=True)
    coco = tools.COCO(os.path.join(export(out, "coco"), "annotations.json"))
    for one in coco.loadAnns(coco.getAnnIds()):
        assert coco.annToMask(one).sum() == pytest.approx(one["area"], rel=0.1)
        assert one["area"] == pytest.approx(one["bbox"][2] * one["bbox"][3], abs=0.01)


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
def test_globox_reads_the_same_boxes(made, name):
    globox = pytest.importorskip("globox")
    out, images = made
    folder = export(out, name)
    if name == "coco":
        read = globox.AnnotationSet.from_coco(os.path.join(folder, "annotations.json"))
    elif name == "voc":
        read = globox.AnnotationSet.from_pascal_voc(os.path.join(folder, "Annotations"))
    else:
        places = [os.path.join(folder, sub) for sub in ("labels", "images")]
        read = globox.AnnotationSet.from_yolo_v5(
            folder=places[0], image_folder=places[1], image_extension=".jpg"
        )
    found = {
        os.path.splitext(str(one.image_id))[0]: [
            (box._xmin, box._ymin, box._xmax, box._ymax) for box in one.boxes
        ]
        for one in read
    }
    # globox counts VOC's pixels from 0. It looks for a folder's own files only.
    off = 1.5 if name == "voc" else 0.01
    for labels in images:
        if labels.objects and "/" not in labels.image:
            own = found[os.path.splitext(labels.image)[0]]
            for box, wanted in zip(sorted(own), sorted(o.box for o in labels.objects)):
                assert box == pytest.approx(wanted, abs=off)


def test_yolo_follows_the_rules_that_trainers_read_by(made):
    yaml = pytest.importorskip("yaml")
    out, images = made
    folder = export(out, "yolo", ExportOptions(val_fraction=0.5))
    with open(os.path.join(folder, "data.yaml"), encoding="utf-8") as stream:
        data = yaml.safe_load(stream)
    assert data["names"] == dict(enumerate(CLASSES)) and data["nc"] == len(CLASSES)
    listed = []
    for split in ("train", "val"):
        with open(os.path.join(folder, data[split]), encoding="utf-8") as stream:
            listed += stream.read().splitlines()
    assert len(listed) == len({labels.image for labels, _ in with_objects(images)})
    found = []
    for line in listed:
        path = os.path.join(folder, line)
        # Trainers replace the last /images/ by /labels/ and the extension by .txt.
        head, tail = path.rsplit("/images/", 1)
        width, height = ImageOps.exif_transpose(Image.open(path)).size
        with open(head + "/labels/" + tail.rsplit(".", 1)[0] + ".txt") as stream:
            for row in stream:
                index, x, y, w, h = map(float, row.split())
                box = (
                    (x - w / 2) * width,
                    (y - h / 2) * height,
                    (x + w / 2) * width,
                    (y + h / 2) * height,
                )
                found.append((int(index), pytest.approx(box, abs=0.01)))
    wanted = [(o.class_index, o.box) for _, o in with_objects(images)]
    assert len(found) == len(wanted) and all(one in found for one in wanted)


def test_images_of_one_stem_keep_their_own_labels(tmp_path):
    (tmp_path / "data").mkdir()
    boxes = {"a.jpg": (0, 0, 5, 5), "a.png": (5, 5, 10, 10)}
    for name in boxes:
        Image.new("RGB", (10, 10)).save(str(tmp_path / "data" / name))
    with LabelStore(str(tmp_path / "out"), header(tmp_path / "data")) as store:
        store.append([ImageLabels(n, 10, 10, 0, (an_object(box),)) for n, box in boxes.items()])
    folder = export(str(tmp_path / "out"), "yolo", ExportOptions(val_fraction=0))
    with open(os.path.join(folder, "train.txt")) as stream:
        names = [line[len("./images/") :].strip() for line in stream]
    assert len(names) == 2
    for name, box in zip(names, boxes.values()):
        with open(os.path.join(folder, "labels", os.path.splitext(name)[0] + ".txt")) as stream:
            assert float(stream.read().split()[1]) == (box[0] + box[2]) / 20
    assert len(os.listdir(os.path.join(export(str(tmp_path / "out"), "voc"), "Annotations"))) == 2


def test_voc_is_plain_xml(made):
    xmltodict = pytest.importorskip("xmltodict")
    out, images = made
    folder = export(out, "voc")
    for labels in images:
        if not labels.objects:
            continue
        stem = os.path.splitext(labels.image)[0]
        with open(os.path.join(folder, "Annotations", stem + ".xml"), "rb") as stream:
            read = xmltodict.parse(stream, force_list=("object",))["annotation"]
        size = (int(read["size"]["width"]), int(read["size"]["height"]))
        assert size == (labels.width, labels.height)
        assert os.path.exists(os.path.join(folder, "JPEGImages", read["filename"]))
        assert [one["name"] for one in read["object"]] == [o.class_name for o in labels.objects]
        for one, found in zip(read["object"], labels.objects):
            corners = [int(one["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax")]
            # Pixels count from 1 and the last one belongs to the box.
            box = (corners[0] - 1, corners[1] - 1, corners[2], corners[3])
            assert box == pytest.approx(found.box, abs=0.5)


@pytest.mark.parametrize("masks", [False, True])
def test_label_studio_knows_every_region_by_the_config(tmp_path, masks):
    label_config = pytest.importorskip("label_studio_tools.core.label_config")
    out, images = make_store(tmp_path, masks)
    folder = export(out, "labelstudio")
    with open(os.path.join(folder, "config.xml"), encoding="utf-8") as stream:
        config = label_config.parse_config(stream.read())
    with open(os.path.join(folder, "tasks.json"), encoding="utf-8") as stream:
        tasks = json.load(stream)
    kept = [labels for labels in images if labels.objects]
    assert len(tasks) == len(kept)
    for task, labels in zip(tasks, kept):
        assert unquote(task["data"]["image"]).endswith("?d=data/" + labels.image)
        (prediction,) = task["predictions"]
        for region, found in zip(prediction["result"], labels.objects):
            control = config[region["from_name"]]
            assert control["type"].lower() == region["type"]
            assert control["to_name"] == [region["to_name"]]
            assert control["inputs"] == [{"type": "Image", "value": "image"}]
            assert region["value"][region["type"]] == [found.class_name]
            assert found.class_name in control["labels"]
            assert (region["original_width"], region["original_height"]) == (
                labels.width,
                labels.height,
            )
            if masks:
                xs = [x * labels.width / 100 for x, _ in region["value"]["points"]]
                assert (min(xs), max(xs)) == pytest.approx((found.box[0], found.box[2]), abs=0.01)
            else:
                x, w = (region["value"][side] * labels.width / 100 for side in ("x", "width"))
                assert (x, x + w) == pytest.approx((found.box[0], found.box[2]), abs=0.01)


def csv_rows(folder):
    with open(os.path.join(folder, "objects.csv"), newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_csv_has_a_line_an_object(made):
    out, images = made
    rows = csv_rows(export(out, "csv"))
    boxes = [found.box for _, found in with_objects(images)]
    assert [tuple(float(row[side]) for side in _SIDES) for row in rows] == boxes


def turned(path, new, orientation):
    """A copy of a JPEG whose EXIF says that it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    with open(path, "rb") as stream:
        content, marked = stream.read(), exif.tobytes()
    segment = b"\xff\xe1" + (len(marked) + 2).to_bytes(2, "big") + marked
    with open(new, "wb") as stream:
        stream.write(content[:2] + segment + content[2:])


@pytest.fixture(scope="module")
def photographs(root, tmp_path_factory):
    """Labels of CUB's test photographs, turned in each of EXIF's eight ways: (out, list of labels)."""
    places = [os.path.join(root, *[".."] * up, "shared", "data", "cub20") for up in (1, 2)]
    place = next(filter(os.path.isdir, places), None)
    if place is None:
        pytest.skip("needs the photographs of CUB")
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "data").mkdir()
    images, rng = [], np.random.RandomState(0)
    for number, sample in enumerate(load_data(place, "test").samples):
        name = f"{number:03d}.jpg"
        turned(sample.path, str(folder / "data" / name), number % 8 + 1)
        width, height = ImageOps.exif_transpose(Image.open(str(folder / "data" / name))).size
        x0, y0 = rng.uniform(0, (width - 2, height - 2))
        x1, y1 = rng.uniform((x0 + 1, y0 + 1), (width, height))
        box = tuple(round(float(side), 2) for side in (x0, y0, x1, y1))
        images.append(ImageLabels(name, width, height, 0, (an_object(box, number % 2),)))
    with LabelStore(str(folder / "out"), header(folder / "data", len(images))) as store:
        store.append(images)
    return str(folder / "out"), images


@pytest.mark.parametrize("name", format_names())
def test_boxes_of_photographs_come_back_to_half_a_pixel(photographs, name):
    out, images = photographs
    folder = export(out, name, ExportOptions(val_fraction=1))
    if name == "csv":
        rows = csv_rows(folder)
        found = {row["image"]: [float(row[side]) for side in _SIDES] for row in rows}
    elif name == "labelstudio":
        with open(os.path.join(folder, "tasks.json"), encoding="utf-8") as stream:
            found = dict(map(label_studio_box, json.load(stream)))
    else:
        samples = load_data(folder, "val").samples
        found = {os.path.basename(sample.path): sample.boxes[0] for sample in samples}
    assert len(found) == len(images)
    for labels in images:
        difference = np.abs(np.subtract(found[labels.image], labels.objects[0].box)).max()
        assert difference <= (0.5 if name == "voc" else 0.01)


def label_studio_box(task):
    """(name of the image, its box in pixels)."""
    ((region,),) = (prediction["result"] for prediction in task["predictions"])
    width, height = region["original_width"] / 100, region["original_height"] / 100
    x, y, w, h = (region["value"][side] for side in ("x", "y", "width", "height"))
    name = os.path.basename(unquote(task["data"]["image"]))
    return name, [x * width, y * height, (x + w) * width, (y + h) * height]


@pytest.mark.parametrize("name", format_names())
def test_decisions_decide(made, name):
    out, images = made
    whole = contents(export(out, name))
    assert contents(export(out, name)) == whole
    append_decision(out, Decision("a.jpg", 1, REJECTED))
    append_decision(out, Decision("b c.jpg", 1, CHANGED, (an_object((1, 2, 3, 4), 1),)))
    append_decision(out, Decision("sub/a.jpg", 1, ACCEPTED))
    folder = export(out, name)
    assert contents(folder) != whole
    text = b"".join(
        value for key, value in contents(folder).items() if not key.endswith((".jpg", ".png"))
    )
    assert text.count(b"a.jpg") >= (1 if name != "voc" else 0)  # sub/a.jpg: seen to be empty
    if name == "coco":
        coco = json.loads(contents(folder)["annotations.json"].decode())
        assert [one["file_name"] for one in coco["images"]] == [
            "b c.jpg",
            "sub/turned.jpg",
            "sub/a.jpg",
        ]
        # The ids of what nobody touched stay.
        assert [one["id"] for one in coco["annotations"]] == [20001, 30001]
    assert not [one for one in os.listdir(out) if one.startswith(".")]


def test_few_confident_objects_can_be_asked_for(made):
    out, images = made
    folder = export(out, "csv", ExportOptions(min_confidence=0.5))
    confidences = [float(row["confidence"]) for row in csv_rows(folder)]
    assert len(confidences) == 3 and min(confidences) >= 0.5


def test_copies_do_not_need_the_data_folder(made):
    out, images = made
    folder = export(out, "yolo", ExportOptions(copy=True))
    assert not any(
        os.path.islink(os.path.join(parent, name))
        for parent, _, names in os.walk(folder)
        for name in names
    )
