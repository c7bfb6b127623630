"""Inline the functions of a graph, so that the tensors inside have names and gradients.

TensorFlow 2 saves a network as functions (``FunctionDef``) and a graph that calls them. A function's
node reads ``argument``, ``node:output_argument:index`` or ``^node``. Inlining replaces each call by copies
of the function's nodes, which read ``node:index`` as other nodes of a graph do.
"""

from typing import Any, Dict, Iterator, List, Mapping, Optional, Set, Tuple

from dgl.errors import UserError, quote
from dgl.tf_compat import tf
from dgl.utils.types import GraphDef

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_BRANCHES = ("If", "StatelessIf")
_MOST_LEVELS = 64
MOST_NODES = 300000

# Operations with several outputs, in the order of their definitions. All others that pass
# :func:`dgl.foreign.operations.check_operations` have a single output or a single list of outputs.
_NORM = ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2")
OUTPUTS = {
    "FusedBatchNorm": _NORM,
    "FusedBatchNormV2": _NORM,
    "FusedBatchNormV3": _NORM + ("reserve_space_3",),
    "MaxPoolWithArgmax": ("output", "argmax"),
    "Merge": ("output", "value_index"),
    "QuantizeV2": ("output", "output_min", "output_max"),
    "Switch": ("output_false", "output_true"),
    "TopK": ("values", "indices"),
    "TopKV2": ("values", "indices"),
    "Unique": ("y", "idx"),
}

NodeDef = Any  # tf.NodeDef
FunctionDef = Any  # tf.FunctionDef, which has no public name
Output = Tuple[str, int]  # node name, output index


def inline_functions(graph_def: GraphDef, path: str) -> Tuple[GraphDef, Dict[Output, Output]]:
    """Inline every function call, and every branch whose condition is a constant.

    Loops and other branches stay as they are. A function's node keeps its name if that is unused;
    otherwise a number is appended.

    Args:
        graph_def: ``tf.GraphDef``, not changed.
        path: name of the file in error messages.

    Returns:
        (``tf.GraphDef`` without functions, output of a call -> output that replaces it).

    Raises:
        UserError: a function is missing, damaged or calls itself, or the graph grows to more than
            :data:`MOST_NODES` nodes.
    """
    try:
        return _Inliner(graph_def, path).run()
    except ValueError as error:
        raise UserError(f"{path}: damaged functions ({error})") from None


def output_of(name: str) -> Output:
    """Node and index of a tensor's name: ``("a", 0)`` for ``"a"`` and ``"a:0"``."""
    node, colon, index = name.partition(":")
    return node, int(index) if colon and index.isdigit() else 0


def resolve(name: str, replaced: Mapping[Output, Output]) -> str:
    """Full name of a tensor after inlining, given the result of :func:`inline_functions`."""
    output = output_of(name)
    return "{}:{}".format(*replaced.get(output, output))


def _input_name(output: Output) -> str:
    """An output's name as the input of another node."""
    return output[0] if output[1] == 0 else "{}:{}".format(*output)


class _Inliner:
    """The graph during inlining."""

    def __init__(self, graph_def: GraphDef, path: str):
        self._path = path
        self._functions = {f.signature.name: f for f in graph_def.library.function}
        self._versions = graph_def.versions
        self._names = {node.name for node in graph_def.node}
        self._nodes: Dict[str, NodeDef] = {}
        self._replaced: Dict[Output, Output] = {}
        self._inlined: Set[str] = set()
        self._calls: List[Tuple[NodeDef, int]] = []  # with the number of functions around each
        self._count = 0
        for node in graph_def.node:
            self._add(node, 0)

    def run(self) -> Tuple[GraphDef, Dict[Output, Output]]:
        undecided: List[Tuple[NodeDef, int]] = []
        while self._calls:
            node, level = self._calls.pop()
            function = self._function_of(node)
            if function is not None:
                self._inline(node, function, level + 1)
            else:
                undecided.append((node, level))
            # The condition of a branch may become a constant once other calls are inlined.
            if not self._calls and any(self._function_of(node) for node, _ in undecided):
                self._calls, undecided = undecided, []
        for node, _ in undecided:
            self._nodes[node.name] = node
        flat = tf.GraphDef()
        flat.versions.CopyFrom(self._versions)
        for node in self._nodes.values():
            copy = flat.node.add()
            copy.CopyFrom(node)
            del copy.input[:]
            copy.input.extend(self._inputs_of(node))
        return flat, {output: self._follow(output) for output in self._replaced}

    def _follow(self, output: Output) -> Output:
        """The output that finally replaces another one.

        Raises:
            ValueError: it is replaced by itself.
        """
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
                yield _input_name(self._follow(output_of(read)))
            elif read[1:] not in self._inlined:
                yield read

    def _add(self, node: NodeDef, level: int) -> None:
        self._count += 1
        if self._count > MOST_NODES:
            raise UserError(f"{self._path}: more than {MOST_NODES} operations")
        if node.op in _CALLS + _BRANCHES or node.op in self._functions:
            self._calls.append((node, level))
        elif node.name in self._nodes:
            raise UserError(f"{self._path}: two operations are named {quote(node.name)}")
        else:
            self._nodes[node.name] = node

    def _function_of(self, node: NodeDef) -> Optional[FunctionDef]:
        """The function that a node calls; ``None`` for a branch whose condition is not a constant."""
        if node.op in self._functions:
            return self._functions[node.op]
        attribute = "f"
        if node.op in _BRANCHES:
            condition = self._condition(node)
            if condition is None:
                return None
            attribute = "then_branch" if condition else "else_branch"
        name = node.attr[attribute].func.name
        if name not in self._functions:
            raise UserError(
                f"{self._path}: {quote(node.name)} calls the function {quote(name)}, which is missing"
            )
        return self._functions[name]

    def _condition(self, node: NodeDef) -> Optional[bool]:
        """The condition of a branch, if it is a constant."""
        name, passed = "", set()  # type: str, Set[str]
        source: Optional[NodeDef] = node
        while source is not None and source.input and name not in passed:
            if source is not node and source.op != "Identity":
                return None
            passed.add(name)
            name, _ = self._follow(output_of(source.input[0]))
            source = self._nodes.get(name)
        if source is None or source.op != "Const":
            return None
        value = source.attr["value"].tensor
        if value.dtype != tf.bool.as_datatype_enum or value.tensor_shape.dim:
            return None
        return bool(tf.make_ndarray(value))

    def _inline(self, call: NodeDef, function: FunctionDef, level: int) -> None:
        name = quote(function.signature.name)
        if level > _MOST_LEVELS:
            raise UserError(
                f"{self._path}: function {name} calls itself, or calls are nested more than "
                f"{_MOST_LEVELS} levels deep"
            )
        inputs = [read for read in call.input if not read.startswith("^")]
        inputs = inputs[1:] if call.op in _BRANCHES else inputs
        arguments = [argument.name for argument in function.signature.input_arg]
        if len(inputs) != len(arguments):
            raise UserError(
                f"{self._path}: function {name} is damaged: it takes {len(arguments)} arguments"
            )
        body = _Body(
            dict(zip(arguments, inputs)),
            {node.name: node for node in function.node_def},
            {node.name: self._new_name(node.name) for node in function.node_def},
            self._functions,
        )
        try:
            for node in function.node_def:
                self._add(body.copy(node, call), level)
            for index, result in enumerate(function.signature.output_arg):
                read = body.input_name(function.ret[result.name])
                self._replaced[call.name, index] = output_of(read)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{self._path}: function {name} is damaged: it has no {error}"
            ) from None
        self._inlined.add(call.name)

    def _new_name(self, name: str) -> str:
        unused, number = name, 0
        while unused in self._names:
            number += 1
            unused = f"{name}_{number}"
        self._names.add(unused)
        return unused


class _Body:
    """Copies a function's nodes into the graph for one call."""

    def __init__(
        self,
        arguments: Mapping[str, str],
        nodes: Mapping[str, NodeDef],
        names: Mapping[str, str],
        functions: Mapping[str, FunctionDef],
    ):
        self._arguments = arguments
        self._nodes = nodes
        self._names = names
        self._functions = functions

    def copy(self, node: NodeDef, call: NodeDef) -> NodeDef:
        copied = tf.NodeDef()
        copied.CopyFrom(node)
        copied.name = self._names[node.name]
        del copied.input[:]
        for read in node.input:
            if not read.startswith("^"):
                copied.input.append(self.input_name(read))
            elif read[1:] in self._names:
                copied.input.append("^" + self._names[read[1:]])
        for name, attribute in node.attr.items():
            if attribute.placeholder:  # set by the call, in functions for several types
                copied.attr[name].CopyFrom(call.attr[attribute.placeholder])
        return copied

    def input_name(self, read: str) -> str:
        """Convert an input of a function's node to an input of a graph's node."""
        if read in self._arguments:
            return self._arguments[read]
        parts = read.split(":")
        node = self._nodes[parts[0]]
        index = int(parts[2]) if len(parts) > 2 else 0
        if len(parts) > 1:
            index += self._output_index(node, parts[1])
        return _input_name((self._names[node.name], index))

    def _output_index(self, node: NodeDef, output: str) -> int:
        if node.op in self._functions:
            names = [argument.name for argument in self._functions[node.op].signature.output_arg]
            return names.index(output)
        return OUTPUTS[node.op].index(output) if node.op in OUTPUTS else 0
