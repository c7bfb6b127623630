"""Find constants in a graph of others: values that depend on no image, or on its shape alone.

Such a value decides how often a loop runs and which branch is taken. Only operations of
:data:`dgl.foreign.operations.COMPUTES` are run to find it, so that nothing of a file's program is.
"""

from typing import Callable, Dict, Mapping, Optional, Set, Tuple

import numpy as np

from dgl.foreign.nodes import (
    VARIABLES,
    NodeDef,
    Output,
    copy_of,
    data_inputs,
    make_constant,
    remove_placement,
)
from dgl.foreign.operations import COMPUTES
from dgl.tf_compat import tf
from dgl.utils.graph_walk import node_name

_SHAPES = ("Shape", "ShapeN", "Size", "Rank")
_FED = ("Placeholder", "PlaceholderV2")
_ALLOWED = COMPUTES.union(VARIABLES, ["ReadVariableOp"])
_MOST_NODES = 20000


def value_before_a_run(
    read: Callable[[str], Optional[NodeDef]], output: Output, variables: Mapping[str, np.ndarray]
) -> Optional[Tuple[np.ndarray, Set[str]]]:
    """Compute an output that does not depend on what is fed.

    Args:
        read: name -> ``tf.NodeDef``, its inputs those of a graph; ``None`` for a node that there is not.
        output: (node, index).
        variables: node -> value, for placeholders that stand for variables.

    Returns:
        (its value, names of the placeholders whose batch was taken to be one because the value depends on
        it); ``None`` if the value depends on more than the shapes of images and of variables, or on
        operations that are not allowed.
    """
    nodes = _before(read, output[0])
    if nodes is None:
        return None
    fed = {name for name, node in nodes.items() if node.op in _FED and name not in variables}
    unknown = fed.union(name for name in nodes if name in variables or nodes[name].op in VARIABLES)
    if not _by_shape_only(nodes, unknown, output[0]):
        return None
    # The batch matters if the value is another one for another batch.
    tried = [_run(nodes, output, unknown, variables, batch) for batch in ((2, 3) if fed else (1,))]
    if tried[0] is None or tried[-1] is None:
        return None
    if np.array_equal(tried[0], tried[-1]):
        return tried[0], set()
    value = _run(nodes, output, unknown, variables, 1)
    return None if value is None else (value, fed)


def _before(read: Callable[[str], Optional[NodeDef]], name: str) -> Optional[Dict[str, NodeDef]]:
    """The nodes that a node is computed from; ``None`` if one may do more than compute."""
    found: Dict[str, NodeDef] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        node = read(name)
        if node is None or node.op not in _ALLOWED or len(found) > _MOST_NODES:
            return None
        found[name] = node
        waiting.extend(map(node_name, data_inputs(node)))
    return found


def _by_shape_only(nodes: Dict[str, NodeDef], unknown: Set[str], name: str) -> bool:
    """Whether every path from a value that is not known to a node passes one that reads a shape."""
    waiting, seen = [name], set()
    while waiting:
        name = waiting.pop()
        if name in unknown:
            return False
        if name not in seen and nodes[name].op not in _SHAPES:
            seen.add(name)
            waiting.extend(map(node_name, data_inputs(nodes[name])))
    return True


def _zeros_of(node: NodeDef, batch: int) -> Optional[np.ndarray]:
    """Zeros, or empty texts, shaped like a variable or placeholder; ``None`` if its shape is not known."""
    shape = node.attr["shape"].shape
    sizes = [dim.size for dim in shape.dim]
    if node.op in _FED and sizes and sizes[0] < 0:
        sizes[0] = batch
    if shape.unknown_rank or min(sizes, default=0) < 0:
        return None
    kind = tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype
    return np.full(sizes, b"" if kind is object else 0, kind)


def _run(
    nodes: Dict[str, NodeDef],
    output: Output,
    unknown: Set[str],
    variables: Mapping[str, np.ndarray],
    batch: int,
) -> Optional[np.ndarray]:
    """Compute an output with zeros in the place of variables and of placeholders of a given batch."""
    zeros: Dict[str, np.ndarray] = {}
    for name in unknown:
        known = variables.get(name)
        value = _zeros_of(nodes[name], batch) if known is None else np.zeros_like(known)
        if value is None:
            return None
        zeros[name] = value
    graph_def = tf.GraphDef()
    for node in nodes.values():
        copied = copy_of(node, data_inputs(node))
        handle = node_name(node.input[0]) if node.input else ""
        if node.name in zeros:
            make_constant(copied, zeros[node.name])
        elif node.op == "ReadVariableOp" and handle in zeros:
            copied.op = "Identity"
            copied.attr.clear()
            copied.attr["T"].type = tf.as_dtype(zeros[handle].dtype).as_datatype_enum
        graph_def.node.append(copied)
    remove_placement(graph_def.node)
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(graph_def, name="")
            with tf.Session(graph=graph) as session:
                return np.asarray(session.run("{}:{}".format(*output)))
        except (ValueError, TypeError, LookupError, RuntimeError, tf.errors.OpError):
            return None
