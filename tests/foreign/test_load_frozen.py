"""Frozen graphs: values, outputs by name, and one-line errors for damaged or other files."""

import random

import numpy as np
import pytest
from graph_defs import constant, load, message, node, refused, value_of, write
from hand_network import HandNetwork, freeze, write_saved_model

from dgl.errors import UserError
from dgl.foreign import load_frozen, logits_of
from dgl.predict.graph_predictor import GraphPredictor
from dgl.tf_compat import tf

NETWORK = HandNetwork()


@pytest.fixture(scope="module")
def frozen():
    return freeze(NETWORK).SerializeToString(deterministic=True)


def test_what_is_no_frozen_graph(graph, tmp_path):
    for data in (b"", b"\x00" * 9, b"not a graph", b"\xff\xfe\xfd" * 50):
        for name in ("b.pb", "b.pbtxt"):
            (tmp_path / name).write_bytes(data)
            assert "expected a frozen tf.GraphDef" in refused(load_frozen, tmp_path / name)
    assert "no such file" in refused(load_frozen, tmp_path / "a.pb")
    assert "not a file" in refused(load_frozen, tmp_path)
    write_saved_model(NETWORK, str(tmp_path / "model"))
    refused(load_frozen, tmp_path / "model" / "saved_model.pb")
    tf.identity(tf.get_variable("weight", [], use_resource=False))
    path = write(tmp_path / "a.pb", graph.as_graph_def())
    assert "expected a frozen graph" in refused(load_frozen, path)
    (tmp_path / "deep.pbtxt").write_text("node {" * 100000)
    refused(load_frozen, tmp_path / "deep.pbtxt")


def test_outputs_by_name(tmp_path):
    x = constant("x", 1.0)
    x.device = "/job:worker/task:3/device:GPU:7"  # is forgotten
    path = write(tmp_path / "a.pb", message(x, node("y", "Sqrt", "x", T=tf.float64)))
    assert "there is no tensor 'z:0'" in refused(load_frozen, path, outputs=["z"])
    assert "there is no tensor 'x:3'" in refused(load_frozen, path, outputs=["x:3"])
    loaded = load_frozen(path, outputs=["x", "y:0"])
    assert [value_of(tensor) for tensor in loaded.outputs.values()] == [1, 1]
    assert loaded.output("x") is loaded.outputs["x"]
    for name in (None, "z"):
        with pytest.raises(ValueError, match=r"choose one of x \(float64 \(\)\), y:0"):
            loaded.output(name)


def test_outputs_depend_on_the_image(graph, tmp_path):
    tf.sqrt(1.0, "beside")
    tf.sqrt(tf.sqrt(tf.placeholder(tf.float32, name="image"), "between"), "scores")
    loaded = load(tmp_path, graph.as_graph_def())
    assert list(loaded.outputs) == ["scores"] and list(loaded.inputs) == ["image"]


KERNEL = np.random.RandomState(0).standard_normal((3, 3, 3, 4)).astype("float32")
OFF = {"rate": 1.0, "any shape": 1.0, "default": None, "branch": False}


def dropped(features, kind):
    if kind == "branch":
        training = tf.placeholder(tf.bool, [], "switch")
        return tf.cond(training, lambda: tf.nn.dropout(features, rate=0.5), lambda: features)
    if kind == "default":
        keep = tf.placeholder_with_default(1.0, [], "switch")
    else:
        keep = tf.placeholder(tf.float32, None if kind == "any shape" else [], "switch")
    return tf.nn.dropout(features, rate=1 - keep)


@pytest.mark.parametrize("kind", OFF)
def test_dropout_that_an_input_turns_off(kind, graph, tmp_path):
    """Graphs of TensorFlow 1 have the dropout of their training in them, and ``keep_prob`` as an input."""
    image = tf.placeholder(tf.float32, [None, 8, 8, 3], "image")
    layer = tf.nn.relu(tf.nn.conv2d(image, KERNEL, [1] * 4, "SAME"), "layer")
    pooled = dropped(tf.reduce_mean(layer, [1, 2]), kind)
    tf.nn.softmax(tf.matmul(pooled, np.eye(4, dtype="float32")), name="scores")
    loaded = load(tmp_path, graph.as_graph_def())
    logits = logits_of(loaded.output("scores"))
    image, layer = (loaded.graph.get_tensor_by_name(name) for name in ("image:0", "layer:0"))
    # So many that two runs hardly drop the same channels.
    images = np.random.RandomState(1).uniform(-1, 1, (16, 8, 8, 3)).astype("float32")
    feeds = {} if OFF[kind] is None else {"switch": OFF[kind]}
    with GraphPredictor(logits, {"layer": layer}, image, feeds=feeds) as one:
        found = one(images, [1, 2] * 8)
    activation = value_of(layer, {image: images})
    np.testing.assert_allclose(found.logits, activation.mean((1, 2)), atol=1e-6)
    on = GraphPredictor(logits, {"layer": layer}, image, feeds={"switch": kind == "branch" or 0.5})
    with on, pytest.raises(UserError, match="layer '.*' is random at inference.*keep_prob=1"):
        on(images)


def test_damaged_nodes(frozen, tmp_path):
    """Messages that are sound, of nodes that are not, give a graph or one line."""
    ends = {"graph": 0, "line": 0}
    for seed in range(60):
        rng = random.Random(seed)
        made = tf.GraphDef.FromString(frozen)
        changed = rng.choice(made.node)
        kind = rng.randrange(4)
        if kind == 0:
            changed.op = rng.choice(["Relu", "Identity", "Split", "Switch", "Mean"])
        elif kind == 1 and changed.input:
            changed.input[0] = rng.choice(made.node).name + rng.choice(["", ":1", ":-1", ":x"])
        elif kind == 2 and changed.attr:
            del changed.attr[rng.choice(sorted(changed.attr))]
        else:
            changed.name = rng.choice(["", "a b", rng.choice(made.node).name])
        try:
            load(tmp_path, made)
            ends["graph"] += 1
        except UserError as error:
            assert str(error).startswith(str(tmp_path / "a.pb")) and "\n" not in str(error)
            ends["line"] += 1
    assert min(ends.values()) >= 5


@pytest.mark.parametrize("word", [b"SA\xffE", b"SAME\n"])
def test_an_attribute_that_is_not_text(frozen, word, tmp_path):
    made = tf.GraphDef.FromString(frozen)
    (first, _) = [changed for changed in made.node if changed.op == "Conv2D"]
    first.attr["padding"].s = word
    assert "ASCII" in refused(load_frozen, write(tmp_path / "a.pb", made))
