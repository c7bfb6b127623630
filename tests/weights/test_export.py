"""Packing a trained checkpoint for passing on."""

import numpy as np
import pytest
from networks import values_of, write_tensorflow

from dgl.cli.parser import main as dgl_main
from dgl.errors import UserError
from dgl.weights import ModelCard, open_checkpoint, read_card, write_card

SIZE = 64
CARD = ModelCard("vgg", SIZE, ("one", "two", "three"), "toys")


@pytest.fixture
def trained(tmp_path):
    """A checkpoint as training leaves it, with optimizer slots, and its values."""
    values = values_of("vgg", SIZE, width=0.125, classes=3)
    extra = {name + "/Momentum": np.zeros_like(value) for name, value in values.items()}
    extra["learning_rate"] = np.float32(0.1)
    everything = dict(values)
    everything.update(extra)
    prefix = write_tensorflow(str(tmp_path / "log" / "model-5"), everything)
    write_card(str(tmp_path / "log" / "model.json"), CARD)
    return prefix, values


def test_only_the_network_is_written_with_its_card(trained, tmp_path):
    prefix, values = trained
    out = str(tmp_path / "out" / "toys.npz")
    assert dgl_main(["export", "--load", prefix, "--out", out]) == 0
    packed = open_checkpoint(out)
    assert set(packed.shapes) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(packed.read(name), value)
    assert read_card(out) == CARD


def test_a_checkpoint_without_a_card_is_refused(trained, tmp_path):
    prefix, _ = trained
    (tmp_path / "log" / "model.json").unlink()
    with pytest.raises(UserError, match="no model.json"):
        dgl_main(["export", "--load", prefix, "--out", str(tmp_path / "toys.npz")])


def test_other_endings_are_refused(trained, tmp_path):
    with pytest.raises(UserError, match="ending in .npz"):
        dgl_main(["export", "--load", trained[0], "--out", str(tmp_path / "toys.h5")])
