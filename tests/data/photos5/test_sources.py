"""Which images of the clones count: by the names of files, by their labels, one an id."""

import os

import pytest
from photos5_clones import CORNERS, PICTURE, RACCOON, TEST, TRAIN, labelme, put, reasons

from dgl.data.annotations import read_annotation
from dgl.datasets.photos5 import data_set
from dgl.datasets.photos5 import sources as rule
from dgl.datasets.photos5.sources import ID_TAKEN, NO_OBJECT, OTHER_LABELS, OTHER_NAME, find_sources
from dgl.errors import UserError


@pytest.mark.parametrize(
    "name, text, image_id, reason",
    [
        ("mixed_44", labelme(("apple", CORNERS), ("orange", CORNERS)), None, OTHER_LABELS),
        ("apple_44", labelme(("pear", CORNERS)), None, OTHER_LABELS),
        ("apple_44", labelme(), None, NO_OBJECT),
        ("apple_444444", labelme(("apple", CORNERS)), None, OTHER_NAME),
        ("mixed_44", labelme(("orange", CORNERS), ("orange", CORNERS)), "orange_00044", None),
        ("apple_44", labelme(("banana", CORNERS)), "banana_00044", None),
        ("apple_44", labelme(("apple", CORNERS), imageWidth=9, imageHeight=9), None, None),
    ],
)
def test_fruit_by_its_labels(clones, name, text, image_id, reason):
    put(clones.fruit, TEST, name, text, PICTURE)
    result = clones.make()
    if image_id is None:
        expected = reason or data_set.OTHER_SIZE
        assert reasons(result) == {name + ".json": expected}
        assert sum(map(sum, result.kept.values())) == 30
    else:
        assert result.dropped == []
        names = read_annotation(clones.xml(image_id)).names
        assert set(names) == {image_id.split("_")[0]}


@pytest.mark.parametrize(
    "places, name, holder",
    [
        (TRAIN, "mixed_7", "test/orange_7"),
        (TEST, "orange_1", "train/orange_1"),
        (TRAIN, "orange_01", "train/orange_1"),
    ],
)
def test_an_id_is_one_picture_and_the_other_is_told_of(clones, places, name, holder):
    """The first claim is that of the file named after its label, then train, then a short name."""
    text = labelme(("orange", [[1, 1], [5, 5]]))
    put(clones.fruit, places, name, text, PICTURE)
    result = clones.make()
    (dropped,) = result.dropped
    assert dropped.reason == ID_TAKEN and dropped.path.endswith(places[0].format(name))
    image_id = rule.make_id("orange", int(holder.split("_")[1]))
    assert dropped.detail == f"{image_id} is {holder}.json"
    assert clones.line(image_id) == [3, 10, 20, 70, 60]
    assert read_annotation(clones.xml(image_id)).boxes == ((10, 20, 70, 60),)


def test_sources_go_by_the_names_of_files(clones):
    sources, dropped = find_sources(*clones.folders())
    assert dropped == [] and len(sources) == 30
    assert [source.id for source in sources] == sorted({source.id for source in sources})
    for source in sources:
        # Every annotation of the replicas names another image, outside the clone.
        stem = os.path.splitext(os.path.basename(source.annotation_path))[0]
        assert os.path.basename(source.image_path) == stem + ".jpg"
        assert int(stem.replace("-", "_").split("_")[-1]) == int(source.id[-5:])


def test_damaged_xml(clones):
    put(clones.raccoon, RACCOON, "raccoon-44", "<!DOCTYPE a><annotation/>", PICTURE)
    with pytest.raises(UserError, match=r"raccoon-44.xml: .*expected"):
        clones.make()
    assert not os.path.exists(str(clones.out))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: setattr(c, "fruit", c.kangaroo), "--fruit .*clone of narumiruna/"),
        (lambda c: setattr(c, "raccoon", c.kangaroo), "--raccoon .*clone of datitran/"),
        (lambda c: setattr(c, "kangaroo", c.out), "--kangaroo .*clone of experiencor/"),
        (lambda c: _empty(c.kangaroo / "annots"), "--kangaroo .*: no annotation in annots"),
        (
            lambda c: _empty(c.fruit / "data" / "bbox" / "test"),
            "--fruit .*: no annotation in .*test",
        ),
    ],
)
def test_what_is_no_clone(clones, change, message):
    change(clones)
    with pytest.raises(UserError, match=message):
        clones.make()


def _empty(folder):
    for path in folder.iterdir():
        path.unlink()
