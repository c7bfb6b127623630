"""Walk TensorFlow graphs: operations of a `tf.Graph`, nodes of a `tf.GraphDef`.

Walking a graph backwards: what a tensor is computed from, and in which order.
"""

from collections import Counter
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Set

import numpy as np

from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import GraphDef

_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_SAME_VALUE = ("Identity", "StopGradient", "CheckNumerics", "PreventGradient")


def is_placeholder(op: Any) -> bool:
    """Whether an operation waits to be fed, or may be."""
    return op.type in _PLACEHOLDERS


def upstream(tensor: Any) -> List[Any]:
    """The operations that a tensor is computed from, its own included.

    Returns:
        list of ``tf.Operation``, each once, an operation after all that it reads (loops apart).
    """
    ordered, seen = [], set()
    pending = [(tensor.op, False)]
    while pending:
        op, is_done = pending.pop()
        if is_done:
            ordered.append(op)
            continue
        if op in seen:
            continue
        seen.add(op)
        pending.append((op, True))
        pending.extend((read.op, False) for read in reversed(op.inputs))
    return ordered


def depths(ops: List[Any], begins: Callable[[Any], bool]) -> Dict[Any, int]:
    """How many operations lie on the longest way to each from one that ``begins`` accepts.

    Args:
        ops: as :func:`upstream` orders them.
        begins: of an operation.

    Returns:
        operation -> int, 0 where a way begins; what no way reaches is left out.
    """
    found = {}  # type: Dict[Any, int]
    for op in ops:
        before = [found[read.op] for read in op.inputs if read.op in found]
        if before:
            found[op] = max(before) + 1
        elif begins(op):
            found[op] = 0
    return found


def is_fixed(tensor: Any) -> bool:
    """Whether a tensor is the same in every run: it depends on nothing that is fed."""
    return not any(is_placeholder(op) for op in upstream(tensor))


def without_identities(tensor: Any) -> Any:
    """The tensor whose value this one passes on."""
    while tensor.op.type in _SAME_VALUE:
        tensor = tensor.op.inputs[0]
    return tensor


# Reading a ``tf.GraphDef``: who makes a tensor, who reads it, and which array it is.


def node_name(tensor_name: str) -> str:
    """``"^a"``, ``"a"`` and ``"a:0"`` are of the node ``a``."""
    return tensor_name.lstrip("^").split(":")[0]


def reachable(graph_def: GraphDef, names: Iterable[str]) -> Set[str]:
    """Names of all that the tensors or nodes named are computed from, themselves included.

    Inputs that are no nodes of the graph are among them: the variables that values were made for.
    """
    inputs = {node.name: node.input for node in graph_def.node}
    found: Set[str] = set()
    waiting = [node_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(node_name(read) for read in inputs.get(name, ()))
    return found


class Parts:
    """An index of a graph.

    Args:
        graph_def: ``tf.GraphDef``.
        values: variable name -> array.
    """

    def __init__(self, graph_def: GraphDef, values: Mapping[str, np.ndarray]):
        self._nodes = {node.name: node for node in graph_def.node}
        self._readers = Counter(node_name(name) for node in graph_def.node for name in node.input)
        self._values = values

    def producer(self, tensor_name: str) -> Any:
        """The ``tf.NodeDef`` that makes a tensor."""
        return self._nodes[node_name(tensor_name)]

    def readers(self, name: str) -> int:
        """How many inputs read the node's outputs."""
        return self._readers[name]

    def array(self, tensor_name: str) -> Optional[np.ndarray]:
        """The value of a variable or a constant, straight or through identities; else ``None``."""
        name = node_name(tensor_name)
        while name not in self._values and self._nodes[name].op == "Identity":
            name = node_name(self._nodes[name].input[0])
        if name in self._values:
            return self._values[name]
        node = self._nodes[name]
        return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None
