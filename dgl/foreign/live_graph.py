"""Copy a graph in memory with its variables' values, so that maps can be built without changing it.

A graph with functions cannot be differentiated as it is, and half precision gives maps of zeros. Such a
graph is copied: functions inlined, in float32, with its variables as constants.
"""

from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from dgl.errors import ArgumentError
from dgl.foreign.frozen import freeze_variables, import_graph, named_tensors, prune
from dgl.foreign.functions import inline_functions, is_call, resolve
from dgl.foreign.nodes import make_constant, remove_placement
from dgl.foreign.operations import check_no_chance
from dgl.foreign.rewrite import is_for_some_processors
from dgl.tf_compat import reference_kernels, tf
from dgl.utils.graph_walk import upstream
from dgl.utils.types import GraphDef

_HALF = ("float16", "bfloat16")


def needs_copy(tensor: Any) -> bool:
    """Whether maps of what a tensor is computed from need another graph.

    That is so for calls of functions, branches, loops, half precision and operations that this processor
    does not have.
    """
    has_few_kernels = reference_kernels() or tf.VERSION.startswith("1.")
    functions = {
        function.signature.name for function in tensor.graph.as_graph_def().library.function
    }
    for op in upstream(tensor):
        if op.type in functions or is_call(op.type):
            return True
        if any(output.dtype.base_dtype.name in _HALF for output in op.outputs):
            return True
        if has_few_kernels and is_for_some_processors(op):
            return True
    return False


def copied(tensors: Mapping[str, Any], session: Optional[Any], name: str) -> Dict[str, Any]:
    """Copy the part of a graph that some tensors are computed from.

    Args:
        tensors: key -> tensor of one graph, which is not changed.
        session: with the values of its variables, or ``None`` for a graph without.
        name: of the graph in messages.

    Returns:
        key -> tensor of the copy, in float32 where it was of half precision.

    Raises:
        UserError: a loop or a random operation that cannot be inlined.
        ValueError: variables without a session.
    """
    graph_def, names = frozen_copy(tensors, session, name)
    check_no_chance(graph_def, name)
    graph = import_graph(graph_def, name)
    return named_tensors(graph, names, name)


def frozen_copy(
    tensors: Mapping[str, Any], session: Optional[Any], name: str
) -> Tuple[GraphDef, Dict[str, str]]:
    """The graph of some tensors without functions and variables, and their names in it, by key."""
    graph = next(iter(tensors.values())).graph
    flat, replaced = inline_functions(graph.as_graph_def(), name)
    names = {key: resolve(tensor.name, replaced) for key, tensor in tensors.items()}
    flat = prune(flat, names.values())

    def value_of(node: str) -> np.ndarray:
        if session is None:
            raise ArgumentError("the graph has variables; expected the session with their values")
        op = graph.get_operation_by_name(node)
        if op.type == "VarHandleOp":
            return np.asarray(session.run(_reading(op)))
        return np.asarray(session.run(op.outputs[0]))

    values = freeze_variables(flat, value_of)
    remove_placement(flat.node)
    for key, value in values.items():
        make_constant(flat.node.add(name=key), value)
    return flat, names


def _reading(handle: Any) -> Any:
    """A tensor with the value of a resource variable; an operation that reads it is there as a rule."""
    for reader in handle.outputs[0].consumers():
        # One that waits for others may read after an update, such as BatchNorm's, that needs an image.
        if reader.type == "ReadVariableOp" and not reader.control_inputs:
            return reader.outputs[0]
    for variable in tf.global_variables() + tf.local_variables():
        if variable.op is handle:
            return variable.value()
    with handle.graph.as_default(), tf.control_dependencies(None):
        return tf.raw_ops.ReadVariableOp(resource=handle.outputs[0], dtype=handle.get_attr("dtype"))
