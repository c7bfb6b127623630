"""Find the tensors of a classifier's graph that attribution needs: the image and the layers."""

from typing import Any, Dict, List, Set

from dgl.errors import ArgumentError
from dgl.tf_compat import tf
from dgl.utils.graph_walk import depths, is_placeholder, upstream, without_identities
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
    rest = [
        op for op in offered if op not in preferred and op in has_weights and op.type not in _COPIES
    ]
    found = sorted(preferred, key=lambda op: -depth[op]) + sorted(rest, key=lambda op: -depth[op])
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
