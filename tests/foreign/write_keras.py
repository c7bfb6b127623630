"""Keras in a process that computes eagerly: files of classifiers, and maps by plain gradients."""

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


def write_birds(folder, alpha):
    """Write ``birds.keras``, three classes by a softmax, and its maps of ``views.npz`` as ``maps.npz``.

    The maps, (N, H, W), are those of DGL at the layer "late", by ``tf.GradientTape`` and the formula.
    """
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    import tensorflow
    from foreign.map_formulas import formulas

    keras = tensorflow.keras
    layers = keras.layers
    keras.utils.set_random_seed(4)
    image = keras.Input((32, 32, 3))
    early = layers.Conv2D(6, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(image))
    late = layers.Conv2D(8, 3, activation="swish", name="late")(early)
    scores = layers.Dense(3, name="scores", kernel_initializer="random_normal")
    logits = scores(layers.GlobalAveragePooling2D()(late))
    keras.Model(image, layers.Softmax()(logits)).save(os.path.join(folder, "birds.keras"))
    inner = keras.Model(image, [late, logits])
    made = {}
    with np.load(os.path.join(folder, "views.npz")) as views:
        for name in ("squashed", "fixed_threshold"):
            one_hot = np.eye(3)[views["labels"]]
            with tensorflow.GradientTape(persistent=True) as tape:
                activation, z = inner(views[name], training=False)
                z = tensorflow.cast(z, "float64")
                signal = tensorflow.nn.softmax(z) - float(alpha) * one_hot
                of_class = tensorflow.reduce_sum(z * one_hot)
                of_loss = tensorflow.reduce_sum(z * tensorflow.stop_gradient(signal))
            gradients = [tape.gradient(total, activation) for total in (of_class, of_loss)]
            arrays = [np.asarray(part, "float64") for part in (activation, *gradients)]
            made[name] = formulas(*arrays)["dgl"]
            made[name + ":logits"] = np.asarray(z)
    np.savez(os.path.join(folder, "maps.npz"), **made)
