"""Labels and outputs: what fits is left as it is, what can be matched by name is, all else is refused."""

import dataclasses

import numpy as np
import pytest
from refusals import refusal

from dgl.data.class_names import ClassNames, imagenet_class_names, list_difference
from dgl.data.labels import OffsetCheck, fit_labels
from dgl.data.sample import DataSet, Sample

FRUIT = ("apple", "banana", "cherry", "date")


def data_of(names, classes=None, labels=None):
    count = classes or len(names)
    labels = range(count) if labels is None else labels
    samples = [
        Sample(f"{n}.jpg", f"/{n}.jpg", label, ((1, 2, 3, 4),)) for n, label in enumerate(labels)
    ]
    return DataSet("set", "folder", "val", samples, names, count)


def fitted(data, network, outputs=None, offset=None):
    found = fit_labels(data, ClassNames(network or (), classes=outputs or len(network)), offset)
    fitting = [sample.class_index for sample in found.samples]
    pairs = zip(data.samples, fitting)
    assert found.samples == [dataclasses.replace(own, class_index=label) for own, label in pairs]
    return fitting


@pytest.mark.parametrize(
    "names, network, expected",
    [
        (FRUIT, FRUIT, [0, 1, 2, 3]),
        (FRUIT[::-1], FRUIT, [3, 2, 1, 0]),  # another order
        (("banana", "date"), FRUIT, [1, 3]),  # a part of the classes
        (FRUIT, ("background", *FRUIT), [1, 2, 3, 4]),  # background first
        (("Red_Fox", "arctic fox"), ("arctic-fox", "red fox"), [1, 0]),  # another spelling
        (("pomme", "banane", "cerise", "datte"), FRUIT, [0, 1, 2, 3]),  # other words, as many
        (("apple", "plantain", "cherry", "date"), FRUIT, [0, 1, 2, 3]),  # one renamed in its place
        (None, FRUIT, [0, 1, 2, 3]),
    ],
)
def test_names_decide(names, network, expected):
    assert fitted(data_of(names, len(expected)), network) == expected


def test_wordnet_ids_of_some_classes_of_imagenet():
    known = imagenet_class_names()
    picked = [482, 0, 217, 701]
    synsets = tuple(", ".join((known[i], *known.other_names[i])) for i in range(1000))
    some = tuple(known.wordnet_ids[index] for index in picked)
    for names, expected in ((some, picked), (synsets, list(range(1000)))):
        found = fit_labels(data_of(names), known).samples
        assert [sample.class_index for sample in found] == expected


@pytest.mark.parametrize(
    "names, classes, network, outputs, words",
    [
        (("apple", "plum", "banana", "cherry"), 4, FRUIT, 4, ["'plum'", "'date'"]),  # one added
        (("pear", "banana", "cherry", "apple"), 4, FRUIT, 4, ["only in the data: 'pear'"]),
        (None, 5, FRUIT, 4, ["5 classes", "4 outputs", "--class-offset -1"]),
        (None, 7, (), 4, ["7 classes", "4 outputs"]),
        (tuple("abcd"), 4, (), 5, ["4 classes", "5 outputs", "--class-offset 1"]),
        (tuple("abcd"), 4, (), 9, ["4 classes", "9 outputs", "--class-offset 0"]),
    ],
)
def test_what_does_not_fit_is_refused_with_both_figures(names, classes, network, outputs, words):
    message = refusal(fitted, data_of(names, classes), network, outputs)
    assert all(word in message for word in words), message


def test_a_list_without_names_may_be_a_part(caplog):
    assert fitted(data_of(None, 4), (), 5) == [0, 1, 2, 3]
    assert "4 classes" in caplog.text and "5 outputs" in caplog.text


@pytest.mark.parametrize("offset, expected", [(0, [0, 1, 2, 3]), (1, [1, 2, 3, 4])])
def test_an_offset_is_added(offset, expected):
    moved = fit_labels(data_of(FRUIT), ClassNames(classes=5), offset)
    assert [sample.class_index for sample in moved.samples] == expected
    assert [moved.class_name(label) for label in expected] == list(FRUIT)
    assert fitted(data_of(None, 5, [1, 2, 3, 4]), FRUIT, 4, -1) == [0, 1, 2, 3]
    for wrong in (-1, 2):
        message = refusal(fitted, data_of(FRUIT), (), 5, wrong)
        assert message.startswith(f"--class-offset {wrong}: ") and "expected 0 to 4" in message


@pytest.mark.parametrize(
    "first, second, words",
    [
        (FRUIT, FRUIT, [""]),
        (("Red Fox",), ("red_fox",), [""]),
        (FRUIT, FRUIT[:3], ["only in the checkpoint: 'date'", "4 classes", "3 in the data"]),
        (FRUIT[:2], FRUIT[1::-1], ["'apple' is 0 in the checkpoint and 1 in the data"]),
    ],
)
def test_the_difference_of_two_lists(first, second, words):
    found = list_difference(first, second)
    assert all(word in found for word in words) and bool(found) == bool(words[0])


EIGHT = np.arange(64) % 8


@pytest.mark.parametrize(
    "labels, predicted, offset",
    [
        (EIGHT + 1, np.where(np.arange(64) % 3, EIGHT + 2, 0), 1),
        (EIGHT + 1, np.where(np.arange(64) % 3, EIGHT, 0), -1),
        ([3] * 64, [4] * 64, None),  # one class, taken for the next
        (EIGHT, EIGHT, None),  # right
        (EIGHT, [0] * 64, None),  # knows nothing
        (EIGHT, np.random.RandomState(0).randint(0, 8, 64), None),
        (range(15), range(1, 16), None),  # too few
    ],
)
def test_an_obvious_offset_is_found(labels, predicted, offset):
    check = OffsetCheck("set")
    check.add(labels[:8], predicted[:8])
    if offset is None:
        check.add(labels[8:], predicted[8:])
    else:
        assert f"--class-offset {offset}, or 0" in refusal(check.add, labels[8:], predicted[8:])
