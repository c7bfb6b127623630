"""Folders of images, one a class."""

import functools

import pytest
from trees import make

from dgl.data import load_data
from dgl.data.layouts.image_folder import detect_image_folder

load_image_folder = functools.partial(load_data, layout="folder")


def tree(root, *names):
    return make(root, dict.fromkeys(names, "x"))


def test_split_folders(tmp_path, caplog):
    tree(tmp_path, "train/dog/2.jpg", "train/dog/1.PNG", "train/cat/3.jpg", "val/dog/4.jpg")
    tree(tmp_path, "train/dog/notes.txt", "train/dog/.5.jpg", "train/empty/readme.txt")
    tree(tmp_path, "train/dog/6.psd", "train/cat/7.psd")
    train = load_image_folder(str(tmp_path), "train")
    (record,) = caplog.records
    assert "2 files left out" in record.getMessage() and "2 .psd" in record.getMessage()
    ids = [(sample.id, sample.class_index) for sample in train.samples]
    assert ids == [("cat/3.jpg", 0), ("dog/1.PNG", 1), ("dog/2.jpg", 1)]
    assert train.samples[0].path == str(tmp_path / "train" / "cat" / "3.jpg")
    assert all(sample.boxes == () for sample in train.samples)
    assert (train.format, train.name, train.classes) == ("folder", tmp_path.name, 2)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_class_folders_without_splits_are_the_split_asked_for(tmp_path, split):
    data = tree(tmp_path, "cat/1.jpg", "train/1.jpg", "notes/readme.txt", ".cache/1.jpg")
    dataset = load_image_folder(data, split, dataname="pets")
    assert (dataset.name, dataset.split, len(dataset)) == ("pets", split, 2)
    assert dataset.class_names == ("cat", "train")


@pytest.mark.parametrize(
    "train, val",
    [("train", "validation"), ("Train", "Valid"), ("training", "Testing"), ("train", "VAL")],
)
def test_names_of_split_folders(tmp_path, train, val):
    """The indices of both are those of all classes; the test split is that of validation, if any."""
    names = [f"{train}/a/1.jpg", f"{train}/c/1.jpg", f"{val}/b/2.jpg", f"{val}/c/2.jpg"]
    data = tree(tmp_path, *names)
    for split, expected in (
        ("train", [("a/1.jpg", 0), ("c/1.jpg", 2)]),
        ("val", [("b/2.jpg", 1), ("c/2.jpg", 2)]),
        ("test", [("b/2.jpg", 1), ("c/2.jpg", 2)]),
    ):
        found = load_image_folder(data, split)
        assert [(sample.id, sample.class_index) for sample in found.samples] == expected
        assert found.class_names == ("a", "b", "c")


def test_a_test_split_of_its_own(tmp_path):
    data = tree(tmp_path, "train/a/1.jpg", "test/a/2.jpg", "val/a/3.jpg")
    assert [s.id for s in load_image_folder(data, "val").samples] == ["a/3.jpg"]
    assert [s.id for s in load_image_folder(data, "test").samples] == ["a/2.jpg"]


@pytest.mark.parametrize("names, detected", [
    (["a/1.jpg", "b/1.jpg"], True), (["a/1.jpg"], False), (["1.jpg", "2.jpg"], False),
    (["train/a/1.jpg"], True), (["val/a/1.jpg"], True), (["a/b/c/1.jpg", "b/readme.txt"], False),
])  # fmt: skip
def test_detect(tmp_path, names, detected):
    assert detect_image_folder(tree(tmp_path, *names)) is detected
