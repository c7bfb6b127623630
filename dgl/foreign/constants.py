"""Find constants in a graph of others: values that depend on no image, or on its shape alone.

Such a value decides how often a loop runs and which branch is taken. Only operations of
:data:`dgl.foreign.operations.COMPUTES` are run to find it, so that nothing of a file's program is.
"""

from typing import Callable, Dict, List, Mapping, Optional, Set, Tuple

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
_BATCHES = (2, 3)


def values_before_a_run(
    read: Callable[[str], Optional[NodeDef]],
    outputs: List[Output],
    variables: Mapping[str, np.ndarray],
) -> Optional[Tuple[List[np.ndarray], Set[str]]]:
    """Compute outputs that do not depend on what is fed.

    Args:
        read: name -> ``tf.NodeDef``, its inputs those of a graph; ``None`` for a node that there is not.
        outputs: list of (node, index).
        variables: node -> value, for placeholders that stand for variables.

    Returns:
        (an array for each output, names of the placeholders whose batch was taken to be one because the
        values depend on it); ``None`` if the values depend on more than the shapes of images and of
        variables, or on operations that are not allowed.
    """
    names = [name for name, _ in outputs]
    nodes = _before(read, names)
    if nodes is None:
        return None
    zeros = {
        name: _zeros_of(node, variables)
        for name, node in nodes.items()
        if node.op in VARIABLES or name in variables
    }
    fed = [name for name, node in nodes.items() if node.op in _FED and name not in variables]
    if not fed and not zeros:
        values = _run(nodes, outputs, {}, {})
        return None if values is None else (values, set())
    if not _by_shape_only(nodes, [*fed, *zeros], names):
        return None
    tried = [_run(nodes, outputs, dict.fromkeys(fed, batch), zeros) for batch in _BATCHES]
    if tried[0] is not None and tried[1] is not None:
        if all(np.array_equal(*pair) for pair in zip(*tried)):
            return tried[0], set()
        values = _run(nodes, outputs, dict.fromkeys(fed, 1), zeros)
        if values is not None:
            return values, set(fed)
    return None


def _before(
    read: Callable[[str], Optional[NodeDef]], names: List[str]
) -> Optional[Dict[str, NodeDef]]:
    """The nodes that some nodes are computed from; ``None`` if one may do more than compute."""
    found: Dict[str, NodeDef] = {}
    waiting = list(names)
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


def _by_shape_only(nodes: Dict[str, NodeDef], unknown: List[str], names: List[str]) -> bool:
    """Whether every path from a value that is not known to the outputs passes one that reads a shape."""
    waiting, seen = list(names), set()
    while waiting:
        name = waiting.pop()
        if name in unknown:
            return False
        if name not in seen and nodes[name].op not in _SHAPES:
            seen.add(name)
            waiting.extend(map(node_name, data_inputs(nodes[name])))
    return True


def _zeros_of(node: NodeDef, variables: Mapping[str, np.ndarray]) -> Optional[np.ndarray]:
    """Zeros shaped like a variable; ``None`` where its shape is not known."""
    if node.name in variables:
        return np.zeros_like(variables[node.name])
    sizes = [dim.size for dim in node.attr["shape"].shape.dim]
    if node.attr["shape"].shape.unknown_rank or min(sizes, default=0) < 0:
        return None
    return np.zeros(sizes, tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype)


def _run(
    nodes: Dict[str, NodeDef],
    outputs: List[Output],
    batches: Dict[str, int],
    zeros: Mapping[str, Optional[np.ndarray]],
) -> Optional[List[np.ndarray]]:
    """Compute outputs with zeros in the place of placeholders, of given batches, and of variables."""
    graph_def = tf.GraphDef()
    kinds: Dict[str, int] = {}  # of handles: the type of the variable that they stand for
    # What has no input comes first, so that a handle is known before it is read.
    for node in sorted(nodes.values(), key=lambda node: len(node.input) > 0):
        copied = copy_of(node, data_inputs(node))
        handle = node_name(node.input[0]) if node.input else ""
        if node.name in zeros:
            value = zeros[node.name]
            if value is None:
                return None
            make_constant(copied, value)
            kinds[node.name] = copied.attr["dtype"].type
        elif node.name in batches:
            sizes = [dim.size for dim in node.attr["shape"].shape.dim]
            if node.attr["shape"].shape.unknown_rank or min(sizes[1:], default=1) < 1:
                return None
            if sizes and sizes[0] < 0:
                sizes[0] = batches[node.name]
            kind = tf.as_dtype(node.attr["dtype"].type)
            text = kind == tf.string
            empty = np.full(sizes, b"" if text else 0, object if text else kind.as_numpy_dtype)
            make_constant(copied, empty)
        elif node.op == "ReadVariableOp" and handle in kinds:
            copied.op = "Identity"
            copied.attr.clear()
            copied.attr["T"].type = kinds[handle]
        graph_def.node.append(copied)
    remove_placement(graph_def.node)
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(graph_def, name="")
            with tf.Session(graph=graph) as session:
                found: List[np.ndarray] = session.run(["{}:{}".format(*o) for o in outputs])
        except (ValueError, TypeError, LookupError, RuntimeError, tf.errors.OpError):
            return None
    return found
