"""Files of tensorpack, torchvision, TF-slim and Keras: converted ones compute what they do on their own
input, geometry being equal."""

import itertools
import os

import numpy as np
import pytest
from foreign_files import write_keras, write_pth
from networks import write_npz, write_tensorflow
from numpy_forward import inception, preprocess, resnet, vgg
from published_files import (
    CLASSES,
    OUR_MEAN,
    OUR_STD,
    WIDTH,
    assert_close,
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

from dgl.errors import UserError
from dgl.tf_compat import tf
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
def test_it_computes_the_same_as_numpy(tmp_path, monkeypatch, mode, forward):
    monkeypatch.chdir(tmp_path)
    done = convert(write_pth(tmp_path / "model.pth", torchvision(mode)))
    name = {"vgg": "vgg16.npz", "resnet50": "ImageNet-ResNet50.npz"}[mode]
    assert done.out == os.path.join("pretrain_model", name)
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


# --- Keras


@pytest.mark.parametrize("top, options", [(True, {"old_names": True}), (False, {"model": True})])
def test_vgg(tmp_path, top, options):
    path = write_keras(tmp_path / "vgg.h5", keras_vgg(top=top), **options)
    done = convert(path, str(tmp_path / "out.npz"))
    assert (done.mode, done.written, done.left_out) == ("vgg", 26, 2 * top)
    image = random_image()
    found = run("vgg", open_checkpoint(done.out), image, ["conv1_1", "conv5_3"])
    pixels = preprocess(padded(image), "bgr", RGB_MEAN[::-1], ONE)
    points = vgg(pixels, published_part("vgg"), "VALID")
    assert_close(found[0], points["conv1_1"])
    assert_close(found[1], points["conv5_3"])


def test_smaller_activations(tmp_path):
    path = write_keras(tmp_path / "vgg.h5", keras_vgg(top=False), model=True)
    image, names = random_image(), ["conv1_1", "pool3", "conv5_3"]
    found = []
    for name, divisor in (("a", 1.0), ("b", 58.0)):
        done = convert(path, str(tmp_path / (name + ".npz")), divide_activations=divisor)
        found.append(run("vgg", open_checkpoint(done.out), image, names))
    for whole, small in zip(*found):
        assert_close(58 * small, whole)


@pytest.mark.parametrize("divisor", [0, -1, float("nan"), float("inf")])
def test_no_divisor(tmp_path, divisor):
    path = write_keras(tmp_path / "vgg.h5", keras_vgg(top=False), model=True)
    with pytest.raises(UserError, match="--divide-activations .*: expected a positive number"):
        convert(path, str(tmp_path / "out.npz"), divide_activations=divisor)
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.slow
def test_inception(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layers = keras_inception(first=95)  # numbered from anywhere
    path = write_keras(tmp_path / "i.h5", layers, old_names=True)
    with pytest.raises(UserError, match="inceptionv3 has normalization layers"):
        convert(path, divide_activations=2)
    done = convert(path)
    assert done.out == os.path.join("pretrain_model", "inception_v3.npz")
    assert (done.mode, done.left_out) == ("inceptionv3", 4 * 24)
    image, expected = random_image(), published_part("inceptionv3")
    checkpoint = open_checkpoint(done.out)
    assert set(checkpoint.shapes) == set(expected)
    (found,) = run("inceptionv3", checkpoint, image, ["Mixed_6e"])
    pixels = preprocess(padded(image, 2), "rgb", HALF, HALF)
    assert_close(found, inception(pixels, expected, "VALID")["Mixed_6e"])


def quick_session():
    """A session for hundreds of runs that each fetch little: none looks at the whole graph."""
    options = tf.GraphOptions(place_pruned_graph=True)
    options.rewrite_options.disable_meta_optimizer = True
    return tf.Session(config=tf.ConfigProto(graph_options=options))


def our_geometry(monkeypatch, strided=()):
    """Keras makes narrow layers, SAME padding but in the first, and logits at the end; among the layers
    of stride 2, those whose numbers are in ``strided`` get stride 1."""
    layers, made, steps = tf.keras.layers, itertools.count(), itertools.count()

    def change(kind, own):
        make = kind.__init__

        def changed(self, *positional, **settings):
            positional, is_first = list(positional), kind is not layers.Dense and not next(made)
            own(positional, settings)
            if kind is not layers.Dense:
                settings["padding"] = "valid" if is_first else "same"
                if settings.get("strides") == (2, 2) and next(steps) in strided:
                    settings["strides"] = (1, 1)
            make(self, *positional, **settings)

        monkeypatch.setattr(kind, "__init__", changed)

    def narrow(positional, settings):
        positional[0] = max(4, round(WIDTH * positional[0]))

    def small(positional, settings):
        if settings["name"] == "predictions":
            settings["activation"] = "linear"
        else:
            positional[0] = 32

    change(layers.Conv2D, narrow)
    change(layers.MaxPooling2D, lambda positional, settings: None)
    change(layers.Dense, small)


def randomize(model, session):
    """Give a model random weights and averages, none of them trivial.

    Returns:
        list of arrays in the order of ``model.weights``.
    """
    rng, values = np.random.RandomState(0), []
    for weight in model.weights:
        shape = tuple(weight.shape.as_list())
        if "variance" in weight.name:
            values.append(rng.uniform(0.5, 1.5, shape))
        else:
            scale = 0.1 if len(shape) == 1 else np.sqrt(2.0 / np.prod(shape[:-1]))
            values.append(rng.normal(0, scale, shape))
    feeds = {w.initializer.inputs[1]: array for w, array in zip(model.weights, values)}
    session.run([weight.initializer for weight in model.weights], feeds)
    return values


def write_as_keras_does(path, model, values):
    """What ``save_weights`` writes, which in graph mode takes a while for hundreds of layers."""
    values, layers = iter(values), []
    for layer in model.layers:
        names = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
        layers.append((layer.name, [(name, next(values)) for name in names]))
    return write_keras(path, layers)


def compare(mode, name, model, path, last, pixels, image):
    """Our ``name`` against Keras's ``last``, then the logits that Keras makes of either."""
    session, middle = tf.get_default_session(), model.get_layer(last).output
    expected, logits = session.run([middle, model.output], {model.input: pixels})
    checkpoint = open_checkpoint(convert(path, path + ".npz").out)
    (found,) = run(mode, checkpoint, image, [name])
    assert_close(found, expected)
    assert_close(session.run(model.output, {middle: found}), logits)


@pytest.mark.slow
def test_vgg_of_keras(tmp_path, monkeypatch):
    image = random_image(32)
    pixels = preprocess(padded(image), "bgr", RGB_MEAN[::-1], ONE)
    settings = {"weights": None, "input_shape": pixels.shape[1:], "classes": CLASSES}
    with tf.Graph().as_default(), quick_session().as_default() as session:
        with monkeypatch.context() as patch:
            our_geometry(patch)
            model = tf.keras.applications.VGG16(**settings)
        randomize(model, session)
        path = str(tmp_path / "vgg16.h5")
        model.save_weights(path)
        compare("vgg", "conv5_3", model, path, "block5_conv3", pixels, image)


@pytest.mark.slow
def test_inception_of_keras(tmp_path, monkeypatch):
    image = random_image(76)  # an even side: SAME then pads at the bottom and the right only
    pixels = preprocess(padded(image, 2), "rgb", HALF, HALF)
    settings = {"weights": None, "input_shape": pixels.shape[1:], "classes": CLASSES}
    with tf.Graph().as_default(), quick_session().as_default() as session:
        with monkeypatch.context() as patch:
            # The first layer and two pools keep their strides, then comes mixed3.
            our_geometry(patch, strided=(3, 4, 5))
            model = tf.keras.applications.InceptionV3(**settings)
        path = write_as_keras_does(tmp_path / "inception_v3.h5", model, randomize(model, session))
        compare("inceptionv3", "Mixed_6e", model, path, "mixed7", pixels, image)
