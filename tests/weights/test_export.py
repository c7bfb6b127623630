"""Packing a trained checkpoint for passing on."""

import numpy as np
import pytest
from networks import values_of, write_tensorflow
from published_files import assert_holds
from refusals import refusal

from dgl.cli.parser import main as dgl_main
from dgl.weights import ModelCard, open_checkpoint, read_card, write_card
from dgl.weights.export import export

CARD = ModelCard("vgg", 64, ("one", "two", "three"), "toys")


VALUES = values_of("vgg", 64, width=0.125, classes=3)


@pytest.fixture
def trained(tmp_path):
    """A checkpoint as training leaves it, with optimizer slots."""
    slots = {name + "/Momentum": np.zeros_like(value) for name, value in VALUES.items()}
    everything = dict(VALUES, learning_rate=np.float32(0.1), **slots)
    write_card(str(tmp_path / "model.json"), CARD)
    return write_tensorflow(tmp_path / "model-5", everything)


def test_only_the_network_is_written_with_its_card(trained, tmp_path):
    out = str(tmp_path / "out" / "toys.npz")
    assert dgl_main(["export", "--load", trained, "--out", out]) == 0
    assert_holds(open_checkpoint(out), VALUES)
    assert read_card(out) == CARD


def test_refused(trained, tmp_path):
    assert "ending in .npz" in refusal(export, trained, "toys.h5")
    (tmp_path / "model.json").unlink()
    assert "no model.json" in refusal(export, trained, str(tmp_path / "toys.npz"))
