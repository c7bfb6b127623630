"""Folders of images, one a class."""

import functools
import logging

import pytest
from trees import make

from dgl.data import load_data
from dgl.data.layouts.image_folder import detect_image_folder
from dgl.errors import UserError

load_image_folder = functools.partial(load_data, layout="folder")


def tree(root, *names):
    return make(root, dict.fromkeys(names, "x"))


def test_split_folders(tmp_path):
    tree(tmp_path, "train/dog/2.jpg", "train/dog/1.PNG", "train/cat/3.jpg", "val/dog/4.jpg")
    tree(tmp_path, "train/dog/notes.txt", "train/dog/.5.jpg", "train/empty/readme.txt")
    train = load_image_folder(str(tmp_path), "train")
    ids = [(sample.id, sample.class_index) for sample in train.samples]
    assert ids == [("cat/3.jpg", 0), ("dog/1.PNG", 1), ("dog/2.jpg", 1)]
    assert train.samples[0].path == str(tmp_path / "train" / "cat" / "3.jpg")
    assert all(sample.boxes == () for sample in train.samples)
    assert (train.format, train.name, train.classes) == ("folder", tmp_path.name, 2)


def test_indices_agree_between_splits(tmp_path):
    data = tree(tmp_path, "train/a/1.jpg", "train/c/1.jpg", "val/b/1.jpg", "val/c/1.jpg")
    val = load_image_folder(data, "val")
    assert val.class_names == load_image_folder(data, "train").class_names == ("a", "b", "c")
    assert [sample.class_index for sample in val.samples] == [1, 2]


def test_val_and_test_stand_for_each_other(tmp_path):
    data = tree(tmp_path, "train/a/1.jpg", "test/a/2.jpg")
    assert [s.id for s in load_image_folder(data, "val").samples] == ["a/2.jpg"]
    tree(tmp_path, "val/a/3.jpg")
    assert [s.id for s in load_image_folder(data, "val").samples] == ["a/3.jpg"]
    assert [s.id for s in load_image_folder(data, "test").samples] == ["a/2.jpg"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_class_folders_without_splits_are_the_split_asked_for(tmp_path, split):
    data = tree(tmp_path, "cat/1.jpg", "dog/1.jpg", "notes/readme.txt", ".cache/1.jpg")
    dataset = load_image_folder(data, split, dataname="pets")
    assert (dataset.name, dataset.split, len(dataset)) == ("pets", split, 2)
    assert dataset.class_names == ("cat", "dog")


def test_a_class_named_train(tmp_path):
    data = tree(tmp_path, "train/1.jpg", "car/1.jpg")
    assert load_image_folder(data, "val").class_names == ("car", "train")


@pytest.mark.parametrize(
    "train, val",
    [("train", "validation"), ("Train", "Valid"), ("training", "Testing"), ("train", "VAL")],
)
def test_names_of_split_folders(tmp_path, train, val):
    images = {"train": train + "/{}/1.jpg", "val": val + "/{}/2.jpg"}
    data = tree(tmp_path, *(path.format(label) for path in images.values() for label in "ab"))
    for split, path in images.items():
        found = load_image_folder(data, split)
        ids = [path.format(label).split("/", 1)[1] for label in "ab"]
        assert ([sample.id for sample in found.samples], found.class_names) == (ids, ("a", "b"))


def test_files_of_other_formats_are_counted(tmp_path, caplog):
    names = ("a/1.jpg", "a/2.psd", "b/3.jpg", "b/4.psd", "b/list.txt")
    data = tree(tmp_path, *("train/" + name for name in names))
    with caplog.at_level(logging.WARNING):
        assert len(load_image_folder(data, "train").samples) == 2
    (record,) = caplog.records
    assert "2 files left out" in record.getMessage() and "2 .psd" in record.getMessage()


@pytest.mark.parametrize("names, detected", [
    (["a/1.jpg", "b/1.jpg"], True), (["a/1.jpg"], False), (["1.jpg", "2.jpg"], False),
    (["train/a/1.jpg"], True), (["val/a/1.jpg"], True), (["a/b/c/1.jpg", "b/readme.txt"], False),
])  # fmt: skip
def test_detect(tmp_path, names, detected):
    assert detect_image_folder(tree(tmp_path, *names)) is detected


def test_nothing_for_this_split(tmp_path):
    with pytest.raises(UserError, match=r"/train: no class folders .*found \['val'\]"):
        load_image_folder(tree(tmp_path, "val/a/1.jpg"), "train")
