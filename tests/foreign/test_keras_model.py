"""Keras models in memory: the maps of NumPy and of plain gradients, in eager programs and in graph mode."""

import numpy as np
import pytest
from hand_network import ALPHA, CLASS_INDEX, HandNetwork
from networks import has_keras
from own_process import call
from write_tf2 import keras_model

from dgl.localizer import Localizer
from dgl.predict.session import open_session
from dgl.tf_compat import tf

VERSION = tuple(int(part) for part in tf.VERSION.split(".")[:2])


def skip_without(package, first=(2, 15)):
    """Skip where no Keras 3, or no TensorFlow of version ``first``, is installed."""
    if first > VERSION or (package == "keras" and VERSION < (2, 16)):
        pytest.skip("no such Keras")


@pytest.mark.slow
@pytest.mark.parametrize("package", ["tf_keras", "keras"])
def test_eager(package):
    skip_without(package, (2, 0))
    call("foreign.keras_in_memory", "check", package)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["tf_keras", "keras"])
def test_every_kind_of_model(package):
    skip_without(package)
    call("foreign.keras_kinds", "check", package)


@pytest.mark.slow
@pytest.mark.parametrize(
    "package, name",
    [("keras", "MobileNetV3Small"), ("tf_keras", "RegNetX002"), ("tf_keras", "MobileNetV2")],
)
def test_a_family_of_applications(package, name):
    """No foreign exception, no silent constant map; `make fuzz` tries all."""
    skip_without(package)
    call("foreign.application_families", "check", package, name)


@pytest.mark.filterwarnings("ignore:.*(set_learning_phase|state_updates)")
def test_graph_mode():
    if not has_keras():
        pytest.skip("no Keras that builds graphs")
    network = HandNetwork()
    with tf.Graph().as_default(), open_session() as session:
        tf.keras.backend.set_session(session)
        model = keras_model(tf.keras, network.weights())
        with Localizer.from_keras(model, "first", alpha=ALPHA) as localizer:
            (raw,) = localizer.predictor(network.images, CLASS_INDEX).maps.values()
    tf.keras.backend.set_session(None)
    expected = network.expected()["dgl", "first"]
    np.testing.assert_allclose(raw, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
