"""Tensorpack's model zoo: converted files compute what the published ones do on their own input."""

import numpy as np
import pytest
from networks import write_npz
from numpy_forward import preprocess, resnet, vgg
from published_files import (
    OUR_MEAN,
    OUR_STD,
    assert_close,
    padded,
    published_part,
    random_image,
    run,
    zoo,
)

from dgl.weights import open_checkpoint
from dgl.weights.convert import convert

pytestmark = pytest.mark.usefixtures("graphs_once")

RGB_MEAN = (123.68, 116.779, 103.939)
ONE = (1.0, 1.0, 1.0)


def converted(tmp_path, values, name, **options):
    path = write_npz(tmp_path / name, values)
    done = convert(path, str(tmp_path / "out" / "converted.npz"), **options)
    return done, open_checkpoint(done.out)


@pytest.fixture(scope="module")
def values():
    return zoo("vgg")


@pytest.mark.parametrize("order", ["rgb", "bgr", None])
def test_vgg_of_caffe(tmp_path, values, order):
    done, checkpoint = converted(tmp_path, values, "vgg16.npz", channels=order)
    assert (done.written, done.left_out, done.preprocessing.order) == (26, 7, order or "bgr")
    mean = RGB_MEAN if order == "rgb" else RGB_MEAN[::-1]
    image = random_image()
    names = ["conv1_1", "conv5_3"]
    found = run("vgg", checkpoint, image, names)
    points = vgg(preprocess(padded(image), order or "bgr", mean, ONE), values, "VALID")
    for name, array in zip(names, found):
        assert_close(array, points[name])
    if order is None:  # zero padding makes a difference, at the border only
        points = vgg(preprocess(image, "bgr", mean, ONE), values)
        off = np.abs(found[0] - points["conv1_1"]) / points["conv1_1"].max()
        assert off[:, 1:-1, 1:-1].max() < 1e-6 < off.max()
        # docs/weights.md states these.
        assert off.max() < 0.01
        assert np.abs(found[1] - points["conv5_3"]).max() < 0.01 * points["conv5_3"].max()


@pytest.mark.parametrize(
    "name, options",
    [
        ("VGG16.npz", {}),  # of tensorpack, which preprocesses as this project does
        ("renamed.npz", {"published_as": "VGG16.npz"}),
        ("vgg16.npz", {"keep_first_layer": True}),
    ],
)
def test_vgg_that_needs_no_change(tmp_path, values, name, options):
    done, checkpoint = converted(tmp_path, values, name, **options)
    expected = published_part("vgg")
    assert list(checkpoint.shapes) == list(expected)
    assert done.published.file_name == options.get("published_as", name)
    assert (done.preprocessing is None) == ("keep_first_layer" in options)
    for name, array in expected.items():
        np.testing.assert_array_equal(checkpoint.read(name), array)


@pytest.mark.slow
def test_squeeze_excite(tmp_path):
    mode, names = "resnet50se", 331
    values = zoo(mode)
    done, checkpoint = converted(tmp_path, values, "my.npz")
    assert (done.mode, done.written, done.left_out) == (mode, names, 1)
    for name, array in published_part(mode).items():
        np.testing.assert_array_equal(checkpoint.read(name), array)
    image = random_image(32)
    (found,) = run(mode, checkpoint, image, ["logits"])
    expected = resnet(preprocess(image, "bgr", OUR_MEAN, OUR_STD), values)["logits"]
    assert_close(found, expected)
