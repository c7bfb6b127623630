"""Facts about published weights: complete, consistent, and what docs/weights.md says."""

import os
import re

import pytest

from dgl.backbones import BACKBONES, PAPER_MODES
from dgl.backbones.published import PUBLISHERS
from dgl.weights.sources import how_to_get, published_files

FILES = [(mode, file) for mode in BACKBONES for file in published_files(mode)]


def test_the_documentation_lists_exactly_these_files(root):
    with open(os.path.join(root, "docs", "weights.md"), encoding="utf-8") as stream:
        listed = [line for line in stream.read().splitlines() if re.match(r"\| \w+ \| \[", line)]
    assert sorted(listed) == sorted(
        f"| {mode} | [`{file.file_name}`]({file.url}) | {PUBLISHERS[file.publisher]} | "
        f"{file.preprocessing.text} | {file.license} | {file.differs} |"
        for mode, file in FILES
    )


def test_every_publisher_is_converted():
    for backbone in BACKBONES.values():
        assert {file.publisher for file in backbone.published_files} <= {
            names.publisher for names in backbone.published_names
        }
    assert {file.publisher for _, file in FILES} == set(PUBLISHERS)


@pytest.mark.parametrize("mode", PAPER_MODES)
def test_the_first_entry_is_what_the_short_name_stands_for(mode):
    backbone = BACKBONES[mode]
    files = set(backbone.pretrained.values())
    assert files == {published_files(mode)[0].file_name, backbone.released.file_name}


@pytest.mark.parametrize("file", [file for _, file in FILES], ids=lambda file: file.file_name)
def test_the_other_order_turns_everything_and_back(file):
    one = file.preprocessing
    other = one.in_order("bgr" if one.order == "rgb" else "rgb")
    assert other.mean == one.mean[::-1] and other.std == one.std[::-1]
    assert other.text[:3] == other.order.upper() and other.in_order(one.order) == one
    assert one.in_order(one.order) is one


def test_how_to_get():
    text = how_to_get("vgg", "vgg16.npz", "here/")
    assert "http://models.tensorpack.com/Caffe-Converted/vgg16.npz" in text and "here/" in text
    assert "dgl fetch vgg" in text and "dgl convert" in text
    released = BACKBONES["vgg"].released
    text = how_to_get("vgg", released.file_name, "here/")
    assert "dgl fetch vgg16-dgl" in text and released.url in text
    assert "convert" not in how_to_get("resnet50se", "ImageNet-ResNet50-SE.npz", "here/")
    assert "x.npz" in how_to_get("resnet101se", "x.npz", "here/")
