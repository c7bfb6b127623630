"""Which files of ILSVRC CLS-LOC count: its lists of images and of classes, and its folders."""

import os

import pytest
from ilsvrc_trees import CAT, DOG, EEL, PUBLISHED, VARIANT, xml
from trees import make

from dgl.data import check_files
from dgl.data.ilsvrc import load_ilsvrc
from dgl.errors import UserError


@pytest.fixture
def data(tmp_path):
    make(tmp_path, PUBLISHED)
    return tmp_path


def test_synset_list_of_the_development_kit(data):
    os.remove(str(data / "LOC_synset_mapping.txt"))
    lines = f"{EEL} 1 eel\n{CAT} 2 true_cat\n{DOG} 3 dog\n"
    make(data, {"devkit/data/map_clsloc.txt": lines})
    dataset = load_ilsvrc(str(data), "val")
    assert dataset.class_names == ("dog", "true_cat", "eel")
    assert [s.class_index for s in dataset.samples] == [0, 1]


def test_without_a_list_the_class_folders_of_train_count(data):
    os.remove(str(data / "LOC_synset_mapping.txt"))
    dataset = load_ilsvrc(str(data), "val")
    assert (dataset.class_names, dataset.classes) == ((DOG, CAT), 2)
    (data / "Annotations/CLS-LOC/val/v_1.xml").write_text(xml((EEL, (1, 2, 3, 4))))
    with pytest.raises(
        UserError, match=r"val\.txt:2: class 'n03000003' is not one of the 2 of .*/"
    ):
        load_ilsvrc(str(data), "val")


def test_without_list_and_train_the_objects_count(data):
    os.remove(str(data / "LOC_synset_mapping.txt"))
    os.rename(str(data / "Data/CLS-LOC/train"), str(data / "elsewhere"))
    dataset = load_ilsvrc(str(data), "val")
    assert dataset.class_names == (DOG, CAT)
    assert [s.class_index for s in dataset.samples] == [0, 1]


def test_without_image_sets_the_folders_count(data):
    for name in ("train_cls", "train_loc", "val"):
        os.remove(str(data / "ImageSets/CLS-LOC" / (name + ".txt")))
    make(data, {"Data/CLS-LOC/val/.hidden.JPEG": "x", "Data/CLS-LOC/val/notes.txt": "x"})
    assert [s.id for s in load_ilsvrc(str(data), "val").samples] == ["v_1.JPEG", "v_2.JPEG"]
    train = load_ilsvrc(str(data), "train")
    assert [s.class_index for s in train.samples] == [0, 1, 1]
    assert len(train.samples[1].boxes) == 1


def test_train_loc_where_it_is_the_only_list(data):
    os.remove(str(data / "ImageSets/CLS-LOC/train_cls.txt"))
    assert len(load_ilsvrc(str(data), "train")) == 1


@pytest.mark.parametrize("extension", ["JPEG", "jpg", "jpeg", "png", "PNG"])
def test_extensions(data, extension):
    os.rename(
        str(data / "Data/CLS-LOC/val/v_1.JPEG"), str(data / "Data/CLS-LOC/val/v_1.") + extension
    )
    dataset = load_ilsvrc(str(data), "val")
    assert dataset.samples[1].id == "v_1." + extension
    check_files(dataset)


def test_two_pictures_for_one_annotation(data):
    make(data, {"Data/CLS-LOC/val/v_1.png": "x"})
    with pytest.raises(UserError, match=r"val: both 'v_1\.JPEG' and 'v_1\.png'; expected one"):
        load_ilsvrc(str(data), "val")


@pytest.mark.parametrize(
    "name, text, split, message",
    [
        ("ImageSets/CLS-LOC/val.txt", "v_1\n", "val", r"val\.txt:1: 'v_1'; expected 'id number'"),
        ("ImageSets/CLS-LOC/val.txt", "v_1 x\n", "val", r"val\.txt:1: .*expected 'id number'"),
        ("ImageSets/CLS-LOC/val.txt", "\n", "val", r"CLS-LOC/val: no images"),
        ("ImageSets/CLS-LOC/val.txt", "v_1 1\n../v 2\n", "val", r"val\.txt:2: path '../v' leads"),
        ("ImageSets/CLS-LOC/val.txt", "/etc/v 2\n", "val", r"val\.txt:1: path '/etc/v' leads out"),
        ("ImageSets/CLS-LOC/train_cls.txt", "v_1 1\n", "train", r"cls\.txt:1: .*'class/id number'"),
        ("ImageSets/CLS-LOC/train_cls.txt", "n9/v 1\n", "train", r"cls\.txt:1: class 'n9' is not"),
        ("LOC_synset_mapping.txt", "a b\na c\n", "val", r"mapping\.txt:2: 'a' a second time"),
        ("LOC_synset_mapping.txt", "\n", "val", r"mapping\.txt: the file is empty"),
        ("LOC_synset_mapping.txt", "n1 tench\n", "val", r"'n01000002' is not one of the 1 of .*LOC"),
    ],
)  # fmt: skip
def test_bad_lists(data, name, text, split, message):
    (data / name).write_text(text)
    with pytest.raises(UserError, match=message):
        load_ilsvrc(str(data), split)


@pytest.mark.parametrize(
    "text, message",
    [("a 1 b\nc d\n", r"clsloc\.txt:2: 'c d'; expected 'wnid number name'"), ("\n", "is empty")],
)
def test_bad_list_of_the_development_kit(data, text, message):
    os.remove(str(data / "LOC_synset_mapping.txt"))
    make(data, {"devkit/data/map_clsloc.txt": text})
    with pytest.raises(UserError, match=message):
        load_ilsvrc(str(data), "val")


@pytest.mark.parametrize(
    "classes, names, labels",
    [
        (None, ("cat", "red fox"), [0, 1, 0]),
        ("red fox\ncat\n", ("red fox", "cat"), [1, 0, 1]),
        ("0 red fox\n1 eel\n2 cat\n", ("red fox", "eel", "cat"), [2, 0, 2]),
    ],
)
def test_folders_in_its_manner(tmp_path, classes, names, labels):
    data = make(tmp_path, VARIANT)
    if classes:
        make(tmp_path, {"classes.txt": classes})
    train, val = load_ilsvrc(data, "train"), load_ilsvrc(data, "val")
    assert train.class_names == val.class_names == names
    assert [s.id for s in train.samples + val.samples] == ["cat/b.png", "red fox/a 1.jpg", "c.jpg"]
    assert [s.class_index for s in train.samples + val.samples] == labels
    assert [len(s.boxes) for s in train.samples + val.samples] == [0, 1, 1]


def test_numbered_class_folders_keep_their_numbers_as_keys(tmp_path):
    data = make(tmp_path, {"train/001.Auk/a.jpg": "x", "annotations/train/x/x.xml": xml()})
    make(tmp_path, {"classes.txt": "001.Auk\n002.Wren\n"})
    dataset = load_ilsvrc(data, "train")
    assert (dataset.class_names, dataset.samples[0].class_index) == (("Auk", "Wren"), 0)
    make(tmp_path, {"classes.txt": "cat\ncat\n"})
    with pytest.raises(UserError, match=r"classes\.txt: class 'cat' a second time"):
        load_ilsvrc(data, "train")
