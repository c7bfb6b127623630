"""Inlined functions compute the same, and damaged or endless ones are refused."""

import numpy as np
import pytest
from graph_defs import constant, function, graph, node, value_of, write

from dgl.errors import UserError
from dgl.foreign import functions, load_frozen
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


def load(tmp_path, made, **more):
    return load_frozen(write(tmp_path / "a.pb", made), **more)


def run(tmp_path, made, **more):
    return value_of(load(tmp_path, made, **more).output())


@pytest.mark.parametrize("op", ["PartitionedCall", "StatefulPartitionedCall", "double"])
def test_calls_in_calls(op, tmp_path):
    """By either operation, or by one of the function's own name."""
    made = graph(TWO, call("eight", "fourfold", "two"))
    add_functions(made)
    out = ":y:0" if op == "double" else ":output:0"
    inner = [call("a", "double", "x", op=op), call("b", "double", "a" + out, op=op)]
    function(made, "fourfold", ["x"], {"z": "b" + out}, *inner)
    made.node.add().CopyFrom(node("sum", "AddV2", "eight", "eight:0", **FLOAT))
    loaded = load(tmp_path, made)
    assert value_of(loaded.output()) == 16
    names = [op.name for op in loaded.graph.get_operations()]
    assert sorted(names) == ["sum", "sum_1", "sum_2", "two"]
    assert run(tmp_path, made, outputs=["eight:0"]) == 8  # a call's output may be asked for


def test_an_operation_with_several_outputs_in_a_function(tmp_path):
    made = graph(constant("x", np.float32([1, 3, 2])), call("best", "best_of", "x"))
    count = constant("count", np.int32(1))
    top = node("top", "TopKV2", "x", "count:output:0", **FLOAT)
    index = node("index", "Cast", "top:indices:0", SrcT=tf.int32, DstT=tf.float32)
    results = {"value": "top:values:0", "index": "index:y:0"}
    function(made, "best_of", ["x"], results, count, top, index)
    made.node.add().CopyFrom(node("sum", "AddV2", "best:0", "best:1", **FLOAT))
    assert run(tmp_path, made) == [4]


@pytest.mark.parametrize("truth", [True, False])
def test_a_branch_on_a_constant_is_taken_beforehand(truth, tmp_path):
    branch = node("branch", "If", "really", "two", then_branch="double", else_branch="same")
    really = node("really", "Identity", "truth", T=tf.bool)
    made = graph(TWO, constant("truth", truth), really, branch)
    add_functions(made)
    made.node.add().CopyFrom(node("end", "Identity", "branch", **FLOAT))
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
        branch = node("branch", "If", "which", "two", then_branch="double", else_branch="same")
        branch.attr["Tcond"].type = kind.as_datatype_enum
    branch.attr["Tout"].list.type.append(tf.float32.as_datatype_enum)
    made = graph(node("which", "Placeholder", dtype=kind), TWO, branch)
    add_functions(made)
    loaded = load(tmp_path, made)
    assert list(loaded.outputs) == ["branch"]
    for fed, value in expected.items():
        assert value_of(loaded.output(), {loaded.inputs["which"]: fed}) == value


def loop(limit):
    """``i, x = i + 1, x + x`` as long as ``i < limit``, from a placeholder ``x``."""
    kinds = [tf.int32.as_datatype_enum, tf.float32.as_datatype_enum]
    run = node("loop", "StatelessWhile", "zero", "x", cond="goes_on", body="round")
    run.attr["T"].list.type.extend(kinds)
    made = graph(
        constant("zero", np.int32(0)),
        node("x", "Placeholder", dtype=tf.float32),
        run,
        node("end", "Identity", "loop:1", **FLOAT),
    )
    whole = {"T": tf.int32}
    most = constant("most", np.int32(limit))
    test = function(made, "goes_on", ["i", "x"], {"z": "less:z:0"}, most)
    test.node_def.add().CopyFrom(node("less", "Less", "i", "most:output:0", **whole))
    test.signature.output_arg[0].type = tf.bool.as_datatype_enum
    one = constant("one", np.int32(1))
    results = {"i_next": "next:z:0", "x_next": "sum:z:0"}
    body = function(made, "round", ["i", "x"], results, one)
    body.node_def.add().CopyFrom(node("next", "AddV2", "i", "one:output:0", **whole))
    body.node_def.add().CopyFrom(node("sum", "AddV2", "x", "x", **FLOAT))
    body.signature.output_arg[0].type = kinds[0]
    for made_function in (test, body):
        made_function.signature.input_arg[0].type = kinds[0]
    return made


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_a_loop_of_known_length_is_written_out(rounds, tmp_path):
    loaded = load(tmp_path, loop(rounds), outputs=["end"])
    x = loaded.graph.get_tensor_by_name("x:0")
    with loaded.graph.as_default():
        (gradient,) = tf.gradients(loaded.output(), x)
    assert value_of(loaded.output(), {x: 3.0}) == 3 * 2**rounds
    assert value_of(gradient, {x: 3.0}) == 2**rounds


def test_loops_that_are_refused(tmp_path, monkeypatch):
    """One that goes on for too long, and one that hangs on a value."""
    hanging = loop(5)
    hanging.node[0].CopyFrom(node("zero", "Placeholder", dtype=tf.int32))
    with pytest.raises(UserError, match="loop.*loop whose number of rounds"):
        load(tmp_path, hanging)
    monkeypatch.setattr(functions, "_MOST_ROUNDS", 4)
    with pytest.raises(UserError, match="loop 'loop.*more than 4 rounds"):
        load(tmp_path, loop(5))


def test_what_outputs_do_not_need_is_left_out(tmp_path):
    made = graph(
        constant("x", 1.0), node("evil", "ReadFile", "x"), node("y", "Sqrt", "x", T=tf.float64)
    )
    assert run(tmp_path, made, outputs=["y"]) == 1


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
    "without number": of("f", ["x"], "a:y:z", node("a", "Sqrt", "x", **FLOAT)),
    "without output": of("f", ["x"], "a:nothing:0", node("a", "TopKV2", "x", "x", **FLOAT)),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_damaged_and_hostile_functions(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(functions, "MOST_NODES", 3000)
    made = graph(constant("x", 1.0), call("y", "f", "x"))
    HOSTILE[kind](made)
    with pytest.raises(UserError, match="a.pb: .*(function|operations)"):
        run(tmp_path, made)


def test_a_call_that_reads_itself_and_operations_of_one_name(tmp_path):
    made = graph(call("y", "f", "y"), node("z", "Sqrt", "y", **FLOAT))
    function(made, "f", ["x"], {"y": "x"})
    with pytest.raises(UserError, match="a.pb: damaged functions"):
        run(tmp_path, made)
    with pytest.raises(UserError, match="two operations are named 'x'"):
        run(tmp_path, graph(constant("x", 1.0), constant("x", 2.0)))
