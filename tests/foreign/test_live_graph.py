"""Graphs in memory: functions, loops, half precision, layouts, inputs, and images that fail."""

import numpy as np
import pytest
from graph_defs import write
from refusals import check_refusal
from tiny_network import CLASS_INDEX, C, H, TinyNetwork, W

from dgl.foreign import layers_of, load_frozen
from dgl.localizer import Localizer
from dgl.predict.graph_predictor import GraphPredictor
from dgl.tf_compat import tf

ALPHA = 10.0
TINY = TinyNetwork(seed=3)
METHODS = ("dgl", "gradcam", "gradcam++", "layercam", "eigencam", "normgrad")


@pytest.fixture
def activation():
    return tf.placeholder(tf.float32, [None, H, W, C], "activation")


def maps(logits, image, methods=METHODS, layer=None, fed=TINY.activation, **settings):
    layers = {"layer": image if layer is None else layer}
    with GraphPredictor(logits, layers, image, methods, ALPHA, **settings) as predictor:
        return predictor(fed, CLASS_INDEX).maps


def check_dgl(logits, image, **settings):
    """Hold the map of DGL to the closed form."""
    raw = maps(logits, image, **settings)["dgl", "layer"]
    np.testing.assert_allclose(raw, TINY.dgl(ALPHA), rtol=0, atol=1e-5)


def rest(activation, kind="float32", data_format="NHWC"):
    """The tiny network behind an activation, in float16 or another type."""
    arrays = (TINY.kernel[None, None], TINY.bias, TINY.linear, TINY.linear_bias)
    kernel, bias, linear, linear_bias = (tf.constant(array, kind) for array in arrays)
    hidden = tf.nn.conv2d(activation, kernel, [1] * 4, "SAME", data_format=data_format)
    if data_format == "NHWC":
        pooled = tf.reduce_mean(tf.nn.relu(hidden + bias), [1, 2])
    else:
        pooled = tf.reduce_mean(tf.nn.relu(hidden + bias[:, None, None]), [2, 3])
    return tf.matmul(pooled, linear) + linear_bias


def function_of(kind):
    return tf.function(lambda x: rest(x, kind), autograph=False)


# Weights are rounded to half precision when the graph is made.
@pytest.mark.parametrize("kind, tolerance", [(tf.float16, 0.01), (tf.bfloat16, 0.08)])
@pytest.mark.parametrize("is_function", [False, True])
def test_half_precision_is_computed_in_float32(kind, tolerance, is_function):
    activation = tf.placeholder(kind, [None, H, W, C], "half")
    logits = function_of(kind)(activation) if is_function else rest(activation, kind)
    found, expected = maps(logits, activation), TINY.dgl(ALPHA)
    raw = found["dgl", "layer"]
    np.testing.assert_allclose(raw, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    assert all(raw.dtype == np.float32 and np.ptp(raw) > 0 for raw in found.values())


def test_variables_of_a_session_are_in_the_copy(activation):
    scale = tf.get_variable("scale", initializer=0.0, use_resource=True)
    plain = tf.get_variable("plain", initializer=0.0, use_resource=False)
    logits = rest(tf.function(lambda x: x * scale + plain)(activation))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([scale.assign(1.0), tf.assign(plain, 0.0)])
        check_dgl(logits, activation, session=session)


def test_a_method_that_fails_leaves_the_others(graph, activation):
    """The function is inlined in a copy of the graph, each time."""
    logits = function_of("float32")(activation)
    before = graph.as_graph_def()
    for _ in range(2):
        with pytest.raises(ValueError, match="head_weights"):
            maps(logits, activation, ["cam"])
        check_dgl(logits, activation)
    assert graph.as_graph_def() == before


def test_an_operation_without_gradient_is_named_before_anything_is_built(graph, activation):
    with tf.name_scope("rounding"):
        image = tf.image.adjust_contrast(activation[..., :3], 2.0)
        late = tf.concat([image, activation[..., 3:]], 3)
    logits = rest(late)
    before = len(graph.get_operations())
    words = "layer .*has no gradient .AdjustContrastv2"
    check_refusal(words, maps, logits, activation, ["gradcam"])
    assert len(graph.get_operations()) == before
    assert maps(logits, activation, ["eigencam"])


def test_a_loop_whose_rounds_the_image_decides_is_refused(activation):
    @tf.function(autograph=False)
    def doubled(x):
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 1e6, lambda y: y * 2.0, [x])

    logits = rest(doubled(activation))
    check_refusal("loop whose number of rounds only a run tells", maps, logits, activation)


# --- layouts


@pytest.mark.parametrize("said", [None, "channels_first"])
def test_channels_first_is_read_from_the_convolution(said, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # with it, the convolution is written anew
    image = tf.placeholder(tf.float32, [None, C, H, W], "image")
    logits = rest(tf.identity(image), data_format="NCHW")
    with pytest.raises(ValueError, match="channels_last: the graph's .* is channels_first"):
        maps(logits, image, data_format="channels_last")
    fed = TINY.activation.transpose(0, 3, 1, 2)
    check_dgl(logits, image, methods=["dgl"], fed=fed, data_format=said)


def test_a_transposition_turns_the_layout(activation):
    turned = tf.nn.relu(tf.transpose(activation, [0, 3, 1, 2]), "turned")
    check_dgl(rest(tf.transpose(turned, [0, 2, 3, 1])), activation, layer=turned)


# --- inputs


def head(image):
    """The layer and the logits of a small classifier of an image."""
    rng = np.random.RandomState(0)
    kernel = rng.standard_normal((3, 3, 3, 4)).astype("f4")
    layer = tf.nn.relu(tf.nn.conv2d(image, kernel, [1] * 4, "SAME"), "layer")
    linear = rng.standard_normal((4, 3)).astype("f4")
    return layer, tf.matmul(tf.reduce_mean(layer, [1, 2]), linear)


def image_of(channels=3):
    return tf.placeholder(tf.float32, [None, 20, 20, channels], "image")


IMAGES = np.random.RandomState(1).randint(0, 256, (3, 20, 20, 3)).astype("uint8")


def localized(layer, logits, **settings):
    with Localizer.from_graph(logits, layer, **settings) as localizer:
        return localizer(list(IMAGES))


def check_reference(layer, logits, **settings):
    """Hold maps and classes to those of the usual placeholder."""
    same(localized(layer, logits, **settings), localized(*head(image_of() / 255.0)))


def same(found, expected, atol=1e-6):
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one.map, other.map, rtol=0, atol=atol)
        assert one.class_index == other.class_index
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    "shape, kind",
    [
        *(([size, 20, 20, 3], tf.float32) for size in (1, 2, 8)),
        ([20, 20, 3], tf.float32),
        ([None, None, None, 3], tf.uint8),
    ],
)
def test_batches_of_fixed_size_single_images_and_bytes(shape, kind):
    batch = tf.cast(tf.placeholder(kind, shape), tf.float32) / 255.0
    layer, logits = head(batch if len(shape) == 4 else batch[None])
    check_reference(layer, logits, image_size=20 if kind == tf.uint8 else None)


@pytest.mark.parametrize("shape", [[], [1], [None], "loop", "file"])
def test_encoded_images(shape, graph, tmp_path):
    """The bytes of a file: of one, or of a batch that a function or a loop of TensorFlow 1 maps over."""
    way, shape = (shape, [None]) if isinstance(shape, str) else ("", shape)
    encoded = tf.placeholder(tf.string, shape, "encoded")

    def decoded(data):
        return tf.cast(tf.image.decode_jpeg(data, channels=3), tf.float32) / 255.0

    def mapped(data):
        return tf.map_fn(decoded, data, tf.float32)

    if shape != [None]:
        image = decoded(encoded[0] if shape else encoded)
    elif way:
        image = mapped(encoded)
    else:
        if tf.VERSION < "2":
            pytest.skip("loops of TensorFlow 1.15 are no functions")
        image = tf.function(mapped)(encoded)
    layer, logits = head(tf.reshape(image, [-1, 20, 20, 3]))
    if way == "file":
        logits = load_frozen(write(tmp_path / "map.pb", graph.as_graph_def())).output()
        layers = layers_of(logits)
        assert next(iter(layers)) == layer.op.name
        layer = layers[layer.op.name]
    check_reference(layer, logits)


def test_a_loop_of_tensorflow_1_behind_a_layer_is_refused(graph, tmp_path):
    tf.map_fn(lambda row: row * 2.0, head(image_of())[1])
    path = write(tmp_path / "loop.pb", graph.as_graph_def())
    check_refusal("is a loop whose number of rounds", load_frozen, path)


def test_gray_by_luma_and_opacity():
    luma = np.array([0.299, 0.587, 0.114], "f4")
    gray, rgb, rgba = map(image_of, (1, 3, 4))
    opaque = tf.reduce_sum(rgba[..., :3] * luma, 3, keepdims=True) * rgba[..., 3:] / 255.0**2
    inputs = (
        gray * [1.0, 1.0, 1.0] / 255.0,
        tf.reduce_sum(rgb * luma, 3, keepdims=True) * [1.0, 1.0, 1.0] / 255.0,
        opaque + tf.zeros([3]),
    )
    of_gray, of_rgb, of_rgba = (localized(*head(image)) for image in inputs)
    same(of_gray, of_rgb, 1e-4)
    same(of_rgba, of_rgb, 1e-4)


def test_further_inputs():
    image = image_of()
    keep = tf.placeholder(tf.float32, [], "keep_prob")
    more = tf.placeholder(tf.float32, [None, 3], "more")
    scale = tf.placeholder_with_default(1.0, [], "scale")
    layer, logits = head(image / 255.0 * scale)
    logits = logits * keep + more
    words = r"keep_prob:0 .float32 \(\)., more:0 .float32 \((\?|None), 3\)"
    check_refusal(words, localized, layer, logits)
    check_reference(layer, logits, feeds={"keep_prob": 1.0, "more:0": [0.0, 0.0, 0.0]})
    words = "no input 'rate'; it has image, keep_prob, more, scale"
    check_refusal(words, localized, layer, logits, feeds={"rate": 1.0})


# --- maps that are not finite


@pytest.mark.parametrize("method", ["dgl", "gradcam++", "eigencam", "center", "normgrad"])
def test_an_image_that_fails_is_the_only_one(method):
    image = image_of()
    layer, logits = head(tf.sqrt(image))
    images = IMAGES.astype("f4")
    with GraphPredictor(logits, {"layer": layer}, image, [method]) as predictor:
        (expected,) = predictor(images).maps.values()
        images[1, 3:6, 3:6] = -1
        check_refusal("its logits are not finite", predictor, images)
        predictor.strict = False
        found = predictor(images)
    assert [place for place, _ in found.failed] == [1]
    (raw,) = found.maps.values()
    np.testing.assert_allclose(raw[[0, 2]], expected[[0, 2]], rtol=1e-5, atol=1e-5)


def test_dilated_convolutions():
    """Their map is that of zeros between the kernel's weights; TensorFlow 1.15 says that it cannot."""
    rng, networks = np.random.RandomState(5), []
    kernel, linear = rng.randn(3, 3, 4, 6).astype("f4"), rng.randn(6, 3).astype("f4")
    spread = np.zeros((5, 5, 4, 6), "f4")
    spread[::2, ::2] = kernel
    for weights, rate in ((kernel, 2), (spread, 1)):
        layer = head(image_of() / 255.0)[0]
        settings = {"strides": [1] * 4, "padding": "SAME", "dilations": [1, rate, rate, 1]}
        later = tf.nn.relu(tf.raw_ops.Conv2D(input=layer, filter=weights, **settings))
        networks.append((layer, tf.matmul(tf.reduce_mean(later, [1, 2]), linear)))
    if tf.VERSION < "2":
        check_refusal("no gradients of dilated convolutions", localized, *networks[0])
    else:
        same(localized(*networks[0]), localized(*networks[1]), 1e-5)
