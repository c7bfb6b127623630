"""The way through the convolutions in bfloat16; what comes before and after it stays in float32.

bfloat16 has float32's range and 8 bits of its mantissa. Convolutions, and what is done to each of their
values between them, are computed in it, with sums in float32 (oneDNN's and TensorFlow's kernels alike), and
the way back likewise, since a gradient has the type of what it is a gradient of. Normalization of the
image, global pooling, the classifier, softmax and the arithmetic of maps are float32.

The graph says so itself. TensorFlow's auto mixed precision, which rewrites a graph behind the session,
would take the norms and products of the maps along (docs/speed.md).
"""

from typing import Any, Dict, Mapping, Set, Tuple

import numpy as np

from dgl.tf_compat import tf
from dgl.utils.graph_walk import Parts, node_name
from dgl.utils.types import GraphDef

# Where the way begins, and what it goes on through; with the inputs that are of its type, a slice.
_BEGINS = {"Conv2D": slice(0, 2), "DepthwiseConv2dNative": slice(0, 2)}
_GOES_ON = {
    "Add": slice(0, 2),
    "AddV2": slice(0, 2),
    "AvgPool": slice(0, 1),
    "BiasAdd": slice(0, 2),
    "ConcatV2": slice(0, -1),
    "Identity": slice(0, 1),
    "MaxPool": slice(0, 1),
    "Mul": slice(0, 2),
    "Pad": slice(0, 1),
    "Relu": slice(0, 1),
    "Relu6": slice(0, 1),
}
_TYPED = dict(_BEGINS, **_GOES_ON)
_SUFFIX = {tf.bfloat16: "/bfloat16", tf.float32: "/float32"}


def lower_precision(
    graph_def: GraphDef, values: Mapping[str, np.ndarray]
) -> Tuple[GraphDef, Dict[str, np.ndarray]]:
    """Have a network compute its convolutions, and what lies between them, in bfloat16.

    Args:
        graph_def: ``tf.GraphDef`` of a float32 inference graph, nodes in the order that they are computed
            in; not changed.
        values: variable name -> float32 array.

    Returns:
        (graph_def, values): nodes keep their names, and those on the way give bfloat16; values holds
        the weights that they read in bfloat16 too, by names with ``/bfloat16`` added.
    """
    return _Lowering(graph_def, values).result()


def _on_the_way(graph_def: GraphDef) -> Set[str]:
    """Names of the nodes that bfloat16 goes through."""
    way: Set[str] = set()
    pooled: Set[str] = set()  # what is computed from spatial means alone: gates, and the classifier
    for node in graph_def.node:
        read = {node_name(name) for name in node.input[_TYPED.get(node.op, slice(None))]}
        if (read & way and node.op in _TYPED) or (node.op in _BEGINS and not read & pooled):
            way.add(node.name)
        elif node.op == "Mean" or read & pooled:
            pooled.add(node.name)
    return way


class _Lowering:
    """One graph on its way to another."""

    def __init__(self, graph_def: GraphDef, values: Mapping[str, np.ndarray]):
        self._source = graph_def
        self._parts = Parts(graph_def, values)
        self._low = _on_the_way(graph_def)
        self._values: Dict[str, np.ndarray] = dict(values)
        self._casts: Dict[Tuple[str, Any], str] = {}
        self._target = tf.GraphDef()
        self._target.versions.CopyFrom(graph_def.versions)

    def result(self):
        for node in self._source.node:
            changed = tf.NodeDef()
            changed.CopyFrom(node)
            if node.name in self._low:
                changed.attr["T"].type = tf.bfloat16.as_datatype_enum
                for index in range(len(node.input))[_TYPED[node.op]]:
                    changed.input[index] = self._lowered(node.input[index])
            else:
                for index, name in enumerate(node.input):
                    changed.input[index] = self._raised(name)
            self._target.node.add().CopyFrom(changed)
        return self._target, self._values

    def _lowered(self, name):
        """The bfloat16 tensor of what is called so in the source."""
        if node_name(name) in self._low:
            return name
        array = self._parts.array(name)
        if array is None:
            return self._cast(name, tf.bfloat16)
        own = node_name(name) + _SUFFIX[tf.bfloat16]
        self._values[own] = array.astype(tf.bfloat16.as_numpy_dtype)
        return own

    def _raised(self, name):
        """The float32 tensor of what is called so in the source; control inputs as they are."""
        is_low = node_name(name) in self._low and not name.startswith("^")
        return self._cast(name, tf.float32) if is_low else name

    def _cast(self, name, dtype):
        """One for all who read it."""
        if (name, dtype) not in self._casts:
            own = name.replace(":", "_") + _SUFFIX[dtype]
            node = self._target.node.add(name=own, op="Cast", input=[name])
            other = tf.float32 if dtype == tf.bfloat16 else tf.bfloat16
            node.attr["SrcT"].type = other.as_datatype_enum
            node.attr["DstT"].type = dtype.as_datatype_enum
            self._casts[name, dtype] = own
        return self._casts[name, dtype]
