"""Find a classifier's head: its logits, what makes probabilities of them, and the layer that it pools."""

from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from dgl.backbones.registry import BINARY, SIGMOID, SOFTMAX
from dgl.errors import ArgumentError
from dgl.tf_compat import tf
from dgl.utils.graph_walk import constant_value, is_fixed, without_identities
from dgl.utils.types import Operation, Tensor

_SOFTMAX = ("Softmax", "LogSoftmax")
_RESHAPES = ("Reshape", "Squeeze", "ExpandDims")
_PARTS = (*_RESHAPES, "Identity", "Cast", "EnsureShape")
_OF_SIGMOIDS = ("Neg", "Exp", "Tanh", "Softplus")  # the parts of one that is written out
_JOINING = ("ConcatV2", "Pack")
_SUMS = ("Add", "AddV2")
# Operations of one input that keep the order of its values, if their second one is a positive number.
_RISING = frozenset(
    "Add AddV2 Sub Mul RealDiv Div Maximum Minimum Relu Relu6 Log Log1p Exp Sqrt Pow ClipByValue".split()
)
_BY_HAND: Dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "RealDiv": np.divide,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Relu": lambda values: np.maximum(values, 0),
    "Relu6": lambda values: np.clip(values, 0, 6),
    "ClipByValue": np.clip,
}
# Behind these, values are no longer those of the scores before.
_WEIGHTED = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "Einsum")


def logits_of(tensor: Any) -> Any:
    """The logits of a classifier, given its logits or its probabilities.

    Args:
        tensor: (N, classes) float logits or probabilities, possibly behind identities, casts, reshapes and
            functions that keep the order of values, such as a logarithm.

    Returns:
        (N, classes) float tensor: the input of the softmax or of the sigmoid, written as one operation or
        as several, or ``tensor`` without one. Logits of shape (N, 1, 1, classes), (N, classes, 1, 1) or
        (N,) are reshaped by a new operation.

    Raises:
        ValueError: another shape, or scores that are computed from probabilities in a way that has no
            logits, such as the mean of two softmaxes.
    """
    found = tensor
    before = _before_probabilities(tensor)
    while before is not None:  # a softmax may have been put behind a model that has one
        found, before = before, _before_probabilities(before)
    if found is tensor:
        _refuse_probabilities(tensor)
    return _as_matrix(found, tensor)


def head_of(logits: Any) -> str:
    """What a classifier makes of its logits.

    Args:
        logits: (N, classes) float tensor, see :func:`logits_of`.

    Returns:
        ``"binary"`` for a single logit; ``"sigmoid"`` where a sigmoid reads the logits; else
        ``"softmax"``.
    """
    if logits.shape.as_list()[1] == 1:
        return BINARY
    source = _same_values(logits)
    found, seen = SOFTMAX, set()
    waiting = [*source.consumers(), *logits.consumers()]
    while waiting:
        reader = waiting.pop()
        if reader in seen:
            continue
        seen.add(reader)
        if reader.type in _SOFTMAX:
            return SOFTMAX
        before = _before_sigmoid(reader)
        hard = _before_hard_sigmoid(reader.outputs[0]) if reader.outputs else None
        if source is hard or (before is not None and source is _same_values(before)):
            found = SIGMOID
        if reader.type in _PARTS + _OF_SIGMOIDS or _is_rising(reader):
            waiting.extend(reader.outputs[0].consumers())
    return found


def two_columns(logits: Any) -> Any:
    """``[-z, z]``, (N, 2), of a single logit (N, 1): the scores of "no" and "yes"."""
    with logits.graph.as_default(), tf.name_scope(None):
        return tf.concat([-logits, logits], axis=1, name="dgl_two_classes")


def _same_values(tensor: Tensor) -> Tensor:
    """The tensor before identities, casts between floats and reshapes."""
    while True:
        op = tensor.op
        is_cast = op.type == "Cast" and op.inputs[0].dtype.is_floating and tensor.dtype.is_floating
        if op.type == "IdentityN":
            tensor = op.inputs[list(op.outputs).index(tensor)]
        elif is_cast or op.type in _RESHAPES + ("EnsureShape",):
            tensor = op.inputs[0]
        elif without_identities(tensor) is not tensor:
            tensor = without_identities(tensor)
        else:
            return tensor


def _before_probabilities(tensor: Tensor) -> Optional[Tensor]:
    """The input of the softmax or sigmoid that a tensor is the result of, or ``None``."""
    whole = tensor
    while True:
        tensor = _same_values(tensor)
        op = tensor.op
        if op.type in _SOFTMAX:
            sizes = op.inputs[0].shape.as_list() if op.inputs[0].shape.ndims else [None]
            return None if sizes[-1] == 1 else op.inputs[0]
        for rule in _RULES:
            before = rule(op)
            if before is not None:
                return before
        if not _is_rising(op):
            return _before_hard_sigmoid(whole)
        tensor = _moving(op)


def _before_hard_sigmoid(tensor: Tensor) -> Optional[Tensor]:
    """``z`` of a line that is cut off at 0 and 1, such as ``relu6(z + 3) / 6``; else ``None``."""
    chain: List[Operation] = []
    tensor = _same_values(tensor)
    while tensor.op.type in _BY_HAND and _is_rising(tensor.op):
        chain.append(tensor.op)
        tensor = _same_values(_moving(tensor.op))
    values = np.array([-1e6, 1e6])
    for op in chain[::-1]:
        numbers = [_number(read) for read in op.inputs if is_fixed(read)]
        values = _BY_HAND[op.type](values, *numbers)
    return tensor if chain and np.allclose(values, [0, 1], atol=1e-5) else None


def _moving(op: Operation) -> Tensor:
    """The input of an operation that depends on the image."""
    return next((read for read in op.inputs if not is_fixed(read)), op.inputs[0])


def _is_rising(op: Operation) -> bool:
    """Whether an operation keeps the order of one input's values: all else it reads is a number."""
    if op.type not in _RISING:
        return False
    numbers = [_number(read) for read in op.inputs if is_fixed(read)]
    if len(op.inputs) - len(numbers) != 1:
        return False
    is_turned = op.type in ("Sub", "RealDiv", "Div", "Pow") and is_fixed(op.inputs[0])
    is_scaled = op.type in ("Mul", "RealDiv", "Div", "Pow")
    are_fit = (number is not None and (number > 0 or not is_scaled) for number in numbers)
    return all(are_fit) and not is_turned


def _before_softmax(op: Operation) -> Optional[Tensor]:
    """``z`` of ``exp(z) / sum(exp(z))``, also with a maximum subtracted from ``z``; else ``None``."""
    if op.type not in ("RealDiv", "Div") or op.inputs[0].op.type != "Exp":
        return None
    above, below = op.inputs[0], without_identities(op.inputs[1])
    scores = above.op.inputs[0]
    if below.op.type != "Sum":
        return None
    summed = without_identities(below.op.inputs[0])
    if summed is not above and (summed.op.type != "Exp" or summed.op.inputs[0] is not scores):
        return None
    if scores.op.type == "Sub" and without_identities(scores.op.inputs[1]).op.type == "Max":
        return scores.op.inputs[0]
    return scores


def _before_turned_softmax(op: Operation) -> Optional[Tensor]:
    """``z`` of a softmax over another axis than the last, which TensorFlow turns to the end and back."""
    softmax = without_identities(op.inputs[0]).op if op.type == "Transpose" else op
    turned = without_identities(softmax.inputs[0]).op if softmax.type in _SOFTMAX else op
    if op.type != "Transpose" or turned.type != "Transpose":
        return None
    first, second = (_fixed_value(turn.inputs[1]) for turn in (turned, op))
    if first is None or second is None or list(second[first]) != list(range(len(first))):
        return None
    scores = turned.inputs[0]
    classes = int(first[-1])
    places = [size for axis, size in enumerate(scores.shape.as_list()) if axis not in (0, classes)]
    # Over the batch, or for each of several places, it gives no probabilities of an image.
    return scores if classes > 0 and set(places) <= {1} else None


def _fixed_value(tensor: Tensor) -> Optional[np.ndarray]:
    """The value of a tensor that depends on no placeholder, else ``None``."""
    value = constant_value(tensor)
    if value is None and is_fixed(tensor):
        with tf.Session(graph=tensor.graph) as session:
            value = session.run(tensor)
    return value


def _before_log_softmax(op: Operation) -> Optional[Tensor]:
    """``z`` of ``z - log(sum(exp(z)))``, also with a maximum subtracted from ``z``; else ``None``."""
    if op.type != "Sub" or is_fixed(op.inputs[1]):
        return None
    scores = _same_values(op.inputs[0])
    for log in _unweighted(op.inputs[1]):
        total = without_identities(log.inputs[0]).op if log.type == "Log" else log
        power = without_identities(total.inputs[0]).op if total.type == "Sum" else log
        if power.type != "Exp":
            continue
        inner = _same_values(power.inputs[0])
        if inner is not scores and inner.op.type == "Sub":
            inner = _same_values(inner.op.inputs[0])
        if inner is scores:
            return scores
    return None


def _before_sigmoid(op: Operation) -> Optional[Tensor]:
    """``z`` of ``sigmoid(z)``, ``1 / (1 + exp(-z))`` or ``(1 + tanh(z / 2)) / 2``; else ``None``."""
    if op.type == "Neg" and op.inputs[0].op.type == "Softplus":
        negated = op.inputs[0].op.inputs[0].op
        return negated.inputs[0] if negated.type == "Neg" else None  # the logarithm of a sigmoid
    if op.type == "Sigmoid":
        # Not of a gate, as in swish.
        products = [reader for reader in op.outputs[0].consumers() if reader.type == "Mul"]
        gates = [product for product in products if not any(map(is_fixed, product.inputs))]
        return None if gates else op.inputs[0]
    is_quotient = op.type in ("RealDiv", "Div") and _number(op.inputs[0]) == 1
    if is_quotient or op.type in ("Reciprocal", "Inv"):
        total = op.inputs[-1].op
        powers = [read.op for read in total.inputs if read.op.type == "Exp"]
        if total.type in _SUMS and powers and powers[0].inputs[0].op.type == "Neg":
            return powers[0].inputs[0].op.inputs[0]
    if _is_half(op):
        total = _moving(op).op
        if total.type in _SUMS and _moving(total).op.type == "Tanh":
            half = _same_values(_moving(total).op.inputs[0]).op
            return _moving(half) if _is_half(half) else None
    return None


def _is_half(op: Operation) -> bool:
    return op.type == "Mul" and any(_number(read) == 0.5 for read in op.inputs)


def _joined(op: Operation) -> Optional[Tensor]:
    """The logits of several sigmoids, one beside the other, as a new tensor; else ``None``."""
    if op.type not in _JOINING:
        return None
    parts = op.inputs if op.type == "Pack" else op.inputs[:-1]
    scores = [_before_sigmoid(_same_values(part).op) for part in parts]
    if any(score is None for score in scores):
        return None
    with op.graph.as_default(), tf.name_scope(None):
        columns = [tf.reshape(score, tf.shape(part)) for score, part in zip(scores, parts)]
        joined = tf.stack(columns, axis=1) if op.type == "Pack" else tf.concat(columns, 1)
        tf.sigmoid(joined, name="dgl_sigmoid")  # by which head_of() knows them
    joined.set_shape(op.outputs[0].shape)
    return joined


def _first_of_pair(op: Operation) -> Optional[Tensor]:
    """``z`` of the columns ``[1 - sigmoid(z), sigmoid(z)]``; else ``None``."""
    if op.type not in _JOINING:
        return None
    parts = [_same_values(read) for read in op.inputs[:2]]
    if len(parts) != 2 or parts[0].op.type != "Sub" or _number(parts[0].op.inputs[0]) != 1:
        return None
    scores = [_before_sigmoid(part.op) for part in (_same_values(parts[0].op.inputs[1]), parts[1])]
    return scores[1] if scores[0] is scores[1] else None


_RULES = (
    _before_softmax,
    _before_turned_softmax,
    _before_log_softmax,
    _before_sigmoid,
    _first_of_pair,
    _joined,
)


def _number(tensor: Tensor) -> Optional[float]:
    """The value of a constant that is a single number, else ``None``."""
    value = constant_value(tensor)
    return None if value is None or value.size != 1 else float(value.ravel()[0])


def _refuse_probabilities(tensor: Tensor) -> None:
    """Raise ``ValueError`` for scores that are computed from probabilities without weights in between."""
    sizes = tensor.shape.as_list() if tensor.shape.ndims else [None]
    chosen = _unweighted(tensor, _whole_inputs)
    for op in [*chosen, *_unweighted(tensor)]:
        is_sigmoid = op.type == "Sigmoid" and _before_sigmoid(op) is not None  # no gate
        if op.type not in _SOFTMAX and not is_sigmoid:
            continue
        shape = op.outputs[0].shape
        is_of_classes = shape.ndims in (2, 4) and shape.as_list()[-1] in (None, sizes[-1])
        if op in chosen or is_of_classes:
            raise ArgumentError(
                f"{tensor.name}: its scores are computed from probabilities, those of {op.name}, by "
                f"{without_identities(tensor).op.type}; expected logits, such as {op.inputs[0].name}"
            )


def _unweighted(
    tensor: Tensor, inputs_of: Callable[[Operation], Sequence[Tensor]] = lambda op: op.inputs
) -> List[Operation]:
    """The operations before a tensor, up to those with weights, softmaxes and sigmoids."""
    found: Dict[Operation, None] = {}
    waiting = [tensor]
    while waiting:
        op = waiting.pop().op
        if op not in found:
            found[op] = None
            if op.type not in (*_WEIGHTED, *_SOFTMAX, "Sigmoid"):
                waiting.extend(inputs_of(op))
    return list(found)


def _whole_inputs(op: Operation) -> List[Tensor]:
    """The inputs whose parts an operation selects, sorts, scales or joins one by one."""
    moving = [read for read in op.inputs if not is_fixed(read)]
    if op.type in _RESHAPES:
        moving = moving[:1]
    return moving if len(moving) == 1 or op.type in _JOINING else []


def _as_matrix(logits: Tensor, tensor: Tensor) -> Tensor:
    """Logits as (N, classes)."""
    sizes = logits.shape.as_list() if logits.shape.ndims is not None else []
    if not logits.dtype.is_floating:
        raise ArgumentError(
            f"{tensor.name}: {logits.dtype.name}; expected float logits or probabilities (N, classes)"
        )
    with logits.graph.as_default(), tf.name_scope(None):
        for axes in ([1, 2], [2, 3], [1]):
            if len(sizes) == 2 + len(axes) and {sizes[axis] for axis in axes} == {1}:
                return tf.squeeze(logits, axis=axes, name="dgl_logits")
        if len(sizes) == 1 and (sizes[0] is None or tensor.shape.ndims == 1):
            return tf.expand_dims(logits, 1, name="dgl_logits")
    if len(sizes) != 2:
        raise ArgumentError(
            f"{tensor.name}: expected logits or probabilities of shape (N, classes), got {logits.shape}"
        )
    return logits
