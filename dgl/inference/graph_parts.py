"""Reading a ``tf.GraphDef``: who makes a tensor, who reads it, and which array it is."""

from collections import Counter
from typing import Any, Iterable, Mapping, Optional, Set

import numpy as np

from dgl.tf_compat import tf
from dgl.typing_names import GraphDef


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


class Parts(object):
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
