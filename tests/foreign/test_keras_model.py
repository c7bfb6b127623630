"""Keras models in memory: the maps of NumPy and of plain gradients, in eager programs and in graph mode."""

import numpy as np
import pytest
from keras_in_memory import maps_are_the_oracle
from map_formulas import formulas
from networks import has_keras
from own_process import call
from tiny_network import one_hot

from dgl.foreign import input_of, layers_of, logits_of, pooled_layer
from dgl.predict.graph_predictor import GraphPredictor
from dgl.predict.session import open_session
from dgl.tf_compat import tf

VERSION = tuple(int(part) for part in tf.VERSION.split(".")[:2])
CLASSES, SIZE, ALPHA = 7, 64, 10.0

pytestmark = pytest.mark.filterwarnings("ignore:.*(set_learning_phase|state_updates)")


@pytest.mark.slow
@pytest.mark.parametrize(
    "package, first, application",
    [("tf_keras", (2, 0), "MobileNetV2"), ("keras", (2, 16), "MobileNetV3Small")],
)
def test_in_eager_programs(package, first, application):
    """In a process of their own; models of every kind and an application with the newest Keras that there
    is (`make test-tf215` has tf_keras for that, `make fuzz` all families of applications)."""
    if first > VERSION:
        pytest.skip("no such Keras")
    is_newest = VERSION >= (2, 15) and (package == "keras" or VERSION < (2, 16))
    call("foreign.keras_in_memory", "check", package, *[application] * is_newest)


# --- graph mode


@pytest.fixture
def session():
    if not has_keras():
        pytest.skip("no Keras that builds graphs")
    with open_session() as opened:
        tf.keras.backend.set_session(opened)
        yield opened
    tf.keras.backend.set_session(None)


def test_a_localizer(session):
    maps_are_the_oracle(tf.keras)


def test_tensors_and_maps_of_an_application(session):
    """The gradients are TensorFlow's, each from a backward pass of its own; all else is computed anew."""
    images = np.random.RandomState(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype("float32")
    class_index = [2, 5]
    tf.keras.backend.set_learning_phase(0)
    tf.set_random_seed(1)
    shape = (SIZE, SIZE, 3)
    made = tf.keras.applications.MobileNet(shape, alpha=0.25, weights=None, classes=CLASSES)
    session.run(tf.global_variables_initializer())
    logits = logits_of(made.output)
    layers = layers_of(logits)
    assert input_of(logits) is made.input
    assert logits.shape.as_list() == [None, CLASSES]
    # A first convolution and 13 pairs, each with its ReLU; convolutions and normalizations after them.
    first = list(layers)[:27]
    assert all(name.endswith("Relu6") for name in first) and len(layers) == 3 * 27
    assert [first[0], first[-1]] == ["conv_pw_13_relu/Relu6", "conv1_relu/Relu6"]
    pooled, weights = pooled_layer(logits)
    assert pooled is layers[first[0]] and weights.shape.as_list() == [256, CLASSES]

    layers = {name: layers[name] for name in (first[0], first[4], first[20])}
    methods = ["dgl", "gradcam", "layercam", "cam"]
    predictor = GraphPredictor(logits, layers, methods=methods, alpha=ALPHA, session=session)
    found = predictor(images, class_index)
    probability = made.predict(images, verbose=0)
    np.testing.assert_allclose(found.probability, probability, rtol=0, atol=1e-6)
    assert len(found.maps) == 10
    target = one_hot(class_index, CLASSES)
    signal = tf.placeholder(tf.float32, [None, CLASSES])
    head = made.get_layer("conv_preds").get_weights()[0][0, 0]
    expected = {}
    for name, layer in layers.items():
        parts = [layer, tf.gradients(logits, layer, signal)[0]]
        (activation, of_class), (_, of_loss) = (
            session.run(parts, {made.input: images, signal: value})
            for value in (target, found.probability - ALPHA * target)
        )
        expected[name] = formulas(*(a.astype("float64") for a in (activation, of_class, of_loss)))
        if layer is pooled:
            expected[name]["cam"] = np.einsum("nhwc,cn->nhw", activation, head[:, class_index])
    for (method, name), raw in found.maps.items():
        value = expected[name][method]
        scale = np.abs(value).max()
        assert scale > 0
        np.testing.assert_allclose(raw, value, rtol=0, atol=2e-5 * scale, err_msg=method + name)
