"""Recognizing a data set's layout and reading it with one call."""

import os
import re

import pytest
from refusals import check_refusal, refusal
from trees import coco, cub, make, wsol, xml

from dgl.data import check_files, detect_layout, load_data
from dgl.data.layouts import layout_names, register_layout
from dgl.data.layouts.label_list import named_layout
from dgl.data.sample import SPLITS, DataSet, Sample

BOX = (1, 2, 3, 4)
LISTS = {"labels/set/train.txt": "a.jpg 0 1 2 3 4\n", "labels/set/val.txt": "b.jpg 0 1 2 3 4\n"}
XML = xml(("cat", BOX))
# Of an image, only the header is read.
PPM = "P6\n10 10\n255\n"
TREES = {
    "imagenet": {**LISTS, "train/a.jpg": "x", "val/b.jpg": "x"},
    "cub": {**LISTS, "images/a.jpg": "x", "images/b.jpg": "x"},
    "coco": {
        "annotations/instances_train2017.json": coco({"a.jpg": [("cat", (1, 2, 2, 2))]}),
        "annotations/instances_val2017.json": coco({"b.jpg": [("cat", (1, 2, 2, 2))]}),
        "train2017/a.jpg": "x", "val2017/b.jpg": "x",
    },
    "cub200": {
        **cub([("a.jpg", 0, True, BOX), ("b.jpg", 0, False, BOX)], ["001.Auk"]),
        "images/a.jpg": "x", "images/b.jpg": "x",
    },
    "ilsvrc": {
        "train/cat/a.jpg": "x", "val/b.jpg": "x",
        "annotations/train/cat/a.xml": XML, "annotations/val/b.xml": XML,
    },
    "voc": {
        "Annotations/a.xml": XML, "Annotations/b.xml": XML,
        "JPEGImages/a.jpg": "x", "JPEGImages/b.jpg": "x",
        "ImageSets/Main/train.txt": "a\n", "ImageSets/Main/val.txt": "b\n",
    },
    "wsolevaluation": {
        **wsol("metadata/set/train", [("a.jpg", 0, [])]),
        **wsol("metadata/set/val", [("b.jpg", 0, [BOX])]),
        **wsol("metadata/set/test", [("b.jpg", 0, [BOX])]),
        "dataset/set/a.jpg": "x", "dataset/set/b.jpg": "x",
    },
    "yolo": {
        "data.yaml": "train: images/train\nval: images/val\nnames: [cat]\n",
        "images/train/a.jpg": PPM, "labels/train/a.txt": "0 0.2 0.3 0.2 0.2\n",
        "images/val/b.jpg": PPM, "labels/val/b.txt": "0 0.2 0.3 0.2 0.2\n",
    },
    "folder": {"train/cat/a.jpg": "x", "val/cat/b.jpg": "x"},
}  # fmt: skip

# The boxes, where they are others: of training, the list's is x, y, width and height; VOC counts from 1.
BOXES = {("cub", "train"): (1, 2, 4, 6), **{("voc", s): (0, 1, 3, 4) for s in SPLITS}}
# Splits without boxes; those of wsolevaluation's training images are not for use.
BARE = [("wsolevaluation", "train"), *(("folder", split) for split in SPLITS)]


def test_every_layout_has_a_tree_here_and_is_registered_once():
    assert layout_names() == list(TREES)
    with pytest.raises(ValueError):
        register_layout("folder", "", lambda *_: False)(lambda *_: None)


@pytest.mark.parametrize("layout", sorted(TREES))
@pytest.mark.parametrize("split", SPLITS)
def test_recognized_and_read(tmp_path, layout, split):
    data = make(tmp_path, TREES[layout])
    assert detect_layout(data) == layout
    dataset = load_data(data, split)
    assert (dataset.format, dataset.split, len(dataset)) == (layout, split, 1)
    assert dataset == load_data(data, split, layout=layout)
    (sample,), (bare,) = dataset.samples, load_data(data, split, with_boxes=False).samples
    assert os.path.isabs(sample.path)
    assert os.path.basename(sample.path) == ("a.jpg" if split == "train" else "b.jpg")
    expected = [] if (layout, split) in BARE else [BOXES.get((layout, split), BOX)]
    assert [pytest.approx(box) for box in sample.boxes] == expected and bare.boxes == ()
    assert (bare.id, bare.path, bare.class_index) == (sample.id, sample.path, sample.class_index)
    check_files(dataset)
    assert load_data(data, split, classes=7).classes == 7
    assert "0 classes; expected" in refusal(load_data, data, split, classes=0)


def test_missing_masks_are_reported_with_the_images(tmp_path):
    make(tmp_path, {"a.png": "x"})
    here, gone = str(tmp_path / "a.png"), str(tmp_path / "gone")
    samples = [
        Sample("0", here, 0, mask_paths=(here, gone + "0.png"), ignore_path=here),
        Sample("1", here, 0, mask_paths=(here,), ignore_path=gone + "1.png"),
    ]
    message = refusal(check_files, DataSet("d", "folder", "val", samples, None, 1))
    assert message == f"d val: 2 of 5 masks are missing: {gone}0.png, {gone}1.png"
    samples.append(Sample("2", gone + "2.jpg", 0))
    words = r"1 of 3 images are missing: .*2\.jpg; d val: 2 of 5 "
    check_refusal(words, check_files, DataSet("d", "folder", "val", samples, None, 1))


@pytest.mark.parametrize(
    "first, second",
    [
        ("cub", "cub200"),
        ("imagenet", "ilsvrc"),
        *((layout, "folder") for layout in ("ilsvrc", "wsolevaluation", "coco", "voc", "yolo")),
    ],
)
def test_lists_come_before_what_else_is_there_and_class_folders_last(tmp_path, first, second):
    data = make(tmp_path, dict(TREES[second], **TREES[first]))
    assert load_data(data, "val").format == first
    assert load_data(data, "val", layout=second).format == second


@pytest.mark.parametrize("name, published", [("imagenet", "ilsvrc"), ("cub", "cub200")])
def test_a_flag_stands_for_lists_or_else_for_the_set_as_published(tmp_path, name, published):
    data = make(tmp_path, TREES[published])
    assert named_layout(data, name) == published
    assert named_layout(data, name, "SET") == published
    make(tmp_path, LISTS)
    assert named_layout(data, name, "SET") == published
    assert named_layout(data, name, "set") == named_layout(data, name) == name
    data = make(tmp_path / "others", TREES["folder"])
    assert f"--{name}" in refusal(named_layout, data, name)
    make(tmp_path / "others", {"labels/other/val.txt": "b.jpg 0\n"})
    assert named_layout(data, name, "absent") == name  # whose loader lists the others


def test_photos5(shared_data):
    data = os.path.join(shared_data, "photos5")
    train = load_data(data, "train", "photos5", layout="imagenet", classes=5)
    val = load_data(data, "val")
    assert (val.classes, val.name, val.format) == (5, "photos5", "imagenet")
    assert val.class_names == ("apple", "banana", "kangaroo", "orange", "raccoon")
    # One of the 163 lines repeats an image, with a second box.
    for dataset, lines, images in ((train, 476, 476), (val, 163, 162)):
        assert (len(dataset), len({sample.id for sample in dataset.samples})) == (lines, images)
        assert all(len(sample.boxes) == 1 for sample in dataset.samples)
        assert {sample.class_index for sample in dataset.samples} == set(range(5))
    check_files(train, val)


@pytest.mark.parametrize(
    "settings, files, message",
    [
        ({"layout": "imagenet"}, {"labels/set/val.txt": "\n"}, r"val\.txt: no images listed"),
        ({"layout": "ilsvrc"}, {"val/a.jpg": "x"}, "no folder of annotations"),
        ({"layout": "wsolevaluation"}, {"notes.txt": "x"}, "no metadata; expected image_ids.txt"),
        ({"layout": "folder"}, {"1.jpg": "x"}, "no class folders with images"),
        ({"layout": "cub200"}, {"notes.txt": "x"}, r"images\.txt: no such file"),
        ({"layout": "coco"}, {"val.json": "{}"}, "no JSON file of the val split"),
        ({"layout": "voc"}, {"images/a.jpg": "x"}, "no folder of annotations"),
        ({"layout": "yolo"}, {"images/a.jpg": "x"}, r"data\.yaml: no such file"),
        ({"layout": "kitti"}, TREES["folder"], "unknown layout 'kitti'; expected one of"),
        ({"split": "dev"}, TREES["folder"], "--split 'dev': unknown"),
        ({"data_dir": "absent"}, {}, "absent: no such folder"),
        ({"data_dir": __file__}, {}, "not a folder"),
        ({}, {}, "the folder is empty"),
        ({}, {"file": "x"}, r"no data set recognized; looked for .*\(imagenet\)"),
    ],
)
def test_what_is_no_such_data_set(tmp_path, settings, files, message):
    settings = {"data_dir": make(tmp_path, files), "split": "val", **settings}
    assert re.search(message, refusal(load_data, **settings))
