"""Classifiers of every kind that people build with Keras, and their maps by plain gradients.

Each kind is a function that returns a model whose layer "early" the maps are made at, and whose layer
"scores" gives the logits. The right maps are formulas in NumPy on the gradients of `tf.GradientTape`,
which know nothing of this project: neither of its graphs nor of how it finds tensors.
"""

import numpy as np
from foreign.map_formulas import formulas
from foreign.write_keras import load_keras_package

ALPHA = 10.0
SIZE = 12
METHODS = "dgl gradcam gradcam++ xgradcam layercam hirescam eigencam normgrad".split()
KINDS = {}
TWINS = {}


def kind(function):
    KINDS[function.__name__] = function
    return function


def parametrized(name, function, *arguments):
    KINDS[name] = lambda keras: function(keras, *arguments)


def check(package, *names):
    """Compare the maps of some kinds, or of all, for ``tf_keras`` or ``keras`` (3)."""
    keras = load_keras_package(package)
    import tensorflow

    failures = []
    for name in names or KINDS:
        keras.utils.set_random_seed(len(name))
        try:
            model = KINDS[name](keras)
            if model is None:
                continue
            _maps_are_the_formulas(tensorflow, keras, model)
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__} {str(error)[:400]}")
    assert not failures, "\n".join(failures)


def _maps_are_the_formulas(tensorflow, keras, model):
    from dgl.foreign import load_keras, logits_of
    from dgl.predict.graph_predictor import GraphPredictor

    rng = np.random.RandomState(0)
    shape = [side or SIZE for side in model.input_shape[1:]]
    images = rng.uniform(0, 255 if model.inputs[0].dtype == "uint8" else 1, [2, *shape])
    images = images.astype(tensorflow.as_dtype(model.inputs[0].dtype).as_numpy_dtype)
    single = model.inputs[0].shape[0] == 1
    # Of half precision the network itself is no measure: its maps are those of its float32 twin.
    twin = TWINS.get(id(model), model)
    parts = [twin.get_layer("early").output, twin.get_layer("scores").output]
    inner = keras.Model(twin.inputs[0], parts)
    runs = [images[:1], images[1:]] if single else [images]
    scores = [np.asarray(inner(run, training=False)[1], "float64") for run in runs]
    scores = np.concatenate(scores).reshape(2, -1)
    loaded = load_keras(model, SIZE if None in model.input_shape[1:3] else None)
    logits = logits_of(loaded.output)
    layer = {"early": loaded.activation(logits, "early")}
    with GraphPredictor(logits, layer, loaded.image, METHODS, ALPHA) as predictor:
        head, count = predictor.head, predictor.classes
        classes = [1, count - 1] if head != "binary" else [0, 1]
        found = predictor(images.astype(loaded.image.dtype.as_numpy_dtype), classes)
    tolerance = 2e-4
    columns = np.concatenate([-scores, scores], 1) if head == "binary" else scores
    np.testing.assert_allclose(found.logits, columns, rtol=1e-4, atol=tolerance)

    def gradient(run, signal):
        with tensorflow.GradientTape() as tape:
            activation, z = inner(run, training=False)
            z = tensorflow.reshape(tensorflow.cast(z, "float32"), [len(run), -1])
            total = tensorflow.reduce_sum(z * signal)
        return [np.asarray(t, "float64") for t in (activation, tape.gradient(total, activation))]

    target = np.eye(columns.shape[1])[classes]
    if head == "softmax":
        probability = np.exp(columns - columns.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
    else:
        probability = 1 / (1 + np.exp(-columns))
    np.testing.assert_allclose(found.probability, probability, atol=tolerance)
    signal = probability - ALPHA * target
    if head == "binary":
        turned = np.array([[-1.0], [1.0]])
        signals = (target @ turned, (target * signal) @ turned)
    else:
        signals = (target, signal)
    made = []
    for signal in signals:
        own = [signal[:1], signal[1:]] if single else [signal]
        pairs = [gradient(run, part.astype("float32")) for run, part in zip(runs, own)]
        made.append([np.concatenate(parts) for parts in zip(*pairs)])
    (activation, of_class), (_, of_loss) = made
    if "channels_first" in str(model.get_layer("early").get_config().get("data_format")):
        activation, of_class, of_loss = (
            a.transpose(0, 2, 3, 1) for a in (activation, of_class, of_loss)
        )
    for method, expected in formulas(activation, of_class, of_loss).items():
        raw = found.maps[method, "early"]
        scale = np.abs(expected).max()
        # What is rectified may have nothing that speaks for the class.
        assert scale > 0 or method in ("gradcam", "gradcam++", "xgradcam", "layercam"), method
        np.testing.assert_allclose(raw, expected, rtol=0, atol=tolerance * scale, err_msg=method)


def network(keras, middle=(), head=None, activation="relu", image=None, pool=True):
    """Convolution "early" with a bias that keeps maps from being zero, what is to be tried, and a head."""
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3)) if image is None else image
    features = layers.Conv2D(
        6, 3, padding="same", activation=activation, name="early", bias_initializer="random_uniform"
    )(image)
    for layer in middle:
        features = layer(features)
    if pool:
        features = layers.GlobalAveragePooling2D()(features)
    scores = layers.Dense(3, name="scores", kernel_initializer="random_normal")
    for layer in head or (scores, layers.Softmax()):
        features = layer(features)
    return keras.Model(image, features)


# --- heads


def _head(keras, classes, last):
    return network(keras, head=(keras.layers.Dense(classes, name="scores"), last(keras.layers)))


parametrized("binary", _head, 1, lambda layers: layers.Activation("sigmoid"))
parametrized("multi_label", _head, 14, lambda layers: layers.Activation("sigmoid"))
parametrized("hard_sigmoid", _head, 5, lambda layers: layers.Activation("hard_sigmoid"))
parametrized("linear_single", _head, 1, lambda layers: layers.Activation("linear"))
parametrized("linear", _head, 4, lambda layers: layers.Activation("linear"))
parametrized("log_softmax", _head, 4, lambda layers: layers.Activation("log_softmax"))
parametrized("flattened", _head, 4, lambda layers: layers.Reshape((1, 1, 4)))


@kind
def convolutional_head(keras):
    layers = keras.layers
    head = (layers.Reshape((1, 1, 6)), layers.Conv2D(3, 1, name="scores"), layers.Softmax())
    return network(keras, head=(*head, layers.Flatten()))


@kind
def clipped_probabilities(keras):
    layers = keras.layers
    head = (layers.Dense(3, name="scores"), layers.Softmax(), layers.Rescaling(0.9, 0.05))
    return network(keras, head=head)


# --- convolutions, functions and loops


def _middle(keras, make):
    return network(keras, make(keras.layers))


def _normalized(layers):
    more = [layers.GroupNormalization(2)] if hasattr(layers, "GroupNormalization") else []
    return (layers.LayerNormalization(), layers.BatchNormalization(), *more)


for _name, _made in {
    "grouped": lambda layers: [layers.Conv2D(9, 3, groups=3, activation="relu")],
    "grouped_by_channel": lambda layers: [layers.Conv2D(12, 3, groups=6, activation="relu")],
    "dilated": lambda layers: [layers.Conv2D(4, 3, dilation_rate=2, activation="relu")],
    "separable": lambda layers: [
        layers.SeparableConv2D(5, 3),
        layers.DepthwiseConv2D(3, strides=2),
    ],
    "transposed_and_resized": lambda layers: [
        layers.Conv2DTranspose(4, 3, strides=2, activation="relu"),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.Resizing(9, 9),
        layers.ZeroPadding2D(),
        layers.AveragePooling2D(2),
    ],
    "normalized": _normalized,
}.items():
    parametrized(_name, _middle, _made)


def _recurrent(keras, layer):
    layers = keras.layers
    rows = layers.Reshape((SIZE // 3, SIZE // 3 * 6))
    return network(keras, (layers.MaxPooling2D(3), rows, layer(layers)), pool=False)


parametrized("lstm", _recurrent, lambda layers: layers.LSTM(4))
parametrized("gru", _recurrent, lambda layers: layers.GRU(4))
parametrized("both_ways", _recurrent, lambda layers: layers.Bidirectional(layers.SimpleRNN(3)))


@kind
def attention(keras):
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    early = layers.Conv2D(6, 3, activation="relu", strides=2, name="early")(image)
    tokens = layers.Reshape((-1, 6))(early)
    tokens = layers.MultiHeadAttention(2, 4)(tokens, tokens)
    pooled = layers.GlobalAveragePooling1D()(tokens)
    return keras.Model(image, layers.Softmax()(layers.Dense(3, name="scores")(pooled)))


def _deciding(keras, function):
    """A layer with a function of TensorFlow in it."""
    import tensorflow

    class Deciding(keras.layers.Layer):
        def call(self, features):
            return function(tensorflow, features)

        def compute_output_shape(self, shape):
            return shape

    return network(keras, (Deciding(), keras.layers.Conv2D(4, 3, activation="relu")))


def _branch(tf, features):
    is_bright = tf.reduce_mean(features) > 0.1
    return tf.cond(is_bright, lambda: features * 2.0, lambda: tf.tanh(features))


def _switch(tf, features):
    index = tf.cast(tf.reduce_mean(features) > -1.0, tf.int32)
    return tf.switch_case(index, [lambda: features, lambda: tf.sin(features), lambda: -features])


def _loop(tf, features):
    def step(index, state):
        state = tf.cond(index > 1, lambda: tf.tanh(state), lambda: state * 1.5)
        return index + 1, tf.ensure_shape(state, features.shape)

    return tf.while_loop(lambda index, _: index < 4, step, [0, features])[1]


def _function(tf, features):
    @tf.function
    def inner(x):
        for _ in tf.range(3):
            x = x + tf.nn.softplus(x)
        return x

    return tf.ensure_shape(inner(features), features.shape)


_FUNCTIONS = {"branch": _branch, "switch": _switch, "loop": _loop, "call": _function}
for _name, _made in _FUNCTIONS.items():
    parametrized("tf_" + _name, _deciding, _made)


# --- activations


def _activations(keras, first, second):
    layers = keras.layers
    try:
        middle = (layers.Conv2D(5, 3, activation=second), layers.Conv2D(4, 1, activation=first))
    except ValueError:
        return None  # not of this Keras
    return network(keras, middle, activation=first)


for _first, _second in (
    *(("tanh", "sigmoid"), ("softplus", "softsign"), ("swish", "elu"), ("gelu", "mish")),
    *(("selu", "hard_sigmoid"), ("linear", "exponential"), ("swish", "relu6")),
):
    parametrized(f"activations_{_first}_{_second}", _activations, _first, _second)


@kind
def parametric(keras):
    layers = keras.layers
    middle = (layers.PReLU(alpha_initializer="random_uniform"), layers.LeakyReLU(), layers.ELU())
    return network(keras, middle, activation="linear")


# --- inputs


def _on_input(keras, shape, more):
    return network(keras, image=keras.Input(shape, **more))


for _name, _shape, _more in (
    ("gray", (SIZE, SIZE, 1), {}),
    ("four_channels", (SIZE, SIZE, 4), {}),
    ("any_size", (None, None, 3), {}),
    ("batch_of_one", None, {"batch_shape": (1, SIZE, SIZE, 3)}),
):
    parametrized(_name, _on_input, _shape, _more)


@kind
def bytes_of_pixels(keras):
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    layers = keras.layers
    scaled = layers.Rescaling(1 / 255)(image)
    early = layers.Conv2D(6, 3, activation="relu", name="early")(scaled)
    scores = layers.Dense(3, name="scores")(layers.GlobalMaxPooling2D()(early))
    return keras.Model(image, layers.Softmax()(scores))


@kind
def channels_first(keras):
    layers = keras.layers
    first = {"data_format": "channels_first"}
    image = keras.Input((3, SIZE, SIZE))
    early = layers.Conv2D(6, 3, activation="relu", name="early", **first)(image)
    late = layers.Conv2D(4, 3, strides=2, activation="relu", **first)(early)
    pooled = layers.GlobalAveragePooling2D(**first)(late)
    return keras.Model(image, layers.Softmax()(layers.Dense(3, name="scores")(pooled)))


# --- precision


def _precision(keras, policy):
    mixed = keras.mixed_precision
    before = keras.backend.floatx()
    if policy == "bfloat16" and not hasattr(keras, "ops"):
        return None  # not of this Keras
    if not policy.startswith("mixed"):
        keras.backend.set_floatx(policy)
    mixed.set_global_policy(policy)
    try:
        made = _three_layers(keras)
    finally:
        keras.backend.set_floatx(before)
        mixed.set_global_policy(before)
    single = _three_layers(keras)
    single.set_weights([np.asarray(value, "float32") for value in made.get_weights()])
    TWINS[id(made)] = single
    return made


def _three_layers(keras):
    layers = keras.layers
    return network(keras, (layers.Conv2D(5, 3, activation="relu"), layers.BatchNormalization()))


for _name in ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16"):
    parametrized(_name, _precision, _name)
