"""Rewrite graphs to be faster: fold BatchNorm into convolutions, compute input gradients as convolutions.

With its moving averages, ``gamma * (Wx - mean) / sqrt(variance + epsilon) + beta`` is a convolution by
``W * s`` and a bias ``beta - mean * s``, ``s = gamma / sqrt(variance + epsilon)``. Folding saves one pass
over the activations in both directions.

The input gradient of a convolution of stride 1 with SAME padding is a convolution of the output gradient
with the filter rotated by 180 degrees, which the CPU computes faster than TensorFlow's gradient kernel.
"""

from typing import Any, Dict, Iterable, List, Mapping, Tuple

import numpy as np

from dgl.tf_compat import tf
from dgl.utils.graph_walk import Parts
from dgl.utils.types import GraphDef, Operation, Tensor

NodeDef = Any  # tf.NodeDef

GRADIENT = "DGLForwardConvolutionGradient"
_SCOPE = "turned"
_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def fold_batch_norms(
    graph_def: GraphDef, values: Mapping[str, np.ndarray], keep: Iterable[str]
) -> Tuple[GraphDef, Dict[str, np.ndarray]]:
    """Fold every BatchNorm whose input is a convolution with no other reader.

    Args:
        graph_def: ``tf.GraphDef`` of an inference graph, not changed.
        values: variable name -> float32 array.
        keep: names of nodes whose outputs must not change.

    Returns:
        (graph_def, values): each folded BatchNorm is a BiasAdd of the same name; values also holds the
        folded filters and biases, under the nodes' names with ``/folded`` added.
    """
    parts = Parts(graph_def, values)
    folded, values = tf.GraphDef(), dict(values)
    replaced = {}
    for norm in graph_def.node:
        if norm.op not in _NORMS or norm.attr["is_training"].b:
            continue
        convolution = parts.producer(norm.input[0])
        arrays = [parts.array(name) for name in norm.input[1:5]]
        if (
            convolution.op != "Conv2D"
            or convolution.name in keep
            or parts.readers(convolution.name) != 1
            or parts.array(convolution.input[1]) is None
            or any(array is None for array in arrays)
        ):
            continue
        weights = parts.array(convolution.input[1])
        gamma, beta, mean, variance = [
            array.astype(np.float64) for array in arrays if array is not None
        ]
        scale = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
        filter_name, bias_name = convolution.name + "/folded", norm.name + "/folded"
        values[filter_name] = (weights * scale).astype(np.float32)
        values[bias_name] = (beta - mean * scale).astype(np.float32)
        replaced[convolution.name] = _convolution(convolution, filter_name)
        replaced[norm.name] = _bias(norm, bias_name)
    folded.versions.CopyFrom(graph_def.versions)
    folded.node.extend(replaced.get(node.name, node) for node in graph_def.node)
    return folded, values


def _convolution(node: NodeDef, filter_name: str) -> NodeDef:
    changed = tf.NodeDef()
    changed.CopyFrom(node)
    changed.input[1] = filter_name
    return changed


def _bias(norm: NodeDef, bias_name: str) -> NodeDef:
    node = tf.NodeDef(name=norm.name, op="BiasAdd", input=[norm.input[0], bias_name])
    node.attr["T"].CopyFrom(norm.attr["T"])
    if "data_format" in norm.attr:
        node.attr["data_format"].CopyFrom(norm.attr["data_format"])
    return node


def _attribute(node: NodeDef, name: str, default: List[int]) -> List[int]:
    return list(node.attr[name].list.i) if name in node.attr else default


def _is_plain(node: NodeDef) -> bool:
    """Whether a node is a convolution of stride 1 with SAME padding and no dilation."""
    return bool(
        node.op == "Conv2D"
        and _attribute(node, "strides", []) == [1, 1, 1, 1]
        and _attribute(node, "dilations", [1, 1, 1, 1]) == [1, 1, 1, 1]
        and node.attr["padding"].s == b"SAME"
    )


def mark_convolutions(graph_def: GraphDef, filters: Mapping[str, np.ndarray]) -> None:
    """Set :data:`GRADIENT` as the gradient of every convolution that it supports.

    Args:
        graph_def: ``tf.GraphDef``, changed in place: convolutions of stride 1 with SAME padding and a
            filter of odd sides (with even ones the padding would have to be mirrored).
        filters: node name -> array, the filter of each convolution.
    """
    for node in graph_def.node:
        if _is_plain(node) and all(side % 2 for side in filters[node.name].shape[:2]):
            node.attr["_gradient_op_type"].s = GRADIENT.encode()


def _constant_of(tensor: Tensor) -> Tuple[Operation, np.ndarray]:
    """The operation and array of a constant, possibly behind identities."""
    op = tensor.op
    while op.type == "Identity":
        op = op.inputs[0].op
    return op, tf.make_ndarray(op.get_attr("value"))


def turn(weights: np.ndarray) -> np.ndarray:
    """The filter rotated by 180 degrees: (H, W, in, out) -> (H, W, out, in)."""
    return np.ascontiguousarray(weights[::-1, ::-1].transpose(0, 1, 3, 2))


def _turned(tensor: Tensor) -> Tensor:
    """The rotated filter as a constant, shared by all passes of a graph."""
    op, weights = _constant_of(tensor)
    name = f"{_SCOPE}/{op.name}"
    try:
        return tensor.graph.get_tensor_by_name(name + ":0")
    except KeyError:
        with tf.name_scope(None), tf.control_dependencies(None):
            return tf.constant(turn(weights), name=name)


@tf.RegisterGradient(GRADIENT)  # type: ignore[untyped-decorator]
def _input_gradient(op: Operation, gradient: Tensor) -> Tuple[Tensor, None]:
    data_format = op.get_attr("data_format").decode()
    back = tf.nn.conv2d(
        gradient,
        _turned(op.inputs[1]),
        strides=[1, 1, 1, 1],
        padding="SAME",
        data_format=data_format,
    )
    return back, None
