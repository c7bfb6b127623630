"""The tensors of a classifier's graph that attribution asks for: image, logits and layers."""

from collections import OrderedDict
from typing import Any, Dict, Set

from dgl.graphs.walk import depths, is_placeholder, upstream, without_identities
from dgl.tf_compat import tf

_SOFTMAX = ("Softmax", "LogSoftmax")
_RESHAPES = ("Reshape", "Squeeze")
# What ends a layer: nonlinearities and pools by themselves, the others where two ways meet in them (a
# residual, a gate, `x * sigmoid(x)`) rather than a way and a weight.
_ENDS = frozenset("Relu Relu6 LeakyRelu Elu Selu MaxPool MaxPoolV2 AvgPool".split())
_MEETINGS = frozenset("Add AddV2 AddN ConcatV2 Concat Mul".split())
_NONLINEARITIES = frozenset("Relu Relu6 LeakyRelu Elu Selu".split())


def input_of(logits: Any) -> Any:
    """The one placeholder of pictures that the logits depend on.

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
    pictures = [tensor for tensor in numbers if _is_picture(tensor)]
    pictures = pictures or [tensor for tensor in numbers if tensor.shape.ndims is None]
    if len(pictures) == 1:
        return pictures[0]
    candidates = ", ".join(
        "{} ({} {})".format(t.name, t.dtype.name, t.shape) for t in pictures or found
    )
    raise ValueError(
        "{}: expected one placeholder of pictures, found {}; name it with image=".format(
            logits.name, candidates or "no placeholder"
        )
    )


def _is_picture(tensor):
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
            "{}: expected logits or probabilities of shape (N, classes), got {}".format(
                tensor.name, logits.shape
            )
        )
    return logits


def layers_of(logits: Any) -> "OrderedDict[str, Any]":
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
    return OrderedDict((op.name, _wrapped(op.outputs[0], depth)) for op in found)


def _wrapped(tensor, depth):
    """A tensor as the logits see it: one with a gradient of its own (``tf.custom_gradient``) is passed
    on by an operation that no gradient goes back beyond."""
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
