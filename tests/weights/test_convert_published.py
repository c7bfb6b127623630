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

from dgl.backbones import get_backbone
from dgl.tf_compat import tf
from dgl.weights import find_weights, open_checkpoint, read_card
from dgl.weights.convert import convert

pytestmark = pytest.mark.usefixtures("graphs_once")

BGR_MEAN = (103.939, 116.779, 123.68)
ONE = (1.0, 1.0, 1.0)
HALF = (127.5, 127.5, 127.5)


TORCH = ("rgb", OUR_MEAN[::-1], OUR_STD[::-1])
INPUTS = {"caffe": ("bgr", BGR_MEAN, ONE), "torch": TORCH, "half": ("rgb", HALF, HALF)}
INPUTS.update(turned=("rgb", BGR_MEAN[::-1], ONE), ours=("bgr", OUR_MEAN, OUR_STD))


def converted(path, **options):
    """What was done with a file, and the result."""
    done = convert(str(path), str(path) + ".npz", **options)
    return done, open_checkpoint(done.out)


def as_input(mode, image, given):
    """An image as a publisher's network takes it, padded as ours pads it."""
    if mode.startswith("resnet"):  # whose publishers have our mean color
        return preprocess(image, *INPUTS[given])
    return preprocess(padded(image, 1 if mode == "vgg" else 2), *INPUTS[given])


# --- every publisher

WRITERS = {
    "zoo": lambda path, mode: write_npz(path / "vgg16.npz", zoo(mode)),
    "torchvision": lambda path, mode: write_pth(path / "a.pth", torchvision(mode)),
    "slim": lambda path, mode: write_tensorflow(path / "i.ckpt", slim(), version=1),
    "keras": lambda path, mode: write_keras(path / "a.h5", keras_vgg(top=False), model=True),
    "keras 1": lambda path, mode: write_keras(path / "a.h5", keras_vgg(), old_names=True),
    "keras from 95": lambda path, mode: write_keras(path / "a.h5", keras_inception(95)),
}
VGG, INCEPTION = "conv1_1 conv5_3", "Conv2d_1a_3x3 Mixed_5c Mixed_6a Mixed_6e"
# Network, publisher, --channels, what the publisher's network takes, variables left out, endpoints.
PUBLISHED = [
    ("vgg", "zoo", None, "caffe", 7, VGG),
    ("vgg", "zoo", "bgr", "caffe", 7, VGG),
    ("vgg", "zoo", "rgb", "turned", 7, VGG),
    ("vgg", "keras", None, "caffe", 0, VGG),
    ("vgg", "keras 1", None, "caffe", 2, VGG),
    ("vgg", "torchvision", None, "torch", 2, VGG),
    ("resnet50", "torchvision", None, "torch", 53, "logits"),
    ("resnet50se", "zoo", None, "ours", 1, "logits"),
    ("inceptionv3", "slim", None, "half", 5, INCEPTION),
    ("inceptionv3", "keras from 95", None, "half", 4 * 24, ""),
]


@pytest.mark.parametrize(
    "mode, publisher, channels, given, left_out, names",
    [pytest.param(*row, marks=[] if row[0] == "vgg" else pytest.mark.slow) for row in PUBLISHED],
)
def test_it_computes_the_same_as_numpy(
    tmp_path, monkeypatch, mode, publisher, channels, given, left_out, names
):
    monkeypatch.chdir(tmp_path)
    done = convert(WRITERS[publisher](tmp_path, mode), channels=channels)
    assert (done.mode, done.left_out) == (mode, left_out)
    assert os.path.samefile(done.out, find_weights(get_backbone(mode), mode))
    checkpoint, expected = open_checkpoint(done.out), published_part(mode)
    assert done.written == len(expected)
    # The first layer takes its input on another scale or in another order, and nothing else changes.
    stem = get_backbone(mode).stem
    changed = [name for name in expected if name.startswith(stem.rsplit("/", 1)[0])]
    held = dict(expected, **{name: checkpoint.read(name) for name in changed})
    if given in ("torch", "ours"):
        held = dict(expected, **({stem: expected[stem][:, :, ::-1]} if given == "torch" else {}))
    assert_holds(checkpoint, held)
    if not names:
        return
    image, names = random_image(32 if "logits" in names else 64), names.split()
    padding = {} if mode.startswith("resnet") else {"first_padding": "VALID"}
    points = forward(mode, as_input(mode, image, given), expected, **padding)
    found = assert_computes(points, mode, checkpoint, image, names)
    if given in ("caffe", "half"):  # zero padding makes a difference, at the border only
        points = forward(mode, preprocess(image, *INPUTS[given]), expected)
        first, last = (
            np.abs(array - points[name]) / points[name].max()
            for array, name in ((found[0], names[0]), (found[-1], names[-1]))
        )
        inner = slice(1, -1) if mode == "vgg" else slice(None, -1)
        assert first[:, inner, inner].max() < 1e-6 < first.max()
        # docs/weights.md states these.
        assert first.max() < (0.01 if mode == "vgg" else 0.2)
        assert last.max() < (0.01 if mode == "vgg" else 0.1)


@pytest.mark.parametrize(
    "name, options",
    [
        ("VGG16.npz", {}),  # of tensorpack, which preprocesses as this project does
        ("renamed.npz", {"published_as": "VGG16.npz"}),
        ("vgg16.npz", {"keep_first_layer": True}),
    ],
)
def test_vgg_that_needs_no_change(tmp_path, name, options):
    done, checkpoint = converted(write_npz(tmp_path / name, zoo("vgg")), **options)
    expected = published_part("vgg")
    assert list(checkpoint.shapes) == list(expected)
    assert_holds(checkpoint, expected)
    assert done.published.file_name == options.get("published_as", name)
    assert (done.preprocessing is None) == ("keep_first_layer" in options)


@pytest.mark.slow
@pytest.mark.parametrize("strides", [None, "published-1x1"])
def test_a_resnet_with_the_strides_it_was_trained_with(tmp_path, strides):
    path = write_pth(tmp_path / "model.pth", torchvision("resnet50"))
    done, checkpoint = converted(path, strides=strides)
    card = read_card(done.out)
    assert card.strides == (strides or "published")
    image, values = random_image(64), published_part("resnet50")
    geometry = {"strides": (1, 2, 2, 2), "padding": "SYMMETRIC", "in_first": strides is not None}
    expected = forward("resnet50", preprocess(image, *TORCH), values, **geometry)
    names = ["conv0", "pool0", "group1/block0_shortcut", "logits"]
    assert_computes(expected, "resnet50", checkpoint, image, names, strides=card.strides)


# --- divided activations


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
def test_no_divisor_of_a_network_with_normalization(tmp_path):
    path = write_npz(tmp_path / "a.npz", zoo("resnet50se"))
    message = refusal(converted, path, divide_activations=2)
    assert "resnet50se has normalization layers" in message


# --- applications of Keras


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
    pixels = as_input(mode, image, "caffe" if mode == "vgg" else "half")
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
