"""Folders of images, one a class."""

import functools

import pytest
from trees import make

from dgl.data import load_data
from dgl.data.layouts.image_folder import detect_image_folder
from dgl.errors import UserError

load_image_folder = functools.partial(load_data, layout="folder")


def touch(root, *names):
    make(root, dict.fromkeys(names, "x"))


def test_split_folders(tmp_path):
    touch(tmp_path, "train/dog/2.jpg", "train/dog/1.PNG", "train/cat/3.jpg", "val/dog/4.jpg")
    touch(tmp_path, "train/dog/notes.txt", "train/dog/.5.jpg", "train/empty/readme.txt")
    train = load_image_folder(str(tmp_path), "train")
    assert [(sample.id, sample.class_index) for sample in train.samples] == [
        ("cat/3.jpg", 0),
        ("dog/1.PNG", 1),
        ("dog/2.jpg", 1),
    ]
    assert train.samples[0].path == str(tmp_path / "train" / "cat" / "3.jpg")
    assert all(sample.boxes == () for sample in train.samples)
    assert (train.format, train.name, train.classes) == ("folder", tmp_path.name, 2)


def test_indices_agree_between_splits(tmp_path):
    touch(tmp_path, "train/a/1.jpg", "train/c/1.jpg", "val/b/1.jpg", "val/c/1.jpg")
    val = load_image_folder(str(tmp_path), "val")
    assert val.class_names == load_image_folder(str(tmp_path), "train").class_names
    assert val.class_names == ("a", "b", "c")
    assert [sample.class_index for sample in val.samples] == [1, 2]


def test_val_and_test_stand_for_each_other(tmp_path):
    touch(tmp_path, "train/a/1.jpg", "test/a/2.jpg")
    assert [s.id for s in load_image_folder(str(tmp_path), "val").samples] == ["a/2.jpg"]
    touch(tmp_path, "val/a/3.jpg")
    assert [s.id for s in load_image_folder(str(tmp_path), "val").samples] == ["a/3.jpg"]
    assert [s.id for s in load_image_folder(str(tmp_path), "test").samples] == ["a/2.jpg"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_class_folders_without_splits_are_the_split_asked_for(tmp_path, split):
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg", "notes/readme.txt", ".cache/1.jpg")
    dataset = load_image_folder(str(tmp_path), split, dataname="pets")
    assert (dataset.name, dataset.split, len(dataset)) == ("pets", split, 2)
    assert dataset.class_names == ("cat", "dog")


def test_a_class_named_train(tmp_path):
    touch(tmp_path, "train/1.jpg", "car/1.jpg")
    assert load_image_folder(str(tmp_path), "val").class_names == ("car", "train")


@pytest.mark.parametrize(
    "names, detected",
    [
        (["a/1.jpg", "b/1.jpg"], True),
        (["a/1.jpg"], False),
        (["train/a/1.jpg"], True),
        (["val/a/1.jpg"], True),
        (["1.jpg", "2.jpg"], False),
        (["a/b/c/1.jpg", "b/readme.txt"], False),
    ],
)
def test_detect(tmp_path, names, detected):
    touch(tmp_path, *names)
    assert detect_image_folder(str(tmp_path)) is detected


def test_nothing_for_this_split(tmp_path):
    touch(tmp_path, "val/a/1.jpg")
    with pytest.raises(UserError, match=r"/train: no class folders .*found \['val'\]"):
        load_image_folder(str(tmp_path), "train")
