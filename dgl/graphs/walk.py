"""Walking a graph backwards: what a tensor is computed from, and in which order."""

from typing import Any, Callable, Dict, List

_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_SAME_VALUE = ("Identity", "StopGradient", "CheckNumerics", "PreventGradient")


def is_placeholder(op: Any) -> bool:
    """Whether an operation waits to be fed, or may be."""
    return op.type in _PLACEHOLDERS


def upstream(tensor: Any) -> List[Any]:
    """The operations that a tensor is computed from, its own included.

    Returns:
        list of ``tf.Operation``, each once, an operation after all that it reads (loops apart).
    """
    ordered, seen = [], set()
    pending = [(tensor.op, False)]
    while pending:
        op, is_done = pending.pop()
        if is_done:
            ordered.append(op)
            continue
        if op in seen:
            continue
        seen.add(op)
        pending.append((op, True))
        pending.extend((read.op, False) for read in reversed(op.inputs))
    return ordered


def depths(ops: List[Any], begins: Callable[[Any], bool]) -> Dict[Any, int]:
    """How many operations lie on the longest way to each from one that ``begins`` accepts.

    Args:
        ops: as :func:`upstream` orders them.
        begins: of an operation.

    Returns:
        operation -> int, 0 where a way begins; what no way reaches is left out.
    """
    found = {}  # type: Dict[Any, int]
    for op in ops:
        before = [found[read.op] for read in op.inputs if read.op in found]
        if before:
            found[op] = max(before) + 1
        elif begins(op):
            found[op] = 0
    return found


def is_fixed(tensor: Any) -> bool:
    """Whether a tensor is the same in every run: it depends on nothing that is fed."""
    return not any(is_placeholder(op) for op in upstream(tensor))


def without_identities(tensor: Any) -> Any:
    """The tensor whose value this one passes on."""
    while tensor.op.type in _SAME_VALUE:
        tensor = tensor.op.inputs[0]
    return tensor
