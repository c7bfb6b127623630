"""Find the tensors of a classifier's graph that attribution needs: image, logits, layers, pooled layer."""

from typing import Any, Dict, Optional, Set, Tuple

import numpy as np

from dgl.tf_compat import tf
from dgl.utils.graph_walk import depths, is_fixed, is_placeholder, upstream, without_identities
from dgl.utils.types import Operation, Tensor

_SOFTMAX = ("Softmax", "LogSoftmax")
_RESHAPES = ("Reshape", "Squeeze")
_BIASES = ("BiasAdd", "Add", "AddV2")
# Operations that end a layer: nonlinearities and pools always; the others where they join two paths from
# the image (a residual, a gate, `x * sigmoid(x)`), but not a path and a weight.
_NONLINEARITIES = frozenset(["Relu", "Relu6", "LeakyRelu", "Elu", "Selu"])
_POOLS = frozenset(["MaxPool", "MaxPoolV2", "AvgPool"])
_JOINS = frozenset(["Add", "AddV2", "AddN", "ConcatV2", "Concat", "Mul"])


def input_of(logits: Any) -> Any:
    """The only placeholder of images that the logits depend on.

    Args:
        logits: tensor of a graph.

    Returns:
        the placeholder of rank 4 with 1, 3 or 4 channels, first or last, or with unknown sizes; if there
        is none, the only placeholder of numbers with unknown rank.

    Raises:
        ValueError: there is none, or several; the message lists the placeholders.
    """
    found = [op.outputs[0] for op in upstream(logits) if is_placeholder(op)]
    numbers = [tensor for tensor in found if tensor.dtype.is_floating or tensor.dtype.is_integer]
    images = [tensor for tensor in numbers if _is_image(tensor)]
    images = images or [tensor for tensor in numbers if tensor.shape.ndims is None]
    if len(images) == 1:
        return images[0]
    candidates = ", ".join(f"{t.name} ({t.dtype.name} {t.shape})" for t in images or found)
    raise ValueError(
        f"{logits.name}: expected one placeholder of images, found {candidates or 'no placeholder'}; "
        "name it with image="
    )


def _is_image(tensor: Tensor) -> bool:
    if tensor.shape.ndims != 4:
        return False
    _, first, _, last = tensor.shape.as_list()
    return None in (first, last) or bool({first, last} & {1, 3, 4})


def logits_of(tensor: Any) -> Any:
    """The logits of a classifier, given its logits or its probabilities.

    Args:
        tensor: (N, classes) float logits or probabilities, possibly behind identities and reshapes.

    Returns:
        (N, classes) float tensor: the input of the softmax, or ``tensor`` without one. Logits of shape
        (N, 1, 1, classes) are reshaped by a new operation.

    Raises:
        ValueError: the shape is neither (N, classes) nor (N, 1, 1, classes).
    """
    source = without_identities(tensor)
    while source.op.type in _RESHAPES:
        source = without_identities(source.op.inputs[0])
    logits = source.op.inputs[0] if source.op.type in _SOFTMAX else tensor
    if logits.shape.ndims == 4 and logits.shape.as_list()[1:3] == [1, 1]:
        with logits.graph.as_default(), tf.name_scope(None):
            return tf.squeeze(logits, axis=[1, 2], name="dgl_logits")
    if logits.shape.ndims != 2:
        raise ValueError(
            f"{tensor.name}: expected logits or probabilities of shape (N, classes), got {logits.shape}"
        )
    return logits


def layers_of(logits: Any) -> Dict[str, Any]:
    """The activations that maps can be computed at, last layer first, in the order of ``--clayer``.

    These are the rank-4 outputs of nonlinearities, pools, residual sums, gates and concatenations between
    the placeholders and the logits. A sum or concatenation read only by a nonlinearity is left out.

    Args:
        logits: tensor of a graph.

    Returns:
        ordered name of the operation -> float tensor, (N, H, W, C) or (N, C, H, W) as in the graph.
        Activations of size 1 x 1 are left out.
    """
    ops = upstream(logits)
    depth = depths(ops, is_placeholder)
    readers: Dict[Operation, Set[Operation]] = {}
    for op in ops:
        for read in op.inputs:
            readers.setdefault(without_identities(read).op, set()).add(op)

    def feeds_nonlinearity_only(op: Operation) -> bool:
        after = [reader for reader in readers.get(op, ()) if reader.type != "Identity"]
        return len(after) == 1 and after[0].type in _NONLINEARITIES

    found = [
        op
        for op in ops
        if op in depth
        and _is_layer(op, depth)
        and not (op.type in _JOINS and feeds_nonlinearity_only(op))
    ]
    found.sort(key=lambda op: -depth[op])
    return {op.name: _differentiable(op.outputs[0], depth) for op in found}


def _is_layer(op: Operation, depth: Dict[Operation, int]) -> bool:
    if op.type in _JOINS:
        if sum(read.op in depth for read in op.inputs) < 2:
            return False
    elif op.type not in _NONLINEARITIES | _POOLS:
        return False
    shape = op.outputs[0].shape
    if shape.ndims != 4 or not op.outputs[0].dtype.is_floating:
        return False
    sizes = shape.as_list()[1:]
    return not (sizes[:2] == [1, 1] or sizes[1:] == [1, 1])


def _differentiable(tensor: Tensor, depth: Dict[Operation, int]) -> Tensor:
    """The copy of a tensor that gradients of the logits reach.

    With ``tf.custom_gradient`` this is the output of an ``IdentityN``, through which no gradient passes.
    """
    for reader in tensor.consumers():
        if reader.type == "IdentityN" and reader in depth:
            return reader.outputs[[read is tensor for read in reader.inputs].index(True)]
    return tensor


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
        axes = _constant(op.inputs[1])
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


def _constant(tensor: Tensor) -> Optional[np.ndarray]:
    op = without_identities(tensor).op
    return tf.make_ndarray(op.get_attr("value")) if op.type == "Const" else None
