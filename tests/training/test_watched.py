"""The choice of the watched images: fixed, over all classes, with boxes where there are any."""

from collections import Counter

import pytest

from dgl.backbones import get_backbone
from dgl.data.sample import DataSet, Sample
from dgl.errors import UserError
from dgl.training.attention_images import (
    choose_watching,
    labels_only,
    measured_by_default,
    spread,
    watch_layers,
)

BOX = ((1.0, 2.0, 30.0, 40.0),)


def make_samples(sizes, boxes=BOX):
    """``sizes[c]`` samples of class ``c``, class after class, as CUB's list has them."""
    return [
        Sample(f"{label}/{n}.jpg", f"/{label}/{n}.jpg", label, boxes)
        for label, size in enumerate(sizes)
        for n in range(size)
    ]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7, 8, 9, 17, 40])
@pytest.mark.parametrize("sizes", [(5, 5, 5, 5), (1, 9, 2), (3,), (0, 4, 0, 4)])
def test_classes_are_chosen_evenly(sizes, count):
    samples = make_samples(sizes)
    chosen = spread(samples, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(samples))
    assert set(chosen) <= set(samples)
    counts = Counter(sample.class_index for sample in chosen)
    most = max(counts.values(), default=0)
    for label, size in enumerate(sizes):
        assert counts[label] >= min(size, most - 1)


def test_few_pictures_of_many_classes_come_from_the_whole_list():
    labels = [sample.class_index for sample in spread(make_samples([2] * 1000), 8)]
    assert labels == [0, 125, 250, 375, 500, 625, 750, 875]


def test_the_choice_hangs_on_the_list_alone():
    samples = make_samples((4, 6, 5))
    assert spread(samples, 7) == spread(list(samples), 7)
    assert choose_watching(samples, 3, 7, ["add"]) == choose_watching(samples, 3, 7, ["add"])


@pytest.mark.parametrize(
    "pictures, expected", [(1, 20), (200, 20), (1000, 100), (2000, 200), (256000, 200)]
)
def test_how_many_are_measured_by_default(pictures, expected):
    assert measured_by_default(pictures) == expected


def test_what_is_drawn_is_measured_anyway():
    watching = choose_watching(make_samples([5] * 6), 4, 12, ("conv5_3", "conv5_2"))
    assert (len(watching.pictures), len(watching.measured)) == (4, 12)
    assert set(watching.pictures) <= set(watching.measured)
    assert str(watching) == (
        "DGL maps of 4 validation images at conv5_3, conv5_2, GT-known at conv5_3 on 12 images "
        "with boxes, every epoch"
    )


@pytest.mark.parametrize("measured", [0, 2])
def test_pictures_with_boxes_are_drawn_first(measured):
    samples = make_samples((4, 4), boxes=()) + make_samples((2, 2))
    watching = choose_watching(samples, 3, measured, ["add"])
    assert all(sample.boxes for sample in watching.pictures + watching.measured)
    assert (len(watching.pictures), len(watching.measured)) == (3, measured)


def test_data_without_boxes():
    watching = choose_watching(make_samples((4, 4), boxes=()), 3, 200, ["add"])
    assert (len(watching.pictures), watching.measured) == (3, [])
    assert "GT-known" not in str(watching)


@pytest.mark.parametrize("boxes", [(), BOX])
def test_nothing_is_watched(boxes):
    assert choose_watching(make_samples((4, 4), boxes=boxes), 0, 0, ["add"]) is None


def test_layers():
    assert watch_layers(get_backbone("vgg"), ["1", "conv5_2"]) == ("conv5_3", "conv5_2")
    with pytest.raises(UserError, match="^--watch-layer nowhere: vgg has no such layer"):
        watch_layers(get_backbone("vgg"), ["nowhere"])


def test_training_sees_labels_only():
    sample = Sample("a.jpg", "/a.jpg", 1, BOX, ("/mask.png",), "/ignore.png", (50, 60))
    data = labels_only(DataSet("set", "cub", "val", [sample], ("A", "B"), 2))
    assert data.samples == [Sample("a.jpg", "/a.jpg", 1, size=(50, 60))]
    assert (data.name, data.class_names, data.classes) == ("set", ("A", "B"), 2)
