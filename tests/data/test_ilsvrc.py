"""Layout `ilsvrc`, from small trees of the same form and from photos5."""

import functools
import logging
import os
import re

import pytest
from refusals import refusal
from trees import CAT, DOG, EEL, PUBLISHED, SYNSETS, VAL_XML, VARIANT, make, xml

from dgl.data import check_files, load_data
from dgl.data.layouts.ilsvrc import detect_ilsvrc
from dgl.errors import UserError

load_ilsvrc = functools.partial(load_data, layout="ilsvrc")


@pytest.fixture(params=["", "ILSVRC/"], ids=["bare", "kaggle"])
def prefixed(request, tmp_path):
    """The published tree, bare or with all but the synset list in ``ILSVRC/``."""
    files = {
        name if name.startswith("LOC") else request.param + name: text
        for name, text in PUBLISHED.items()
    }
    return make(tmp_path, files)


@pytest.fixture
def data(tmp_path):
    make(tmp_path, PUBLISHED)
    return tmp_path


def test_published_train(prefixed):
    assert detect_ilsvrc(prefixed)
    dataset = load_ilsvrc(prefixed, "train")
    assert (dataset.format, dataset.split, dataset.classes) == ("ilsvrc", "train", 3)
    # Sorted synsets, in whatever order the list has them.
    assert dataset.class_names == ("dog", "cat, true cat", "eel")
    ids = [f"{DOG}/{DOG}_1.JPEG", f"{CAT}/{CAT}_1.JPEG", f"{CAT}/{CAT}_2.JPEG"]
    assert [s.id for s in dataset.samples] == ids
    assert [s.class_index for s in dataset.samples] == [0, 1, 1]
    assert [s.boxes for s in dataset.samples] == [(), ((1, 2, 3, 4),), ()]
    assert [s.size for s in dataset.samples] == [None, (9, 8), None]
    check_files(dataset)


@pytest.mark.parametrize("split", ["val", "test"])
def test_published_val(prefixed, split):
    dataset = load_ilsvrc(prefixed, split, "ILSVRC")
    assert (dataset.name, dataset.split, dataset.classes) == ("ILSVRC", split, 3)
    assert [s.id for s in dataset.samples] == ["v_2.JPEG", "v_1.JPEG"]
    assert [s.class_index for s in dataset.samples] == [0, 1]
    boxes = [((0.0, 0.0, 9.0, 8.0),), ((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0))]
    assert [s.boxes for s in dataset.samples] == boxes
    check_files(dataset)


def test_without_boxes_the_annotations_of_train_are_not_read(data):
    (data / "Annotations/CLS-LOC/train" / CAT / (CAT + "_1.xml")).write_text("no XML")
    with pytest.raises(UserError, match="_1.xml: no well-formed XML"):
        load_ilsvrc(str(data), "train")
    train = load_ilsvrc(str(data), "train", with_boxes=False)
    val = load_ilsvrc(str(data), "val", with_boxes=False)
    assert [s.class_index for s in train.samples] == [0, 1, 1]
    assert [(s.class_index, s.boxes) for s in val.samples] == [(0, ()), (1, ())]


def test_boxes_of_other_classes_are_left_out_of_train(data, caplog):
    path = data / "Annotations/CLS-LOC/train" / CAT / (CAT + "_2.xml")
    path.write_text(xml((DOG, (1, 1, 2, 2)), (CAT, (3, 3, 4, 4))))
    with caplog.at_level(logging.WARNING):
        samples = load_ilsvrc(str(data), "train").samples
    assert samples[2].boxes == ((3, 3, 4, 4),)
    assert "1 files have objects of a class other than their folder's" in caplog.text
    assert str(path) in caplog.text


@pytest.mark.parametrize("with_list", [True, False])
@pytest.mark.parametrize("mirrored", [True, False])
def test_val_in_class_folders(data, with_list, mirrored):
    for name, synset in (("v_1", CAT), ("v_2", DOG)):
        folder = data / "Data/CLS-LOC/val" / synset
        folder.mkdir()
        os.rename(str(data / "Data/CLS-LOC/val" / (name + ".JPEG")), str(folder / (name + ".jpg")))
        if mirrored:
            xmls = data / VAL_XML / synset
            xmls.mkdir()
            os.rename(str(data / VAL_XML / (name + ".xml")), str(xmls / (name + ".xml")))
    if not with_list:
        os.remove(str(data / "ImageSets/CLS-LOC/val.txt"))
    dataset = load_ilsvrc(str(data), "val")
    assert [s.id for s in dataset.samples] == [DOG + "/v_2.jpg", CAT + "/v_1.jpg"]
    assert [s.class_index for s in dataset.samples] == [0, 1]
    check_files(dataset)


@pytest.mark.parametrize("mapping", [SYNSETS, None], ids=["synsets", "no-synsets"])
@pytest.mark.parametrize("deeper", ["", DOG + "/"], ids=["flat", "deeper"])
def test_val_folder_that_is_no_class_says_nothing(data, mapping, deeper):
    for name in ("ImageSets/CLS-LOC/val.txt", "LOC_synset_mapping.txt")[: 2 if not mapping else 1]:
        os.remove(str(data / name))
    folder = "Data/CLS-LOC/val/images/"
    make(data, {folder + deeper + "v_3.JPEG": "x", VAL_XML + "v_3.xml": xml((DOG, (1, 1, 2, 2)))})
    listed = f"images/{deeper}v_3 1\nv_1 2\n"
    make(data, {"ImageSets/CLS-LOC/val.txt": listed})
    samples = load_ilsvrc(str(data), "val").samples
    assert [s.id for s in samples] == [f"images/{deeper}v_3.JPEG", "v_1.JPEG"]
    assert [s.class_index for s in samples] == [0, 1]
    if deeper:
        (data / VAL_XML / "v_3.xml").write_text(xml((CAT, (1, 1, 2, 2))))
        if mapping is None:
            # The class folders of train are the classes.
            assert load_ilsvrc(str(data), "train").class_names == (DOG, CAT)
        with pytest.raises(UserError, match=r"v_3\.xml: .*'n02000001', but .* folder 'n01000002';"):
            load_ilsvrc(str(data), "val")


@pytest.mark.parametrize("is_there", [True, False])
def test_train_that_is_listed_but_not_unpacked_and_no_class_is_known(data, is_there):
    os.remove(str(data / "LOC_synset_mapping.txt"))
    train = data / "Data" / "CLS-LOC" / "train"
    os.rename(str(train), str(data / "elsewhere"))
    if is_there:
        train.mkdir()
    assert refusal(load_ilsvrc, str(data), "train") == (
        f"{train}: no class folders with images; expected them, or a list of the classes in one of "
        f"LOC_synset_mapping.txt, devkit/data/map_clsloc.txt, classes.txt in {data}"
    )
    make(data, {"classes.txt": f"{CAT}\n{DOG}\n"})
    assert [s.class_index for s in load_ilsvrc(str(data), "train").samples] == [1, 0, 0]


def test_lacking_annotations_are_reported_at_once(data):
    names = [f"m_{i}" for i in range(6)]
    make(data, {f"Data/CLS-LOC/val/{name}.JPEG": "x" for name in names})
    (data / "ImageSets/CLS-LOC/val.txt").write_text(
        "".join(f"{name} 1\n" for name in ["v_1"] + names)
    )
    make(data, {VAL_XML + "m_1.xml": xml()})
    message = refusal(load_ilsvrc, str(data), "val")
    assert "val: 6 of 7 images" in message and "expected" in message
    assert re.findall(r"(m_\d)\.xml \((\w+)", message) == [
        ("m_0", "missing"), ("m_1", "no"), ("m_2", "missing"), ("m_3", "missing"), ("m_4", "missing")
    ]  # fmt: skip
    assert message.endswith(", ...")


def test_objects_of_several_classes_in_val(data):
    (data / VAL_XML / "v_1.xml").write_text(xml((CAT, (1, 2, 3, 4)), (DOG, (1, 2, 3, 4))))
    expected = r"v_1\.xml: objects of the classes 'n01000002', 'n02000001'; expected one class"
    with pytest.raises(UserError, match=expected):
        load_ilsvrc(str(data), "val")


def test_its_own_test_split(tmp_path):
    data = make(tmp_path, dict(VARIANT, **{"test/t.jpg": "x"}))
    assert load_ilsvrc(data, "test").samples[0].id == "c.jpg"
    make(tmp_path, {"annotations/test/t.xml": xml(("cat", (1, 2, 3, 4)))})
    assert load_ilsvrc(data, "test").samples[0].id == "t.jpg"


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


def test_without_image_sets_the_folders_count(data):
    for name in ("train_cls", "train_loc", "val"):
        os.remove(str(data / "ImageSets/CLS-LOC" / (name + ".txt")))
    make(data, {"Data/CLS-LOC/val/.hidden.JPEG": "x", "Data/CLS-LOC/val/notes.txt": "x"})
    assert [s.id for s in load_ilsvrc(str(data), "val").samples] == ["v_1.JPEG", "v_2.JPEG"]
    train = load_ilsvrc(str(data), "train")
    assert [s.class_index for s in train.samples] == [0, 1, 1]
    assert len(train.samples[1].boxes) == 1


def test_two_images_for_one_annotation(data):
    make(data, {"Data/CLS-LOC/val/v_1.png": "x"})
    with pytest.raises(UserError, match=r"val: both 'v_1\.JPEG' and 'v_1\.png'; expected one"):
        load_ilsvrc(str(data), "val")


@pytest.mark.parametrize(
    "name, text, split, message",
    [
        ("ImageSets/CLS-LOC/val.txt", "v_1 x\n", "val", r"val\.txt:1: .*expected 'id number'"),
        ("ImageSets/CLS-LOC/val.txt", "\n", "val", r"CLS-LOC/val: no images"),
        ("ImageSets/CLS-LOC/val.txt", "v_1 1\n../v 2\n", "val", r"val\.txt:2: path '../v' leads"),
        ("ImageSets/CLS-LOC/val.txt", "/etc/v 2\n", "val", r"val\.txt:1: path '/etc/v' leads out"),
        ("ImageSets/CLS-LOC/train_cls.txt", "v_1 1\n", "train", r"cls\.txt:1: .*'class/id number'"),
        ("ImageSets/CLS-LOC/train_cls.txt", "n9/v 1\n", "train", r"cls\.txt:1: class 'n9' is not"),
        ("LOC_synset_mapping.txt", "a b\na c\n", "val", r"mapping\.txt:2: 'a' a second time"),
        ("LOC_synset_mapping.txt", "\n", "val", r"mapping\.txt: the file is empty"),
        ("LOC_synset_mapping.txt", "n1 tench\n", "val", r"'n01000002' is not one of the 1 of .*LOC")
    ]
)  # fmt: skip
def test_bad_lists(data, name, text, split, message):
    (data / name).write_text(text)
    with pytest.raises(UserError, match=message):
        load_ilsvrc(str(data), split)


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


def test_without_list_and_train_the_objects_count(data):
    os.remove(str(data / "LOC_synset_mapping.txt"))
    os.rename(str(data / "Data/CLS-LOC/train"), str(data / "elsewhere"))
    dataset = load_ilsvrc(str(data), "val")
    assert dataset.class_names == (DOG, CAT)
    assert [s.class_index for s in dataset.samples] == [0, 1]


def test_missing_folders(tmp_path):
    with pytest.raises(UserError, match="no folder of annotations; expected Data/CLS-LOC"):
        load_ilsvrc(make(tmp_path / "1", {"val/a.jpg": "x"}), "val")
    data = make(tmp_path / "2", {"annotations/train/a/a.xml": xml(), "val/a.jpg": "x"})
    with pytest.raises(UserError, match="annotations/val: no such folder"):
        load_ilsvrc(data, "val")
    with pytest.raises(UserError, match="2/train: no such folder; expected images"):
        load_ilsvrc(data, "train")


def test_bad_list_of_the_development_kit(data):
    os.remove(str(data / "LOC_synset_mapping.txt"))
    make(data, {"devkit/data/map_clsloc.txt": "a 1 b\nc d\n"})
    with pytest.raises(UserError, match=r"clsloc\.txt:2: 'c d'; expected 'wnid number name'"):
        load_ilsvrc(str(data), "val")
