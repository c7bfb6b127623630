"""Models of Keras in programs that compute eagerly, as notebooks do: TensorFlow is loaded before dgl."""

import numpy as np


def check(package, *applications):
    """All that is held of one Keras, ``tf_keras`` (or that of TensorFlow) or ``keras`` (3).

    With names of applications, also those and every kind of model.
    """
    import dgl.localizer  # noqa: I001  # leaves the choice of mode to TensorFlow's first import
    from foreign import application_families, keras_kinds
    from foreign.write_keras import load_keras_package

    keras = load_keras_package(package)
    import tensorflow

    maps_are_the_oracle(keras)
    _other_models(keras)
    _refused(keras)
    if applications:
        keras_kinds.check(keras)
        application_families.check(package, *applications)
    # A network of this project beside them.
    with dgl.localizer.Localizer(image_size=64) as localizer:
        assert localizer([np.zeros((64, 64, 3), np.uint8)])[0].map.shape == (64, 64)
    # This program's own mode and Keras are what they were.
    assert tensorflow.executing_eagerly()
    assert tensorflow.zeros((2, 3)).shape[1] == 3
    assert float(keras.layers.Dense(1, "relu")(tensorflow.zeros((1, 2)))[0, 0]) == 0


def maps_are_the_oracle(keras):
    """Also those of a Keras that builds graphs."""
    from foreign.hand_network import ALPHA, CLASS_INDEX, HandNetwork
    from foreign.write_tf2 import keras_model

    from dgl.localizer import Localizer

    network = HandNetwork()
    model = keras_model(keras, network.weights())
    images = network.images.astype("float32")
    probability, maps = model.predict(images, verbose=0), network.expected()
    for method, layer in (("dgl", "first"), ("dgl", "second"), ("cam", "second")):
        with Localizer.from_keras(model, layer, method=method, alpha=ALPHA) as localizer:
            found = localizer.predictor(images, CLASS_INDEX)
        np.testing.assert_allclose(found.probability, probability, rtol=0, atol=1e-5)
        (raw,), expected = found.maps.values(), maps[method, layer]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(raw, expected, rtol=0, atol=2e-6 * scale, err_msg=method + layer)


def _other_models(keras):
    """Default layer and names in a sequential, a nested and a subclassed model."""
    from dgl.foreign import load_keras, logits_of
    from dgl.localizer import Localizer

    layers = keras.layers

    def make():
        early = layers.Conv2D(4, 3, activation="relu", name="early")
        norm = layers.BatchNormalization(name="norm")
        return [early, norm, layers.Conv2D(5, 3, activation="relu", name="late")]

    def head():
        return [layers.GlobalAveragePooling2D(), layers.Dense(3)]

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = make() + head()

        def call(self, image, training=False):
            for part in self.parts:
                image = part(image, training=training) if "norm" in part.name else part(image)
            return image

    any_size = keras.Input((None, None, 3))
    inner = keras.Sequential([keras.Input((16, 16, 3)), *make()], name="inner")
    models = [
        keras.Sequential([keras.Input((16, 16, 3)), *make(), *head()]),
        keras.Sequential([keras.Input((16, 16, 3)), inner, *head()]),
        Subclassed(),
        keras.Model(any_size, keras.Sequential(make() + head())(any_size)),
    ]
    image = np.random.RandomState(0).randint(0, 256, (16, 16, 3)).astype("uint8")
    for index, model in enumerate(models):
        logits = np.asarray(model(image[np.newaxis].astype("float32"), training=False))
        size = None if index < 2 else 16
        graph = load_keras(model, size)
        sides = [graph.activation(logits_of(graph.output), n).shape[1] for n in ("early", "late")]
        assert sides == [14, 12], index
        with Localizer.from_keras(model, image_size=size) as localizer:
            assert "late" in localizer.entry[1]
            found = localizer.predictor(image[np.newaxis].astype("float32"))
            np.testing.assert_allclose(found.logits, logits, rtol=1e-5, atol=1e-4)
            assert localizer([image])[0].map.shape == (16, 16)


def _refused(keras):
    from refusals import refusal

    from dgl.localizer import Localizer

    image, vector, dense = keras.Input((16, 16, 3)), keras.Input((5,)), keras.layers.Dense
    convolved = keras.layers.Conv2D(4, 3, activation="relu")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(convolved)
    for model, settings in (
        (object(), {}),
        (dense(3), {}),
        (keras.Model(image, [pooled, dense(3)(pooled)]), {}),
        (keras.Sequential([dense(3)]), {}),
        (keras.Model(vector, dense(3)(vector)), {}),
        (keras.Model(image, pooled), {"layer": "absent"}),
        (keras.Model(image, pooled), {"layer": 99}),
        (keras.Model(image, pooled), {"image_size": 32}),
    ):
        refusal(Localizer.from_keras, model, **settings)
