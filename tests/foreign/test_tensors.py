"""Image, logits, layers and the pooled layer, found in graphs of many shapes."""

import numpy as np
import pytest

from dgl.foreign import input_of, layers_of, pooled_layer
from dgl.tf_compat import tf


def placeholder(*shape, **more):
    return tf.placeholder(more.pop("dtype", tf.float32), shape or None, **more)


def conv(features=None, channels=4, data_format="NHWC"):
    """A 1 x 1 convolution, by default of a new image."""
    features = placeholder(None, 8, 8, 3) if features is None else features
    size = features.shape.as_list()[3 if data_format == "NHWC" else 1]
    weights = tf.get_variable(f"w{len(tf.global_variables())}", [1, 1, size, channels])
    return tf.nn.conv2d(features, weights, [1] * 4, "SAME", data_format=data_format)


def dense(features, classes=5):
    size = features.shape.as_list()[-1]
    return tf.matmul(features, tf.get_variable("linear", [size, classes])) + tf.ones([classes])


def mean(features, **more):
    return tf.reduce_mean(features, [1, 2], **more)


# --- input_of


@pytest.mark.parametrize(
    "shape, dtype",
    [
        ((None, 8, 8, 3), tf.float32),
        ((1, 8, 8, 3), tf.uint8),
        ((None, None, None, 3), tf.float32),
        ((None, 3, 8, 8), tf.float16),
        ((None, 8, 8, None), tf.float32),
        ((), tf.float32),
    ],
)
def test_the_image_is_found(shape, dtype):
    placeholder(None, 9, 9, 3)  # beside
    image = placeholder(*shape, dtype=dtype)
    rate = tf.placeholder_with_default(1.0, [], "rate")
    flag = tf.placeholder_with_default(False, [], "flag")
    scores = tf.where(flag, tf.cast(image, tf.float32), tf.cast(image, tf.float32) * rate)
    assert input_of(scores) is image


@pytest.mark.parametrize(
    "shapes, words",
    [
        ([(None, 8, 8, 3), (None, 4, 4, 3)], "a:0 .float32 .*b:0 .float32"),
        ([(None, 8), (None, 9)], "a:0 .float32 .*b:0 .float32"),
        ([], "found no placeholder"),
    ],
)
def test_no_image_or_several(shapes, words):
    fed = [tf.reduce_sum(placeholder(*shape, name=name)) for shape, name in zip(shapes, "ab")]
    with pytest.raises(ValueError, match=words):
        input_of(tf.add_n(fed + [tf.constant(1.0)]))


# --- layers_of


def test_layers_from_the_last_to_the_first():
    one = tf.nn.relu(tf.nn.bias_add(conv(), tf.ones(4)), "one")
    pool = tf.nn.max_pool(one, [1, 2, 2, 1], [1, 2, 2, 1], "SAME", name="pool")
    two = tf.nn.relu6(conv(pool), "two")
    left, right = tf.nn.elu(conv(two), "left"), tf.nn.leaky_relu(conv(conv(two)), name="right")
    joined = tf.concat([left, right], 3, "joined")
    tf.nn.relu(conv(joined), "beside")
    found = layers_of(dense(mean(joined)))
    assert list(found)[:6] == ["joined", "right", "left", "two", "pool", "one"]
    assert set(found) >= {"Conv2D", "BiasAdd"} and "beside" not in found
    assert all(tensor.op.name == name for name, tensor in found.items())


def test_sums_that_a_relu_reads_stand_back():
    one = tf.nn.relu(conv(), "one")
    two = tf.nn.relu(tf.identity(tf.add(conv(one), one, "sum")), "two")
    found = layers_of(dense(mean(tf.add(conv(two), two, "bare"))))
    assert list(found)[:3] == ["bare", "two", "one"]
    assert "sum" in found


def test_gates_and_products_of_weights():
    scaled = tf.multiply(conv(), tf.ones(4), "scaled")
    swish = tf.multiply(scaled, tf.sigmoid(scaled), "swish")
    squeezed = tf.nn.relu(mean(swish, keepdims=True), "squeezed")
    gated = tf.multiply(swish, tf.sigmoid(squeezed), "gated")
    found = layers_of(dense(mean(gated)))
    assert list(found)[:2] == ["gated", "swish"] and "squeezed" not in found
    assert set(found) >= {"scaled", "Conv2D"}


@pytest.mark.parametrize(
    "curve",
    [
        *(tf.tanh, tf.sigmoid, tf.nn.softplus, tf.nn.softsign, tf.exp),
        lambda x: tf.maximum(x, 0.2 * x),
        lambda x: x * tf.tanh(tf.nn.softplus(x)),
        lambda x: 0.5 * x * (1.0 + tf.erf(x * 0.7071)),
        lambda x: x * tf.nn.relu6(x + 3.0) / 6.0,
        lambda x: tf.nn.relu(x) - 0.1 * tf.nn.relu(-x),
    ],
)
def test_the_first_layer_is_what_a_curve_makes(curve):
    """Whatever the nonlinearity is, one or several operations, its result is offered first."""
    late = curve(conv(tf.nn.relu(conv())))
    found = list(layers_of(dense(mean(late))).values())
    assert found[0] is late or found[0].op is late.op.inputs[0].op
    assert any(tensor.op.type == "Conv2D" for tensor in found)


def test_a_linear_network_has_layers():
    logits = dense(mean(conv(conv())))
    assert [tensor.op.type for tensor in layers_of(logits).values()] == ["Conv2D"] * 2


def test_channels_first_layers_are_found_too():
    one = tf.nn.relu(conv(placeholder(None, 3, 8, 8), data_format="NCHW"), "one")
    squeezed = tf.nn.relu(tf.reduce_mean(one, [2, 3], keepdims=True), "squeezed")
    logits = dense(tf.reduce_mean(one * tf.sigmoid(squeezed), [2, 3]))
    found = layers_of(logits)
    assert list(found)[1] == "one" and "squeezed" not in found
    assert found["one"].shape.as_list() == [None, 4, 8, 8]
    assert pooled_layer(logits) is None


def test_a_layer_with_a_gradient_of_its_own_is_what_is_differentiated():
    @tf.custom_gradient
    def swish(features):
        return features * tf.sigmoid(features), lambda upstream: upstream

    logits = dense(mean(swish(conv())))
    found = layers_of(logits)
    assert pooled_layer(logits)[0] is next(iter(found.values()))
    # What the function was given is copied beside its result, and no gradient comes to that copy.
    (before,) = [one for one in found.values() if "Conv2D" in one.op.type]
    assert tf.gradients(logits, before)[0] is not None


# --- pooled_layer


def fully_convolutional(features):
    return tf.squeeze(tf.nn.bias_add(conv(mean(features, keepdims=True), 5), tf.ones(5)), [1, 2])


def turned(features):
    return tf.matmul(mean(features), tf.get_variable("linear", [5, 4]), transpose_b=True)


def average_pool(features, side, stride):
    return tf.nn.avg_pool(features, [1, side, side, 1], [1, stride, stride, 1], "VALID")


def hidden(features):
    return tf.nn.relu(tf.matmul(features, tf.get_variable("hidden", [4, 6])))


RECOGNIZED = {
    "mean": lambda s: dense(mean(s)),
    "negative axes": lambda s: dense(tf.reduce_mean(s, [-3, -2])),
    "average pool": lambda s: dense(tf.reshape(average_pool(s, 8, 1), [-1, 4])),
    "dropout": lambda s: tf.identity(dense(tf.identity(mean(s)))),
    "reshape": lambda s: dense(tf.reshape(mean(s, keepdims=True), [-1, 4])),
    "1 x 1": fully_convolutional,
    "turned": turned,
    "bias first": lambda s: tf.ones([5]) + turned(s),
}
OTHERS = {
    "flatten": lambda s: dense(tf.reshape(s, [-1, 256])),
    "maximum": lambda s: dense(tf.reduce_max(s, [1, 2])),
    "hidden layer": lambda s: dense(hidden(mean(s))),
    "of one axis": lambda s: dense(tf.reduce_mean(s, [1, 3])),
    "of all": lambda s: dense(tf.reshape(tf.reduce_mean(s, [1, 2, 3]), [-1, 1])),
    "part of the map": lambda s: dense(tf.reshape(average_pool(s, 4, 4), [-1, 16])),
    "scaled": lambda s: 2.0 * dense(mean(s)),
    "weights of the image": lambda s: tf.matmul(mean(s), tf.matmul(mean(s), mean(s), True)),
    "mixed by a reshape": lambda s: dense(tf.reshape(tf.transpose(mean(s)), [-1, 4])),
}


@pytest.mark.parametrize("kind", list(RECOGNIZED))
def test_the_pooled_layer_and_its_weights(kind):
    """What is recognized is so: the gradient by the weights is the one that TensorFlow takes."""
    last = tf.nn.relu(conv(), "last")
    logits = RECOGNIZED[kind](last)
    pooled, weights = pooled_layer(logits)
    assert pooled is last and weights.shape.as_list() == [4, 5]
    (gradient,) = tf.gradients(logits[:, 3], last)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        fed = {input_of(logits): np.random.RandomState(0).rand(2, 8, 8, 3)}
        computed, column = session.run([gradient, weights[:, 3]], fed)
    np.testing.assert_allclose(computed, np.broadcast_to(column / 64, (2, 8, 8, 4)), rtol=1e-5)


@pytest.mark.parametrize("kind", list(OTHERS))
def test_classifiers_that_end_in_another_way(kind):
    assert pooled_layer(OTHERS[kind](tf.nn.relu(conv()))) is None
