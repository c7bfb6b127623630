"""Facts about published weights: complete, consistent, and what docs/weights.md says."""

import os
import re

import numpy as np
import pytest

from dgl.backbones import BACKBONES, PAPER_MODES
from dgl.backbones.network import normalize_image
from dgl.tf_compat import tf
from dgl.weights.published import ENTRIES, OURS, PUBLISHERS, converted_name, entries, how_to_get
from dgl.weights.sources import SOURCES


def row(entry):
    """The line of docs/weights.md about a published file."""
    return f"| {entry.mode} | [`{entry.file_name}`]({entry.url}) | {PUBLISHERS[entry.source]} | {entry.preprocessing.text} | {entry.license} | {entry.differs} |"


def test_the_documentation_lists_exactly_these_files(root):
    with open(os.path.join(root, "docs", "weights.md"), encoding="utf-8") as stream:
        text = stream.read()
    listed = [line for line in text.splitlines() if re.match(r"\| \w+ \| \[", line)]
    assert listed == [row(entry) for entry in ENTRIES]
    for flag in (
        "--out",
        "--mode",
        "--published-as",
        "--channels",
        "--keep-first-layer",
        "--force",
    ):
        assert flag in text


def test_every_publisher_is_converted():
    assert {source.key for source in SOURCES} == set(PUBLISHERS) == {e.source for e in ENTRIES}


def test_entries_are_of_known_modes_and_differ():
    assert {entry.mode for entry in ENTRIES} <= set(BACKBONES)
    assert len({(entry.mode, entry.file_name) for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        assert re.match(r"https?://[^ ]+$", entry.url)
        if not entry.url.endswith(".tar.gz"):
            assert entry.url.endswith("/" + entry.file_name)


@pytest.mark.parametrize("mode", PAPER_MODES)
def test_the_first_entry_is_what_the_short_name_stands_for(mode):
    assert set(BACKBONES[mode].pretrained.values()) == {entries(mode)[0].file_name}


def test_converted_names():
    names = [
        converted_name(next(iter(BACKBONES[mode].pretrained.values()))) for mode in PAPER_MODES
    ]
    assert names == [
        "vgg16.npz",
        "ImageNet-ResNet50.npz",
        "ImageNet-ResNet50-SE.npz",
        "inception_v3.npz",
    ]


def test_ours_is_what_the_networks_do():
    picture = np.random.RandomState(0).randint(0, 256, (1, 4, 4, 3)).astype("float32")
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(normalize_image(tf.constant(picture)))
    np.testing.assert_allclose(found, (picture - OURS.mean) / OURS.std, rtol=1e-5, atol=1e-6)
    assert OURS.order == "bgr"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.file_name)
def test_the_other_order_turns_everything_and_back(entry):
    one = entry.preprocessing
    other = one.in_order("bgr" if one.order == "rgb" else "rgb")
    assert other.mean == one.mean[::-1] and other.std == one.std[::-1]
    assert other.text[:3] == other.order.upper() and other.in_order(one.order) == one
    assert one.in_order(one.order) is one


def test_how_to_get():
    text = how_to_get("vgg", "vgg16.npz", "here/")
    for part in (
        "http://models.tensorpack.com/Caffe-Converted/vgg16.npz",
        "put it in here/",
        "python -m dgl.weights.convert",
    ):
        assert part in text
    assert "convert" not in how_to_get("resnet50se", "ImageNet-ResNet50-SE.npz", "here/")
    assert "nobody is known to publish" in how_to_get("resnet101se", "x.npz", "here/")
