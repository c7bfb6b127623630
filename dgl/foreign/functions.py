"""Functions of a graph replaced by what they do, so that inner tensors have names and gradients.

TF 2 saves a network as functions (``FunctionDef``) and a graph that calls them. Inside a function a node
reads ``argument``, ``node:output_argument:index`` or ``^node``; here every call becomes copies of the
function's nodes, which read ``node:index`` as a graph's do.
"""

from typing import Any, Dict, Tuple

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.weights.formats.registry import quoted

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_BRANCHES = ("If", "StatelessIf")
_DEEPEST = 64
MOST_NODES = 300000

# Operations with several outputs, as their definitions order them; all others that pass
# :func:`dgl.foreign.operations.check_operations` have one, single or a list.
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

Tensor = Tuple[str, int]


def inline_functions(graph_def: Any, path: str) -> Tuple[Any, Dict[Tensor, Tensor]]:
    """Replace every call of a function, and every branch on a constant, by the function's nodes.

    Loops and branches on what a run computes stay as they are. A node of a function keeps its name where
    that is free, else it gets a number.

    Args:
        graph_def: ``tf.GraphDef``, not changed.
        path: what an error calls the graph.

    Returns:
        (``tf.GraphDef`` without a library, (name, index) of what a call gave -> (name, index) of the
        tensor that is in its place).

    Raises:
        UserError: functions that call themselves, that are missing or damaged, or that grow to more than
            ``MOST_NODES`` nodes.
    """
    try:
        return _Inliner(graph_def, path).run()
    except ValueError as error:
        raise UserError(f"{path}: damaged functions ({error})") from None


def tensor_of(name: str) -> Tensor:
    """``"a"`` and ``"a:0"`` are output 0 of the node ``a``."""
    node, colon, index = name.partition(":")
    return node, int(index) if colon and index.isdigit() else 0


def name_of(tensor: Tensor) -> str:
    """The inverse of :func:`tensor_of`, as a graph's nodes write it."""
    return tensor[0] if tensor[1] == 0 else "{}:{}".format(*tensor)


def follow(tensor: Tensor, replaced: Dict[Tensor, Tensor]) -> Tensor:
    """What stands in a tensor's place at last.

    Raises:
        ValueError: it stands for itself.
    """
    passed = set()
    while tensor in replaced:
        if tensor in passed:
            raise ValueError(f"{tensor[0]} is a result that is its own argument")
        passed.add(tensor)
        tensor = replaced[tensor]
    return tensor


class _Inliner:
    def __init__(self, graph_def, path):
        self._path = path
        self._functions = {f.signature.name: f for f in graph_def.library.function}
        self._versions = graph_def.versions
        self._taken = {node.name for node in graph_def.node}
        self._kept = {}  # type: Dict[str, Any]
        self._replaced = {}  # type: Dict[Tensor, Tensor]
        self._inlined = set()
        self._calls = []
        self._count = 0
        for node in graph_def.node:
            self._add(node, 0)

    def run(self):
        # Branches are decided when all that may decide them is there.
        waiting = []
        while self._calls:
            node, depth = self._calls.pop()
            function = self._function_of(node)
            if function is not None:
                self._inline(node, function, depth + 1)
            else:
                waiting.append((node, depth))
            if not self._calls and any(self._function_of(node) for node, _ in waiting):
                self._calls, waiting = waiting, []
        for node, _ in waiting:
            self._kept[node.name] = node
        flat = tf.GraphDef()
        flat.versions.CopyFrom(self._versions)
        for node in self._kept.values():
            copy = flat.node.add()
            copy.CopyFrom(node)
            del copy.input[:]
            copy.input.extend(self._inputs_of(node))
        return flat, self._replaced

    def _inputs_of(self, node):
        for read in node.input:
            if not read.startswith("^"):
                yield name_of(follow(tensor_of(read), self._replaced))
            elif read[1:] not in self._inlined:
                yield read

    def _add(self, node, depth):
        self._count += 1
        if self._count > MOST_NODES:
            raise UserError(f"{self._path}: more than {MOST_NODES} operations")
        if node.op in _CALLS + _BRANCHES or node.op in self._functions:
            self._calls.append((node, depth))
        elif node.name in self._kept:
            raise UserError(f"{self._path}: two operations are named {quoted(node.name)}")
        else:
            self._kept[node.name] = node

    def _function_of(self, node):
        """The function that a node calls; ``None`` where a run decides."""
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
                f"{self._path}: {node.name} calls function {name!r}, which is not there"
            )
        return self._functions[name]

    def _condition(self, node):
        tensor = follow(tensor_of(node.input[0]), self._replaced) if node.input else None
        source = self._kept.get(tensor[0]) if tensor else None
        while source is not None and source.op == "Identity" and source.input:
            source = self._kept.get(follow(tensor_of(source.input[0]), self._replaced)[0])
        if source is None or source.op != "Const":
            return None
        value = source.attr["value"].tensor
        if value.dtype != tf.bool.as_datatype_enum or value.tensor_shape.dim:
            return None
        return bool(tf.make_ndarray(value))

    def _inline(self, call, function, depth):
        if depth > _DEEPEST:
            raise UserError(
                f"{self._path}: function {function.signature.name} calls itself, or functions lie deeper than {_DEEPEST}"
            )
        given = [read for read in call.input if not read.startswith("^")]
        given = given[1:] if call.op in _BRANCHES else given
        arguments = [argument.name for argument in function.signature.input_arg]
        if len(given) != len(arguments):
            raise self._damaged(function, f"takes {len(arguments)} arguments")
        body = _Body(
            dict(zip(arguments, given)),
            {node.name: node for node in function.node_def},
            {node.name: self._new_name(node.name) for node in function.node_def},
            self._functions,
        )
        try:
            for node in function.node_def:
                self._add(body.copy(node, call), depth)
            for index, result in enumerate(function.signature.output_arg):
                read = body.tensor(function.ret[result.name])
                self._replaced[call.name, index] = tensor_of(read)
        except (KeyError, ValueError) as error:
            raise self._damaged(function, f"has no {error}") from None
        self._inlined.add(call.name)

    def _damaged(self, function, what):
        return UserError(f"{self._path}: function {function.signature.name} is damaged: it {what}")

    def _new_name(self, name):
        free, number = name, 0
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free


class _Body:
    """A function's nodes as those of a graph, for one call."""

    def __init__(self, arguments, nodes, names, functions):
        self._arguments = arguments
        self._nodes = nodes
        self._names = names
        self._functions = functions

    def copy(self, node, call):
        copied = tf.NodeDef()
        copied.CopyFrom(node)
        copied.name = self._names[node.name]
        del copied.input[:]
        for read in node.input:
            if not read.startswith("^"):
                copied.input.append(self.tensor(read))
            elif read[1:] in self._names:
                copied.input.append("^" + self._names[read[1:]])
        for name, attribute in node.attr.items():
            if attribute.placeholder:  # of a function that serves several types
                copied.attr[name].CopyFrom(call.attr[attribute.placeholder])
        return copied

    def tensor(self, read):
        """What a function's node reads, as a graph's node reads it."""
        if read in self._arguments:
            return self._arguments[read]
        parts = read.split(":")
        node = self._nodes[parts[0]]
        index = int(parts[2]) if len(parts) > 2 else 0
        if len(parts) > 1:
            index += self._place(node, parts[1])
        return name_of((self._names[node.name], index))

    def _place(self, node, output):
        if node.op in self._functions:
            names = [argument.name for argument in self._functions[node.op].signature.output_arg]
            return names.index(output)
        return OUTPUTS[node.op].index(output) if node.op in OUTPUTS else 0
