"""Names of classes: the 1,000 of ImageNet, and the class that a text means."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import check_refusal, refusal

from dgl.data.class_names import ClassNames, imagenet_class_names
from dgl.errors import UserError

IMAGENET = imagenet_class_names()
INDICES = st.integers(0, 999)


def spelled(text):
    """The same name, as somebody else may type it."""
    changes = (str.upper, str.lower, str.title, lambda name: f"  {name.replace(' ', '_')} ")
    return st.sampled_from(changes).map(lambda change: change(text))


def test_imagenet_has_1000_different_names_in_the_order_of_their_ids():
    assert len(IMAGENET) == IMAGENET.classes == len({name.lower() for name in IMAGENET}) == 1000
    assert list(IMAGENET.wordnet_ids) == sorted(set(IMAGENET.wordnet_ids))
    assert all(re.fullmatch("n[0-9]{8}", one) for one in IMAGENET.wordnet_ids)
    words = [word for others in IMAGENET.other_names for word in others]
    assert all(word == word.strip() and word for word in [*IMAGENET, *words])


@given(INDICES)
def test_every_index_and_id_finds_itself(index):
    wordnet_id = IMAGENET.wordnet_ids[index]
    for text in (index, np.int64(index), str(index), f" {index} ", wordnet_id, wordnet_id.upper()):
        assert IMAGENET.find(text) == index


@given(st.data())
def test_every_name_finds_itself_however_it_is_spelled(data):
    index = data.draw(INDICES)
    assert IMAGENET.find(IMAGENET[index]) == index
    assert IMAGENET.find(data.draw(spelled(IMAGENET[index]))) == index


@given(INDICES)
def test_another_word_finds_its_class_or_lists_it(index):
    for word in IMAGENET.other_names[index]:
        named = [i for i, name in enumerate(IMAGENET) if name.lower() == word.lower()]
        others = enumerate(IMAGENET.other_names)
        sharing = [i for i, words in others if word.lower() in map(str.lower, words)]
        fits = named or sharing
        if len(fits) == 1:
            assert IMAGENET.find(word) == fits[0]
        else:
            message = refusal(IMAGENET.find, word)
            assert all(f"{i} {IMAGENET[i]}" in message for i in fits)


@given(st.data())
def test_a_beginning_finds_the_one_class_that_has_it(data):
    name = IMAGENET[data.draw(INDICES)]
    beginning = name[: data.draw(st.integers(1, len(name)))].lower()
    start = beginning.replace("-", " ").strip()
    words = [
        (i, w) for i, others in enumerate(IMAGENET.other_names) for w in (IMAGENET[i], *others)
    ]
    words = [(i, word.lower().replace("-", " ")) for i, word in words]
    fits = {i for i, word in words if word.startswith(start)}
    try:
        assert IMAGENET.find(beginning) in fits
    except UserError as error:
        whole = {i for i, word in words if f" {start} " in f" {word} "}
        assert len(fits | whole) > 1 and "classes fit" in str(error)


@pytest.mark.parametrize("text, other", [("dog", "Eskimo dog"), ("kangaroo", "wallaby")])
def test_a_beginning_is_not_taken_for_a_word_of_other_names(text, other):
    with pytest.raises(UserError, match="classes fit: .*" + other):
        IMAGENET.find(text)


# "missile" is also another word for a projectile.
@pytest.mark.parametrize("text, index", [
    ("tench", 0), ("tabby", 281), ("tabby cat", 281), ("labrador", 208), ("Canis_dingo", 273),
    ("missile", 657), ("black and tan", 165), ("toilet tissue", 999),
])  # fmt: skip
def test_names_that_people_type(text, index):
    assert IMAGENET.find(text) == index


@pytest.mark.parametrize("text", ["", 1000, -1, "-1", 1.5, None, "n99999999", "²", "a\n" * 10**5])
def test_no_such_class(text):
    message = refusal(IMAGENET.find, text, "--class")
    assert message.startswith("--class") and "0 to 999" in message and len(message) < 400
    assert "nearest: 281 tabby" in refusal(IMAGENET.find, "tabbi")


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True), st.integers(8, 10))
def test_names_of_any_data_set(names, classes):
    known = ClassNames.of(names, classes)
    assert [known.name(index) for index in range(len(names))] == names
    assert known.name(classes - 1) in (str(classes - 1), names[-1])
    for index, name in enumerate(names):
        if not re.fullmatch("-?[0-9]{1,9}", name.strip()):
            assert known.find(name) == index


def test_names_that_are_numbers_or_that_two_classes_have():
    numbers = ClassNames(["10", "1"])
    assert (numbers.find("10"), numbers.find("1")) == (0, 1)  # the name, the index
    assert "0 a, 2 a" in refusal(ClassNames(["a", "b", "a"]).find, "A")


def test_a_network_without_names():
    known = ClassNames.of(None, 8)
    assert not known and known.find("7") == 7 and known.name(7) == "7"
    check_refusal("expected an index from 0 to 7$", known.find, "tabby")


def test_folders_of_ilsvrc_get_their_names():
    known = ClassNames.of(["n02123045", "n02088094"])
    assert known.names == ("tabby", "Afghan hound")
    assert known.find("tabby cat") == 0 and known.find("n02088094") == 1
    assert ClassNames.of(["n02123045", "n00000000"]).names == ("n02123045", "n00000000")
