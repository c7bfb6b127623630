"""Layout `ilsvrc`, from small trees of the same form."""

import functools
import logging
import os

import pytest
from refusals import check_refusal, refusal
from trees import CAT, DOG, EEL, PUBLISHED, VAL_XML, VARIANT, make, xml

from dgl.data import check_files, load_data
from dgl.data.layouts.ilsvrc import detect_ilsvrc

load_ilsvrc = functools.partial(load_data, layout="ilsvrc")

SYNSET_LIST = "LOC_synset_mapping.txt"
LISTS = "ImageSets/CLS-LOC/"
TRAIN, VAL = "Data/CLS-LOC/train/", "Data/CLS-LOC/val/"
KIT = "devkit/data/map_clsloc.txt"
TRAIN_XML = "Annotations/CLS-LOC/train/"


def published(root, *lacking, **settings):
    """The published tree without what begins with some paths, and with ``files`` more or others."""
    kept = {name: text for name, text in PUBLISHED.items() if not name.startswith(lacking)}
    return make(root, dict(kept, **settings.get("files", {})))


@pytest.fixture(params=["", "ILSVRC/"], ids=["bare", "kaggle"])
def prefixed(request, tmp_path):
    """The published tree, bare or with all but the synset list in ``ILSVRC/``."""
    prefixes = {name: "" if name == SYNSET_LIST else request.param for name in PUBLISHED}
    return make(tmp_path, {prefixes[name] + name: text for name, text in PUBLISHED.items()})


def labels(*datasets):
    return [sample.class_index for dataset in datasets for sample in dataset.samples]


def test_published_train(prefixed):
    assert detect_ilsvrc(prefixed)
    dataset = load_ilsvrc(prefixed, "train")
    assert (dataset.format, dataset.split, dataset.classes) == ("ilsvrc", "train", 3)
    # Sorted synsets, in whatever order the list has them.
    assert dataset.class_names == ("dog", "cat, true cat", "eel")
    assert [(s.id, s.class_index, s.boxes, s.size) for s in dataset.samples] == [
        (f"{DOG}/{DOG}_1.JPEG", 0, (), None),
        (f"{CAT}/{CAT}_1.JPEG", 1, ((1, 2, 3, 4),), (9, 8)),
        (f"{CAT}/{CAT}_2.JPEG", 1, (), None),
    ]
    check_files(dataset)


@pytest.mark.parametrize("split", ["val", "test"])
def test_published_val(prefixed, split):
    dataset = load_ilsvrc(prefixed, split, "ILSVRC")
    assert (dataset.name, dataset.split, dataset.classes) == ("ILSVRC", split, 3)
    assert [(s.id, s.class_index, s.boxes) for s in dataset.samples] == [
        ("v_2.JPEG", 0, ((0.0, 0.0, 9.0, 8.0),)),
        ("v_1.JPEG", 1, ((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0))),
    ]
    check_files(dataset)


def test_without_boxes_the_annotations_of_train_are_not_read(tmp_path):
    data = published(tmp_path, files={TRAIN_XML + f"{CAT}/{CAT}_1.xml": "no XML"})
    assert "_1.xml: no well-formed XML" in refusal(load_ilsvrc, data, "train")
    assert labels(load_ilsvrc(data, "train", with_boxes=False)) == [0, 1, 1]
    val = load_ilsvrc(data, "val", with_boxes=False)
    assert [(s.class_index, s.boxes) for s in val.samples] == [(0, ()), (1, ())]


def test_boxes_of_other_classes_are_left_out_of_train(tmp_path, caplog):
    name = TRAIN_XML + f"{CAT}/{CAT}_2.xml"
    data = published(tmp_path, files={name: xml((DOG, (1, 1, 2, 2)), (CAT, (3, 3, 4, 4)))})
    with caplog.at_level(logging.WARNING):
        assert load_ilsvrc(data, "train").samples[2].boxes == ((3, 3, 4, 4),)
    assert "1 files have objects of a class other than their folder's" in caplog.text
    assert os.path.join(data, name) in caplog.text


@pytest.mark.parametrize("with_list", [True, False])
@pytest.mark.parametrize("mirrored", [True, False])
def test_val_in_class_folders(tmp_path, with_list, mirrored):
    def moved(name):
        for folder in (VAL, VAL_XML) if mirrored else (VAL,):
            name = name.replace(folder + "v_1", f"{folder}{CAT}/v_1")
            name = name.replace(folder + "v_2", f"{folder}{DOG}/v_2")
        return name.replace("JPEG", "jpg")

    kept = (name for name in PUBLISHED if with_list or name != LISTS + "val.txt")
    dataset = load_ilsvrc(make(tmp_path, {moved(name): PUBLISHED[name] for name in kept}), "val")
    assert [s.id for s in dataset.samples] == [DOG + "/v_2.jpg", CAT + "/v_1.jpg"]
    assert labels(dataset) == [0, 1]
    check_files(dataset)


@pytest.mark.parametrize("lacking", [(), (SYNSET_LIST,)], ids=["synsets", "no-synsets"])
@pytest.mark.parametrize("deeper", ["", DOG + "/"], ids=["flat", "deeper"])
def test_val_folder_that_is_no_class_says_nothing(tmp_path, lacking, deeper):
    files = {
        LISTS + "val.txt": f"images/{deeper}v_3 1\nv_1 2\n",
        VAL + f"images/{deeper}v_3.JPEG": "x",
        VAL_XML + "v_3.xml": xml((DOG, (1, 1, 2, 2))),
    }
    data = published(tmp_path, *lacking, files=files)
    dataset = load_ilsvrc(data, "val")
    assert [s.id for s in dataset.samples] == [f"images/{deeper}v_3.JPEG", "v_1.JPEG"]
    assert labels(dataset) == [0, 1]
    if deeper:
        make(tmp_path, {VAL_XML + "v_3.xml": xml((CAT, (1, 1, 2, 2)))})
        if lacking:  # the class folders of train are the classes
            assert load_ilsvrc(data, "train").class_names == (DOG, CAT)
        words = r"v_3\.xml: .*'n02000001', but .* folder 'n01000002';"
        check_refusal(words, load_ilsvrc, data, "val")


@pytest.mark.parametrize("is_there", [True, False])
def test_train_that_is_listed_but_not_unpacked_and_no_class_is_known(tmp_path, is_there):
    data = published(tmp_path, SYNSET_LIST, TRAIN)
    train = tmp_path / TRAIN
    if is_there:
        train.mkdir()
    assert f"{train}: no class folders with images" in refusal(load_ilsvrc, data, "train")
    make(tmp_path, {"classes.txt": f"{CAT}\n{DOG}\n"})
    assert labels(load_ilsvrc(data, "train")) == [1, 0, 0]
    make(tmp_path, {"classes.txt": f"{CAT}\n{CAT}\n"})
    assert "classes.txt: class 'n02000001' a second time" in refusal(load_ilsvrc, data, "train")


def test_its_own_test_split_and_missing_folders(tmp_path):
    data = make(tmp_path / "2", {"annotations/train/a/a.xml": xml(), "test/t.jpg": "x"})
    assert "annotations/val: no such folder" in refusal(load_ilsvrc, data, "val")
    assert "2/train: no such folder; expected images" in refusal(load_ilsvrc, data, "train")
    data = make(tmp_path / "2", VARIANT)
    assert load_ilsvrc(data, "test").samples[0].id == "c.jpg"
    make(tmp_path / "2", {"annotations/test/t.xml": xml(("cat", (1, 2, 3, 4)))})
    assert load_ilsvrc(data, "test").samples[0].id == "t.jpg"


@pytest.mark.parametrize(
    "lacking, files, names",
    [
        ((), {KIT: f"{EEL} 1 eel\n{CAT} 2 true_cat\n{DOG} 3 dog\n"}, ("dog", "true_cat", "eel")),
        ((), {}, (DOG, CAT)),
        ((TRAIN,), {}, (DOG, CAT)),
    ],
    ids=["development kit", "folders of train", "objects of val"],
)
def test_classes_without_the_list_of_synsets(tmp_path, lacking, files, names):
    dataset = load_ilsvrc(published(tmp_path, SYNSET_LIST, *lacking, files=files), "val")
    assert (dataset.class_names, dataset.classes) == (names, len(names))
    assert labels(dataset) == [0, 1]
    if names == (DOG, CAT) and not lacking:
        data = make(tmp_path, {VAL_XML + "v_1.xml": xml((EEL, (1, 2, 3, 4)))})
        assert "class 'n03000003' is not one of the 2 of " in refusal(load_ilsvrc, data, "val")


def test_without_image_sets_the_folders_count(tmp_path):
    data = published(tmp_path, LISTS, files={VAL + ".hidden.JPEG": "x", VAL + "notes.txt": "x"})
    assert [s.id for s in load_ilsvrc(data, "val").samples] == ["v_1.JPEG", "v_2.JPEG"]
    train = load_ilsvrc(data, "train")
    assert labels(train) == [0, 1, 1]
    assert len(train.samples[1].boxes) == 1


@pytest.mark.parametrize(
    "name, text, split, message",
    [
        (LISTS + "val.txt", "\n", "val", r"CLS-LOC/val: no images"),
        (LISTS + "val.txt", "m 1\nv_1 1\n", "val", r"val: 1 of 2 images .*/m\.xml \(missing\)"),
        (VAL_XML + "v_2.xml", xml(), "val", r"v_2\.xml \(no object\)"),
        (LISTS + "train_cls.txt", "v_1 1\n", "train", r"cls\.txt:1: .*'class/id number'"),
        (LISTS + "train_cls.txt", "n9/v 1\n", "train", r"cls\.txt:1: class 'n9' is not"),
        (SYNSET_LIST, "\n", "val", r"mapping\.txt: the file is empty"),
        (SYNSET_LIST, "n1 tench\n", "val", r"'n01000002' is not one of the 1 of .*LOC"),
        (VAL + "v_1.png", "x", "val", r"val: both 'v_1\.JPEG' and 'v_1\.png'; expected one"),
        (VAL_XML + "v_1.xml", xml((CAT, (1, 2, 3, 4)), (DOG, (1, 2, 3, 4))), "val",
         r"v_1\.xml: objects of the classes 'n01000002', 'n02000001'; expected one class"),
    ]
)  # fmt: skip
def test_bad_files(tmp_path, name, text, split, message):
    check_refusal(message, load_ilsvrc, published(tmp_path, files={name: text}), split)


@pytest.mark.parametrize(
    "classes, names, expected",
    [
        (None, ("cat", "red fox"), [0, 1, 0]),
        ("red fox\ncat\n", ("red fox", "cat"), [1, 0, 1]),
        ("0 red fox\n1 eel\n2 cat\n", ("red fox", "eel", "cat"), [2, 0, 2]),
    ],
)
def test_folders_in_its_manner(tmp_path, classes, names, expected):
    data = make(tmp_path, dict(VARIANT, **({"classes.txt": classes} if classes else {})))
    train, val = load_ilsvrc(data, "train"), load_ilsvrc(data, "val")
    assert train.class_names == val.class_names == names
    assert [s.id for s in train.samples + val.samples] == ["cat/b.png", "red fox/a 1.jpg", "c.jpg"]
    assert labels(train, val) == expected
    assert [len(s.boxes) for s in train.samples + val.samples] == [0, 1, 1]
