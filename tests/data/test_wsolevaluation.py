"""Layout `wsolevaluation`: metadata folders, where their images are, and published totals."""

import functools
import os
import re

import pytest
from refusals import refusal
from trees import make, wsol

from dgl.data import check_files, load_data
from dgl.data.layouts.wsolevaluation import detect_wsol, read_metadata

load_wsol = functools.partial(load_data, layout="wsolevaluation")

SPLITS = {"train": "0.jpg", "val": "1.jpg", "test": "2.jpg"}


def metadata(folder, *identities, label=0):
    """The four files of a split, its images with one box each."""
    return wsol(folder, [(identity, label, [(1, 2, 3, 4)]) for identity in identities])


def tree(base, names=tuple(SPLITS)):
    return {
        path: text
        for folder, identity in zip(names, SPLITS.values())
        for path, text in metadata(base + folder, identity).items()
    }


@pytest.mark.parametrize("base", ["", "metadata/CUB/"])
@pytest.mark.parametrize("names", [tuple(SPLITS), ("train-weaksup", "train-fullsup", "test")])
def test_three_different_splits(tmp_path, base, names):
    images = {"images/" + name: "x" for name in SPLITS.values()}
    data = make(tmp_path / "CUB", {**tree(base, names), **images})
    assert detect_wsol(data)
    for split, identity in SPLITS.items():
        dataset = load_wsol(data, split)
        assert (dataset.name, dataset.format, dataset.split) == ("CUB", "wsolevaluation", split)
        (sample,) = dataset.samples
        assert (sample.id, sample.class_index) == (identity, 0)
        # The boxes of training images are not for use.
        assert sample.boxes == (() if split == "train" else ((1.0, 2.0, 3.0, 4.0),))
        assert sample.size == (None if split == "train" else (9, 8))
        check_files(dataset)


def test_a_folder_that_is_one_split(tmp_path):
    files = {**metadata("", "c/2.jpg", label=4), "c/2.jpg": "x"}
    data = make(tmp_path / "SET" / "test", files)
    assert detect_wsol(data)
    dataset = load_wsol(data, "val")
    assert (dataset.name, dataset.classes, dataset.class_names) == ("SET", 5, None)
    check_files(dataset)
    assert load_wsol(data, "test", "birds").name == "birds"
    assert load_wsol(data, "test", classes=7).classes == 7
    assert "class 4 is out of range" in refusal(load_wsol, data, "test", classes=4)


@pytest.mark.parametrize("root", ["dataset/SET/", "SET/", "images/", ""])
def test_where_images_are(tmp_path, root):
    """The first image that is found decides where all are, and masks are where images are."""
    images = {root + "c/1.jpg": "x", root + "m.png": "x"}
    data = make(tmp_path, {**metadata("metadata/SET/val", "0.jpg", "c/1.jpg"), **images})
    paths = [os.path.join(data, root, *parts) for parts in (("0.jpg",), ("c", "1.jpg"))]
    assert [sample.path for sample in load_wsol(data, "val").samples] == paths
    lines = "c/1.jpg,m.png,\nc/1.jpg,n.png,i.png\n0.jpg,m.png,\n"
    make(tmp_path, {"metadata/SET/val/localization.txt": lines})
    os.remove(os.path.join(data, "metadata/SET/val/image_sizes.txt"))
    dataset = load_wsol(data, "val")
    none, sample = dataset.samples
    assert sample.mask_paths == tuple(os.path.join(data, root, n) for n in ("m.png", "n.png"))
    assert sample.ignore_path == os.path.join(data, root, "i.png") and none.ignore_path is None
    assert sample.boxes == () and sample.size is None
    assert "1 of 2 images are missing" in refusal(check_files, dataset)
    assert load_wsol(data, "val", with_boxes=False).samples[1].mask_paths == ()


def test_a_name_is_no_way_out_of_the_data_folder(tmp_path):
    data = make(tmp_path / "data", metadata("val", "a.jpg"))
    (tmp_path / "a.jpg").write_bytes(b"x")
    for name in ("..", "../..", str(tmp_path)):
        (sample,) = load_wsol(data, "val", name).samples
        assert sample.path.startswith(data + os.sep) and ".." not in sample.path


def test_data_names(tmp_path):
    data = make(tmp_path, tree("metadata/A/"))
    assert load_wsol(data, "val").name == "A"
    make(tmp_path, metadata("metadata/B/test", "b.jpg"))
    several = "metadata: several data sets; name one of ['A', 'B']"
    assert several in refusal(load_wsol, data, "val")
    no_such = "no data set '../A' here; expected one of ['A', 'B']"
    assert no_such in refusal(load_wsol, data, "val", "../A")
    assert load_wsol(data, "val", "A").samples[0].id == "1.jpg"
    assert load_wsol(data, "test", "B").samples[0].id == "b.jpg"
    expected = "metadata/B: no image_ids.txt here; expected one of val/image_ids.txt, train-full"
    assert expected in refusal(load_wsol, data, "val", "B")


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("image_ids.txt", "\n", r"ids\.txt: the file is empty; expected one id"),
        ("class_labels.txt", "a/1.jpg,0\n", r"labels\.txt: no line for 2 of the 3 ids: b, c/2.jpg"),
        ("class_labels.txt", "a/1.jpg,0\na/1.jpg,0\n", r"labels\.txt:2: a/1.jpg a second time"),
        ("localization.txt", "\n", r"tion\.txt: the file is empty; expected lines 'id,x0"),
        ("localization.txt", "z.jpg,1,2,3,4\n", r"tion\.txt:1: .* and an id of image_ids"),
        ("localization.txt", "a/1.jpg,1\n", r"tion\.txt:1: .*expected 'id,x0,y0,x1,y1' or 'id,mask"),
        ("localization.txt", "a/1.jpg,,i.png\n", r"tion\.txt:1: no mask; expected"),
        ("localization.txt", "a/1.jpg,m,i\na/1.jpg,n,j\n", r"tion\.txt:2: 'a/1.jpg' is ignored by 'i'")
    ]
)  # fmt: skip
def test_bad_line(tmp_path, name, text, message):
    data = make(tmp_path, {**metadata("", "a/1.jpg", "b, c/2.jpg", "a/3.jpg"), name: text})
    assert re.search(message, refusal(read_metadata, data, classes=5))


def test_an_image_without_a_line_is_reported(tmp_path, caplog):
    files = {**metadata("", "a.jpg", "b, c.jpg"), "localization.txt": "a.jpg,1,2,3,4\n"}
    data = make(tmp_path, files)
    assert [len(record.boxes) for record in read_metadata(data)] == [1, 0]
    assert "no line for 1 of the 2 ids" in caplog.text and "'b, c.jpg'" in caplog.text


# The same files as other systems write them.
FORMS = {
    "CR": lambda text: text.replace("\n", "\r"),
    "UTF-16": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "Windows separators": lambda text: text.replace("/", "\\"),
    "quotes": lambda text: re.sub(r"[^,\n]+", r'"\g<0>"', text),
    "headings": lambda text: "image_id,x\n" * ("," in text) + text,
}


@pytest.mark.parametrize("form", FORMS)
def test_files_of_other_systems(tmp_path, form):
    rows = [("a/1.jpg", 0, ((1, 2, 3, 4),)), ("b/2.jpg", 1, ((0, 0, 5, 5),))]
    files = {name: FORMS[form](text) for name, text in wsol("", rows).items()}
    found = read_metadata(make(tmp_path, files))
    assert [(r.id.replace("\\", "/"), r.label, r.boxes) for r in found] == rows
    assert [r.size for r in found] == [(9, 8)] * 2
    sample = load_wsol(make(tmp_path, {"a/1.jpg": "x"}), "test").samples[0]
    assert (sample.id, sample.path) == ("a/1.jpg", str(tmp_path / "a" / "1.jpg"))
