"""Classifiers from files: maps of NumPy, whoever wrote them; damaged or hostile SavedModels are refused."""

import functools
import os
import shutil

import numpy as np
import pytest
from graph_defs import value_of
from hand_network import ALPHA, CLASS_INDEX, METHODS, HandNetwork, write_frozen, write_saved_model
from own_process import call

from dgl.errors import UserError
from dgl.foreign import input_of, layers_of, load_frozen, load_saved_model, logits_of
from dgl.predict.graph_predictor import GraphPredictor
from dgl.tf_compat import tf

NETWORK = HandNetwork()
# The first TensorFlow that writes a kind, those of version 2 in a process of their own.
TF2 = {"tf_keras": (2, 0), "keras": (2, 16), "module": (2, 0), "wrapped": (2, 0)}
KINDS = ("frozen", "text", "simple_save", "resource", *TF2)
VERSION = tuple(int(number) for number in tf.VERSION.split(".")[:2])


def _write(kind, folder):
    path = os.path.join(folder, kind + (".pbtxt" if kind == "text" else ""))
    if kind in ("frozen", "text"):
        return write_frozen(NETWORK, path, kind == "text")
    if kind in ("simple_save", "resource"):
        return write_saved_model(NETWORK, path, kind == "resource")
    if not os.path.exists(path):
        weights = os.path.join(folder, "weights.npz")
        np.savez(weights, *NETWORK.weights())
        _write("frozen", folder)
        kinds = [kind for kind, first in TF2.items() if first <= VERSION]
        call("foreign.write_tf2", "write", folder, weights, *kinds)
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
    if TF2.get(kind, (1, 0)) > VERSION:
        pytest.skip(f"TensorFlow {tf.VERSION} does not write this kind")
    loaded = models(kind)
    logits = logits_of(loaded.output())
    layers = dict(list(layers_of(logits).items())[:2])
    assert [name.split("/")[-2].split("_")[0] for name in layers] == ["second", "first"]
    (image,) = loaded.inputs.values()
    assert input_of(logits) is image and len(loaded.outputs) == 1
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


# --- refused


@pytest.fixture
def model(tmp_path):
    return write_saved_model(NETWORK, str(tmp_path / "model"))


def refused(path, **more):
    with pytest.raises(UserError) as caught:
        load_saved_model(path, **more)
    text = str(caught.value)
    assert text.startswith(path) and "\n" not in text
    return text


def save(path, inputs, outputs, saver=None, **more):
    """A SavedModel of the present graph, its variables as they are initialized."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        signature = tf.saved_model.predict_signature_def(inputs, outputs)
        builder = tf.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, saver=saver, **more
        )
        builder.save()
    return path


def numbers(path):
    loaded = load_saved_model(path)
    return value_of(loaded.output(), {loaded.inputs["x"]: np.zeros(3)}).tolist()


@pytest.fixture
def x():
    with tf.Graph().as_default():
        yield tf.placeholder(tf.float32, [3], "x")


def without(model, name):
    path = os.path.join(model, name)
    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    return refused(model)


def test_files_that_are_missing_or_cut_off(tmp_path, model):
    assert "expected a SavedModel's folder" in refused(str(tmp_path / "nothing"))
    assert "no such file" in refused(str(tmp_path))
    variables = os.path.join(model, "variables")
    (data,) = [name for name in os.listdir(variables) if ".data-" in name]
    with open(os.path.join(variables, data), "r+b") as stream:
        stream.truncate(10)
    with pytest.raises(UserError, match="cannot be read|not a readable"):
        load_saved_model(model)
    assert "not in variables/" in without(model, "variables")
    assert "no such file" in without(model, "saved_model.pb")


def test_what_is_asked_for_is_not_there(model):
    assert "choose one of serving_default" in refused(model, signature="train")
    assert "choose one of probability" in refused(model, outputs=["logits"])
    loaded = load_saved_model(model, "serving_default", ["probability"], "any tag, of one graph")
    assert list(loaded.outputs) == ["probability"] and list(loaded.inputs) == ["image"]


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 40, b"not a model" * 9, b"\x12\x7f"])
def test_something_else(data, model):
    with open(os.path.join(model, "saved_model.pb"), "wb") as stream:
        stream.write(data)
    refused(model)


def test_what_it_brings_along_is_not_run(x, tmp_path):
    """TensorFlow's own loader runs the main operation; here the rest of the model loads without it."""
    written = tmp_path / "written"
    main = tf.io.write_file(str(written), "by a model")
    path = save(str(tmp_path / "model"), {"x": x}, {"y": x + 1.0}, main_op=main)
    assert numbers(path) == [1, 1, 1] and not written.exists()
    with tf.Graph().as_default(), tf.Session() as session:
        tf.saved_model.loader.load(session, ["serve"], path)
    assert written.exists()


def test_what_its_output_needs_is_refused(x, tmp_path):
    with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "by a model")]):
        path = save(str(tmp_path / "model"), {"x": x}, {"y": x + 1.0})
    assert "type 'WriteFile' is refused" in refused(path)


def test_variables_go_by_what_restores_them(x, tmp_path):
    """Two variables whose names are exchanged in the checkpoint."""
    a = tf.get_variable("a", initializer=[1.0, 2.0, 3.0])
    b = tf.get_variable("b", initializer=[10.0, 20.0, 30.0])
    saver = tf.train.Saver({"a": b, "b": a}, sharded=True)
    path = save(str(tmp_path / "model"), {"x": x}, {"y": x + a - 2.0 * b}, saver)
    assert numbers(path) == [-19, -38, -57]


def test_parts_of_a_variable_are_not_taken_for_it(x, tmp_path):
    with tf.variable_scope("all", partitioner=tf.fixed_size_partitioner(2)):
        whole = tf.get_variable("w", [4])
    path = save(str(tmp_path / "model"), {"x": x}, {"y": x + tf.reduce_sum(whole)})
    assert "not in variables/" in refused(path)


def test_conditions_of_tensorflow_1(x, tmp_path):
    """Dropout that a placeholder turns on: the pass for inference, its gradient included."""
    weight = tf.get_variable("w", initializer=2.0, use_resource=True)
    training = tf.placeholder_with_default(False, [], "training")
    y = tf.cond(training, lambda: x * 0.0, lambda: x * weight)
    loaded = load_saved_model(save(str(tmp_path / "model"), {"x": x}, {"y": y}))
    with loaded.graph.as_default():
        (gradient,) = tf.gradients(loaded.output(), loaded.inputs["x"])
    fed = {loaded.inputs["x"]: np.ones(3)}
    assert value_of(loaded.output(), fed).tolist() == [2, 2, 2]
    assert value_of(gradient, fed).tolist() == [2, 2, 2]


def test_a_loop_is_refused(x, tmp_path):
    y = tf.while_loop(lambda y: tf.reduce_sum(y) < 9.0, lambda y: y + 1.0, [x])
    assert "no gradients" in refused(save(str(tmp_path / "m"), {"x": x}, {"y": y}))
