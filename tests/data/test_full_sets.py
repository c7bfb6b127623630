"""The published data sets are recognized by their size, and one that is not whole is told."""

import pytest
import trees
from refusals import refusal
from trees import make

from dgl.data.layouts import cub, ilsvrc, load_data, wsolevaluation
from dgl.errors import UserError

BOX = (1, 2, 3, 4)


def boxes_of(images, boxes):
    """The boxes of each image, of so many in all."""
    return [[BOX] * (boxes // images + (i < boxes % images)) for i in range(images)]


def cub_files(images, tests, classes):
    rows = [(f"c/{i}.jpg", i % classes, i >= tests, BOX) for i in range(images)]
    return trees.cub(rows, [f"{i:03d}.c{i}" for i in range(1, classes + 1)])


def ilsvrc_files(images, boxes, classes):
    files = {"LOC_synset_mapping.txt": "".join(f"n{i}\n" for i in range(classes))}
    for i, own in enumerate(boxes_of(images, boxes)):
        files[f"Data/CLS-LOC/val/v_{i:03d}.JPEG"] = "x"
        files[trees.VAL_XML + f"v_{i:03d}.xml"] = trees.xml(*((f"n{i % classes}", b) for b in own))
    return files


def wsol_files(images, boxes, name):
    rows = [(f"{i}.jpg", 0, own) for i, own in enumerate(boxes_of(images, boxes))]
    return trees.wsol(f"metadata/{name}/test", rows)


@pytest.fixture
def small_totals(monkeypatch):
    """The full sets have 100 images, and 40 of them to test on or 161 boxes."""
    monkeypatch.setitem(wsolevaluation._TOTALS, ("ILSVRC", "test"), (100, 161))
    for module, published, small in (
        (cub, {"CLASSES": 200, "IMAGES": 11788, "TEST_IMAGES": 5794}, (4, 100, 40)),
        (ilsvrc, {"CLASSES": 1000, "VAL_IMAGES": 50000, "VAL_BOXES": 80477}, (4, 100, 161)),
    ):
        for (name, value), fewer in zip(published.items(), small):
            assert getattr(module, name) == value
            monkeypatch.setattr(module, name, fewer)


@pytest.mark.parametrize(
    "write, settings, message",
    [
        (cub_files, (100, 39, 4), r"split\.txt: 39 test images; expected 40 in the full set"),
        (cub_files, (99, 40, 4), r"images\.txt: 99 images; expected 100 in the full set"),
        (ilsvrc_files, (99, 161, 4), "CLS-LOC/val: 99 images; expected 100 in the full set"),
        (wsol_files, (99, 161, "ILSVRC"), "test: 99 images; expected 100"),
    ],
)
def test_lacking_images(small_totals, tmp_path, write, settings, message):
    with pytest.raises(UserError, match=message):
        load_data(make(tmp_path, write(*settings)), "test")


@pytest.mark.parametrize("write, settings", [
    (cub_files, (100, 40, 4)), (cub_files, (90, 30, 4)),
    (ilsvrc_files, (100, 161, 4)), (ilsvrc_files, (90, 160, 4)), (ilsvrc_files, (99, 160, 3)),
    (wsol_files, (100, 161, "ilsvrc")), (wsol_files, (90, 90, "ILSVRC")),
    (wsol_files, (99, 99, "birds")),
])  # fmt: skip
def test_the_whole_set_and_a_part_of_it(small_totals, tmp_path, caplog, write, settings):
    images, second = settings[:2]
    data = make(tmp_path, write(*settings))
    test = load_data(data, "test")
    if write is cub_files:
        assert (len(test), len(load_data(data, "train"))) == (second, images - second)
    else:
        assert (len(test), sum(len(sample.boxes) for sample in test.samples)) == (images, second)
    assert not caplog.records


def test_lacking_boxes_matter_where_boxes_are_read(small_totals, tmp_path, caplog):
    published = make(tmp_path / "1", ilsvrc_files(100, 160, 4))
    metadata = make(tmp_path / "2", wsol_files(100, 160, "ILSVRC"))
    for data in (published, metadata):
        assert len(load_data(data, "test", with_boxes=False)) == 100
    assert "test: 160 boxes; expected 161" in refusal(load_data, metadata, "test")
    assert not caplog.records
    assert sum(len(sample.boxes) for sample in load_data(published, "test").samples) == 160
    (record,) = caplog.records
    assert "CLS-LOC/val: 160 boxes; expected 161 in the full set" in record.getMessage()
