"""Classifiers from files: maps of NumPy, whoever wrote them; damaged or hostile SavedModels are refused."""

import functools
import os
import shutil

import numpy as np
import pytest
from graph_defs import load, refused, value_of, write
from hand_network import ALPHA, CLASS_INDEX, METHODS, HandNetwork, freeze, write_saved_model
from own_process import call
from refusals import check_refusal

from dgl.foreign import input_of, layers_of, load_frozen, load_saved_model, logits_of
from dgl.predict.graph_predictor import GraphPredictor
from dgl.tf_compat import tf

NETWORK = HandNetwork()
# The first TensorFlow that writes a kind, those of version 2 in a process of their own.
TF2 = {"tf_keras": (2, 0), "keras": (2, 16), "module": (2, 0), "wrapped": (2, 0)}
KINDS = ("frozen", "text", "simple_save", "resource", *TF2)
VERSION = tuple(int(number) for number in tf.VERSION.split(".")[:2])


@pytest.fixture(scope="module")
def of_tensorflow_2(tmp_path_factory):
    """The folder with the kinds that one process writes."""
    folder = tmp_path_factory.mktemp("models")
    weights = str(folder / "weights.npz")
    np.savez(weights, *NETWORK.weights())
    write(folder / "frozen", freeze(NETWORK))
    kinds = [kind for kind, first in TF2.items() if first <= VERSION]
    call("foreign.write_tf2", "write", str(folder), weights, *kinds)
    return folder


@pytest.fixture
def loaded(kind, tmp_path, request):
    if TF2.get(kind, (1, 0)) > VERSION:
        pytest.skip(f"TensorFlow {tf.VERSION} does not write this kind")
    if kind in TF2:
        return load_saved_model(str(request.getfixturevalue("of_tensorflow_2") / kind))
    if kind == "frozen":
        return load(tmp_path, freeze(NETWORK))
    if kind == "text":
        (tmp_path / "a.pbtxt").write_text(str(freeze(NETWORK)))
        return load_frozen(str(tmp_path / "a.pbtxt"))
    return load_saved_model(write_saved_model(NETWORK, str(tmp_path / kind), kind == "resource"))


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] if k in TF2 else []) for k in KINDS]
)
def test_maps_are_those_of_numpy(loaded):
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
    assert len(expected) == len(found.maps) == 7
    for (method, name), computed in found.maps.items():
        value = expected[method, "second" if name == next(iter(layers)) else "first"]
        atol = 2e-6 * np.abs(value).max()  # float32
        np.testing.assert_allclose(computed, value, rtol=0, atol=atol, err_msg=method + name)


# --- refused

line_of = functools.partial(refused, load_saved_model)


@pytest.fixture
def model(tmp_path):
    return write_saved_model(NETWORK, str(tmp_path / "model"))


@pytest.fixture
def x():
    return tf.placeholder(tf.float32, [3], "x")


@pytest.fixture
def save(x, tmp_path):
    """A function that writes a SavedModel of the present graph, its variables as they are initialized."""

    def written(y, saver=None, **more):
        path = str(tmp_path / "model")
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            signature = tf.saved_model.predict_signature_def({"x": x}, {"y": y})
            builder = tf.saved_model.Builder(path)
            settings = {"saver": saver, "signature_def_map": {"serving_default": signature}, **more}
            builder.add_meta_graph_and_variables(session, ["serve"], **settings)
            builder.save()
        return path

    return written


def numbers(path):
    loaded = load_saved_model(path)
    return value_of(loaded.output(), {loaded.inputs["x"]: np.zeros(3)}).tolist()


def test_files_that_are_missing_or_cut_off(tmp_path, model):
    assert "expected a SavedModel's folder" in line_of(tmp_path / "nothing")
    assert "no such file" in line_of(tmp_path)
    (data,) = (tmp_path / "model" / "variables").glob("*.data-*")
    os.truncate(str(data), 10)
    check_refusal("cannot be read|not a readable", load_saved_model, model)
    shutil.rmtree(os.path.join(model, "variables"))
    assert "not in variables/" in line_of(model)
    for data in (b"", b"\x00", b"\xff" * 40, b"not a model" * 9, b"\x12\x7f"):
        with open(os.path.join(model, "saved_model.pb"), "wb") as stream:
            stream.write(data)
        line_of(model)


def test_what_is_asked_for_is_not_there(model):
    assert "choose one of serving_default" in line_of(model, signature="train")
    assert "choose one of probability" in line_of(model, outputs=["logits"])
    loaded = load_saved_model(model, "serving_default", ["probability"], "any tag, of one graph")
    assert list(loaded.outputs) == ["probability"] and list(loaded.inputs) == ["image"]


def test_what_it_brings_along_is_not_run(x, save, tmp_path):
    """TensorFlow's own loader runs the main operation; here the rest of the model loads without it."""
    written = tmp_path / "written"
    path = save(x + 1.0, main_op=tf.io.write_file(str(written), "by a model"))
    assert numbers(path) == [1, 1, 1] and not written.exists()
    with tf.Graph().as_default(), tf.Session() as session:
        tf.saved_model.loader.load(session, ["serve"], path)
    assert written.exists()


def test_what_its_output_needs_is_refused(x, save, tmp_path):
    with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "by a model")]):
        path = save(x + 1.0)
    assert "type 'WriteFile' is refused" in line_of(path)


def test_variables_go_by_what_restores_them(x, save):
    """Two variables whose names are exchanged in the checkpoint."""
    a = tf.get_variable("a", initializer=[1.0, 2.0, 3.0])
    b = tf.get_variable("b", initializer=[10.0, 20.0, 30.0])
    saver = tf.train.Saver({"a": b, "b": a}, sharded=True)
    assert numbers(save(x + a - 2.0 * b, saver)) == [-19, -38, -57]


def test_parts_of_a_variable_are_not_taken_for_it(x, save):
    with tf.variable_scope("all", partitioner=tf.fixed_size_partitioner(2)):
        whole = tf.get_variable("w", [4])
    assert "not in variables/" in line_of(save(x + tf.reduce_sum(whole)))


def test_conditions_of_tensorflow_1(x, save):
    """Dropout that a placeholder turns on: the pass for inference, its gradient included."""
    weight = tf.get_variable("w", initializer=2.0, use_resource=True)
    training = tf.placeholder_with_default(False, [], "training")
    loaded = load_saved_model(save(tf.cond(training, lambda: x * 0.0, lambda: x * weight)))
    with loaded.graph.as_default():
        (gradient,) = tf.gradients(loaded.output(), loaded.inputs["x"])
    fed = {loaded.inputs["x"]: np.ones(3)}
    assert value_of(loaded.output(), fed).tolist() == [2, 2, 2]
    assert value_of(gradient, fed).tolist() == [2, 2, 2]
