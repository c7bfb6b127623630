"""Keras in a process that computes eagerly: files of classifiers, and maps by plain gradients."""

import importlib.util
import os

import numpy as np


def load_keras_package(package):
    """Load TensorFlow with ``tf_keras`` (its own Keras before 2.16) or with ``keras`` (3); that Keras."""
    if package == "tf_keras":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    else:
        os.environ.pop("TF_USE_LEGACY_KERAS", None)
    import tensorflow

    if tensorflow.__version__ < "2.16":
        os.environ.pop("TF_USE_LEGACY_KERAS", None)
    return tensorflow.keras


def write_birds(folder, alpha):
    """Write a network of three classes and a softmax in five formats, and its maps of ``views.npz``.

    They are ``birds.keras``, ``birds.h5``, a SavedModel in ``birds``, ``birds.pb`` and, where the package
    onnx is, ``birds.onnx``. The maps in ``maps.npz``, (N, H, W), are those of DGL at the layer "late", by
    ``tf.GradientTape`` and the formula. The model in ``lambda.keras`` has a Lambda layer.
    """
    keras = load_keras_package("keras")
    import tensorflow
    from map_formulas import formulas, softmax

    layers = keras.layers
    keras.utils.set_random_seed(4)
    image = keras.Input((32, 32, 3))
    early = layers.Conv2D(6, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(image))
    late = layers.Conv2D(8, 3, activation="swish", name="late")(early)
    scores = layers.Dense(3, name="scores", kernel_initializer="random_normal")
    logits = scores(layers.GlobalAveragePooling2D()(late))
    model = keras.Model(image, layers.Softmax()(logits))
    path = os.path.join(folder, "birds")
    model.save(path + ".keras")
    model.save(path + ".h5")
    model.export(path, verbose=False)
    _write_frozen(path + ".pb", model, tensorflow)
    if importlib.util.find_spec("onnx") is not None:
        _write_onnx(path + ".onnx", model.get_weights())
    inner = keras.Model(image, [late, logits])
    made = {}
    with np.load(os.path.join(folder, "views.npz")) as views:
        for name in ("squashed", "fixed_threshold"):
            one_hot = np.eye(3)[views["labels"]]
            with tensorflow.GradientTape(persistent=True) as tape:
                activation, z = inner(views[name], training=False)
                z = tensorflow.cast(z, "float64")
                signal = softmax(z.numpy()) - float(alpha) * one_hot
                totals = [tensorflow.reduce_sum(z * one) for one in (one_hot, signal)]
            gradients = [tape.gradient(total, activation) for total in totals]
            arrays = [np.asarray(part, "float64") for part in (activation, *gradients)]
            made[name] = formulas(*arrays)["dgl"]
            made[name + ":logits"] = np.asarray(z)
    np.savez(os.path.join(folder, "maps.npz"), **made)
    doubled = layers.Lambda(lambda x: x * 2)(logits)
    keras.Model(image, doubled).save(os.path.join(folder, "lambda.keras"))


def _write_frozen(path, model, tensorflow):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    image = tensorflow.TensorSpec([None, 32, 32, 3], "float32", "image")
    network = tensorflow.function(model).get_concrete_function(image)
    frozen = convert_variables_to_constants_v2(network)
    with open(path, "wb") as stream:
        stream.write(frozen.graph.as_graph_def().SerializeToString())


NETWORK = """
<ir_version: 8, opset_import: ["": 17]>
birds (float[n, 3, 32, 32] image) => (float[n, 3] scores) {
    scaled = Mul(image, unit)
    c1 = Conv <strides = [2, 2]> (scaled, w1, b1)
    early = Relu(c1)
    c2 = Conv(early, w2, b2)
    gate = Sigmoid(c2)
    late = Mul(c2, gate)
    pooled = GlobalAveragePool(late)
    flat = Flatten(pooled)
    logits = Gemm(flat, w3, b3)
    scores = Softmax <axis = 1> (logits)
}
"""


def _write_onnx(path, weights):
    """The network of :func:`write_birds` with its channels first, as PyTorch exports it."""
    import onnx.parser

    arrays = dict(zip(("w1", "b1", "w2", "b2", "w3", "b3"), weights), unit=np.float32(1 / 255))
    arrays.update({name: arrays[name].transpose(3, 2, 0, 1) for name in ("w1", "w2")})
    model = onnx.parser.parse_model(NETWORK)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
        for name, array in arrays.items()
    )
    onnx.save(model, path)
