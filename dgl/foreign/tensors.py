"""The tensors of a classifier's graph that attribution asks for: image, logits and layers."""

from typing import Any, Dict, Optional, Set, Tuple

from dgl.tf_compat import tf
from dgl.utils.graph_walk import depths, is_fixed, is_placeholder, upstream, without_identities

_SOFTMAX = ("Softmax", "LogSoftmax")
_RESHAPES = ("Reshape", "Squeeze")
# What ends a layer: nonlinearities and pools by themselves, the others where two ways meet in them (a
# residual, a gate, `x * sigmoid(x)`) rather than a way and a weight.
_ENDS = frozenset(["Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "MaxPool", "MaxPoolV2", "AvgPool"])
_MEETINGS = frozenset(["Add", "AddV2", "AddN", "ConcatV2", "Concat", "Mul"])
_NONLINEARITIES = frozenset(["Relu", "Relu6", "LeakyRelu", "Elu", "Selu"])


def input_of(logits: Any) -> Any:
    """The one placeholder of images that the logits depend on.

    Args:
        logits: tensor of a graph.

    Returns:
        the placeholder of rank 4 with 1, 3 or 4 channels, first or last, or with sizes unknown; where
        there is none, the one number placeholder of unknown rank.

    Raises:
        ValueError: none, or several; the message lists the placeholders.
    """
    found = [op.outputs[0] for op in upstream(logits) if is_placeholder(op)]
    numbers = [tensor for tensor in found if tensor.dtype.is_floating or tensor.dtype.is_integer]
    pictures = [tensor for tensor in numbers if _is_image(tensor)]
    pictures = pictures or [tensor for tensor in numbers if tensor.shape.ndims is None]
    if len(pictures) == 1:
        return pictures[0]
    candidates = ", ".join(f"{t.name} ({t.dtype.name} {t.shape})" for t in pictures or found)
    raise ValueError(
        "{}: expected one placeholder of images, found {}; name it with image=".format(
            logits.name, candidates or "no placeholder"
        )
    )


def _is_image(tensor):
    if tensor.shape.ndims != 4:
        return False
    _, first, _, last = tensor.shape.as_list()
    return None in (first, last) or bool({first, last} & {1, 3, 4})


def logits_of(tensor: Any) -> Any:
    """The logits of a classifier whose output may be their softmax.

    Args:
        tensor: (N, classes) float logits or probabilities, possibly behind identities and reshapes.

    Returns:
        (N, classes) float tensor, what the softmax reads; ``tensor`` itself where there is none. Logits
        of shape (N, 1, 1, classes) are reshaped by a new operation.

    Raises:
        ValueError: neither (N, classes) nor (N, 1, 1, classes).
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
    """The activations that a map may be made of, the last layer first, as ``--clayer`` counts.

    These are the outputs of nonlinearities, pools, residual sums, gates and concatenations, of rank 4,
    on the way from what is fed to the logits. A sum or a concatenation that only a nonlinearity reads
    stands back behind that.

    Args:
        logits: tensor of a graph.

    Returns:
        ordered name of the operation -> float tensor, (N, H, W, C) or (N, C, H, W) as the graph has it.
        Those of one place (1 x 1) are left out.
    """
    ops = upstream(logits)
    depth = depths(ops, is_placeholder)
    readers: Dict[Any, Set[Any]] = {}
    for op in ops:
        for read in op.inputs:
            readers.setdefault(without_identities(read).op, set()).add(op)
    found = [op for op in ops if op in depth and _is_layer(op, depth)]
    found = [
        op for op in found if op.type not in _MEETINGS or not _is_for_nonlinearity_only(op, readers)
    ]
    found.sort(key=lambda op: -depth[op])
    return {op.name: _wrapped(op.outputs[0], depth) for op in found}


def _wrapped(tensor, depth):
    """A tensor as the logits see it: one with a gradient of its own (``tf.custom_gradient``) is passed
    on by an operation that no gradient goes back beyond.
    """
    for reader in tensor.consumers():
        if reader.type == "IdentityN" and reader in depth:
            return reader.outputs[[read is tensor for read in reader.inputs].index(True)]
    return tensor


def _is_for_nonlinearity_only(op, readers):
    after = [reader for reader in readers.get(op, ()) if reader.type != "Identity"]
    return len(after) == 1 and after[0].type in _NONLINEARITIES


def _is_layer(op, depth):
    if op.type in _MEETINGS:
        if sum(read.op in depth for read in op.inputs) < 2:
            return False
    elif op.type not in _ENDS:
        return False
    shape = op.outputs[0].shape
    if shape.ndims != 4 or not op.outputs[0].dtype.is_floating:
        return False
    sizes = shape.as_list()[1:]
    return not (sizes[:2] == [1, 1] or sizes[1:] == [1, 1])


# The layer that global average pooling reads, and the weights behind it, found in a graph.

_SUMS = ("BiasAdd", "Add", "AddV2")
_RESHAPES_pooled = ("Reshape", "Squeeze", "ExpandDims")


def pooled_layer(logits: Any) -> Optional[Tuple[Any, Any]]:
    """Recognize "spatial mean, fully connected layer, bias" at the end of a classifier.

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
    while tensor.op.type in _RESHAPES_pooled:
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
