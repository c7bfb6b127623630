"""`dgl label` on small images: what it writes, what it refuses, and how it goes on where it was stopped."""

import json
import os
import shutil

import numpy as np
import pytest
from networks import vgg_variables
from PIL import Image
from refusals import refusal
from sample_images import blob_image, exif_of, rectangle_image, write_list
from trees import contents, read_csv

from dgl.cli.parser import main
from dgl.data import load_data
from dgl.labeling.decisions import corrected
from dgl.labeling.review import Review
from dgl.labeling.store import read_header, read_images
from dgl.weights import ModelCard, save_npz, write_card

CLASSES, SIZE, IMAGES = ("ant", "bee", "cow"), 64, 6


def label(*words):
    return main(["label", *map(str, words), "--gpu=-1"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkpoint, class folders of images with one that cannot be read, and a finished run of them."""
    folder = tmp_path_factory.mktemp("label")
    save_npz(str(folder / "tiny.npz"), vgg_variables(len(CLASSES)))
    write_card(str(folder / "tiny.json"), ModelCard("vgg", SIZE, CLASSES, "toys"))
    for number in range(IMAGES):
        own = folder / "data" / CLASSES[number % 2]
        own.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(rectangle_image(number, 60 + number, 90))
        image.save(str(own / f"{number}.jpg"), exif=exif_of(6 if number == 3 else 1))
    (folder / "data" / "bee" / "bad.jpg").write_bytes(b"no image")
    assert label(*words(folder, folder / "out")) == 1
    return folder


def words(folder, out, *more):
    formats = ("--format", "coco", "yolo", "voc", "labelstudio", "csv")
    return (folder / "data", "--load", folder / "tiny.npz", "--out", out, "--clayer", "5", "--masks",
            "--objects", "all", "--max-objects", "2", "--batch", "4", *formats, *more)  # fmt: skip


def test_the_images_own_classes_and_upright_sizes(made):
    out = made / "out"
    header = read_header(str(out))
    assert header.classes == ("ant", "bee") and header.data["images"] == IMAGES + 1
    read = [labels for labels in read_images(str(out)) if labels.error is None]
    assert len(read) == IMAGES and any(labels.objects for labels in read)
    for labels in read:
        assert labels.label == ("ant", "bee").index(os.path.dirname(labels.image))
        number = int(os.path.basename(labels.image).split(".")[0])
        size = (63, 90) if number == 3 else (90, 60 + number)
        assert (labels.width, labels.height) == size
        for found in labels.objects:
            assert 0 <= found.box[0] < found.box[2] <= labels.width
            assert 0 <= found.box[1] < found.box[3] <= labels.height
            assert found.class_index == labels.label
            assert 0 < found.score_mean <= found.score_max <= 1
        mask = np.asarray(Image.open(str(out / "masks" / (labels.image + ".png"))))
        assert mask.shape == (labels.height, labels.width)
        assert set(np.unique(mask)) <= set(range(len(labels.objects) + 1))
    (row,) = read_csv(out / "skipped.csv")
    assert row["image"] == "bee/bad.jpg" and "not an image" in row["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.0, 0.45])
def test_stopped_anywhere_it_ends_in_the_same_bytes(made, tmp_path, part):
    whole = contents(made / "out")
    out = tmp_path / "out"
    out.mkdir()
    content = whole["objects.jsonl"]
    (out / "objects.jsonl").write_bytes(content[: int(part * len(content))])
    (out / ".yolo.partial").mkdir()  # killed while it exported
    if part:
        shutil.copytree(str(made / "out" / "masks"), str(out / "masks"))
    assert label(*words(made, out)) == 1
    assert contents(out) == whole


def test_another_run_is_refused_before_anything_is_written(made):
    before = contents(made / "out")
    found = refusal(label, *words(made, made / "out", "--threshold", "0.4"))
    assert "threshold: 0.2, now 0.4" in found
    assert contents(made / "out") == before


def test_other_formats_need_neither_data_nor_network(made, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(str(made / "out"), str(out), symlinks=True)
    whole = contents(out / "voc")
    shutil.rmtree(str(out / "voc"))
    assert label("--out", out, "--export", "voc") == 0
    assert contents(out / "voc") == whole
    assert "--export" in refusal(label, "--out", out)
    assert "the folder of the images" in refusal(label, made / "data", "--out", made / "data")
    assert "objects.jsonl" in refusal(label, "--out", tmp_path / "none", "--export", "voc")


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
def test_reviewed_labels_are_exported_read_and_evaluated(made, tmp_path, name):
    out = tmp_path / "out"
    shutil.copytree(str(made / "out"), str(out), symlinks=True)
    with Review(str(out)) as review:
        numbers = {review.image(number)["image"]: number for number in review.queue("all")}
        review.decide(numbers["ant/0.jpg"], 0, "reject", [])
        drawn = {"from": None, "box": [3.2, 4.6, 30.5, 41.25]}
        drawn = [dict(drawn, class_index=index) for index in (0, 1)]
        turned = review.decide(numbers["bee/3.jpg"], 0, "keep", drawn)
        review.decide(numbers["ant/2.jpg"], 0, "keep", [])
    assert (turned["width"], turned["height"]) == (63, 90)
    assert label("--out", out, "--export", name, "--val-fraction", "1") == 0
    dataset = load_data(str(out / name), "val")
    assert (dataset.format, dataset.class_names) == (name, ("ant", "bee"))
    expected = {}
    for labels in corrected(str(out)):
        several = len({found.class_index for found in labels.objects}) > 1
        for found in labels.objects if labels.status != "rejected" else ():
            key = labels.image + (f"#{found.class_index}" if several else "")
            expected.setdefault(key, []).append(found.box)
    assert {"bee/3.jpg#0", "bee/3.jpg#1"} < set(expected)
    assert {sample.id for sample in dataset.samples} == set(expected)
    for sample in dataset.samples:
        assert np.abs(np.subtract(sample.boxes, expected[sample.id])).max() <= 0.5
    if name == "yolo":
        flags = ["--data", out / name, "--load", made / "tiny.npz", "--out", tmp_path / "report"]
        flags += ["--split", "val", "--gallery", "0", "--resamples", "0", "--gpu=-1"]
        assert main(["evaluate", *map(str, flags)]) == 0
        metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
        assert metrics["data"]["images"] == len(expected)


def test_images_without_labels_get_the_network_s_classes(made, tmp_path, capsys):
    rows = [(f"{number}.png", blob_image(number + 20, 50, 70), 0, ()) for number in range(3)]
    write_list(tmp_path, "val", rows)
    images = tmp_path / "val"
    flags = ("--load", made / "tiny.npz", "--clayer", "5", "--top", "2", "--json")
    assert label(images, "--out", tmp_path / "out", *flags) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["images"] == 3 and summary["skipped"] == 0
    assert "not of this network" in summary["confidence"]
    for labels in read_images(str(tmp_path / "out")):
        assert labels.label is None
        assert len({found.class_index for found in labels.objects}) == len(labels.objects) <= 2
        assert all(CLASSES[found.class_index] == found.class_name for found in labels.objects)
    assert label(images, "--out", tmp_path / "least", *flags, "--min-probability", "1") == 0
    assert not any(labels.objects for labels in read_images(str(tmp_path / "least")))


def test_confidences_of_a_data_set_with_boxes(made, tmp_path):
    random = np.random.RandomState(0)
    rows = []
    for number in range(40):
        x, y = random.randint(0, 50), random.randint(0, 30)
        box = (x, y, x + 40, y + 30) if number % 2 else (0, 0, 90, 60)
        rows.append((f"{number}.jpg", blob_image(number, 60, 90), number % 3, [box]))
    write_list(tmp_path / "boxes", "val", rows)
    out = tmp_path / "out"
    flags = (made / "data", "--load", made / "tiny.npz", "--clayer", "5", "--out", out,
             "--threshold", "0.1", "--calibrate", tmp_path / "boxes", "--format", "csv")  # fmt: skip
    assert label(*flags) == 1
    whole = contents(out)
    assert "40 images" in read_header(str(out)).calibration["source"]
    found = [o.confidence for one in read_images(str(out)) for o in one.objects]
    assert found and all(0 < confidence < 1 for confidence in found)
    (out / "objects.jsonl").unlink()
    assert label(*flags) == 1
    assert contents(out) == whole
    assert "no image has a box" in refusal(label, *flags[:-3], made / "data", "--restart")
