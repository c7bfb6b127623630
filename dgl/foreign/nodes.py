"""Read, copy and build the nodes of a graph message (`tf.GraphDef`)."""

from typing import Any, Iterable, List, Mapping, Optional, Set, Tuple

import numpy as np

from dgl.tf_compat import tf

NodeDef = Any  # tf.NodeDef
FunctionDef = Any  # tf.FunctionDef, which has no public name
Output = Tuple[str, int]  # node name, output index

VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
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


def output_index(node: NodeDef, output: str, functions: Mapping[str, FunctionDef]) -> int:
    """The index of a node's output, given the name of it in the operation's or function's definition."""
    if node.op in functions:
        names = [argument.name for argument in functions[node.op].signature.output_arg]
        return names.index(output)
    return OUTPUTS[node.op].index(output) if node.op in OUTPUTS else 0


def source_of(
    nodes: Mapping[str, NodeDef], read: str, pass_on: Iterable[str] = ("Identity",)
) -> Output:
    """The output that an input comes from, behind operations of the types ``pass_on``."""
    passed: Set[str] = set()
    name, index = output_of(read)
    while name in nodes and nodes[name].op in pass_on and name not in passed:
        passed.add(name)
        name, index = output_of(nodes[name].input[0]) if nodes[name].input else ("", 0)
    return name, index


def data_inputs(node: NodeDef) -> List[str]:
    """What a node reads, control inputs left out."""
    return [read for read in node.input if not read.startswith("^")]


def copy_of(node: NodeDef, inputs: Optional[Iterable[str]] = None) -> NodeDef:
    """A copy of a node, which may read something else."""
    copied = tf.NodeDef()
    copied.CopyFrom(node)
    if inputs is not None:
        del copied.input[:]
        copied.input.extend(inputs)
    return copied


def new_node(op: str, name: str, *inputs: str, **types: int) -> NodeDef:
    """A node; ``types`` are attributes with numbers of TensorFlow's types."""
    node = tf.NodeDef(name=name, op=op, input=inputs)
    for key, kind in types.items():
        node.attr[key].type = kind
    return node


def make_constant(node: NodeDef, value: np.ndarray) -> None:
    """Turn a node into a constant, in place."""
    kind = tf.string if value.dtype == object else tf.as_dtype(value.dtype)
    node.op = "Const"
    del node.input[:]
    node.attr.clear()
    node.attr["dtype"].type = kind.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype=kind))


def remove_placement(nodes: Iterable[NodeDef]) -> None:
    """Remove devices and private attributes from nodes, in place.

    Among them is ``_gradient_op_type``, the name of a gradient function that only the process that
    wrote the file had registered; without it TensorFlow's own gradient is used.
    """
    for node in nodes:
        node.device = ""
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]


def unused_name(name: str, taken: Set[str]) -> str:
    """``name``, with a number appended if it is taken; it is added to ``taken``."""
    unused, number = name, 0
    while unused in taken:
        number += 1
        unused = f"{name}_{number}"
    taken.add(unused)
    return unused
