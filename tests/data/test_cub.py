"""CUB-200-2011 as published, from small files of the same form."""

import functools
import os

import pytest
from refusals import check_refusal
from trees import make

from dgl.data import load_data

load_cub = functools.partial(load_data, layout="cub200")

FILES = {
    "images.txt": "1 001.Auk/Auk 1.jpg\n2 001.Auk/Auk_2.jpg\n3 002.Wren/Wren_1.jpg\n",
    "image_class_labels.txt": "1 1\n2 1\n3 2\n",
    "train_test_split.txt": "1 1\n2 0\n3 0\n",
    "bounding_boxes.txt": "1 60.0 27.0 325.0 304.0\n2 1.5 2 3 4\n3 0 0 10 20\n",
    "classes.txt": "1 001.Auk\n2 002.Wren\n",
}


def test_masks_where_there_are_some(tmp_path):
    data = make(tmp_path, FILES)
    assert load_cub(data, "train", dataname="birds").class_names == ("Auk", "Wren")
    make(tmp_path, {"segmentations/002.Wren/Wren_1.png": "x"})
    mask = os.path.join(data, "segmentations", "002.Wren", "Wren_1.png")
    for with_boxes, masks in ((True, (mask,)), (False, ())):
        samples = load_cub(data, "test", with_boxes=with_boxes).samples
        assert [sample.mask_paths for sample in samples] == [(), masks]


AGAIN = {
    "images.txt": FILES["images.txt"] + "4 002.Wren/Wren_1.jpg\n",
    "image_class_labels.txt": FILES["image_class_labels.txt"] + "4 2\n",
    "train_test_split.txt": FILES["train_test_split.txt"] + "4 0\n",
    "bounding_boxes.txt": FILES["bounding_boxes.txt"] + "4 0 0 10 20\n",
}


def test_an_image_with_two_ids_is_reported_and_counts_twice(tmp_path, caplog):
    assert len(load_cub(make(tmp_path, {**FILES, **AGAIN}), "test")) == 3
    (record,) = caplog.records
    for part in ("images.txt: 1 of its images are on several", "Wren_1.jpg' on lines 3 and 4"):
        assert part in record.getMessage()


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("classes.txt", None, r"classes\.txt: no such file; expected"),
        ("bounding_boxes.txt", None, r"boxes\.txt: no such file; expected"),
        ("images.txt", "1 a.jpg\n1 b.jpg\n", r"images\.txt:2: 1 a second time"),
        ("images.txt", "", r"images\.txt: the file is empty"),
        ("image_class_labels.txt", "1 1\n2 1\n", r"no line for 2 of the 4 ids: 3, 4"),
        ("image_class_labels.txt", "1 1\n9 1\n", r"labels\.txt:2: no image has the id of '9"),
        ("train_test_split.txt", "1 0\n2 0\n3 0\n4 0\n", r"split\.txt: no image of the train"),
        ("classes.txt", "1 001.Auk\n3 003.Wren\n", r"classes\.txt:2: class 3; expected classes 1"),
        ("image_class_labels.txt", "1 1\n2 1\n3 2\n4 1\n", "4: .* class 0, but class 1 on line 3"),
        ("train_test_split.txt", "1 1\n2 0\n3 0\n4 1\n", "4: .* is both in training and in test"),
    ],
)
def test_inconsistent_files(tmp_path, name, text, message):
    files = {**FILES, **AGAIN, name: text}
    data = make(tmp_path, {key: value for key, value in files.items() if value is not None})
    check_refusal(message, load_cub, data, "train")
