"""Find in any classifier's graph what maps are computed from: image, layers, layout, pooled layer."""

from collections import deque
from typing import Any, Deque, Dict, List, Optional, Set, Tuple

import numpy as np

from dgl.errors import ArgumentError
from dgl.tf_compat import tf
from dgl.utils.graph_walk import (
    constant_value,
    depths,
    is_fixed,
    is_placeholder,
    upstream,
    without_identities,
)
from dgl.utils.types import Operation, Tensor

# Operations that end a layer: nonlinearities and pools always; the others where they join two paths from
# the image (a residual, a gate, `x * sigmoid(x)`), but not a path and a weight.
_RELUS = frozenset(["Relu", "Relu6", "LeakyRelu", "Elu", "Selu"])
_CURVES = frozenset("Tanh Sigmoid Softplus Softsign Exp Square Erf Maximum Minimum".split())
_POOLS = frozenset(["MaxPool", "MaxPoolV2", "MaxPoolWithArgmax", "AvgPool"])
_JOINS = frozenset("Add AddV2 AddN Sub ConcatV2 Concat Mul Select SelectV2".split())
# What has weights: an image is no layer before the first of them.
_WEIGHTED = frozenset(
    "Conv2D DepthwiseConv2dNative Conv2DBackpropInput MatMul BatchMatMulV2 BatchMatMulV3 Einsum".split()
)
# Copies, and changes of place or of type, of a tensor that is offered itself.
_COPIES = frozenset(
    "Identity IdentityN Cast Pad PadV2 MirrorPad Reshape Transpose Squeeze ExpandDims StopGradient "
    "CheckNumerics PreventGradient SpaceToBatchND BatchToSpaceND EnsureShape Split "
    "SplitV Switch Merge".split()
)
CHANNELS_LAST, CHANNELS_FIRST = "channels_last", "channels_first"
# Transpositions between the two -> the layout before and after.
_TURNS = {
    (0, 2, 3, 1): (CHANNELS_FIRST, CHANNELS_LAST),
    (0, 3, 1, 2): (CHANNELS_LAST, CHANNELS_FIRST),
}
# Operations whose result is laid out otherwise than their input, or that tell nothing of it.
_BREAKS = frozenset("Reshape Transpose Squeeze ExpandDims MatMul Mean Sum Max Shape Const".split())
_BIASES = ("BiasAdd", "Add", "AddV2")
_RESHAPES = ("Reshape", "Squeeze", "ExpandDims")


def input_of(logits: Any) -> Any:
    """The only placeholder of images that the logits depend on.

    Args:
        logits: tensor of a graph.

    Returns:
        the placeholder of rank 4 with 1, 3 or 4 channels, first or last, or with unknown sizes, or of rank
        3 for a single image; if there is none, the only placeholder of numbers with unknown rank; if
        there is none either, the only one of texts, which are encoded images.

    Raises:
        ValueError: there is none, or several; the message lists the placeholders.
    """
    found = [op.outputs[0] for op in upstream(logits) if is_placeholder(op)]
    numbers = [tensor for tensor in found if tensor.dtype.is_floating or tensor.dtype.is_integer]
    kinds = (
        [tensor for tensor in numbers if _is_image(tensor)],
        [tensor for tensor in numbers if tensor.shape.ndims == 3 and _is_image(tensor, 0)],
        [tensor for tensor in numbers if tensor.shape.ndims is None],
        [tensor for tensor in found if tensor.dtype == tf.string],
    )
    images: List[Tensor] = next((kind for kind in kinds if kind), [])
    if len(images) == 1:
        return images[0]
    candidates = ", ".join(f"{t.name} ({t.dtype.name} {t.shape})" for t in images or found)
    raise ArgumentError(
        f"{logits.name}: expected one placeholder of images, found {candidates or 'no placeholder'}; "
        "name it with image="
    )


def _is_image(tensor: Tensor, first: int = 1) -> bool:
    if tensor.shape.ndims != 3 + first:
        return False
    sizes = tensor.shape.as_list()[first:]
    return None in (sizes[0], sizes[2]) or bool({sizes[0], sizes[2]} & {1, 3, 4})


def layers_of(logits: Any) -> Dict[str, Any]:
    """The activations that maps can be computed at, last layer first, in the order of ``--clayer``.

    First come the rank-4 outputs of nonlinearities, pools, residual sums, gates and concatenations between
    the placeholders and the logits, but no sum or concatenation that only a nonlinearity reads. After
    them, again last layer first, come the other tensors of rank 4 from the first operation with weights
    on: convolutions, normalizations, sums with a weight.

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

    def is_part(op: Operation) -> bool:
        """Whether an operation is only the inner part of the nonlinearity that reads it."""
        after = [reader for reader in readers.get(op, ()) if reader.type != "Identity"]
        if op.type in _JOINS:
            return len(after) == 1 and after[0].type in _RELUS | _CURVES
        # `x * sigmoid(x)`: the layer is the product.
        return op.type in _CURVES and len(after) == 1 and after[0].type in _JOINS | _CURVES

    has_weights = depths(ops, lambda op: op.type in _WEIGHTED and op in depth)
    offered = [op for op in ops if op in depth and _has_places(op)]
    preferred = {op for op in offered if _is_layer(op, depth) and not is_part(op)}
    rest = {op for op in offered if op in has_weights and op.type not in _COPIES}
    found = [op for op in offered if op in preferred or op in rest]
    found.sort(key=lambda op: (op not in preferred, -depth[op]))
    return {op.name: _differentiable(op.outputs[0], depth) for op in found}


def _has_places(op: Operation) -> bool:
    """Whether an operation's first output is of floats with more than one place."""
    if not op.outputs or op.outputs[0].shape.ndims != 4 or not op.outputs[0].dtype.is_floating:
        return False
    sizes = op.outputs[0].shape.as_list()[1:]
    return not (sizes[:2] == [1, 1] or sizes[1:] == [1, 1])


def _is_layer(op: Operation, depth: Dict[Operation, int]) -> bool:
    if op.type in _JOINS:
        return sum(read.op in depth for read in op.inputs) > 1
    return op.type in _RELUS | _CURVES | _POOLS


def _differentiable(tensor: Tensor, depth: Dict[Operation, int]) -> Tensor:
    """The copy of a tensor that gradients of the logits reach.

    With ``tf.custom_gradient`` this is the output of an ``IdentityN``, through which no gradient passes. It
    copies what the function was given as well, but nothing reads those copies.
    """
    for reader in tensor.consumers():
        if reader.type == "IdentityN" and reader in depth:
            copy = reader.outputs[[read is tensor for read in reader.inputs].index(True)]
            if any(other in depth for other in copy.consumers()):
                return copy
    return tensor


def layout_of(activation: Any, logits: Any) -> Optional[str]:
    """Where the channels of an activation are, told by the operations around it.

    Convolutions, pools and biases tell it by an attribute, averages over two sides by their axes. From
    there it follows for every tensor that elementwise operations connect; a transposition turns it.

    Args:
        activation: tensor of rank 4.
        logits: tensor of the same graph that depends on it.

    Returns:
        ``"channels_last"`` or ``"channels_first"``; ``None`` where no operation tells.
    """
    ops = upstream(logits)
    readers: Dict[Any, List[Operation]] = {}
    # What operations tell comes before all that follows from it.
    waiting: Deque[Tuple[Tensor, Optional[str]]] = deque()
    for op in ops:
        waiting.extend((tensor, _told_by(op, tensor)) for tensor in [*op.inputs, *op.outputs])
        for read in op.inputs:
            readers.setdefault(_key(read), []).append(op)
    found: Dict[Any, str] = {}
    while waiting:
        tensor, layout = waiting.popleft()
        key = _key(tensor)
        if layout is None or key in found or tensor.shape.ndims != 4:
            continue
        found[key] = layout
        for op in [tensor.op, *readers.get(key, ())]:
            if op.type == "Transpose":
                order = constant_value(op.inputs[1])
                turn = () if order is None else tuple(order.ravel())
                before, after = _TURNS.get(turn, (None, None))
                waiting.extend([(op.outputs[0], after), (op.inputs[0], before)])
            elif op.type not in _BREAKS and _told_by(op, tensor) is None:
                waiting.extend((other, layout) for other in [*op.inputs, *op.outputs])
    return found.get(_key(activation))


def _key(tensor: Tensor) -> Any:
    return tensor.op.name, tensor.value_index


def _told_by(op: Operation, tensor: Tensor) -> Optional[str]:
    """The layout of one of an operation's inputs or outputs, if the operation itself tells it."""
    try:
        told = op.get_attr("data_format")
    except ValueError:
        told = None
    if told in (b"NHWC", b"NCHW"):
        place = 2 if op.type == "Conv2DBackpropInput" else 0
        if tensor.op is op or _key(tensor) == _key(op.inputs[place]):
            return CHANNELS_FIRST if told == b"NCHW" else CHANNELS_LAST
    if op.type in ("Mean", "Max") and _key(tensor) == _key(op.inputs[0]):
        axes = constant_value(op.inputs[1])
        if axes is not None and tensor.shape.ndims == 4:
            places = sorted(int(axis) % 4 for axis in np.ravel(axes))
            return {(1, 2): CHANNELS_LAST, (2, 3): CHANNELS_FIRST}.get((places[0], places[-1]))
    return None


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
        moving = [read for read in scores.op.inputs if not is_fixed(read)]
        if len(moving) != 1:
            return None
        scores = _before_reshapes(moving[0])
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
    while tensor.op.type in _RESHAPES:
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
    with weights.graph.as_default(), tf.name_scope(None):
        if op.type == "Conv2D":
            sides = weights.shape.as_list()[:2] + op.inputs[0].shape.as_list()[1:3]
            if sides != [1, 1, 1, 1] or op.get_attr("data_format") != b"NHWC":
                return None
            return tf.squeeze(weights, axis=[0, 1], name="dgl_head_weights")
        if weights.shape.ndims != 2 or (op.type == "MatMul" and op.get_attr("transpose_a")):
            return None
        if op.get_attr("transpose_b" if op.type == "MatMul" else "adj_y"):
            return tf.transpose(weights, name="dgl_head_weights")
    return weights


def _input_of_mean(op: Operation) -> Optional[Tensor]:
    """The (N, H, W, C) tensor that ``op`` averages over H and W, or ``None``."""
    if op.type == "Mean" and op.inputs[0].shape.ndims == 4:
        axes = constant_value(op.inputs[1])
        if axes is not None and sorted(int(axis) % 4 for axis in axes.ravel()) == [1, 2]:
            return without_identities(op.inputs[0])
    elif op.type == "AvgPool":
        told = [op.get_attr(name) for name in ("data_format", "padding", "ksize")]
        if told == [b"NHWC", b"VALID", [1, *op.inputs[0].shape.as_list()[1:3], 1]]:
            return without_identities(op.inputs[0])
    return None
