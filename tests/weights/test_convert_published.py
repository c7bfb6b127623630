"""Files of tensorpack, torchvision and TF-slim: converted ones compute what they do on their own input."""

import numpy as np
import pytest
from foreign_files import write_pth
from networks import write_npz, write_tensorflow
from numpy_forward import inception, preprocess, resnet, vgg
from published_files import (
    OUR_MEAN,
    OUR_STD,
    assert_close,
    padded,
    published_part,
    random_image,
    run,
    slim,
    torchvision,
    zoo,
)

from dgl.weights import open_checkpoint, read_card
from dgl.weights.convert import convert

pytestmark = pytest.mark.usefixtures("graphs_once")

RGB_MEAN = (123.68, 116.779, 103.939)
ONE = (1.0, 1.0, 1.0)
HALF = (127.5, 127.5, 127.5)

# --- tensorpack


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


# --- torchvision


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


# --- TF-slim


@pytest.fixture(scope="module")
def published():
    return slim()


@pytest.fixture(scope="module")
def converted_slim(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slim")
    path = write_tensorflow(folder / "inception_v3.ckpt", published, version=1)
    done = convert(path, str(folder / "inception_v3.npz"))
    return done, open_checkpoint(done.out)


@pytest.mark.slow
def test_what_is_kept_of_slim(converted_slim):
    done, checkpoint = converted_slim
    expected = published_part("inceptionv3")
    assert set(checkpoint.shapes) == set(expected)
    assert (done.written, done.left_out) == (len(expected), 5)
    for name, array in expected.items():
        if "Conv2d_1a_3x3" not in name or "Mixed" in name:
            np.testing.assert_array_equal(checkpoint.read(name), array)


@pytest.mark.slow
def test_slim_computes_the_same(converted_slim, published):
    _, checkpoint = converted_slim
    image = random_image()
    names = ["Conv2d_1a_3x3", "Mixed_5c", "Mixed_6a", "Mixed_6e"]
    found = run("inceptionv3", checkpoint, image, names)
    points = inception(preprocess(padded(image, 2), "rgb", HALF, HALF), published, "VALID")
    for name, array in zip(names, found):
        assert_close(array, points[name])
    # Zero padding makes a difference, at the border only.
    points = inception(preprocess(image, "rgb", HALF, HALF), published)
    off = np.abs(found[0] - points["Conv2d_1a_3x3"]) / points["Conv2d_1a_3x3"].max()
    assert off[:, :-1, :-1].max() < 1e-6 < off.max()
    # docs/weights.md states these.
    assert off.max() < 0.2
    assert np.abs(found[3] - points["Mixed_6e"]).max() < 0.1 * points["Mixed_6e"].max()
