"""Weights as the networks take them: finite float32 numbers, whatever the file holds."""

import numpy as np

from dgl.errors import UserError
from dgl.weights.checkpoint import Checkpoint


def read_weights(checkpoint: Checkpoint, name: str) -> np.ndarray:
    """The weights ``name`` of a checkpoint.

    Args:
        checkpoint: :class:`~dgl.weights.checkpoint.Checkpoint`.
        name: variable in it.

    Returns:
        float32 array of the stored shape, converted from floating-point numbers or integers of any size.

    Raises:
        UserError: it cannot be read, holds anything but real numbers, NaN, infinity or a number that
            float32 cannot hold.
    """
    stored = np.asarray(checkpoint.read(name))
    if stored.dtype.kind not in "fiu":
        raise UserError(
            "{}: {} holds {}, expected real numbers".format(checkpoint.path, name, stored.dtype)
        )
    with np.errstate(over="ignore"):  # told below
        value = stored.astype(np.float32)
    if not np.isfinite(value).all():
        raise UserError(
            "{}: {} holds NaN or infinity, expected finite weights".format(checkpoint.path, name)
        )
    return value
