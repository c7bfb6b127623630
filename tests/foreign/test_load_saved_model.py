"""Maps of classifiers from files are those of NumPy, whoever wrote the files."""

import functools
import os

import numpy as np
import pytest
from hand_network import (
    ALPHA,
    CLASS_INDEX,
    METHODS,
    HandNetwork,
    write_frozen,
    write_saved_model,
)
from own_process import call

from dgl.foreign import input_of, layers_of, load_frozen, load_saved_model, logits_of
from dgl.predict.graph_predictor import GraphPredictor
from dgl.tf_compat import tf

KINDS = ("frozen", "text", "simple_save", "resource", "tf_keras", "keras", "module")
NETWORK = HandNetwork()


TF2 = {"keras": ("keras",), "tf_keras": ("tf_keras", "module"), "module": ("tf_keras", "module")}


def _needs(kind):
    """The first TensorFlow that writes this kind."""
    return {"keras": (2, 16), "tf_keras": (2, 0), "module": (2, 0)}.get(kind, (1, 0))


def _write(kind, folder):
    path = os.path.join(folder, kind + (".pbtxt" if kind == "text" else ""))
    if kind in ("frozen", "text"):
        return write_frozen(NETWORK, path, kind == "text")
    if kind in ("simple_save", "resource"):
        return write_saved_model(NETWORK, path, kind == "resource")
    if not os.path.exists(path):
        weights = os.path.join(folder, "weights.npz")
        np.savez(weights, *NETWORK.weights())
        call("foreign.write_tf2", "write", folder, weights, *TF2[kind])
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Kind -> a function that loads the model, written once."""
    folder = str(tmp_path_factory.mktemp("models"))

    @functools.lru_cache(maxsize=None)
    def written(kind):
        return _write(kind, folder)

    def load(kind):
        return (load_frozen if kind in ("frozen", "text") else load_saved_model)(written(kind))

    return load


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] if k in TF2 else []) for k in KINDS]
)
def test_maps_are_those_of_numpy(models, kind):
    version = tuple(int(number) for number in tf.VERSION.split(".")[:2])
    if version < _needs(kind):
        pytest.skip(f"TensorFlow {tf.VERSION} does not write this kind")
    loaded = models(kind)
    logits = logits_of(loaded.output())
    layers = dict(list(layers_of(logits).items())[:2])
    assert [name.split("/")[-2].split("_")[0] for name in layers] == [
        "second",
        "first",
    ]
    assert input_of(logits) is next(iter(loaded.inputs.values()))
    methods = METHODS + ("cam",)
    with GraphPredictor(logits, layers, methods=methods, alpha=ALPHA) as predictor:
        found = predictor(NETWORK.images, CLASS_INDEX)
    np.testing.assert_allclose(found.logits, NETWORK.logits(), rtol=0, atol=2e-5)
    np.testing.assert_allclose(found.probability, NETWORK.probability(), rtol=0, atol=2e-6)
    expected = NETWORK.expected()
    names = dict(zip(("second", "first"), layers))
    assert len(expected) == len(found.maps) == 7
    for (method, layer), value in expected.items():
        computed = found.maps[method, names[layer]]
        atol = 2e-6 * np.abs(value).max()  # float32
        np.testing.assert_allclose(computed, value, rtol=0, atol=atol, err_msg=method + layer)
