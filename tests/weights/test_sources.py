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
        known = {names.publisher for names in backbone.published_names}
        assert {file.publisher for file in backbone.published_files} <= known
    assert {file.publisher for _, file in FILES} == set(PUBLISHERS)


@pytest.mark.parametrize("mode", PAPER_MODES)
def test_the_first_entry_is_what_the_short_name_stands_for(mode):
    backbone = BACKBONES[mode]
    files = set(backbone.pretrained.values())
    assert files == {published_files(mode)[0].file_name, backbone.released.file_name}


def test_how_to_get():
    text = how_to_get("vgg", "vgg16.npz", "here/")
    assert "http://models.tensorpack.com/Caffe-Converted/vgg16.npz" in text and "here/" in text
    assert "dgl fetch vgg16-dgl" in how_to_get("vgg", "vgg16-dgl.npz", "here/")
    assert "x.npz" in how_to_get("resnet101se", "x.npz", "here/")
