"""Copy the nodes of a function into a graph, with its arguments and the names of its outputs resolved."""

from typing import Any, Mapping, Tuple

from dgl.tf_compat import tf

NodeDef = Any  # tf.NodeDef
FunctionDef = Any  # tf.FunctionDef, which has no public name
Output = Tuple[str, int]  # node name, output index

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
    "TensorListConcatV2": ("tensor", "lengths"),
    "TensorListPopBack": ("output_handle", "tensor"),
    "TopK": ("values", "indices"),
    "TopKV2": ("values", "indices"),
    "Unique": ("y", "idx"),
}


def output_of(name: str) -> Output:
    """Node and index of a tensor's name: ``("a", 0)`` for ``"a"`` and ``"a:0"``."""
    node, colon, index = name.partition(":")
    return node, int(index) if colon and index.isdigit() else 0


def input_name(output: Output) -> str:
    """An output's name as the input of another node."""
    return output[0] if output[1] == 0 else "{}:{}".format(*output)


class Body:
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
        """A function's node as a node of the graph, for one call."""
        copied = tf.NodeDef()
        copied.CopyFrom(node)
        copied.name = self._names[node.name]
        del copied.input[:]
        for read in node.input:
            if not read.startswith("^"):
                copied.input.append(self.read(read))
            elif read[1:] in self._names:
                copied.input.append("^" + self._names[read[1:]])
        for name, attribute in node.attr.items():
            if attribute.placeholder:  # set by the call, in functions for several types
                copied.attr[name].CopyFrom(call.attr[attribute.placeholder])
        return copied

    def read(self, read: str) -> str:
        """Convert an input of a function's node to an input of a graph's node."""
        if read in self._arguments:
            return self._arguments[read]
        parts = read.split(":")
        node = self._nodes[parts[0]]
        index = int(parts[2]) if len(parts) > 2 else 0
        if len(parts) > 1:
            index += self._output_index(node, parts[1])
        return input_name((self._names[node.name], index))

    def _output_index(self, node: NodeDef, output: str) -> int:
        if node.op in self._functions:
            names = [argument.name for argument in self._functions[node.op].signature.output_arg]
            return names.index(output)
        return OUTPUTS[node.op].index(output) if node.op in OUTPUTS else 0
