"""Backpropagation through a convolution as a convolution.

The gradient of a convolution of stride 1 with respect to its input is a convolution of what flows back, by
the filter turned by 180 degrees with its channels exchanged:
``dx[i] = sum over k of dy[i - k] W[k]^T``. As such it runs on the forward kernels, which are the faster
ones of TensorFlow's own on a CPU (docs/speed.md), and its filter is a constant like any other. The sums are
the same ones, added in another order.
"""

from typing import Mapping

import numpy as np

from dgl.tf_compat import tf
from dgl.typing_names import GraphDef

GRADIENT = "DGLForwardConvolutionGradient"
_SCOPE = "turned"


def _attribute(node, name, default):
    return list(node.attr[name].list.i) if name in node.attr else default


def _is_plain(node):
    """Whether a node's input gradient is a convolution: stride 1, no gaps, SAME padding."""
    return (
        node.op == "Conv2D"
        and _attribute(node, "strides", []) == [1, 1, 1, 1]
        and _attribute(node, "dilations", [1, 1, 1, 1]) == [1, 1, 1, 1]
        and node.attr["padding"].s == b"SAME"
    )


def mark_convolutions(graph_def: GraphDef, filters: Mapping[str, np.ndarray]) -> None:
    """Have :data:`GRADIENT` differentiate every convolution that it can.

    Args:
        graph_def: ``tf.GraphDef``, changed in place: convolutions of stride 1 with SAME padding and a
            filter of odd sides (even ones would pad the other side more on the way back).
        filters: node name -> array, the filter of each convolution.
    """
    for node in graph_def.node:
        if _is_plain(node) and all(side % 2 for side in filters[node.name].shape[:2]):
            node.attr["_gradient_op_type"].s = GRADIENT.encode()


def _constant_of(tensor):
    """The array of a constant, straight or through identities."""
    op = tensor.op
    while op.type == "Identity":
        op = op.inputs[0].op
    return op, tf.make_ndarray(op.get_attr("value"))


def turn(weights: np.ndarray) -> np.ndarray:
    """The filter of the way back: (H, W, in, out) -> (H, W, out, in), turned by 180 degrees."""
    return np.ascontiguousarray(weights[::-1, ::-1].transpose(0, 1, 3, 2))


def _turned(tensor):
    """The constant filter of the way back, one for all passes of a graph."""
    op, weights = _constant_of(tensor)
    name = "{}/{}".format(_SCOPE, op.name)
    try:
        return tensor.graph.get_tensor_by_name(name + ":0")
    except KeyError:
        with tf.name_scope(None), tf.control_dependencies(None):
            return tf.constant(turn(weights), name=name)


@tf.RegisterGradient(GRADIENT)
def _input_gradient(op, gradient):
    data_format = op.get_attr("data_format").decode()
    back = tf.nn.conv2d(
        gradient,
        _turned(op.inputs[1]),
        strides=[1, 1, 1, 1],
        padding="SAME",
        data_format=data_format,
    )
    return back, None
