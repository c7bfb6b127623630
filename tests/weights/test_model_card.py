"""The card beside a checkpoint: found, read, written; damaged ones end in one clear line."""

import os

import pytest
from refusals import refusal

from dgl.backbones import BACKBONES, get_backbone
from dgl.data.class_names import imagenet_class_names
from dgl.weights import CARD_FILE, ModelCard, class_names_of, read_card, write_card

CARD = ModelCard("resnet50", 112, ("crimson crest", "gélinotte"), "birds", last_stride=2)
OTHER = ModelCard("vgg", 224)


@pytest.mark.parametrize("card", [CARD, OTHER, ModelCard("vgg", 64, data_set="cub")])
def test_round_trip(tmp_path, card):
    write_card(str(tmp_path / CARD_FILE), card)
    assert read_card(str(tmp_path / "model-100")) == card
    assert os.listdir(str(tmp_path)) == [CARD_FILE]


@pytest.mark.parametrize(
    "load", "birds.npz model-500 model-500.index model-500.data-00000-of-00001 .".split() + [""]
)
def test_where_a_card_is_looked_for(tmp_path, load):
    path = os.path.join(str(tmp_path), load)
    assert read_card(path) is None
    write_card(str(tmp_path / CARD_FILE), OTHER)
    assert read_card(path) == OTHER
    if load == "birds.npz":  # its own card goes before the folder's
        write_card(str(tmp_path / "birds.json"), CARD)
        assert read_card(path) == CARD


def test_what_is_not_in_the_card_takes_defaults(tmp_path):
    (tmp_path / CARD_FILE).write_text('{"mode": "vgg", "image_size": 96, "later": 1}')
    assert read_card(str(tmp_path)) == ModelCard("vgg", 96)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe\x00",
        b'{"mode": "vgg"}',
        b'{"mode": "vgg", "image_size": "large"}',
        b'{"mode": "vgg", "image_size": 0}',
        b'{"mode": "vgg", "image_size": 224, "class_names": "one, two"}',
        b'{"mode": "vgg", "image_size": 224, "last_stride": 0}',
    ],
)
def test_damaged(tmp_path, content):
    path = tmp_path / CARD_FILE
    path.write_bytes(content)
    assert refusal(read_card, str(tmp_path)).startswith(f"{path}: ")


@pytest.mark.parametrize("mode", BACKBONES)
@pytest.mark.parametrize("data_set", [None, "", "imagenet", "ILSVRC2012"])
def test_a_thousand_classes_of_the_imagenet_head_are_those_of_imagenet(mode, data_set):
    backbone = get_backbone(mode)
    card = None if data_set is None else ModelCard(mode, 224, data_set=data_set)
    names = class_names_of(card, backbone, backbone.head_name("imagenet", 1000), 1000)
    assert names is imagenet_class_names()


@pytest.mark.parametrize(
    "card, head, classes, expected",
    [
        (CARD, "linear", 1000, CARD.class_names),
        (None, "linear", 999, ()),
        (None, "linear_cub", 1000, ()),
        (ModelCard("vgg", 224, data_set="birds"), "linear", 1000, ()),
    ],
)
def test_else_classes_have_the_names_of_the_card(card, head, classes, expected, caplog):
    names = class_names_of(card, get_backbone("vgg"), head, classes)
    assert (names.names, names.classes, names.name(998)) == (expected, classes, "998")
    assert bool(caplog.records) == bool(expected)  # of another number than the outputs
