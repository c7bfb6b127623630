"""What the page knows of checkpoints, classes and layers."""

import pytest

from dgl.errors import UserError
from dgl.serving.models import describe


@pytest.fixture(scope="module")
def model(small_vgg):
    return describe(small_vgg)


def test_a_checkpoint_is_known_by_its_content(model, shipped):
    assert (model.mode, model.classes, model.image_size) == ("vgg", 5, 64)
    assert model.class_names == tuple("abcde")
    other = describe(shipped)
    assert (other.mode, other.classes, other.image_size) == ("vgg", 8, 112)
    assert other.label == "pretrained/birds_vgg.npz"


def test_no_checkpoint(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint"):
        describe(str(tmp_path / "none.npz"))


@pytest.mark.parametrize(
    "text, index",
    [("0", 0), (" 7 ", 7), ("Golden_Cap", 1), ("golden cap", 1), ("  Crimson Crest", 0)],
)
def test_a_class_by_number_or_name(shipped, text, index):
    assert describe(shipped).find_class(text) == index


@pytest.mark.parametrize("text", ["", "8", "-1", "1.0", "a bird", "9" * 40, "²"])
def test_no_such_class(shipped, text):
    with pytest.raises(UserError, match="expected a number from 0 to 7 or a name"):
        describe(shipped).find_class(text)


@pytest.mark.parametrize(
    "method, layer, entry",
    [
        ("dgl", 2, ("dgl", "conv5_2")),
        ("cam", 2, ("cam", "add")),
        ("center", 2, ("center", "image")),
    ],
)
def test_entries(model, method, layer, entry):
    assert model.entry(method, layer) == entry
    entries = model.entries(method)
    assert len(entries) == (18 if method == "dgl" else 1) and entry in entries


@pytest.mark.parametrize("method, layer", [("none", 0), ("dgl", 18), ("dgl", -1), ("dgl(pa=1)", 0)])
def test_no_such_map(model, method, layer):
    with pytest.raises(UserError, match="no map of"):
        model.entry(method, layer)
