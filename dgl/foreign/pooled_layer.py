"""The layer that feeds global average pooling in a graph of others, and the weights after it, for CAM."""

from typing import Any, Optional, Tuple

from dgl.tf_compat import tf
from dgl.utils.graph_walk import constant_value, is_fixed, without_identities
from dgl.utils.types import Operation, Tensor

_BIASES = ("BiasAdd", "Add", "AddV2")
_RESHAPES = ("Reshape", "Squeeze", "ExpandDims")


def pooled_layer(logits: Any) -> Optional[Tuple[Any, Any]]:
    """Recognize "spatial mean, fully connected layer, bias" at the end of a classifier.

    The mean may be ``Mean`` over H and W or an average pool over the whole map, the layer a ``MatMul`` or
    a 1 x 1 convolution; identities and reshapes that keep the order of channels may lie between them.

    Args:
        logits: (N, classes) float tensor.

    Returns:
        (S, W): the (N, H, W, C) tensor that is pooled, and the (C, classes) weights. ``None`` if the
        classifier has another head, or its channels come first.
    """
    scores = _before_reshapes(logits)
    while scores.op.type in _BIASES:
        first, second = scores.op.inputs[:2]
        if is_fixed(second):
            scores = _before_reshapes(first)
        elif is_fixed(first):
            scores = _before_reshapes(second)
        else:
            return None
    op = scores.op
    if op.type not in ("MatMul", "BatchMatMulV2", "Conv2D") or not is_fixed(op.inputs[1]):
        return None
    pooled = _input_of_mean(_before_reshapes(op.inputs[0]).op)
    if pooled is None:
        return None
    weights = _weights(op)
    channels, classes = pooled.shape.as_list()[3], logits.shape.as_list()[-1]
    if weights is None or channels is None or weights.shape.as_list() != [channels, classes]:
        return None
    return pooled, weights


def _before_reshapes(tensor: Tensor) -> Tensor:
    """The tensor before identities and reshapes between (N, C) and (N, 1, 1, C)."""
    tensor = without_identities(tensor)
    while tensor.op.type in (*_RESHAPES, "ExpandDims"):
        before = without_identities(tensor.op.inputs[0])
        if _vector_size(before) is None or _vector_size(before) != _vector_size(tensor):
            break
        tensor = before
    return tensor


def _vector_size(tensor: Tensor) -> Optional[int]:
    """C of (N, C) or (N, 1, 1, C), else ``None``."""
    shape = tensor.shape.as_list() if tensor.shape.ndims in (2, 4) else [None]
    return shape[-1] if shape[1:-1] in ([], [1, 1]) else None


def _weights(op: Operation) -> Optional[Tensor]:
    """The (C, classes) weights of a ``MatMul`` or a 1 x 1 ``Conv2D``, or ``None``."""
    weights = op.inputs[1]
    if op.type == "Conv2D":
        if weights.shape.as_list()[:2] != [1, 1] or op.get_attr("data_format") != b"NHWC":
            return None
        if op.inputs[0].shape.as_list()[1:3] != [1, 1]:
            return None
        with weights.graph.as_default(), tf.name_scope(None):
            return tf.squeeze(weights, axis=[0, 1], name="dgl_head_weights")
    if weights.shape.ndims != 2 or (op.type == "MatMul" and op.get_attr("transpose_a")):
        return None
    if not op.get_attr("transpose_b" if op.type == "MatMul" else "adj_y"):
        return weights
    with weights.graph.as_default(), tf.name_scope(None):
        return tf.transpose(weights, name="dgl_head_weights")


def _input_of_mean(op: Operation) -> Optional[Tensor]:
    """The (N, H, W, C) tensor that ``op`` averages over H and W, or ``None``."""
    if op.type == "Mean":
        axes = constant_value(op.inputs[1])
        if axes is None or op.inputs[0].shape.ndims != 4:
            return None
        if sorted(int(axis) % 4 for axis in axes.ravel()) != [1, 2]:
            return None
    elif op.type == "AvgPool":
        sizes = op.inputs[0].shape.as_list()[1:3]
        if op.get_attr("data_format") != b"NHWC" or op.get_attr("padding") != b"VALID":
            return None
        if None in sizes or list(op.get_attr("ksize")) != [1, *sizes, 1]:
            return None
    else:
        return None
    return without_identities(op.inputs[0])
