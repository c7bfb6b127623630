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
    model = keras.Model(image, layers.Softmax()(logits))
    path = os.path.join(folder, "birds")
    model.save(path + ".keras")
    model.save(path + ".h5")
    model.export(path, verbose=False)
    _write_frozen(path + ".pb", model, tensorflow)
    _write_onnx(path + ".onnx", model.get_weights())
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
    doubled = layers.Lambda(lambda x: x * 2)(logits)
    keras.Model(image, doubled).save(os.path.join(folder, "lambda.keras"))


def _write_frozen(path, model, tensorflow):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    image = tensorflow.TensorSpec([None, 32, 32, 3], "float32", "image")
    frozen = convert_variables_to_constants_v2(
        tensorflow.function(model).get_concrete_function(image)
    )
    with open(path, "wb") as stream:
        stream.write(frozen.graph.as_graph_def().SerializeToString())


def _write_onnx(path, weights):
    """The network of :func:`write_birds` with its channels first, as PyTorch exports it."""
    if importlib.util.find_spec("onnx") is None:
        return
    import onnx
    from onnx import helper

    first, first_bias, second, second_bias, linear, linear_bias = weights
    arrays = {"unit": np.float32(1 / 255), "linear": linear, "linear_bias": linear_bias}
    arrays.update(b1=first_bias, b2=second_bias)
    arrays.update(w1=np.transpose(first, (3, 2, 0, 1)), w2=np.transpose(second, (3, 2, 0, 1)))
    nodes = [
        ("Mul", "image unit", "scaled", {}),
        ("Conv", "scaled w1 b1", "c1", {"strides": [2, 2], "kernel_shape": [3, 3]}),
        ("Relu", "c1", "early", {}),
        ("Conv", "early w2 b2", "c2", {"kernel_shape": [3, 3]}),
        ("Sigmoid", "c2", "gate", {}),
        ("Mul", "c2 gate", "late", {}),
        ("GlobalAveragePool", "late", "pooled", {}),
        ("Flatten", "pooled", "flat", {}),
        ("Gemm", "flat linear linear_bias", "logits", {}),
        ("Softmax", "logits", "scores", {"axis": 1}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, ins.split(), [out], **more) for kind, ins, out, more in nodes],
        "birds",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(a), k) for k, a in arrays.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
