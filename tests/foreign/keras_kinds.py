"""Classifiers of every kind that people build with Keras, and their maps by plain gradients.

Maps are made at a model's layer "early"; its layer "scores" gives the logits. The right maps are formulas
in NumPy on the gradients of `tf.GradientTape`, which know nothing of this project: neither of its graphs
nor of how it finds tensors.
"""

import functools

import numpy as np
from map_formulas import formulas, softmax

ALPHA = 10.0
SIZE = 12
METHODS = "dgl gradcam gradcam++ xgradcam layercam hirescam eigencam normgrad".split()
TOLERANCE = 2e-4


def check(keras):
    """Compare the maps of models of every kind."""
    failures = []
    for name, make in kinds(keras).items():
        keras.utils.set_random_seed(len(name))
        try:
            made = make()
            if made is not None:  # else not of this Keras
                _maps_are_the_formulas(keras, *made if isinstance(made, tuple) else (made, made))
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__} {str(error)[:400]}")
    assert not failures, "\n".join(failures)


def _maps_are_the_formulas(keras, model, twin):
    """Those of a model of half precision, which itself is no measure, are those of its float32 twin."""
    import tensorflow

    from dgl.foreign import load_keras, logits_of
    from dgl.predict.graph_predictor import GraphPredictor

    shape, kind = [side or SIZE for side in model.input_shape[1:]], model.inputs[0].dtype
    images = np.random.RandomState(0).uniform(0, 255 if kind == "uint8" else 1, [2, *shape])
    images = images.astype(tensorflow.as_dtype(kind).as_numpy_dtype)
    outputs = [twin.get_layer(name).output for name in ("early", "scores")]
    inner = keras.Model(twin.inputs[0], outputs)

    def run(signals=(0.0, 0.0)):
        """Activations, gradients and logits, given what flows back from each image's logits."""
        found = []
        for image, signal in zip(images[:, np.newaxis], signals):
            with tensorflow.GradientTape() as tape:
                activation, z = inner(image, training=False)
                z = tensorflow.reshape(tensorflow.cast(z, "float32"), [1, -1])
                total = tensorflow.reduce_sum(z * signal)
            found.append((activation, tape.gradient(total, activation), z))
        return [np.concatenate([np.asarray(a, "float64") for a in own]) for own in zip(*found)]

    loaded = load_keras(model, SIZE if None in model.input_shape[1:3] else None)
    logits = logits_of(loaded.output)
    layer = {"early": loaded.activation(logits, "early")}
    with GraphPredictor(logits, layer, loaded.image, METHODS, ALPHA) as predictor:
        head, count = predictor.head, predictor.classes
        classes = [1, count - 1] if head != "binary" else [0, 1]
        found = predictor(images.astype(loaded.image.dtype.as_numpy_dtype), classes)

    turned = np.array([[-1.0], [1.0]]) if head == "binary" else np.eye(count)
    scores = run()[2] @ turned.T
    probability = softmax(scores) if head == "softmax" else 1 / (1 + np.exp(-scores))
    np.testing.assert_allclose(found.logits, scores, rtol=1e-4, atol=TOLERANCE)
    np.testing.assert_allclose(found.probability, probability, atol=TOLERANCE)
    target = np.eye(count)[classes]
    signal = (probability - ALPHA * target) * (target if head == "binary" else 1)
    runs = [run((one @ turned).astype("float32")) for one in (target, signal)]
    parts = [runs[0][0], runs[0][1], runs[1][1]]
    if "channels_first" in str(model.get_layer("early").get_config().get("data_format")):
        parts = [part.transpose(0, 2, 3, 1) for part in parts]
    for method, expected in formulas(*parts).items():
        raw, scale = found.maps[method, "early"], np.abs(expected).max()
        # What is rectified may have nothing that speaks for the class.
        assert scale > 0 or method in ("gradcam", "gradcam++", "xgradcam", "layercam"), method
        np.testing.assert_allclose(raw, expected, rtol=0, atol=TOLERANCE * scale, err_msg=method)


def network(keras, *middle, before=(), pool=None, head=None, image=None, **early):
    """Convolution "early" with a bias that keeps maps from being zero, what is to be tried, and a head."""
    layers = keras.layers
    features = image = keras.Input((SIZE, SIZE, 3)) if image is None else image
    usual = {"padding": "same", "activation": "relu", "bias_initializer": "random_uniform"}
    scores = layers.Dense(3, name="scores", kernel_initializer="random_normal")
    for layer in (
        *(*before, layers.Conv2D(6, 3, name="early", **{**usual, **early}), *middle),
        *([layers.GlobalAveragePooling2D()] if pool is None else pool),
        *(head or [scores, layers.Softmax()]),
    ):
        features = layer(features)
    return keras.Model(image, features)


def kinds(keras):
    """Name -> function that builds a model, or one and its float32 twin; ``None``: not of this Keras."""
    layers, net = keras.layers, functools.partial(network, keras)
    conv = functools.partial(layers.Conv2D, activation="relu")

    def ending(classes, *last):
        last = [layers.Activation(one) if isinstance(one, str) else one for one in last]
        return net(head=[layers.Dense(classes, name="scores"), *last])

    def convolutional_head():
        scores = layers.Conv2D(3, 1, name="scores")
        return net(head=[layers.Reshape((1, 1, 6)), scores, layers.Softmax(), layers.Flatten()])

    def resized():
        return net(
            layers.Conv2DTranspose(4, 3, strides=2, activation="relu"),
            layers.UpSampling2D(2, interpolation="bilinear"),
            *(layers.Resizing(9, 9), layers.ZeroPadding2D(), layers.AveragePooling2D(2)),
        )

    def normalized():
        more = [layers.GroupNormalization(2)] if hasattr(layers, "GroupNormalization") else []
        return net(layers.LayerNormalization(), layers.BatchNormalization(), *more)

    def recurrent(layer):
        rows = layers.Reshape((SIZE // 3, SIZE // 3 * 6))
        return net(layers.MaxPooling2D(3), rows, layer, pool=[])

    def attention():
        attend, pool = layers.MultiHeadAttention(2, 4), [layers.GlobalAveragePooling1D()]
        return net(layers.Reshape((-1, 6)), lambda x: attend(x, x), pool=pool, strides=2)

    def activations(first, second):
        try:
            middle = layers.Conv2D(5, 3, activation=second), layers.Conv2D(4, 1, activation=first)
        except ValueError:
            return None
        return net(*middle, activation=first)

    def parametric():
        more = layers.LeakyReLU(), layers.ELU()
        return net(layers.PReLU(alpha_initializer="random_uniform"), *more, activation="linear")

    def on(*shape, **more):
        return net(image=keras.Input(shape or None, **more))

    def bytes_of_pixels():
        image, pool = keras.Input((SIZE, SIZE, 3), dtype="uint8"), [layers.GlobalMaxPooling2D()]
        return net(before=[layers.Rescaling(1 / 255)], image=image, pool=pool)

    def channels_first():
        first = {"data_format": "channels_first"}
        late, pool = conv(4, 3, strides=2, **first), [layers.GlobalAveragePooling2D(**first)]
        return net(late, image=keras.Input((3, SIZE, SIZE)), pool=pool, padding="valid", **first)

    made = {
        "binary": lambda: ending(1, "sigmoid"),
        "multi_label": lambda: ending(14, "sigmoid"),
        "hard_sigmoid": lambda: ending(5, "hard_sigmoid"),
        "linear_single": lambda: ending(1, "linear"),
        "linear": lambda: ending(4, "linear"),
        "log_softmax": lambda: ending(4, "log_softmax"),
        "flattened": lambda: ending(4, layers.Reshape((1, 1, 4))),
        "clipped_probabilities": lambda: ending(3, "softmax", layers.Rescaling(0.9, 0.05)),
        "convolutional_head": convolutional_head,
        "grouped": lambda: net(conv(9, 3, groups=3)),
        "grouped_by_channel": lambda: net(conv(12, 3, groups=6)),
        "dilated": lambda: net(conv(4, 3, dilation_rate=2)),
        "separable": lambda: net(layers.SeparableConv2D(5, 3), layers.DepthwiseConv2D(3, 2)),
        "transposed_and_resized": resized,
        "normalized": normalized,
        "lstm": lambda: recurrent(layers.LSTM(4)),
        "gru": lambda: recurrent(layers.GRU(4)),
        "both_ways": lambda: recurrent(layers.Bidirectional(layers.SimpleRNN(3))),
        "attention": attention,
        "parametric": parametric,
        "gray": lambda: on(SIZE, SIZE, 1),
        "four_channels": lambda: on(SIZE, SIZE, 4),
        "any_size": lambda: on(None, None, 3),
        "batch_of_one": lambda: on(batch_shape=(1, SIZE, SIZE, 3)),
        "bytes_of_pixels": bytes_of_pixels,
        "channels_first": channels_first,
        "deciding": functools.partial(_deciding, keras),
    }
    for first, second in (
        *(("tanh", "sigmoid"), ("softplus", "softsign"), ("swish", "elu"), ("gelu", "mish")),
        *(("selu", "hard_sigmoid"), ("linear", "exponential"), ("swish", "relu6")),
    ):
        made[f"activations_{first}_{second}"] = functools.partial(activations, first, second)
    for policy in ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16"):
        made[policy] = functools.partial(_precision, keras, policy)
    return made


def _deciding(keras):
    """A layer with a branch, one branch of three, a loop with a branch and a function with a loop in it."""
    import tensorflow as tf

    @tf.function
    def grown(x):
        for _ in tf.range(3):
            x = x + tf.nn.softplus(x)
        return x

    def step(index, x):
        turned = tf.cond(index > 1, lambda: tf.tanh(x), lambda: x * 1.5)
        return index + 1, tf.ensure_shape(turned, x.shape)

    class Deciding(keras.layers.Layer):
        def call(self, x):
            shape = x.shape
            x = tf.cond(tf.reduce_mean(x) > 0.0, lambda: x * 2.0, lambda: tf.tanh(x))
            index = tf.cast(tf.reduce_mean(x) > -1.0, tf.int32)
            x = tf.switch_case(index, [lambda: x, lambda: x + tf.sin(x), lambda: -x])
            x = tf.while_loop(lambda index, _: index < 4, step, [0, tf.ensure_shape(x, shape)])[1]
            return tf.ensure_shape(grown(x), shape)

        def compute_output_shape(self, shape):
            return shape

    return network(keras, Deciding(), keras.layers.Conv2D(4, 3, activation="relu"))


def _precision(keras, policy):
    if policy == "bfloat16" and not hasattr(keras, "ops"):
        return None
    set_policy, floatx = keras.mixed_precision.set_global_policy, keras.backend.floatx()
    layers = keras.layers

    def make():
        return network(keras, layers.Conv2D(5, 3, activation="relu"), layers.BatchNormalization())

    if not policy.startswith("mixed"):
        keras.backend.set_floatx(policy)
    set_policy(policy)
    try:
        made = make()
    finally:
        keras.backend.set_floatx(floatx)
        set_policy(floatx)
    twin = make()
    twin.set_weights([np.asarray(value, "float32") for value in made.get_weights()])
    return made, twin
