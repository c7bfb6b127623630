"""Paths, lists and XML: both layouts load the same, and the copy at hand is written alike."""

import os

import pytest
from photos5_clones import CLASSES, SECOND_LINE, contents, copy_annotation
from PIL import Image

from dgl.data import check_files, load_data
from dgl.datasets.photos5 import sources as layout
from dgl.datasets.photos5 import sources as rule


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
        annotation = copy_annotation(shared_data, image_id)
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
