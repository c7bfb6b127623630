"""Files of tensorpack, torchvision, TF-slim and Keras: converted ones compute what they do on their own
input, geometry being equal."""

import itertools
import os

import numpy as np
import pytest
from foreign_files import write_keras, write_pth
from networks import write_npz, write_tensorflow
from numpy_forward import forward, preprocess
from published_files import (
    CLASSES,
    OUR_MEAN,
    OUR_STD,
    WIDTH,
    assert_close,
    assert_computes,
    assert_holds,
    keras_inception,
    keras_vgg,
    padded,
    published_part,
    random_image,
    run,
    slim,
    torchvision,
    zoo,
)
from refusals import refusal

from dgl.tf_compat import tf
from dgl.weights import open_checkpoint, read_card
from dgl.weights.convert import convert

pytestmark = pytest.mark.usefixtures("graphs_once")

BGR_MEAN = (103.939, 116.779, 123.68)
ONE = (1.0, 1.0, 1.0)
HALF = (127.5, 127.5, 127.5)


def converted(path, **options):
    """What was done with a file, and the result."""
    done = convert(str(path), str(path) + ".npz", **options)
    return done, open_checkpoint(done.out)


# --- tensorpack


@pytest.fixture(scope="module")
def values():
    return zoo("vgg")


@pytest.mark.parametrize("order", ["rgb", "bgr", None])
def test_vgg_of_caffe(tmp_path, values, order):
    done, checkpoint = converted(write_npz(tmp_path / "vgg16.npz", values), channels=order)
    assert (done.written, done.left_out, done.preprocessing.order) == (26, 7, order or "bgr")
    image, names = random_image(), ["conv1_1", "conv5_3"]
    mean = BGR_MEAN[::-1] if order == "rgb" else BGR_MEAN
    pixels = preprocess(padded(image), order or "bgr", mean, ONE)
    points = forward("vgg", pixels, values, first_padding="VALID")
    found = assert_computes(points, "vgg", checkpoint, image, names)
    if order is None:  # zero padding makes a difference, at the border only
        points = forward("vgg", preprocess(image, "bgr", mean, ONE), values)
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
    done, checkpoint = converted(write_npz(tmp_path / name, values), **options)
    expected = published_part("vgg")
    assert list(checkpoint.shapes) == list(expected)
    assert_holds(checkpoint, expected)
    assert done.published.file_name == options.get("published_as", name)
    assert (done.preprocessing is None) == ("keep_first_layer" in options)


@pytest.mark.slow
def test_squeeze_excite(tmp_path):
    mode, values, image = "resnet50se", zoo("resnet50se"), random_image(32)
    done, checkpoint = converted(write_npz(tmp_path / "my.npz", values))
    assert (done.mode, done.written, done.left_out) == (mode, 331, 1)
    assert_holds(checkpoint, published_part(mode))
    expected = forward(mode, preprocess(image, "bgr", OUR_MEAN, OUR_STD), values)
    assert_computes(expected, mode, checkpoint, image, ["logits"])


# --- torchvision


def as_torchvision(image):
    return preprocess(image, "rgb", OUR_MEAN[::-1], OUR_STD[::-1])


@pytest.mark.parametrize("mode", ["vgg", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_it_computes_the_same_as_numpy(tmp_path, monkeypatch, mode):
    monkeypatch.chdir(tmp_path)
    done = convert(write_pth(tmp_path / "model.pth", torchvision(mode)))
    name = {"vgg": "vgg16.npz", "resnet50": "ImageNet-ResNet50.npz"}[mode]
    assert done.out == os.path.join("pretrain_model", name)
    checkpoint, expected = open_checkpoint(done.out), published_part(mode)
    assert (done.mode, done.left_out) == (mode, 2 if mode == "vgg" else 53)
    # Same means and scales: only the channels turn, and no number changes.
    turned = {n: expected[n][:, :, ::-1] for n in ("conv1_1/W", "conv0/W") if n in expected}
    assert_holds(checkpoint, dict(expected, **turned))
    image, last = random_image(32), "conv5_3" if mode == "vgg" else "logits"
    points = forward(mode, as_torchvision(image), expected)
    assert_computes(points, mode, checkpoint, image, [last])


@pytest.mark.slow
@pytest.mark.parametrize("strides", [None, "published-1x1"])
def test_a_resnet_with_the_strides_it_was_trained_with(tmp_path, strides):
    path = write_pth(tmp_path / "model.pth", torchvision("resnet50"))
    done, checkpoint = converted(path, strides=strides)
    card = read_card(done.out)
    assert card.strides == (strides or "published")
    image, values = random_image(64), published_part("resnet50")
    geometry = {"strides": (1, 2, 2, 2), "padding": "SYMMETRIC", "in_first": strides is not None}
    expected = forward("resnet50", as_torchvision(image), values, **geometry)
    names = ["conv0", "pool0", "group1/block0_shortcut", "logits"]
    assert_computes(expected, "resnet50", checkpoint, image, names, strides=card.strides)


# --- TF-slim


def assert_holds_but_the_stem(checkpoint):
    """The values of Inception, but for the first layer, which takes the input on another scale."""
    expected, stem = published_part("inceptionv3"), "InceptionV3/Conv2d_1a_3x3/"
    changed = {name: checkpoint.read(name) for name in expected if name.startswith(stem)}
    assert_holds(checkpoint, dict(expected, **changed))


@pytest.mark.slow
def test_inception_of_slim(tmp_path):
    values = slim()
    path = write_tensorflow(tmp_path / "inception_v3.ckpt", values, version=1)
    done, checkpoint = converted(path)
    assert (done.written, done.left_out) == (len(published_part("inceptionv3")), 5)
    assert_holds_but_the_stem(checkpoint)
    image, names = random_image(), ["Conv2d_1a_3x3", "Mixed_5c", "Mixed_6a", "Mixed_6e"]
    pixels = preprocess(padded(image, 2), "rgb", HALF, HALF)
    points = forward("inceptionv3", pixels, values, first_padding="VALID")
    found = assert_computes(points, "inceptionv3", checkpoint, image, names)
    # Zero padding makes a difference, at the border only.
    points = forward("inceptionv3", preprocess(image, "rgb", HALF, HALF), values)
    off = np.abs(found[0] - points["Conv2d_1a_3x3"]) / points["Conv2d_1a_3x3"].max()
    assert off[:, :-1, :-1].max() < 1e-6 < off.max()
    # docs/weights.md states these.
    assert off.max() < 0.2
    assert np.abs(found[3] - points["Mixed_6e"]).max() < 0.1 * points["Mixed_6e"].max()


# --- Keras


def as_keras(mode, image):
    """An image as the network of Keras takes it, padded as ours pads it."""
    if mode == "vgg":
        return preprocess(padded(image), "bgr", BGR_MEAN, ONE)
    return preprocess(padded(image, 2), "rgb", HALF, HALF)


@pytest.mark.parametrize("top, options", [(True, {"old_names": True}), (False, {"model": True})])
def test_vgg(tmp_path, top, options):
    path = write_keras(tmp_path / "vgg.h5", keras_vgg(top=top), **options)
    done, checkpoint = converted(path)
    assert (done.mode, done.written, done.left_out) == ("vgg", 26, 2 * top)
    image, names = random_image(), ["conv1_1", "conv5_3"]
    pixels = as_keras("vgg", image)
    points = forward("vgg", pixels, published_part("vgg"), first_padding="VALID")
    assert_computes(points, "vgg", checkpoint, image, names)


def test_smaller_activations(tmp_path):
    path = write_keras(tmp_path / "vgg.h5", keras_vgg(top=False), model=True)
    image, names = random_image(), ["conv1_1", "pool3", "conv5_3"]
    found = []
    for divisor in (1.0, 58.0):
        _, checkpoint = converted(path, divide_activations=divisor, force=True)
        found.append(run("vgg", checkpoint, image, names))
    for whole, small in zip(*found):
        assert_close(58 * small, whole)


@pytest.mark.parametrize("divisor", [0, -1, float("nan"), float("inf")])
def test_no_divisor(tmp_path, divisor):
    path = write_keras(tmp_path / "vgg.h5", keras_vgg(top=False), model=True)
    message = refusal(converted, path, divide_activations=divisor)
    assert "--divide-activations " in message and ": expected a positive number" in message
    assert os.listdir(str(tmp_path)) == ["vgg.h5"]


@pytest.mark.slow
def test_inception_is_numbered_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_keras(tmp_path / "i.h5", keras_inception(first=95), old_names=True)
    message = refusal(convert, path, divide_activations=2)
    assert "inceptionv3 has normalization layers" in message
    done = convert(path)
    assert done.out == os.path.join("pretrain_model", "inception_v3.npz")
    assert (done.mode, done.left_out) == ("inceptionv3", 4 * 24)
    assert_holds_but_the_stem(open_checkpoint(done.out))


def quick_session():
    """A session for hundreds of runs that each fetch little: none looks at the whole graph."""
    options = tf.GraphOptions(place_pruned_graph=True)
    options.rewrite_options.disable_meta_optimizer = True
    return tf.Session(config=tf.ConfigProto(graph_options=options))


def our_geometry(monkeypatch, strided):
    """Keras makes narrow layers, SAME padding but in the first, and logits at the end; among the layers
    of stride 2, those whose numbers are in ``strided`` get stride 1."""
    layers, made, steps = tf.keras.layers, itertools.count(), itertools.count()

    def patch(kind, change):
        make = kind.__init__

        def changed(self, *positional, **settings):
            make(self, *change(list(positional), settings), **settings)

        monkeypatch.setattr(kind, "__init__", changed)

    def pool(positional, settings):
        settings["padding"] = "same" if next(made) else "valid"
        if settings.get("strides") == (2, 2) and next(steps) in strided:
            settings["strides"] = (1, 1)
        return positional

    def convolution(positional, settings):
        filters, *rest = pool(positional, settings)
        return [max(4, round(WIDTH * filters)), *rest]

    def dense(positional, settings):
        if settings["name"] != "predictions":
            return [32, *positional[1:]]
        settings["activation"] = "linear"
        return positional

    patch(layers.Conv2D, convolution)
    patch(layers.MaxPooling2D, pool)
    patch(layers.Dense, dense)


def randomize(model, session):
    """Give a model random weights and averages, none of them trivial; returns them by variable's name."""
    rng, values = np.random.RandomState(0), {}
    for weight in model.weights:
        shape = weight.shape.as_list()
        scale = 0.1 if len(shape) == 1 else np.sqrt(2.0 / np.prod(shape[:-1]))
        is_variance = "variance" in weight.name
        drawn = rng.uniform(0.5, 1.5, shape) if is_variance else rng.normal(0, scale, shape)
        values[weight.name] = drawn
    feeds = {weight.initializer.inputs[1]: values[weight.name] for weight in model.weights}
    session.run([weight.initializer for weight in model.weights], feeds)
    return values


def write_as_keras_does(path, model, values):
    """What ``save_weights`` writes, which in graph mode takes a while for hundreds of layers."""
    layers = []
    for layer in model.layers:
        names = [weight.name for weight in layer.weights]
        weights = [(name.split("/")[-1].split(":")[0], values[name]) for name in names]
        layers.append((layer.name, weights))
    return write_keras(path, layers)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode, application, side, strided, last, name",
    [
        ("vgg", "VGG16", 32, (), "block5_conv3", "conv5_3"),
        # With an even side SAME pads at the bottom and the right only. The first layer and two pools keep
        # their strides, then comes mixed3.
        ("inceptionv3", "InceptionV3", 76, (3, 4, 5), "mixed7", "Mixed_6e"),
    ],
)
def test_applications_of_keras(tmp_path, monkeypatch, mode, application, side, strided, last, name):
    """Our last layer is Keras's, and so are the logits that Keras makes of it."""
    image, path = random_image(side), str(tmp_path / "model.h5")
    pixels = as_keras(mode, image)
    settings = {"weights": None, "input_shape": pixels.shape[1:], "classes": CLASSES}
    with tf.Graph().as_default(), quick_session().as_default() as session:
        with monkeypatch.context() as patch:
            our_geometry(patch, strided)
            model = getattr(tf.keras.applications, application)(**settings)
        values = randomize(model, session)
        if mode == "vgg":
            model.save_weights(path)
        else:
            write_as_keras_does(path, model, values)
        middle = model.get_layer(last).output
        expected, logits = session.run([middle, model.output], {model.input: pixels})
        _, checkpoint = converted(path)
        (found,) = assert_computes({name: expected}, mode, checkpoint, image, [name])
        assert_close(session.run(model.output, {middle: found}), logits)
