"""Inline the functions of a graph, so that the tensors inside have names and gradients.

TensorFlow 2 saves a network as functions and a graph that calls them; each call is replaced by copies
of the function's nodes. A branch on a constant is taken beforehand; for one that a run decides, both
sides are computed and one is selected. A loop whose number of rounds does not depend on the images, as
that of a recurrent layer, is written out round by round.
"""

from typing import Dict, Iterator, List, Mapping, Optional, Set, Tuple

import numpy as np

from dgl.errors import UserError, quote
from dgl.foreign.constants import value_before_a_run
from dgl.foreign.nodes import (
    FunctionDef,
    NodeDef,
    Output,
    copy_of,
    data_inputs,
    input_name,
    make_constant,
    new_node,
    output_index,
    output_of,
    unused_name,
)
from dgl.tf_compat import tf
from dgl.utils.types import GraphDef

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_BRANCHES = ("If", "StatelessIf")
_CASES = ("Case", "StatelessCase")
# What passes a condition on; a placeholder with a default has it at inference.
_SAME = ("Identity", "PlaceholderWithDefault")
_LOOPS = ("While", "StatelessWhile")
_MOST_LEVELS = 64
_MOST_ROUNDS = 2048
MOST_NODES = 300000


def inline_functions(
    graph_def: GraphDef, path: str, variables: Optional[Mapping[str, np.ndarray]] = None
) -> Tuple[GraphDef, Dict[Output, Output]]:
    """Inline every function call, branch and loop with a known number of rounds.

    Other loops stay as they are. A function's node keeps its name if that is unused; otherwise a number is
    appended. A placeholder whose batch decides how often a loop runs (a map over encoded images) has a
    batch of one in the result. ``variables`` has values of placeholders that stand for variables.

    Returns:
        (``tf.GraphDef`` without functions, output of a call -> output that replaces it).

    Raises:
        UserError: a function is missing, damaged or calls itself, or the graph grows to more than
            :data:`MOST_NODES` nodes.
    """
    try:
        return _Inliner(graph_def, path, variables or {}).run()
    except ValueError as error:
        raise UserError(f"{path}: damaged functions ({error})") from None


def is_call(kind: str) -> bool:
    """Whether operations of a type call functions, or decide between them."""
    return kind in _CALLS + _BRANCHES + _CASES + _LOOPS


def resolve(name: str, replaced: Mapping[Output, Output]) -> str:
    """Full name of a tensor after inlining, given the result of :func:`inline_functions`."""
    output = output_of(name)
    return "{}:{}".format(*replaced.get(output, output))


def _sides(branch: NodeDef) -> List[str]:
    """Names of the functions that a branch decides between, that of 0 and false first."""
    if branch.op in _BRANCHES:
        return [branch.attr[key].func.name for key in ("else_branch", "then_branch")]
    return [function.name for function in branch.attr["branches"].list.func]


class _Inliner:
    """The graph during inlining."""

    def __init__(self, graph_def: GraphDef, path: str, variables: Mapping[str, np.ndarray]):
        self._path = path
        self._variables = variables
        self._functions = {f.signature.name: f for f in graph_def.library.function}
        self._versions = graph_def.versions
        self._names = {node.name for node in graph_def.node}
        self._nodes: Dict[str, NodeDef] = {}
        self._replaced: Dict[Output, Output] = {}
        self._inlined: Set[str] = set()
        self._calls: List[Tuple[NodeDef, int]] = []  # with the number of functions around each
        self._count = self._rounds = 0
        self._begun: Set[str] = set()  # loops of which a round is written out
        self._single: Set[str] = set()  # placeholders that get a batch of one
        for node in graph_def.node:
            self._add(node, 0)

    def run(self) -> Tuple[GraphDef, Dict[Output, Output]]:
        undecided: List[Tuple[NodeDef, int]] = []
        while self._calls or undecided:
            while self._calls:
                node, level = self._calls.pop()
                function = self._function_of(node)
                if function is None:
                    undecided.append((node, level))
                else:
                    self._inline(node, function, level)
            # The condition of a branch may become a constant once other calls are inlined.
            self._calls = [pair for pair in undecided if self._function_of(pair[0])]
            undecided = [pair for pair in undecided if pair not in self._calls]
            if undecided and not self._calls:
                node, level = undecided.pop(0)
                if node.op not in _LOOPS:
                    self._select(node, level)
                elif not self._unroll(node, level):
                    self._nodes[node.name] = node  # stays as it is
        return self._flat(), {output: self._follow(output) for output in self._replaced}

    def _flat(self) -> GraphDef:
        flat = tf.GraphDef()
        flat.versions.CopyFrom(self._versions)
        for node in self._nodes.values():
            copied = copy_of(node, self._inputs_of(node))
            if node.name in self._single:
                copied.attr["shape"].shape.dim[0].size = 1
            flat.node.append(copied)
        return flat

    def _select(self, node: NodeDef, level: int) -> None:
        """Compute every side of a branch and select the outputs of one by the condition."""
        condition = node.input[0]
        sides = [
            self._inline(node, self._function_named(name, node), level, f"side_{index}")
            for index, name in enumerate(_sides(node))
        ]
        for output, kind in enumerate(node.attr["Tout"].list.type):
            # By the last side unless an earlier index is met; a number counts as true where it is not 0.
            chosen = input_name((sides[-1], output))
            for index in reversed(range(len(sides) - 1)):
                is_met = self._equals(condition, index, node)
                own = input_name((sides[index], output))
                name = f"{node.name}/selected"
                chosen = self._new_node("SelectV2", name, is_met, own, chosen, T=kind)
            self._replaced[node.name, output] = output_of(chosen)
        self._inlined.add(node.name)

    def _equals(self, condition: str, index: int, branch: NodeDef) -> str:
        """Name of a boolean tensor: whether a branch's condition is ``index``."""
        kind = branch.attr["Tcond"].type if branch.op in _BRANCHES else tf.int32.as_datatype_enum
        if kind == tf.bool.as_datatype_enum:
            return self._new_node("LogicalNot", f"{branch.name}/is_false", condition)
        number = self._constant(np.asarray(index, tf.as_dtype(kind).as_numpy_dtype), branch.name)
        return self._new_node("Equal", f"{branch.name}/is_{index}", condition, number, T=kind)

    def _unroll(self, node: NodeDef, level: int) -> bool:
        """Write out one round of a loop, or end it; ``False`` if its end cannot be told beforehand."""
        whole = tf.int32.as_datatype_enum
        numbers = {i for i, kind in enumerate(node.attr["T"].list.type) if kind == whole}
        if node.name not in self._begun:
            # What may count the rounds becomes a constant if it is known, so that each round is quick.
            for index, read in enumerate(data_inputs(node)):
                if index in numbers:
                    node.input[index] = self._known(output_of(read), node)
        waiting = len(self._calls)
        condition = self._function_named(node.attr["cond"].func.name, node)
        test = self._inline(node, condition, level, "test")
        while len(self._calls) > waiting:
            inner, inner_level = self._calls.pop()
            function = self._function_of(inner)
            if function is None:
                return False
            self._inline(inner, function, inner_level)
        inputs = data_inputs(node)
        goes_on = self._value((test, 0))
        if goes_on is None:
            return False
        if not goes_on:
            for index, read in enumerate(inputs):
                self._replaced[node.name, index] = output_of(read)
            self._inlined.add(node.name)
            return True
        self._rounds += 1
        if self._rounds > _MOST_ROUNDS:
            raise UserError(
                f"{self._path}: loop {quote(node.name)} has more than {_MOST_ROUNDS} rounds"
            )
        steps = self._function_named(node.attr["body"].func.name, node)
        body = self._inline(node, steps, level, "round")
        following = copy_of(node, ())
        following.name = unused_name(node.name, self._names)
        self._begun.add(following.name)
        for index, read in enumerate(inputs):
            after = (body, index)
            source = self._nodes.get(self._follow(output_of(read))[0])
            is_counter = source and source.op == "Const" and index in numbers
            following.input.append(self._known(after, node) if is_counter else input_name(after))
            self._replaced[node.name, index] = (following.name, index)
        self._inlined.add(node.name)
        self._calls.append((following, level))
        return True

    def _known(self, output: Output, loop: NodeDef) -> str:
        """The name of an output, or of a constant in its place where its value is known by now."""
        value = self._value(output)
        return input_name(output) if value is None else self._constant(value, loop.name)

    def _value(self, output: Output) -> Optional[np.ndarray]:
        """The value of an output if it is known before a run, see :mod:`dgl.foreign.constants`."""

        def read(name: str) -> Optional[NodeDef]:
            node = self._nodes.get(name)
            return None if node is None else copy_of(node, self._inputs_of(node))

        found = value_before_a_run(read, self._follow(output), self._variables)
        if found is None:
            return None
        value, single = found
        self._single.update(single)
        return value

    def _constant(self, value: np.ndarray, name: str) -> str:
        name = self._new_node("Const", f"{name}/number")
        make_constant(self._nodes[name], value)
        return name

    def _new_node(self, op: str, name: str, *inputs: str, **types: int) -> str:
        """Add a node; returns its name."""
        name = unused_name(name, self._names)
        self._nodes[name] = new_node(op, name, *inputs, **types)
        return name

    def _follow(self, output: Output) -> Output:
        """The output that finally replaces another one; :class:`ValueError` if that is itself."""
        passed = set()
        while output in self._replaced:
            if output in passed:
                raise ValueError(f"the result of {quote(output[0])} is its own argument")
            passed.add(output)
            output = self._replaced[output]
        return output

    def _inputs_of(self, node: NodeDef) -> Iterator[str]:
        for read in node.input:
            if not read.startswith("^"):
                yield input_name(self._follow(output_of(read)))
            elif read[1:] not in self._inlined:
                yield read

    def _add(self, node: NodeDef, level: int) -> None:
        self._count += 1
        if self._count > MOST_NODES:
            raise UserError(f"{self._path}: more than {MOST_NODES} operations")
        if is_call(node.op) or node.op in self._functions:
            self._calls.append((node, level))
        elif node.name in self._nodes:
            raise UserError(f"{self._path}: two operations are named {quote(node.name)}")
        else:
            self._nodes[node.name] = node

    def _function_of(self, node: NodeDef) -> Optional[FunctionDef]:
        """The function that a node calls; ``None`` for a loop, and a branch that is not on a constant."""
        if node.op in self._functions:
            return self._functions[node.op]
        if node.op in _LOOPS:
            return None
        if node.op not in _BRANCHES + _CASES:
            return self._function_named(node.attr["f"].func.name, node)
        condition = self._condition(node)
        if condition is None:
            return None
        sides = _sides(node)
        # An index out of range takes the last one, as does a number that counts as true.
        return self._function_named(sides[condition if 0 <= condition < len(sides) else -1], node)

    def _function_named(self, name: str, caller: NodeDef) -> FunctionDef:
        if name not in self._functions:
            raise UserError(
                f"{self._path}: {quote(caller.name)} calls the function {quote(name)}, which is missing"
            )
        return self._functions[name]

    def _condition(self, node: NodeDef) -> Optional[int]:
        """The condition of a branch, if it is a constant: a number, or 0 and 1 for a truth value."""
        passed: Set[str] = set()
        source: Optional[NodeDef] = node
        while source is not None and source.input and (source is node or source.op in _SAME):
            name, _ = self._follow(output_of(source.input[0]))
            if name in passed:
                return None
            passed.add(name)
            source = self._nodes.get(name)
        if source is None or source.op != "Const":
            return None
        value = source.attr["value"].tensor
        kinds = (tf.bool.as_datatype_enum, tf.int32.as_datatype_enum)
        if value.dtype not in kinds or value.tensor_shape.dim:
            return None
        return int(tf.make_ndarray(value))

    def _inline(self, call: NodeDef, function: FunctionDef, level: int, part: str = "") -> str:
        """Add a function's nodes, with its results for those of a call, or of what stands for a part of it.

        Returns the name of either.
        """
        result_node = unused_name(f"{call.name}/{part}", self._names) if part else str(call.name)
        name = quote(function.signature.name)
        if level >= _MOST_LEVELS:
            raise UserError(
                f"{self._path}: function {name} calls itself, or calls are nested more than "
                f"{_MOST_LEVELS} levels deep"
            )
        inputs = data_inputs(call)[1 if call.op in _BRANCHES + _CASES else 0 :]
        arguments = [argument.name for argument in function.signature.input_arg]
        if len(inputs) != len(arguments):
            raise UserError(
                f"{self._path}: function {name} is damaged: it takes {len(arguments)} arguments"
            )
        given: Dict[str, str] = dict(zip(arguments, inputs))
        nodes = {node.name: node for node in function.node_def}
        names = {node: unused_name(node, self._names) for node in nodes}

        def outside(read: str) -> str:
            """``argument`` or ``node:output:index``, read in the function, as the graph's nodes read it."""
            if read in given:
                return given[read]
            inner, *output = read.split(":")
            index = int(output[1]) if len(output) > 1 else 0
            if output:
                index += output_index(nodes[inner], output[0], self._functions)
            return input_name((names[inner], index))

        try:
            for node in function.node_def:
                copied = copy_of(node, ())
                copied.name = names[node.name]
                for read in node.input:
                    if not read.startswith("^"):
                        copied.input.append(outside(read))
                    elif read[1:] in names:
                        copied.input.append("^" + names[read[1:]])
                for key, attribute in node.attr.items():
                    if attribute.placeholder:  # set by the call, in functions for several types
                        copied.attr[key].CopyFrom(call.attr[attribute.placeholder])
                self._add(copied, level + 1)
            for index, result in enumerate(function.signature.output_arg):
                read = outside(function.ret[result.name])
                self._replaced[result_node, index] = output_of(read)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{self._path}: function {name} is damaged: it has no {error}"
            ) from None
        self._inlined.add(result_node)
        return result_node
