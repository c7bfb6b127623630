"""An application of Keras with random weights, built in graph mode: maps against the formulas in NumPy.

The gradients are TensorFlow's, each from a backward pass of its own; all else is computed anew.
"""

import numpy as np
import pytest
from networks import has_keras
from tiny_network import one_hot, unit

from dgl.foreign import input_of, layers_of, logits_of, pooled_layer
from dgl.predict.graph_predictor import GraphPredictor
from dgl.predict.session import open_session
from dgl.tf_compat import tf

pytestmark = pytest.mark.filterwarnings("ignore:.*(set_learning_phase|state_updates)")

CLASSES, SIZE, ALPHA = 7, 64, 10.0
CLASS_INDEX = [2, 5]
IMAGES = np.random.RandomState(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    """(model, its session), in a graph of their own."""
    if not has_keras():
        pytest.skip("no Keras that builds graphs")
    with tf.Graph().as_default(), open_session() as session:
        tf.keras.backend.set_session(session)
        tf.keras.backend.set_learning_phase(0)
        tf.set_random_seed(1)
        made = tf.keras.applications.MobileNet(
            (SIZE, SIZE, 3), alpha=0.25, weights=None, classes=CLASSES
        )
        session.run(tf.global_variables_initializer())
        yield made, session
    tf.keras.backend.set_session(None)


def test_tensors(model):
    made, _ = model
    logits = logits_of(made.output)
    layers = layers_of(logits)
    assert input_of(logits) is made.input
    assert logits.shape.as_list() == [None, CLASSES]
    # A first convolution and 13 pairs, each with its ReLU; convolutions and normalizations after them.
    first = list(layers)[:27]
    assert all(name.endswith("Relu6") for name in first) and len(layers) == 3 * 27
    assert [first[0], first[-1]] == ["conv_pw_13_relu/Relu6", "conv1_relu/Relu6"]
    pooled, weights = pooled_layer(logits)
    assert pooled is next(iter(layers.values()))
    assert weights.shape.as_list() == [256, CLASSES]


def test_maps_are_the_formulas(model):
    made, session = model
    logits = logits_of(made.output)
    names = ["conv_pw_13_relu/Relu6", "conv_pw_11_relu/Relu6", "conv_pw_3_relu/Relu6"]
    layers = {name: layers_of(logits)[name] for name in names}
    methods = ["dgl", "gradcam", "layercam", "cam"]
    predictor = GraphPredictor(logits, layers, methods=methods, alpha=ALPHA, session=session)
    found = predictor(IMAGES, CLASS_INDEX)
    np.testing.assert_allclose(
        found.probability, made.predict(IMAGES, verbose=0), rtol=0, atol=1e-6
    )
    target = one_hot(CLASS_INDEX, CLASSES)
    signal = tf.placeholder(tf.float32, [None, CLASSES])
    for name, layer in layers.items():
        gradient = tf.gradients(logits, layer, signal)[0]

        def run(value, *tensors):
            return session.run(tensors, {made.input: IMAGES, signal: value})

        activation, of_class = (a.astype("float64") for a in run(target, layer, gradient))
        (of_loss,) = run(found.probability - ALPHA * target, gradient)
        means = of_class.mean((1, 2))
        expected = {
            "dgl": (of_class * (unit(activation) - unit(of_loss.astype("float64")))).sum(3),
            "gradcam": np.maximum(np.einsum("nhwc,nc->nhw", activation, means), 0),
            "layercam": (np.maximum(of_class, 0) * activation).sum(3),
        }
        if name == names[0]:
            head = made.get_layer("conv_preds").get_weights()[0][0, 0]
            expected["cam"] = np.einsum("nhwc,cn->nhw", activation, head[:, CLASS_INDEX])
        for method, value in expected.items():
            scale = np.abs(value).max()
            assert scale > 0
            np.testing.assert_allclose(
                found.maps[method, name], value, rtol=0, atol=2e-5 * scale, err_msg=method + name
            )
    assert len(found.maps) == 10
