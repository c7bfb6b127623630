"""Torchvision's state dicts: converted files compute what NumPy does with them."""

import numpy as np
import pytest
from foreign_files import write_pth
from numpy_forward import preprocess, resnet, vgg
from published_files import (
    OUR_MEAN,
    OUR_STD,
    assert_close,
    published_part,
    random_image,
    run,
    torchvision,
)

from dgl.weights import open_checkpoint, read_card
from dgl.weights.convert import convert

pytestmark = pytest.mark.usefixtures("graphs_once")


@pytest.mark.parametrize(
    "mode, forward", [("vgg", vgg), pytest.param("resnet50", resnet, marks=pytest.mark.slow)]
)
def test_it_computes_the_same_as_numpy(tmp_path, mode, forward):
    path = write_pth(tmp_path / "model.pth", torchvision(mode))
    done = convert(path, str(tmp_path / "out.npz"))
    checkpoint, expected = open_checkpoint(done.out), published_part(mode)
    assert set(checkpoint.shapes) == set(expected)
    assert (done.mode, done.left_out) == (mode, 2 if mode == "vgg" else 53)
    for name, array in expected.items():
        stem = name in ("conv1_1/W", "conv0/W")
        # Same means and scales: only the channels turn, and no number changes.
        np.testing.assert_array_equal(checkpoint.read(name), array[:, :, ::-1] if stem else array)
    image, last = random_image(32), "conv5_3" if mode == "vgg" else "logits"
    (found,) = run(mode, checkpoint, image, [last])
    rgb = preprocess(image, "rgb", OUR_MEAN[::-1], OUR_STD[::-1])
    assert_close(found, forward(rgb, expected)[last])


@pytest.mark.slow
@pytest.mark.parametrize("strides", [None, "published-1x1"])
def test_a_resnet_with_the_strides_it_was_trained_with(tmp_path, strides):
    path = write_pth(tmp_path / "model.pth", torchvision("resnet50"))
    done = convert(path, str(tmp_path / "out.npz"), strides=strides)
    card = read_card(done.out)
    assert card.strides == (strides or "published")
    image = random_image(64)
    names = ["conv0", "pool0", "group1/block0_shortcut", "logits"]
    found = run("resnet50", open_checkpoint(done.out), image, names, strides=card.strides)
    rgb = preprocess(image, "rgb", OUR_MEAN[::-1], OUR_STD[::-1])
    expected = resnet(
        rgb,
        published_part("resnet50"),
        strides=(1, 2, 2, 2),
        symmetric=True,
        in_first=strides is not None,
    )
    for name, value in zip(names, found):
        assert_close(value, expected[name])
