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
from sample_images import exif_of
from trees import contents

from dgl.data import load_data
from dgl.labeling.decisions import ACCEPTED, CHANGED, REJECTED, Decision, append_decision
from dgl.labeling.formats import FORMATS, ExportOptions, export
from dgl.labeling.labels import ImageLabels
from dgl.labeling.store import LabelStore


@pytest.fixture
def made(tmp_path):
    return make_store(tmp_path)


def lines_of(*path):
    with open(os.path.join(*path), encoding="utf-8") as stream:
        return stream.read().splitlines()


def stem(path):
    return os.path.splitext(path)[0]


def json_of(*path):
    return json.loads("\n".join(lines_of(*path)))


def upright_size(*path):
    with Image.open(os.path.join(*path)) as image:
        return ImageOps.exif_transpose(image).size


@pytest.mark.parametrize("masks", [False, True])
def test_coco_is_read_by_pycocotools_and_agrees_with_itself(tmp_path, masks):
    tools = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    out, images = make_store(tmp_path, masks)
    coco = tools.COCO(os.path.join(export(out, "coco"), "annotations.json"))
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    found = coco.loadAnns(coco.getAnnIds())
    boxes = [one["bbox"] for one in found]
    wanted = [o.box for own in images for o in own.objects]
    assert [(x, y, x + w, y + h) for x, y, w, h in boxes] == wanted
    for one in coco.loadImgs(coco.getImgIds()):
        size = upright_size(out, "coco", "images", one["file_name"])
        assert size == (one["width"], one["height"])
    for one in found if masks else ():  # which cover their boxes
        assert coco.annToMask(one).sum() == pytest.approx(one["area"], rel=0.1)
        assert one["area"] == pytest.approx(one["bbox"][2] * one["bbox"][3], abs=0.01)
    run = evaluation.COCOeval(coco, coco.loadRes(copy.deepcopy(found)), "bbox")
    for step in (run.evaluate, run.accumulate, run.summarize):
        step()
    assert run.stats[0] == pytest.approx(1.0)


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
        places = {"folder": f"{folder}/labels", "image_folder": f"{folder}/images"}
        read = globox.AnnotationSet.from_yolo_v5(image_extension=".jpg", **places)
    found = {
        stem(str(one.image_id)): sorted((b._xmin, b._ymin, b._xmax, b._ymax) for b in one.boxes)
        for one in read
    }
    # globox counts VOC's pixels from 0. It looks for a folder's own files only.
    off = 1.5 if name == "voc" else 0.01
    for labels in images[:2]:
        wanted = sorted(o.box for o in labels.objects)
        assert np.subtract(found[stem(labels.image)], wanted) == pytest.approx(0, abs=off)


def test_yolo_follows_the_rules_that_trainers_read_by(made):
    yaml = pytest.importorskip("yaml")
    out, images = made
    folder = export(out, "yolo", ExportOptions(val_fraction=0.5))
    data = yaml.safe_load("\n".join(lines_of(folder, "data.yaml")))
    assert data["names"] == dict(enumerate(CLASSES)) and data["nc"] == len(CLASSES)
    listed = lines_of(folder, data["train"]) + lines_of(folder, data["val"])
    assert len(listed) == sum(bool(labels.objects) for labels in images)
    found = []
    for path in listed:
        # Trainers replace the last /images/ by /labels/ and the extension by .txt.
        head, tail = os.path.join(folder, path).rsplit("/images/", 1)
        width, height = upright_size(folder, path)
        for row in lines_of(head, "labels", stem(tail) + ".txt"):
            index, x, y, w, h = map(float, row.split())
            box = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * (2 * (width, height))
            found.append((int(index), pytest.approx(tuple(box), abs=0.01)))
    wanted = [(o.class_index, o.box) for labels in images for o in labels.objects]
    assert len(found) == len(wanted) and all(one in found for one in wanted)


def test_images_of_one_stem_keep_their_own_labels(tmp_path):
    data, out = tmp_path / "data", str(tmp_path / "out")
    data.mkdir()
    boxes = {"a.jpg": (0, 0, 5, 5), "a.png": (5, 5, 10, 10)}
    for name in boxes:
        Image.new("RGB", (10, 10)).save(str(data / name))
    with LabelStore(out, header(data)) as store:
        store.append([ImageLabels(n, 10, 10, 0, (an_object(box),)) for n, box in boxes.items()])
    folder = export(out, "yolo", ExportOptions(val_fraction=0))
    names = [stem(os.path.basename(line)) for line in lines_of(folder, "train.txt")]
    rows = [lines_of(folder, "labels", name + ".txt") for name in names]
    assert [float(row.split()[1]) for (row,) in rows] == [0.25, 0.75]
    assert len(os.listdir(os.path.join(export(out, "voc"), "Annotations"))) == 2


def test_voc_is_plain_xml(made):
    xmltodict = pytest.importorskip("xmltodict")
    out, images = made
    folder = export(out, "voc")
    for labels in filter(lambda one: one.objects, images):
        text = "\n".join(lines_of(folder, "Annotations", stem(labels.image) + ".xml"))
        read = xmltodict.parse(text, force_list=("object",))["annotation"]
        assert list(map(int, read["size"].values()))[:2] == [labels.width, labels.height]
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
    config = label_config.parse_config("\n".join(lines_of(folder, "config.xml")))
    tasks = json_of(folder, "tasks.json")
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
            if masks:
                xs = [x * labels.width / 100 for x, _ in region["value"]["points"]]
                assert (min(xs), max(xs)) == pytest.approx(found.box[::2], abs=0.01)


@pytest.fixture(scope="module")
def oriented(tmp_path_factory):
    """Labels of images of many sizes, stored in each of EXIF's eight ways: (out, list of labels)."""
    folder = tmp_path_factory.mktemp("oriented")
    (folder / "data").mkdir()
    images, rng = [], np.random.RandomState(0)
    for number in range(40):
        path, exif = str(folder / "data" / f"{number:03d}.jpg"), exif_of(number % 8 + 1)
        Image.new("RGB", tuple(rng.randint(20, 500, 2).tolist())).save(path, exif=exif)
        width, height = upright_size(path)
        x0, y0 = rng.uniform(0, (width - 2, height - 2))
        x1, y1 = rng.uniform((x0 + 1, y0 + 1), (width, height))
        box = tuple(round(float(side), 2) for side in (x0, y0, x1, y1))
        objects = (an_object(box, number % 2),)
        images.append(ImageLabels(os.path.basename(path), width, height, 0, objects))
    with LabelStore(str(folder / "out"), header(folder / "data", len(images))) as store:
        store.append(images)
    return str(folder / "out"), images


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_come_back_to_half_a_pixel(oriented, name):
    out, images = oriented
    folder = export(out, name, ExportOptions(val_fraction=1))
    if name == "csv":
        rows, sides = csv.DictReader(lines_of(folder, "objects.csv")), ("x0", "y0", "x1", "y1")
        found = {row["image"]: [float(row[side]) for side in sides] for row in rows}
    elif name == "labelstudio":
        found = dict(map(label_studio_box, json_of(folder, "tasks.json")))
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


@pytest.mark.parametrize("name", FORMATS)
def test_decisions_decide(made, name):
    out, images = made
    whole = contents(export(out, name))
    assert contents(export(out, name)) == whole
    append_decision(out, Decision("a.jpg", 1, REJECTED))
    append_decision(out, Decision("b c.jpg", 1, CHANGED, (an_object((1, 2, 3, 4), 1),)))
    append_decision(out, Decision("sub/a.jpg", 1, ACCEPTED))
    folder = export(out, name)
    found = contents(folder)
    assert found != whole
    text = b"".join(found[key] for key in found if not key.endswith((".jpg", ".png")))
    assert b"a.jpg" in text or name == "voc"  # sub/a.jpg: seen to be empty
    if name == "coco":
        coco = json_of(folder, "annotations.json")
        names = [one["file_name"] for one in coco["images"]]
        assert names == ["b c.jpg", "sub/turned.jpg", "sub/a.jpg"]
        # The ids of what nobody touched stay.
        assert [one["id"] for one in coco["annotations"]] == [20001, 30001]
    assert not [one for one in os.listdir(out) if one.startswith(".")]


def test_copies_of_few_confident_objects(made):
    """Copies do not need the data's folder."""
    out, images = made
    rows = lines_of(export(out, "csv", ExportOptions(min_confidence=0.5)), "objects.csv")
    confidences = [float(row["confidence"]) for row in csv.DictReader(rows)]
    assert len(confidences) == 3 and min(confidences) >= 0.5
    folder = export(out, "yolo", ExportOptions(copy=True))
    paths = [os.path.join(folder, name) for name in contents(folder)]
    assert paths and not any(map(os.path.islink, paths))
