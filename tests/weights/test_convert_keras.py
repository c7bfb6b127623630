"""Keras's VGG16 and InceptionV3: converted files compute what Keras does, geometry being equal."""

import numpy as np
import pytest
from foreign_files import write_keras
from numpy_forward import inception, preprocess, vgg
from published_files import (
    CLASSES,
    WIDTH,
    assert_close,
    keras_inception,
    keras_vgg,
    padded,
    published_part,
    random_image,
    run,
)

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint
from dgl.weights.convert import convert

pytestmark = pytest.mark.usefixtures("graphs_once")

BGR_MEAN = (103.939, 116.779, 123.68)
ONE = (1.0, 1.0, 1.0)
HALF = (127.5, 127.5, 127.5)


def converted(path, tmp_path, **options):
    done = convert(path, str(tmp_path / "out.npz"), **options)
    return done, open_checkpoint(done.out)


@pytest.mark.parametrize("top, options", [(True, {"old_names": True}), (False, {"model": True})])
def test_vgg(tmp_path, top, options):
    path = write_keras(tmp_path / "vgg.h5", keras_vgg(top=top), **options)
    done, checkpoint = converted(path, tmp_path)
    assert (done.mode, done.written, done.left_out) == ("vgg", 26, 2 * top)
    image = random_image()
    found = run("vgg", checkpoint, image, ["conv1_1", "conv5_3"])
    pixels = preprocess(padded(image), "bgr", BGR_MEAN, ONE)
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
def test_activations_behind_normalization_are_not_divided(tmp_path):
    path = write_keras(tmp_path / "i.h5", keras_inception(first=95), old_names=True)
    with pytest.raises(UserError, match="inceptionv3 has normalization layers"):
        convert(path, str(tmp_path / "out.npz"), divide_activations=2)


@pytest.mark.slow
def test_inception(tmp_path):
    layers = keras_inception(first=95)  # numbered from anywhere
    path = write_keras(tmp_path / "i.h5", layers, old_names=True)
    done, checkpoint = converted(path, tmp_path)
    assert (done.mode, done.left_out) == ("inceptionv3", 4 * 24)
    image, expected = random_image(), published_part("inceptionv3")
    assert set(checkpoint.shapes) == set(expected)
    (found,) = run("inceptionv3", checkpoint, image, ["Mixed_6e"])
    pixels = preprocess(padded(image, 2), "rgb", HALF, HALF)
    assert_close(found, inception(pixels, expected, "VALID")["Mixed_6e"])


def quick_session():
    """A session for hundreds of runs that each fetch little: none looks at the whole graph."""
    options = tf.GraphOptions(place_pruned_graph=True)
    options.rewrite_options.disable_meta_optimizer = True
    return tf.Session(config=tf.ConfigProto(graph_options=options))


def randomize(model):
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
    model.set_weights(values)
    return values


def rebuilt(model, shape, change):
    """The model again, layer by layer under the same names, for images of ``shape``.

    ``change(layer, settings)`` changes the settings of a layer in place.
    """
    makers = {layer.output.name: layer.name for layer in model.layers}
    tensor = tf.keras.Input(shape)
    outputs = {model.layers[0].name: tensor}
    for layer in model.layers[1:]:
        sources = layer.input if isinstance(layer.input, list) else [layer.input]
        inputs = [outputs[makers[source.name]] for source in sources]
        settings = layer.get_config()
        change(layer, settings)
        copy = type(layer).from_config(settings)
        outputs[layer.name] = copy(inputs if len(inputs) > 1 else inputs[0])
    return tf.keras.Model(tensor, outputs[model.layers[-1].name])


def our_geometry(model, strided=()):
    """Narrow layers, SAME padding, stride 1 in ``strided``, logits at the end; the first pads nothing."""
    first = next(layer.name for layer in model.layers if hasattr(layer, "kernel_size"))

    def change(layer, settings):
        if "filters" in settings:
            settings["filters"] = max(4, round(WIDTH * settings["filters"]))
        if layer.name.startswith("fc"):
            settings["units"] = 32
        if "padding" in settings:
            settings["padding"] = "valid" if layer.name == first else "same"
        if layer.name in strided:
            settings["strides"] = (1, 1)
        if layer.name == "predictions":
            settings["activation"] = "linear"

    return change


def write_as_keras_does(path, model, values):
    """What ``save_weights`` writes, which in graph mode takes a while for hundreds of layers."""
    values, layers = iter(values), []
    for layer in model.layers:
        names = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
        layers.append((layer.name, [(name, next(values)) for name in names]))
    return write_keras(path, layers)


def compare(mode, name, model, path, last, pixels, image):
    """Our ``name`` against Keras's ``last``, then the logits that Keras makes of either."""
    session, middle = tf.keras.backend.get_session(), model.get_layer(last).output
    expected, logits = session.run([middle, model.output], {model.input: pixels})
    checkpoint = open_checkpoint(convert(path, path + ".npz").out)
    (found,) = run(mode, checkpoint, image, [name])
    assert_close(found, expected)
    assert_close(session.run(model.output, {middle: found}), logits)


@pytest.mark.slow
def test_vgg_of_keras(tmp_path):
    image = random_image(32)
    pixels = preprocess(padded(image), "bgr", BGR_MEAN, ONE)
    with tf.Graph().as_default(), quick_session().as_default():
        model = tf.keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=CLASSES)
        model = rebuilt(model, pixels.shape[1:], our_geometry(model))
        randomize(model)
        path = str(tmp_path / "vgg16.h5")
        model.save_weights(path)
        compare("vgg", "conv5_3", model, path, "block5_conv3", pixels, image)


@pytest.mark.slow
def test_inception_of_keras(tmp_path):
    image = random_image(76)  # an even side: SAME then pads at the bottom and the right only
    pixels = preprocess(padded(image, 2), "rgb", HALF, HALF)
    with tf.Graph().as_default(), quick_session().as_default():
        model = tf.keras.applications.InceptionV3(
            weights=None, input_shape=(76, 76, 3), classes=CLASSES
        )
        strides = [
            layer.name for layer in model.layers if getattr(layer, "strides", None) == (2, 2)
        ]
        # The first layer and two pools keep theirs, then comes mixed3.
        model = rebuilt(model, pixels.shape[1:], our_geometry(model, strides[3:6]))
        path = write_as_keras_does(tmp_path / "inception_v3.h5", model, randomize(model))
        compare("inceptionv3", "Mixed_6e", model, path, "mixed7", pixels, image)
