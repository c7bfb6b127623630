"""The layer that global average pooling reads, and the weights behind it, found in a graph.

CAM (Zhou et al., CVPR 2016) is defined there only: ``z = W^T mean over H, W of S + b``.
"""

from typing import Any, Optional, Tuple

from dgl.graphs.walk import is_fixed, without_identities
from dgl.tf_compat import tf

_SUMS = ("BiasAdd", "Add", "AddV2")
_RESHAPES = ("Reshape", "Squeeze", "ExpandDims")


def pooled_layer(logits: Any) -> Optional[Tuple[Any, Any]]:
    """Recognise "spatial mean, fully connected layer, bias" at the end of a classifier.

    The mean may be ``Mean`` over H and W or an average pool over the whole map, the layer a ``MatMul`` or
    a convolution by 1 x 1; identities and reshapes that move no number may lie between.

    Args:
        logits: (N, classes) float tensor.

    Returns:
        (S, W): the (N, H, W, C) tensor that is pooled, and the (C, classes) weights; ``None`` where the
        classifier ends in another way, or has its channels first.
    """
    scores = _behind_reshapes(logits)
    while scores.op.type in _SUMS:
        first, second = scores.op.inputs[:2]
        if is_fixed(second):
            scores = _behind_reshapes(first)
        elif is_fixed(first):
            scores = _behind_reshapes(second)
        else:
            return None
    op = scores.op
    if op.type not in ("MatMul", "BatchMatMulV2", "Conv2D") or not is_fixed(op.inputs[1]):
        return None
    mean = _behind_reshapes(op.inputs[0])
    pooled = _pooled(mean.op)
    if pooled is None:
        return None
    weights = _weights(op)
    channels, classes = pooled.shape.as_list()[3], logits.shape.as_list()[-1]
    if weights is None or channels is None or weights.shape.as_list() != [channels, classes]:
        return None
    return pooled, weights


def _behind_reshapes(tensor):
    """The tensor before identities and reshapes that keep (N, C), with or without places of 1 x 1."""
    tensor = without_identities(tensor)
    while tensor.op.type in _RESHAPES:
        before = without_identities(tensor.op.inputs[0])
        if _vector_size(before) is None or _vector_size(before) != _vector_size(tensor):
            break
        tensor = before
    return tensor


def _vector_size(tensor):
    """C of (N, C) or (N, 1, 1, C), else ``None``."""
    shape = tensor.shape.as_list() if tensor.shape.ndims in (2, 4) else [None]
    return shape[-1] if shape[1:-1] in ([], [1, 1]) else None


def _weights(op):
    weights = op.inputs[1]
    if op.type == "Conv2D":
        sides = weights.shape.as_list()[:2]
        if sides != [1, 1] or op.get_attr("data_format") != b"NHWC":
            return None
        if op.inputs[0].shape.as_list()[1:3] != [1, 1]:
            return None
        with weights.graph.as_default(), tf.name_scope(None):
            return tf.squeeze(weights, axis=[0, 1], name="dgl_head_weights")
    if op.type == "MatMul":
        if op.get_attr("transpose_a"):
            return None
        is_turned = op.get_attr("transpose_b")
    else:
        is_turned = op.get_attr("adj_y")
    if weights.shape.ndims != 2 or not is_turned:
        return weights if weights.shape.ndims == 2 else None
    with weights.graph.as_default(), tf.name_scope(None):
        return tf.transpose(weights, name="dgl_head_weights")


def _pooled(op):
    """What a mean over all places reads, (N, H, W, C), or ``None``."""
    if op.type == "Mean":
        axes = _constant(op.inputs[1])
        if axes is None or op.inputs[0].shape.ndims != 4:
            return None
        if sorted(int(axis) % 4 for axis in axes.ravel()) != [1, 2]:
            return None
    elif op.type == "AvgPool":
        places = op.inputs[0].shape.as_list()[1:3]
        if op.get_attr("data_format") != b"NHWC" or op.get_attr("padding") != b"VALID":
            return None
        if None in places or list(op.get_attr("ksize")) != [1] + places + [1]:
            return None
    else:
        return None
    return without_identities(op.inputs[0])


def _constant(tensor):
    op = without_identities(tensor).op
    return tf.make_ndarray(op.get_attr("value")) if op.type == "Const" else None
