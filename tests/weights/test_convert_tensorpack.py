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
    picture,
    published_part,
    run,
    zoo,
)

from dgl.weights import open_checkpoint
from dgl.weights.convert import convert

RGB_MEAN = (123.68, 116.779, 103.939)
ONE = (1.0, 1.0, 1.0)


def converted(tmp_path, values, name, **options):
    path = write_npz(tmp_path / name, values)
    done = convert(path, str(tmp_path / "out" / "converted.npz"), **options)
    return done, open_checkpoint(done.out)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("width", [0.125, 0.25])
def test_vgg_of_caffe(tmp_path, width, order):
    values = zoo("vgg", width)
    done, checkpoint = converted(tmp_path, values, "vgg16.npz", channels=order)
    assert (done.written, done.left_out) == (26, 7)
    mean = RGB_MEAN if order == "rgb" else RGB_MEAN[::-1]
    image = picture()
    names = ["conv1_1", "conv5_3"]
    found = run("vgg", checkpoint, image, names, width)
    points = vgg(preprocess(padded(image), order, mean, ONE), values, "VALID")
    for name, array in zip(names, found):
        assert_close(array, points[name])


def test_the_publisher_s_order_is_the_default(tmp_path):
    values = zoo("vgg")
    done, checkpoint = converted(tmp_path, values, "vgg16.npz")
    _, same = converted(tmp_path, values, "vgg16.npz", channels="bgr", force=True)
    assert done.preprocessing.order == "bgr"
    np.testing.assert_array_equal(checkpoint.read("conv1_1/W"), same.read("conv1_1/W"))


def test_zero_padding_makes_a_difference_at_the_border_only(tmp_path):
    values = zoo("vgg")
    _, checkpoint = converted(tmp_path, values, "vgg16.npz")
    image = picture()
    found, last = run("vgg", checkpoint, image, ["conv1_1", "conv5_3"])
    points = vgg(preprocess(image, "bgr", RGB_MEAN[::-1], ONE), values)
    off = np.abs(found - points["conv1_1"]) / points["conv1_1"].max()
    assert off[:, 1:-1, 1:-1].max() < 1e-6 < off.max()
    # docs/weights.md states these.
    assert off.max() < 0.01
    assert np.abs(last - points["conv5_3"]).max() < 0.01 * points["conv5_3"].max()


def test_vgg_of_tensorpack_needs_no_change(tmp_path):
    done, checkpoint = converted(tmp_path, zoo("vgg"), "VGG16.npz")
    expected = published_part("vgg")
    assert list(checkpoint.shapes) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(checkpoint.read(name), array)


def test_first_layer_left_as_published(tmp_path):
    done, checkpoint = converted(tmp_path, zoo("vgg"), "vgg16.npz", keep_first_layer=True)
    assert done.preprocessing is None
    for name, array in published_part("vgg").items():
        np.testing.assert_array_equal(checkpoint.read(name), array)


def test_the_same_names_may_be_either_file(tmp_path):
    values = zoo("vgg")
    done, _ = converted(tmp_path, values, "renamed.npz", published_as="VGG16.npz")
    assert done.published.file_name == "VGG16.npz"


@pytest.mark.parametrize("mode, names", [("resnet50", 267), ("resnet50se", 331)])
def test_resnet(tmp_path, mode, names):
    values = zoo(mode)
    done, checkpoint = converted(tmp_path, values, "my.npz")
    assert (done.mode, done.written, done.left_out) == (mode, names, 1)
    for name, array in published_part(mode).items():
        np.testing.assert_array_equal(checkpoint.read(name), array)
    image = picture()
    (found,) = run(mode, checkpoint, image, ["logits"])
    expected = resnet(preprocess(image, "bgr", OUR_MEAN, OUR_STD), values)["logits"]
    assert_close(found, expected)


@pytest.mark.slow
def test_deeper_resnets(tmp_path):
    values = zoo("resnet101", 0.0625)
    done, checkpoint = converted(tmp_path, values, "my.npz")
    assert (done.mode, done.left_out) == ("resnet101", 1)
    image = picture(32, 1)
    (found,) = run("resnet101", checkpoint, image, ["logits"], 0.0625)
    expected = resnet(preprocess(image, "bgr", OUR_MEAN, OUR_STD), values, 101)["logits"]
    assert_close(found, expected)
