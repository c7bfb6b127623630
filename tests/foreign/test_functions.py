"""Inlined functions compute the same, and damaged or endless ones are refused."""

import numpy as np
import pytest
from graph_defs import constant, function, load, message, node, value_of
from refusals import check_refusal

from dgl.foreign import functions
from dgl.tf_compat import tf

FLOAT = {"T": tf.float32}
TWO = constant("two", np.float32(2))


def call(name, function_name, *inputs, op="PartitionedCall"):
    return node(name, op, *inputs, f=function_name)


def add_functions(made):
    """``x + x`` by an inner node of the name that the graph's own has, ``x``, and four times ``x``."""
    function(made, "double", ["x"], {"y": "sum:z:0"}, node("sum", "AddV2", "x", "x", **FLOAT))
    function(made, "same", ["x"], {"y": "x"})
    inner = [call("a", "double", "x"), call("b", "double", "a:output:0")]
    function(made, "twice", ["x"], {"y": "b:output:0"}, *inner)


def run(tmp_path, made, **more):
    return value_of(load(tmp_path, made, **more).output())


@pytest.mark.parametrize("op", ["PartitionedCall", "StatefulPartitionedCall", "double"])
def test_calls_in_calls(op, tmp_path):
    """By either operation, or by one of the function's own name."""
    end = node("sum", "AddV2", "eight", "eight:0", **FLOAT)
    made = message(TWO, call("eight", "fourfold", "two"), end)
    add_functions(made)
    out = ":y:0" if op == "double" else ":output:0"
    inner = [call("a", "double", "x", op=op), call("b", "double", "a" + out, op=op)]
    function(made, "fourfold", ["x"], {"z": "b" + out}, *inner)
    loaded = load(tmp_path, made)
    assert value_of(loaded.output()) == 16
    names = [op.name for op in loaded.graph.get_operations()]
    assert sorted(names) == ["sum", "sum_1", "sum_2", "two"]
    assert run(tmp_path, made, outputs=["eight:0"]) == 8  # a call's output may be asked for


def test_an_operation_with_several_outputs_in_a_function(graph, tmp_path):
    @tf.function
    def best_of(x):
        top = tf.nn.top_k(x, 1)
        return top.values, tf.cast(top.indices, tf.float32)

    tf.add(*best_of(tf.constant([1.0, 3.0, 2.0])), name="sum")
    assert run(tmp_path, graph.as_graph_def(), outputs=["sum"]) == [4]


BRANCHES = {"then_branch": "double", "else_branch": "same"}


@pytest.mark.parametrize("truth", [True, False])
def test_a_branch_on_a_constant_is_taken_beforehand(truth, tmp_path):
    branch = node("branch", "If", "really", "two", **BRANCHES)
    really = node("really", "Identity", "truth", T=tf.bool)
    end = node("end", "Identity", "branch", **FLOAT)
    made = message(TWO, constant("truth", truth), really, branch, end)
    add_functions(made)
    assert run(tmp_path, made, outputs=["end"]) == (4 if truth else 2)


@pytest.mark.parametrize(
    "kind, expected",
    [
        (tf.bool, {1: 4, 0: 2}),
        (tf.int32, {1: 4, 0: 2}),
        ("one of several", {0: 4, 1: 2, 2: 8, 7: 8}),
    ],
)
def test_a_branch_that_a_run_decides_is_selected(kind, expected, tmp_path):
    if kind == "one of several":
        kind, branch = tf.int32, node("branch", "Case", "which", "two")
        for name in ("double", "same", "twice"):
            branch.attr["branches"].list.func.add(name=name)
    else:
        branch = node("branch", "If", "which", "two", Tcond=kind, **BRANCHES)
    branch.attr["Tout"].list.type.append(tf.float32.as_datatype_enum)
    made = message(node("which", "Placeholder", dtype=kind), TWO, branch)
    add_functions(made)
    loaded = load(tmp_path, made)
    assert list(loaded.outputs) == ["branch"]
    for fed, value in expected.items():
        assert value_of(loaded.output(), {loaded.inputs["which"]: fed}) == value


@pytest.fixture
def loop(graph):
    """``i, x = i + 1, x + x`` as long as ``i < limit``, from a placeholder ``x``."""

    def made(limit, start=0):
        @tf.function(autograph=False)
        def run(i, x):
            return tf.while_loop(lambda i, _: i < limit, lambda i, x: (i + 1, x + x), [i, x])[1]

        tf.identity(run(start, tf.placeholder(tf.float32, [], "x")), "end")
        return graph.as_graph_def()

    return made


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_a_loop_of_known_length_is_written_out(rounds, loop, tmp_path):
    loaded = load(tmp_path, loop(rounds), outputs=["end"])
    x = loaded.graph.get_tensor_by_name("x:0")
    with loaded.graph.as_default():
        (gradient,) = tf.gradients(loaded.output(), x)
    assert value_of(loaded.output(), {x: 3.0}) == 3 * 2**rounds
    assert value_of(gradient, {x: 3.0}) == 2**rounds


def test_a_loop_that_goes_on_for_too_long(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(functions, "_MOST_ROUNDS", 4)
    check_refusal("loop '.*more than 4 rounds", load, tmp_path, loop(5))


def test_a_loop_that_hangs_on_a_value(loop, tmp_path):
    endless = loop(5, tf.placeholder(tf.int32, []))
    check_refusal("loop whose number of rounds", load, tmp_path, endless)


def test_what_outputs_do_not_need_is_left_out(tmp_path):
    evil, y = node("evil", "ReadFile", "x"), node("y", "Sqrt", "x", T=tf.float64)
    assert run(tmp_path, message(constant("x", 1.0), evil, y), outputs=["y"]) == 1


def bomb(made, *last):
    """30 levels, each of which calls the next one twice: a thousand million operations."""
    for level in range(30):
        below = f"f{level + 1}"
        nodes = [call("a", below, "x"), call("b", below, "a:output:0")]
        function(made, f"f{level}" if level else "f", ["x"], {"y": "b:output:0"}, *nodes)
    function(made, "f30", ["x"], {"y": "sum:z:0" if last else "x"}, *last)


def of(name, arguments, result, *nodes):
    return lambda made: function(made, name, arguments, {"y": result}, *nodes)


HOSTILE = {
    "recursive": of("f", ["x"], "a:output:0", call("a", "f", "x")),
    "bomb": lambda made: bomb(made, node("sum", "AddV2", "x", "x", **FLOAT)),
    "bomb without an operation": bomb,
    "missing": of("g", ["x"], "x"),
    "of two arguments": of("f", ["x", "y"], "x"),
    "without result": of("f", ["x"], "nobody:y:0"),
    "without output": of("f", ["x"], "a:nothing:0", node("a", "TopKV2", "x", "x", **FLOAT)),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_damaged_and_hostile_functions(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(functions, "MOST_NODES", 3000)
    made = message(constant("x", 1.0), call("y", "f", "x"))
    HOSTILE[kind](made)
    check_refusal("a.pb: .*(function|operations)", run, tmp_path, made)


def test_a_call_that_reads_itself_and_operations_of_one_name(tmp_path):
    made = message(call("y", "f", "y"), node("z", "Sqrt", "y", **FLOAT))
    function(made, "f", ["x"], {"y": "x"})
    check_refusal("a.pb: damaged functions", run, tmp_path, made)
    made = message(constant("x", 1.0), constant("x", 2.0))
    check_refusal("two operations are named 'x'", run, tmp_path, made)
