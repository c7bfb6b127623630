"""Which operations of a graph from a file are allowed."""

import numpy as np
import pytest
from graph_defs import constant, load, message, node, value_of
from refusals import check_refusal, refusal
from tensorflow.python.framework import op_def_registry

from dgl.foreign.nodes import OUTPUTS
from dgl.foreign.operations import COMPUTES, layer_name
from dgl.tf_compat import tf

# They may end a run with an error, which TensorFlow counts as state.
MESSAGES = {"Assert", "CheckNumerics", "TensorListResize"}  # the last one in TensorFlow 1.15 alone
REFUSED = """
    Abort AssignVariableOp DecodeProtoV2 EagerPyFunc HashTableV2 ImmutableConst IteratorGetNext
    LaunchMissiles MatchingFiles PartitionedCall PrintV2 PyFuncStateless RandomUniform ReadFile
    RemoteCall RestoreV2 SaveV2 SymbolicGradient TemporaryVariable WriteFile XlaLaunch _Recv
""".split()


def definition(op):
    if hasattr(op_def_registry, "get"):
        return op_def_registry.get(op)
    return op_def_registry.get_registered_ops().get(op)


def known_operations():
    known = {op: definition(op) for op in COMPUTES}
    return {op: found for op, found in known.items() if found is not None}


def test_allowed_operations_have_no_state_and_read_no_files():
    known = known_operations()
    assert len(known) > 0.9 * len(COMPUTES)  # older TensorFlows lack the newest
    assert {op for op, found in known.items() if found.is_stateful} <= MESSAGES
    for op, found in known.items():
        assert not any(attribute.type in ("func", "list(func)") for attribute in found.attr), op
        kinds = {a.type for a in list(found.input_arg) + list(found.output_arg)}
        assert tf.resource.as_datatype_enum not in kinds, op
        assert not any("file" in a.name for a in found.input_arg), op


def test_outputs_are_in_the_order_of_their_definitions():
    known = known_operations()
    names = {op: tuple(one.name for one in known[op].output_arg) for op in known}
    several = {op: outputs for op, outputs in names.items() if len(outputs) > 1}
    assert several == {op: outputs for op, outputs in OUTPUTS.items() if definition(op) is not None}


@pytest.mark.parametrize("op", REFUSED)
def test_refused_operations_are_named(op, tmp_path):
    text = refusal(load, tmp_path, message(constant("x", 1.0), node("evil", op, "x")))
    assert text.startswith(str(tmp_path / "a.pb")) and "evil" in text


def test_an_operation_runs_only_if_permitted(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("told")
    made = message(constant("name", str(secret)), node("told", "ReadFile", "name"))
    check_refusal("'ReadFile' is refused", load, tmp_path, made)
    assert value_of(load(tmp_path, made, allow=["ReadFile"]).output()) == b"told"


def test_a_gradient_that_a_file_names_is_not_taken(tmp_path):
    made = node("twice", "Identity", "x", T=tf.float32, _gradient_op_type=b"SomebodysOwn")
    loaded = load(tmp_path, message(node("x", "Placeholder", dtype=tf.float32), made))
    with loaded.graph.as_default():
        (gradient,) = tf.gradients(loaded.output(), loaded.inputs["x"])
    assert value_of(gradient, {loaded.inputs["x"]: np.zeros(2)}).tolist() == [1, 1]


WORDS = {
    "expected a frozen graph or a SavedModel": ("VariableV2", "VarHandleOp"),
    "no gradients": ("Enter", "For"),
    "layer 'my_flip' is random at inference.*training=False": (
        *("RandomUniform", "StatelessRandomUniformV2", "RngReadAndSkip"),
    ),
}


@pytest.mark.parametrize("op, words", [(op, words) for words in WORDS for op in WORDS[words]])
def test_variables_control_flow_and_chance(op, words, tmp_path):
    check_refusal(words, load, tmp_path, message(node("model/my_flip/random_uniform/draw", op)))


@pytest.mark.parametrize("sizes", [[2**40], [2**20, 2**20], [2**62, 2**62], [2**15, 2**15], [-3]])
def test_constants_that_claim_more_than_they_hold(sizes, tmp_path):
    made = constant("x", np.float32(1))
    for size in sizes:
        made.attr["value"].tensor.tensor_shape.dim.add(size=size)
    check_refusal("negative" if sizes[0] < 0 else "more than 2 GiB", load, tmp_path, message(made))


@pytest.mark.parametrize(
    "name, layer",
    [
        ("f/my_drop_1/stateless_dropout/stateless_random_uniform/StatelessRandom", "my_drop_1"),
        ("model/my_drop/dropout/random_uniform/RandomUniform", "my_drop"),
        ("model/outer/my_drop/dropout/random_uniform/RandomUniform", "my_drop"),
        ("model/dropout/dropout/random_uniform/RandomUniform", "dropout"),
        ("my_drop/cond/dropout/random_uniform/RandomUniform", "my_drop"),
        ("model/noise/random_normal/RandomStandardNormal", "noise"),
        ("while", "while"),
        ("model/lstm/while", "lstm"),
    ],
)
def test_the_layer_of_an_operation(name, layer):
    assert layer_name(name) == layer
