"""The published data sets are recognized by their size, and one that is not whole is told."""

import pytest
from trees import VAL_XML, make, xml

from dgl.data.layouts import cub, ilsvrc, load_data, wsolevaluation
from dgl.errors import UserError

BOX = (1, 2, 3, 4)


def boxes_of(images, boxes):
    """How many boxes each image has."""
    return [boxes // images + (index < boxes % images) for index in range(images)]


def cub_files(images, tests, classes):
    ids = range(1, images + 1)
    return {
        "images.txt": "".join(f"{i} c/{i}.jpg\n" for i in ids),
        "image_class_labels.txt": "".join(f"{i} {i % classes + 1}\n" for i in ids),
        "train_test_split.txt": "".join(f"{i} {i > tests:d}\n" for i in ids),
        "bounding_boxes.txt": "".join(f"{i} 1 2 3 4\n" for i in ids),
        "classes.txt": "".join(f"{i} {i:03d}.c{i}\n" for i in range(1, classes + 1)),
    }


def ilsvrc_files(images, boxes, classes):
    files = {"LOC_synset_mapping.txt": "".join(f"n{i}\n" for i in range(classes))}
    for i, count in enumerate(boxes_of(images, boxes)):
        files[f"Data/CLS-LOC/val/v_{i:03d}.JPEG"] = "x"
        files[VAL_XML + f"v_{i:03d}.xml"] = xml(*[(f"n{i % classes}", BOX)] * count)
    return files


def wsol_files(images, boxes, name):
    folder, ids = f"metadata/{name}/test/", [f"{i}.jpg" for i in range(images)]
    rows = [
        f"{i},1,2,3,4\n" for i, count in zip(ids, boxes_of(images, boxes)) for _ in range(count)
    ]
    return {
        folder + "image_ids.txt": "".join(i + "\n" for i in ids),
        folder + "class_labels.txt": "".join(i + ",0\n" for i in ids),
        folder + "image_sizes.txt": "".join(i + ",9,9\n" for i in ids),
        folder + "localization.txt": "".join(rows),
    }


@pytest.fixture
def small_totals(monkeypatch):
    """The full sets have 100 images, and 40 of them to test on or 161 boxes."""
    totals = wsolevaluation._TOTALS
    assert totals["ILSVRC", "test"] == (50000, 80477) and totals["CUB", "test"] == (5794, None)
    assert (cub.CLASSES, cub.IMAGES, cub.TEST_IMAGES) == (200, 11788, 5794)
    assert (ilsvrc.CLASSES, ilsvrc.VAL_IMAGES, ilsvrc.VAL_BOXES) == (1000, 50000, 80477)
    monkeypatch.setitem(totals, ("ILSVRC", "test"), (100, 161))
    for module, names in (
        (cub, {"CLASSES": 4, "IMAGES": 100, "TEST_IMAGES": 40}),
        (ilsvrc, {"CLASSES": 4, "VAL_IMAGES": 100, "VAL_BOXES": 161}),
    ):
        for name, value in names.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize(
    "write, settings, message",
    [
        (cub_files, (100, 40, 4), None),
        (cub_files, (100, 39, 4), r"split\.txt: 39 test images; expected 40 in the full set"),
        (cub_files, (99, 40, 4), r"images\.txt: 99 images; expected 100 in the full set"),
        (cub_files, (90, 30, 4), None),
        (ilsvrc_files, (100, 161, 4), None),
        (ilsvrc_files, (99, 161, 4), "CLS-LOC/val: 99 images; expected 100 in the full set"),
        (ilsvrc_files, (100, 160, 4), "CLS-LOC/val: 160 boxes; expected 161 in the full set"),
        (ilsvrc_files, (90, 160, 4), None),
        (ilsvrc_files, (99, 160, 3), None),
        (wsol_files, (100, 161, "ilsvrc"), None),
        (wsol_files, (99, 161, "ILSVRC"), "test: 99 images; expected 100"),
        (wsol_files, (100, 160, "ILSVRC"), "test: 160 boxes; expected 161"),
        (wsol_files, (90, 90, "ILSVRC"), None),
        (wsol_files, (99, 99, "birds"), None),
    ],
)
def test_totals(small_totals, tmp_path, caplog, write, settings, message):
    images, second = settings[:2]
    data = make(tmp_path, write(*settings))
    if message is not None and (write is not ilsvrc_files or "boxes" not in message):
        with pytest.raises(UserError, match=message):
            load_data(data, "test")
    elif write is cub_files:
        assert len(load_data(data, "test")) == second
        assert len(load_data(data, "train")) == images - second
    else:
        assert sum(len(sample.boxes) for sample in load_data(data, "test").samples) == second
        warnings = [record.getMessage() for record in caplog.records]
        assert len(warnings) == (message is not None) and all(message in w for w in warnings)
        caplog.clear()
    if write is not cub_files and (message is None or "boxes" in message):
        assert len(load_data(data, "test", with_boxes=False)) == images
        assert not caplog.records
