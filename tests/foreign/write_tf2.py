"""SavedModels as TF 2 writes them, in processes with its behavior: nothing of dgl may be imported here."""

import importlib.util
import os

import numpy as np


def write(folder, weights, *kinds):
    """Write the network of ``hand_network.py``, whose arrays are in an archive, into ``folder/kind``.

    Kinds are ``keras`` (3), ``tf_keras``, ``module`` and ``wrapped``, the frozen graph as a function.
    """
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    import tensorflow

    with np.load(weights) as archive:
        arrays = [archive[name] for name in archive.files]
    for kind in kinds:
        path = os.path.join(folder, kind)
        if kind == "module":
            _write_module(tensorflow, path, arrays)
        elif kind == "wrapped":
            _wrap(tensorflow, os.path.join(folder, "frozen"), path)
        elif kind == "keras":
            keras_model(tensorflow.keras, arrays).export(path, verbose=False)
        else:
            has_package = importlib.util.find_spec("tf_keras") is not None
            keras = importlib.import_module("tf_keras") if has_package else tensorflow.keras
            keras_model(keras, arrays).save(path, save_format="tf")


def keras_model(keras, arrays):
    """The network of ``hand_network.py`` as a functional model of this Keras."""
    image = keras.Input((4, 5, 3))
    first = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(image)
    first = keras.layers.Dropout(0.5)(first)
    second = keras.layers.Conv2D(7, 1, activation="relu", name="second")(first)
    pooled = keras.layers.GlobalAveragePooling2D()(second)
    model = keras.Model(image, keras.layers.Dense(8, activation="softmax")(pooled))
    model.set_weights(arrays)
    return model


def _write_module(tensorflow, path, arrays):
    """Functions in functions, a branch that saving leaves to the run, and variables of one name."""

    class Module(tensorflow.Module):
        def __init__(self):
            super().__init__()
            self.weights = [tensorflow.Variable(array, name="weight") for array in arrays]

        @tensorflow.function
        def layer(self, features, index, padding):
            out = tensorflow.nn.conv2d(features, self.weights[index], 1, padding)
            name = "second" if index else "first"
            return tensorflow.nn.relu(out + self.weights[index + 1], name=name + "/Relu")

        @tensorflow.function(input_signature=[tensorflow.TensorSpec((None, 4, 5, 3))])
        def probability(self, image):
            is_training = tensorflow.constant(False)
            first = self.layer(image, 0, "SAME")
            first = tensorflow.cond(is_training, lambda: first * 2.0, lambda: first + 0.0)
            pooled = tensorflow.reduce_mean(self.layer(first, 2, "VALID"), [1, 2])
            return tensorflow.nn.softmax(pooled @ self.weights[4] + self.weights[5])

    module = Module()
    tensorflow.saved_model.save(module, path, module.probability)


def _wrap(tensorflow, frozen, path):
    """Write a frozen graph as a SavedModel whose network is a function."""
    graph_def = tensorflow.compat.v1.GraphDef()
    with open(frozen, "rb") as stream:
        graph_def.ParseFromString(stream.read())

    def build():
        tensorflow.compat.v1.import_graph_def(graph_def, name="")

    wrapped = tensorflow.compat.v1.wrap_function(build, [])
    network = wrapped.prune("image:0", {"probability": "probability:0"})
    tensorflow.saved_model.save(tensorflow.Module(), path, network)
