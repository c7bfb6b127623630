"""Files of Keras in a process that computes eagerly: a classifier of two classes by one sigmoid."""

import os

import numpy as np


def write(folder):
    """Write ``model.keras``, ``model.h5``, their weights, and a model with a Lambda layer."""
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    import tensorflow

    keras = tensorflow.keras
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    early = layers.Conv2D(6, 1, activation="relu", name="early")(layers.Rescaling(1 / 255)(image))
    pooled = layers.GlobalAveragePooling2D()(early)
    model = keras.Model(image, layers.Dense(1, activation="sigmoid")(pooled))
    kernel, bias, linear, linear_bias = model.get_weights()
    np.savez(
        os.path.join(folder, "weights.npz"),
        kernel=kernel[0, 0],
        bias=bias,
        linear=linear,
        linear_bias=linear_bias,
    )
    model.save(os.path.join(folder, "model.keras"))
    model.save(os.path.join(folder, "model.h5"))
    doubled = layers.Lambda(lambda x: x * 2)(pooled)
    keras.Model(image, layers.Dense(2)(doubled)).save(os.path.join(folder, "lambda.keras"))
