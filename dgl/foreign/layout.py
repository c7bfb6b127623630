"""Find out which axis of an activation has the channels, from the operations around it.

Convolutions, pools and biases say it by an attribute, averages over two sides by their axes. From there it
follows for every tensor that elementwise operations connect with them, and a transposition turns it.
"""

from typing import Any, Dict, List, Optional

import numpy as np

from dgl.utils.graph_walk import constant_value, upstream
from dgl.utils.types import Operation, Tensor

CHANNELS_LAST, CHANNELS_FIRST = "channels_last", "channels_first"
_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
# Operations whose result is laid out otherwise than their input, or that tell nothing of it.
_BREAKS = frozenset("Reshape Transpose Squeeze ExpandDims MatMul Mean Sum Max Shape Const".split())


def layout_of(activation: Any, logits: Any) -> Optional[str]:
    """Where the channels of an activation are.

    Args:
        activation: tensor of rank 4.
        logits: tensor of the same graph that depends on it.

    Returns:
        ``"channels_last"`` or ``"channels_first"``; ``None`` where no operation tells.
    """
    ops = upstream(logits)
    readers: Dict[Any, List[Operation]] = {}
    keys = {_key(tensor): tensor for op in ops for tensor in op.outputs}
    for op in ops:
        for read in op.inputs:
            readers.setdefault(_key(read), []).append(op)
    by_key: Dict[Any, str] = {}
    stack: List[Any] = []

    def tell(tensor: Tensor, layout: Optional[str]) -> None:
        key = _key(tensor)
        if layout is not None and tensor.shape.ndims == 4 and key not in by_key:
            by_key[key] = layout
            stack.append(key)

    for op in ops:
        for tensor in [*op.inputs, *op.outputs]:
            tell(tensor, _told_by(op, tensor))
    while stack:
        key = stack.pop()
        layout = by_key[key]
        tensor = keys.get(key)
        if tensor is None:
            continue
        for op in [tensor.op, *readers.get(key, ())]:
            if op.type == "Transpose":
                turned = _turned(op)
                if turned is not None:
                    tell(op.outputs[0], turned)
                    tell(op.inputs[0], _other(turned))
            elif op.type not in _BREAKS and _told_by(op, tensor) is None:
                for other in [*op.inputs, *op.outputs]:
                    tell(other, layout)
    return by_key.get(_key(activation))


def _key(tensor: Tensor) -> Any:
    return tensor.op.name, tensor.value_index


def _told_by(op: Operation, tensor: Tensor) -> Optional[str]:
    """The layout of one of an operation's inputs or outputs, if the operation itself tells it."""
    is_result = tensor.op is op
    try:
        told = op.get_attr("data_format")
    except ValueError:
        told = None
    if told in (b"NHWC", b"NCHW"):
        place = 2 if op.type == "Conv2DBackpropInput" else 0
        if is_result or tensor is op.inputs[place] or _key(tensor) == _key(op.inputs[place]):
            return CHANNELS_FIRST if told == b"NCHW" else CHANNELS_LAST
    if op.type in ("Mean", "Max") and not is_result and _key(tensor) == _key(op.inputs[0]):
        axes = constant_value(op.inputs[1])
        if axes is not None and tensor.shape.ndims == 4:
            places = sorted(int(axis) % 4 for axis in np.ravel(axes))
            return {(1, 2): CHANNELS_LAST, (2, 3): CHANNELS_FIRST}.get((places[0], places[-1]))
    return None


def _turned(op: Operation) -> Optional[str]:
    """The layout behind a transposition between the two, or ``None``."""
    order = constant_value(op.inputs[1])
    if order is None or order.size != 4:
        return None
    found = [int(axis) for axis in order]
    if found == _TO_LAST:
        return CHANNELS_LAST
    return CHANNELS_FIRST if found == _TO_FIRST else None


def _other(layout: str) -> str:
    return CHANNELS_FIRST if layout == CHANNELS_LAST else CHANNELS_LAST
