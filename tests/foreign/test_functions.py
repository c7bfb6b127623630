"""Inlined functions compute the same, and damaged or endless ones are refused."""

import pytest
from graph_defs import constant, function, graph, node, value_of, write

from dgl.errors import UserError
from dgl.foreign import functions, load_frozen
from dgl.tf_compat import tf

FLOAT = {"T": tf.float32}


def call(name, function_name, *inputs, op="PartitionedCall"):
    return node(name, op, *inputs, f=function_name)


def add_double(made, name="double"):
    """``x + x`` by an inner node of the name that the graph's own has."""
    return function(made, name, ["x"], {"y": "sum:z:0"}, node("sum", "AddV2", "x", "x", **FLOAT))


def run(tmp_path, made, **more):
    return value_of(load_frozen(write(tmp_path / "a.pb", made), **more).output())


@pytest.mark.parametrize("op", ["PartitionedCall", "StatefulPartitionedCall", "double"])
def test_calls_in_calls(op, tmp_path):
    made = graph(constant("two", tf.float32.as_numpy_dtype(2)), call("eight", "twice", "two"))
    add_double(made)
    inner = [call("a", "double", "x", op=op), call("b", "double", "a:y:0", op=op)]
    if op != "double":
        inner[1].input[0] = "a:output:0"
    function(
        made,
        "twice",
        ["x"],
        {"z": inner[1].name + (":y:0" if op == "double" else ":output:0")},
        *inner,
    )
    made.node.add().CopyFrom(node("sum", "AddV2", "eight", "eight:0", **FLOAT))
    loaded = load_frozen(write(tmp_path / "a.pb", made))
    assert value_of(loaded.output()) == 16
    names = [op.name for op in loaded.graph.get_operations()]
    assert sorted(names) == ["sum", "sum_1", "sum_2", "two"]


def test_the_output_that_is_asked_for_may_be_a_call_s(tmp_path):
    made = graph(constant("two", tf.float32.as_numpy_dtype(2)), call("four", "double", "two"))
    add_double(made)
    assert run(tmp_path, made, outputs=["four:0"]) == 4


def test_an_operation_with_several_outputs_in_a_function(tmp_path):
    made = graph(constant("x", tf.float32.as_numpy_dtype([1, 3, 2])), call("best", "best_of", "x"))
    count = constant("count", tf.int32.as_numpy_dtype(1))
    top = node("top", "TopKV2", "x", "count:output:0", **FLOAT)
    index = node("index", "Cast", "top:indices:0", SrcT=tf.int32, DstT=tf.float32)
    function(
        made, "best_of", ["x"], {"value": "top:values:0", "index": "index:y:0"}, count, top, index
    )
    made.node.add().CopyFrom(node("sum", "AddV2", "best:0", "best:1", **FLOAT))
    assert run(tmp_path, made) == [4]


@pytest.mark.parametrize("truth", [True, False])
def test_a_branch_on_a_constant_is_taken_beforehand(truth, tmp_path):
    two = constant("two", tf.float32.as_numpy_dtype(2))
    branch = node("branch", "If", "really", "two", then_branch="double", else_branch="same")
    made = graph(
        two, constant("truth", truth), node("really", "Identity", "truth", T=tf.bool), branch
    )
    add_double(made)
    function(made, "same", ["x"], {"y": "x"})
    made.node.add().CopyFrom(node("end", "Identity", "branch", **FLOAT))
    assert run(tmp_path, made, outputs=["end"]) == (4 if truth else 2)


@pytest.mark.parametrize("kind", [tf.bool, tf.int32])
@pytest.mark.parametrize("fed, expected", [(1, 4), (0, 2)])
def test_a_branch_that_a_run_decides_is_selected(fed, expected, kind, tmp_path):
    branch = node("branch", "If", "truth", "two", then_branch="double", else_branch="same")
    branch.attr["Tcond"].type = kind.as_datatype_enum
    branch.attr["Tout"].list.type.append(tf.float32.as_datatype_enum)
    two = constant("two", tf.float32.as_numpy_dtype(2))
    made = graph(node("truth", "Placeholder", dtype=kind), two, branch)
    add_double(made)
    function(made, "same", ["x"], {"y": "x"})
    loaded = load_frozen(write(tmp_path / "a.pb", made))
    assert list(loaded.outputs) == ["branch"]
    assert value_of(loaded.output(), {loaded.inputs["truth"]: fed}) == expected


@pytest.mark.parametrize("fed, expected", [(0, 4), (1, 2), (2, 8), (7, 8)])
def test_one_of_several_branches(fed, expected, tmp_path):
    branch = node("branch", "Case", "which", "two")
    for name in ("double", "same", "twice"):
        branch.attr["branches"].list.func.add(name=name)
    branch.attr["Tout"].list.type.append(tf.float32.as_datatype_enum)
    two = constant("two", tf.float32.as_numpy_dtype(2))
    made = graph(node("which", "Placeholder", dtype=tf.int32), two, branch)
    add_double(made)
    function(made, "same", ["x"], {"y": "x"})
    inner = [call("a", "double", "x"), call("b", "double", "a:output:0")]
    function(made, "twice", ["x"], {"y": "b:output:0"}, *inner)
    loaded = load_frozen(write(tmp_path / "a.pb", made))
    assert value_of(loaded.output(), {loaded.inputs["which"]: fed}) == expected


def loop(limit):
    """``i, x = i + 1, x + x`` as long as ``i < limit``, from a placeholder ``x``."""
    kinds = [tf.int32.as_datatype_enum, tf.float32.as_datatype_enum]
    run = node("loop", "StatelessWhile", "zero", "x", cond="goes_on", body="round")
    run.attr["T"].list.type.extend(kinds)
    made = graph(
        constant("zero", tf.int32.as_numpy_dtype(0)),
        node("x", "Placeholder", dtype=tf.float32),
        run,
        node("end", "Identity", "loop:1", **FLOAT),
    )
    whole = {"T": tf.int32}
    most = constant("most", tf.int32.as_numpy_dtype(limit))
    test = function(made, "goes_on", ["i", "x"], {"z": "less:z:0"}, most)
    test.node_def.add().CopyFrom(node("less", "Less", "i", "most:output:0", **whole))
    test.signature.output_arg[0].type = tf.bool.as_datatype_enum
    one = constant("one", tf.int32.as_numpy_dtype(1))
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
    loaded = load_frozen(write(tmp_path / "a.pb", loop(rounds)), outputs=["end"])
    x = loaded.graph.get_tensor_by_name("x:0")
    with loaded.graph.as_default():
        (gradient,) = tf.gradients(loaded.output(), x)
    assert value_of(loaded.output(), {x: 3.0}) == 3 * 2**rounds
    assert value_of(gradient, {x: 3.0}) == 2**rounds


def test_a_loop_that_goes_on_for_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(functions, "_MOST_ROUNDS", 4)
    with pytest.raises(UserError, match="loop 'loop.*more than 4 rounds"):
        load_frozen(write(tmp_path / "a.pb", loop(5)))


def test_a_loop_that_hangs_on_a_value_is_refused(tmp_path):
    made = loop(5)
    made.node[0].CopyFrom(node("zero", "Placeholder", dtype=tf.int32))
    with pytest.raises(UserError, match="loop.*loop whose number of rounds"):
        load_frozen(write(tmp_path / "a.pb", made))


def test_what_outputs_do_not_need_is_left_out(tmp_path):
    made = graph(
        constant("x", 1.0), node("evil", "ReadFile", "x"), node("y", "Sqrt", "x", T=tf.float64)
    )
    assert run(tmp_path, made, outputs=["y"]) == 1


def recursive(made):
    function(made, "f", ["x"], {"y": "a:output:0"}, call("a", "f", "x"))


def bomb(made):
    """30 levels, each of which calls the next one twice: a thousand million operations."""
    for level in range(30):
        below = f"f{level + 1}"
        nodes = [call("a", below, "x"), call("b", below, "a:output:0")]
        function(made, f"f{level}" if level else "f", ["x"], {"y": "b:output:0"}, *nodes)
    add_double(made, "f30")


def empty_bomb(made):
    """The same without a single operation."""
    bomb(made)
    del made.library.function[-1]
    function(made, "f30", ["x"], {"y": "x"})


def missing(made):
    function(made, "g", ["x"], {"y": "x"})


def of_two_arguments(made):
    function(made, "f", ["x", "y"], {"z": "x"})


def without_result(made):
    function(made, "f", ["x"], {"z": "nobody:y:0"})


def without_number(made):
    function(made, "f", ["x"], {"z": "a:y:z"}, node("a", "Sqrt", "x", **FLOAT))


def without_output(made):
    function(made, "f", ["x"], {"z": "a:nothing:0"}, node("a", "TopKV2", "x", "x", **FLOAT))


@pytest.mark.parametrize(
    "add",
    [
        recursive,
        bomb,
        empty_bomb,
        missing,
        of_two_arguments,
        without_result,
        without_number,
        without_output,
    ],
)
def test_damaged_and_hostile_functions(add, tmp_path, monkeypatch):
    monkeypatch.setattr(functions, "MOST_NODES", 3000)
    made = graph(constant("x", 1.0), call("y", "f", "x"))
    add(made)
    with pytest.raises(UserError, match="a.pb: .*(function|operations)"):
        run(tmp_path, made)


def test_a_call_that_reads_itself(tmp_path):
    made = graph(call("y", "f", "y"), node("z", "Sqrt", "y", **FLOAT))
    function(made, "f", ["x"], {"y": "x"})
    with pytest.raises(UserError, match="a.pb: damaged functions"):
        run(tmp_path, made)


def test_two_operations_of_one_name(tmp_path):
    with pytest.raises(UserError, match="two operations are named 'x'"):
        run(tmp_path, graph(constant("x", 1.0), constant("x", 2.0)))
