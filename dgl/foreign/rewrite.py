"""Rewrite a graph so that maps of it can be computed: in float32, and with kernels that every CPU has.

Gradients of half precision underflow to zero. Convolutions and pools with their channels first, and
convolutions in groups, are computed on some processors only. Values and names of all other tensors
stay.
"""

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from dgl.foreign.nodes import NodeDef, copy_of, make_constant, new_node, unused_name
from dgl.tf_compat import tf
from dgl.utils.types import GraphDef

_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_LAYOUT_OPS = frozenset(
    "Conv2D DepthwiseConv2dNative MaxPool AvgPool FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 "
    "BiasAdd".split()
)
_INT32 = tf.int32.as_datatype_enum
_PER_SIDE = ("strides", "dilations", "ksize")


def in_float32(graph_def: GraphDef) -> None:
    """Replace float16 and bfloat16 by float32, in place."""
    half = {tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum}
    single = tf.float32.as_datatype_enum
    for node in graph_def.node:
        for attribute in node.attr.values():
            if attribute.type in half:
                attribute.type = single
            for index, kind in enumerate(attribute.list.type):
                if kind in half:
                    attribute.list.type[index] = single
            if attribute.HasField("tensor") and attribute.tensor.dtype in half:
                value = tf.make_ndarray(attribute.tensor).astype(np.float32)
                attribute.tensor.CopyFrom(tf.make_tensor_proto(value))


def widened(array: np.ndarray) -> np.ndarray:
    """An array of half precision as float32; any other as it is."""
    is_half = array.dtype.name in ("float16", "bfloat16")
    return array.astype(np.float32) if is_half else array


def for_every_processor(graph_def: GraphDef, graph: Any) -> bool:
    """Replace operations with channels first, and convolutions in groups, in place.

    ``graph`` was imported from the message and knows shapes. Returns whether there was any such operation;
    the message is then to be imported again.
    """
    rewriter = _Rewriter(graph_def, graph)
    for node in graph_def.node:
        rewriter.add(node)
    if rewriter.is_changed:
        rewriter.move_readers()
        del graph_def.node[:]
        graph_def.node.extend(rewriter.nodes)
    return rewriter.is_changed


def is_for_some_processors(op: Any) -> bool:
    """Whether an operation of a graph is one of those that :func:`for_every_processor` replaces."""
    return _is_channels_first(op.type, op.node_def) or _groups(op)[0] > 1


def _is_channels_first(kind: str, node: NodeDef) -> bool:
    return kind in _LAYOUT_OPS and node.attr["data_format"].s == b"NCHW"


def _groups(op: Any) -> Tuple[int, int]:
    """Groups of a convolution, and its channels per group; (1, 0) for anything else."""
    if op.type != "Conv2D" or op.inputs[0].shape.ndims != 4 or op.inputs[1].shape.ndims != 4:
        return 1, 0
    axis = 1 if op.get_attr("data_format") == b"NCHW" else 3
    channels, own = op.inputs[0].shape.as_list()[axis], op.inputs[1].shape.as_list()[2]
    return (channels // own, own) if channels and own else (1, 0)


def _is_plain(node: NodeDef) -> bool:
    """Whether a convolution has equal strides, no dilation and no paddings of its own."""
    strides, dilations = list(node.attr["strides"].list.i), set(node.attr["dilations"].list.i)
    return strides[1] == strides[2] and dilations <= {1} and node.attr["padding"].s != b"EXPLICIT"


class _Rewriter:
    """Nodes of the new graph, in the order of the old one."""

    def __init__(self, graph_def: GraphDef, graph: Any):
        self.nodes: List[NodeDef] = []
        self.is_changed = False
        self._moved: Dict[str, str] = {}  # where a node's further outputs are now
        self._names = {node.name for node in graph_def.node}
        self._ops = {op.name: op for op in graph.get_operations()}

    def add(self, node: NodeDef) -> None:
        """Add a node, or what replaces it."""
        op = self._ops.get(node.name)
        if op is None or not (node.op in _LAYOUT_OPS and is_for_some_processors(op)):
            self.nodes.append(node)
            return
        self.is_changed = True
        # The last operation has the old name, so that readers of the first output stay as they are.
        inner = copy_of(node)
        if not _is_channels_first(node.op, node):
            self._grouped(inner, op)
            return
        inner.name = unused_name(node.name + "/channels_last", self._names)
        inner.input[0] = self._transposed(node.input[0], _TO_LAST, node)
        inner.attr["data_format"].s = b"NHWC"
        for key in _PER_SIDE:
            if key in inner.attr:
                sizes = list(inner.attr[key].list.i)
                inner.attr[key].list.i[:] = [sizes[axis] for axis in _TO_LAST]
        if "explicit_paddings" in inner.attr and inner.attr["explicit_paddings"].list.i:
            pads = np.reshape(inner.attr["explicit_paddings"].list.i, (4, 2))[list(_TO_LAST)]
            inner.attr["explicit_paddings"].list.i[:] = pads.ravel().tolist()
        self._grouped(inner, op)
        self._moved[node.name] = inner.name
        self._transposed(inner.name, _TO_FIRST, node, node.name)

    def move_readers(self) -> None:
        """Let readers of a node's second and later outputs read them where they are now."""
        for node in self.nodes:
            for place, read in enumerate(node.input):
                name, _, index = read.partition(":")
                if index not in ("", "0") and name in self._moved:
                    node.input[place] = f"{self._moved[name]}:{index}"

    def _grouped(self, node: NodeDef, op: Any) -> None:
        """Add a convolution with channels last, group by group where it has several."""
        groups, own = _groups(op)
        name, kind = node.name, node.attr["T"].type
        if groups == 1:
            self.nodes.append(node)
            return
        kernel = op.inputs[1].shape.as_list()
        if own == 1 and kernel[3] and _is_plain(node):
            # Every channel is a group: TensorFlow's depthwise convolution, (h, w, 1, C m) as (h, w, C, m).
            sizes = [*kernel[:2], groups, kernel[3] // groups]
            inputs = node.input[1], self._constant(name + "/kernel_shape", sizes)
            node.input[1] = self._node("Reshape", name + "/kernel", *inputs, T=kind, Tshape=_INT32)
            node.op = "DepthwiseConv2dNative"
            for key in ("use_cudnn_on_gpu", "explicit_paddings"):
                node.attr.pop(key, None)
            self.nodes.append(node)
            return
        parts, made = [], []
        axis = self._constant(name + "/axis", 3)
        for read in node.input[:2]:
            parts.append(self._node("Split", name + "/groups", axis, read, T=kind))
            self.nodes[-1].attr["num_split"].i = groups
        for index in range(groups):
            part = copy_of(node)
            part.name = unused_name(f"{name}/group_{index}", self._names)
            part.input[:2] = [f"{source}:{index}" if index else source for source in parts]
            self.nodes.append(part)
            made.append(part.name)
        joined = new_node("ConcatV2", name, *made, axis, T=kind, Tidx=_INT32)
        joined.attr["N"].i = groups
        self.nodes.append(joined)

    def _transposed(self, read: str, order: Sequence[int], node: NodeDef, name: str = "") -> str:
        """Add a transposition for an operation, under a new name if none is given."""
        permutation = self._constant(node.name + "/order", list(order))
        name = name or unused_name(node.name + "/turned", self._names)
        kind = node.attr["T"].type
        self.nodes.append(new_node("Transpose", name, read, permutation, T=kind, Tperm=_INT32))
        return name

    def _constant(self, name: str, value: Any) -> str:
        name = self._node("Const", name)
        make_constant(self.nodes[-1], np.asarray(value, np.int32))
        return name

    def _node(self, op: str, name: str, *inputs: str, **types: int) -> str:
        """Add a node under an unused name, which is returned."""
        name = unused_name(name, self._names)
        self.nodes.append(new_node(op, name, *inputs, **types))
        return name
