"""A backbone of one file is found, built, identified, and its published weights are converted."""

import os
import runpy

import numpy as np
import pytest
from foreign_files import write_pth
from networks import options_of, values_of, write_npz

from dgl.backbones import BACKBONES, get_backbone
from dgl.backbones.receptive_field import layer_table
from dgl.weights import find_weights, open_checkpoint, options_from
from dgl.weights.convert import convert
from dgl.weights.identify import mode_for

SIZE = 16


@pytest.fixture(autouse=True)
def toy():
    """What its file defines."""
    yield runpy.run_path(os.path.join(os.path.dirname(__file__), "toy_backbone.py"))
    del BACKBONES["toy"]


def test_it_is_found_and_built():
    (layer,) = layer_table(get_backbone("toy"), options_of("toy"), SIZE)
    assert (layer.name, layer.field.size, layer.shape) == ("toy", (3, 3), (8, 8, 16))


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_it_is_identified_from_its_checkpoint(tmp_path, width):
    path = write_npz(tmp_path / "a.npz", values_of("toy", SIZE, width=width, classes=3))
    assert mode_for(path) == "toy"
    options = options_from(get_backbone("toy"), open_checkpoint(path))
    assert (options.classes, options.head, options.width) == (3, "linear_toy", width)


def test_its_published_weights_are_renamed(tmp_path, monkeypatch, toy):
    monkeypatch.chdir(tmp_path)
    values, published = values_of("toy", SIZE, width=0.5, classes=3), {}
    for name, (stored, axes) in toy["PIECES"].items():
        published[stored] = values[name].transpose(np.argsort(axes)) if axes else values[name]
    done = convert(write_pth(tmp_path / "toy-1.pth", published))
    assert (done.mode, done.written, done.left_out) == ("toy", 4, 0)
    found = open_checkpoint(find_weights(get_backbone("toy"), "toy"))
    assert set(found.shapes) == set(values)
    for name, value in values.items():
        # Published for RGB, ours takes BGR.
        expected = value[:, :, ::-1] if name == "toy/W" else value
        np.testing.assert_allclose(found.read(name), expected, rtol=1e-6)
