"""Walk TensorFlow graphs: operations of a `tf.Graph`, nodes of a `tf.GraphDef`."""

from collections import Counter
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Set, Union

import numpy as np

from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import GraphDef, Operation, Tensor

_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_SAME_VALUE = ("Identity", "StopGradient", "CheckNumerics", "PreventGradient")


def is_placeholder(op: Operation) -> bool:
    """Whether an operation is fed, or may be."""
    return op.type in _PLACEHOLDERS


def upstream(tensor: Union[Tensor, Operation], stop: Optional[Tensor] = None) -> List[Operation]:
    """The operations that a tensor is computed from, its own included, in their order (except in loops).

    ``stop`` is a tensor taken as given: its operation is left out, and what only it is computed from.
    """
    ordered, seen = [], set() if stop is None else {stop.op}
    start: Any = getattr(tensor, "op", tensor)
    pending = [(start, False)]
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


def depths(ops: List[Operation], is_start: Callable[[Operation], bool]) -> Dict[Operation, int]:
    """Length of the longest path to each of :func:`upstream`'s operations from one that is a start.

    It is 0 at the start of a path; operations on no path are left out.
    """
    found: Dict[Operation, int] = {}
    for op in ops:
        before = [found[read.op] for read in op.inputs if read.op in found]
        if before:
            found[op] = max(before) + 1
        elif is_start(op):
            found[op] = 0
    return found


def is_fixed(tensor: Tensor) -> bool:
    """Whether a tensor is the same in every run, because it depends on no placeholder."""
    return not any(is_placeholder(op) for op in upstream(tensor))


def without_identities(tensor: Tensor) -> Tensor:
    """The tensor that this one copies, through any number of identity operations."""
    while tensor.op.type in _SAME_VALUE:
        tensor = tensor.op.inputs[0]
    return tensor


def constant_value(tensor: Tensor) -> Optional[np.ndarray]:
    """The value of a constant, possibly behind identities; else ``None``."""
    op = without_identities(tensor).op
    return tf.make_ndarray(op.get_attr("value")) if op.type == "Const" else None


def node_name(tensor_name: str) -> str:
    """The node that an input refers to: ``a`` for ``"^a"``, ``"a"`` and ``"a:0"``."""
    return tensor_name.lstrip("^").split(":")[0]


def reachable(graph_def: GraphDef, names: Iterable[str]) -> Set[str]:
    """Names of the nodes that some tensors or nodes are computed from, themselves included.

    Inputs that are not nodes of the graph are included too, for they may get values on import.
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
    """Index of a graph: producers, readers and constant values of tensors."""

    def __init__(self, graph_def: GraphDef, values: Mapping[str, np.ndarray]):
        """Index the nodes; ``values`` are those of variables, name -> array."""
        self._nodes = {node.name: node for node in graph_def.node}
        self._readers = Counter(node_name(name) for node in graph_def.node for name in node.input)
        self._values = values

    def producer(self, tensor_name: str) -> Any:
        """The ``tf.NodeDef`` that computes a tensor."""
        return self._nodes[node_name(tensor_name)]

    def readers(self, name: str) -> int:
        """The number of inputs that read the node's outputs."""
        return self._readers[name]

    def array(self, tensor_name: str) -> Optional[np.ndarray]:
        """The value of a variable or a constant, possibly behind identities; else ``None``."""
        name = node_name(tensor_name)
        while name not in self._values and self._nodes[name].op == "Identity":
            name = node_name(self._nodes[name].input[0])
        if name in self._values:
            return self._values[name]
        node = self._nodes[name]
        return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None
