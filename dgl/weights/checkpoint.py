"""Open checkpoints of every format as one type of object: names, shapes, and values on demand.

The files of Keras, PyTorch and safetensors keep the names and the axis order they were saved with.
"""

import os
import re
from typing import NamedTuple

import numpy as np

from dgl.backbones.published import Shapes
from dgl.errors import UserError
from dgl.weights.foreign_model import model_kind
from dgl.weights.formats import find_format
from dgl.weights.formats.registry import Opener, Read, open_with, quoted
from dgl.weights.formats.tensorflow import STATE_FILE, newest_in, open_tensorflow

_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


class Checkpoint(NamedTuple):
    """Variables of a checkpoint by name, read one at a time.

    Attributes:
        path: what identifies it to a person: the prefix or the file.
        shapes: ordered variable name (without ``:0``) -> tuple of int.
        read: name -> its value, a NumPy array; raises :class:`UserError` where it cannot be read.
        format: what kind of file it is, for people.
    """

    path: str
    shapes: Shapes
    read: Read
    format: str = ""

    @property
    def first_names(self) -> str:
        """What it begins with, for a message; optimizer slots are left out."""
        names = [name for name in self.shapes if not name.endswith("/Momentum")]
        return ", ".join(map(quoted, names[:4])) or "nothing"


def is_checkpoint(path: str) -> bool:
    """Whether ``path`` leads to a checkpoint: a file, a prefix, or a folder that holds one.

    Nothing is opened; what is there may turn out to be damaged.
    """
    if not os.path.isdir(path):
        return os.path.isfile(path) or os.path.isfile(path + ".index")
    try:
        names = os.listdir(path)
    except OSError:
        return False
    return any(name == STATE_FILE or name.endswith(".index") for name in names)


def open_checkpoint(path: str) -> Checkpoint:
    """Open a checkpoint.

    Args:
        path: a TensorFlow prefix, its ``.index``, ``.meta`` or ``.data`` file, the folder it is in, a
            V1 ``.ckpt`` file, a tensorpack ``.npz``, or weights of another library: Keras's ``.h5`` or
            ``.hdf5``, PyTorch's ``.pth`` or ``.pt``, ``.safetensors``. What these are is taken from
            their content where it tells, else from the extension.

    Returns:
        :class:`Checkpoint`. Names, axis order and numbers are the file's own (bfloat16 becomes
        float32); see :mod:`dgl.weights.formats`.

    Raises:
        UserError: missing, unreadable, holding pickled objects other than tensors, leading to other
            files or claiming more numbers than it has.
    """
    if os.path.basename(path) == "checkpoint" and os.path.isfile(path):
        path = os.path.dirname(path) or os.curdir  # TensorFlow's note of a folder's newest
    if os.path.isdir(path):
        _refuse_model(path)
        path = newest_in(path)
    path = _SUFFIX.sub("", path)
    if os.path.isfile(path + ".index"):
        return _opened(open_tensorflow, path, "TensorFlow checkpoint, V2")
    if not os.path.isfile(path):
        raise UserError(
            f"--load {path}: no such checkpoint; expected a TensorFlow prefix with its .index file, a "
            "folder with one, a .ckpt, .npz, .h5, .hdf5, .pth, .pt or .safetensors"
        )
    try:
        known = find_format(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}), expected a checkpoint"
        ) from None
    if known:
        return _opened(known.open, path, known.title)
    _refuse_model(path)
    return _opened(open_tensorflow, path, "TensorFlow checkpoint, V1")


def _opened(opener: Opener, path: str, title: str) -> Checkpoint:
    return Checkpoint(path, *open_with(opener, path, title), title)


def _refuse_model(path: str) -> None:
    """Refuse a model of others, which other commands take, and formats that none does."""
    if model_kind(path) is not None:
        raise UserError(
            f"{path}: a model with its graph; expected a checkpoint of one of this project's networks "
            "(dgl localize, evaluate, label and serve take models of others)"
        )


def read_weights(checkpoint: Checkpoint, name: str) -> np.ndarray:
    """The weights ``name`` of a checkpoint.

    Returns:
        float32 array of the stored shape, converted from floating-point numbers or integers of any size.

    Raises:
        UserError: it cannot be read, holds anything but real numbers, NaN, infinity or a number that
            float32 cannot hold.
    """
    stored = np.asarray(checkpoint.read(name))
    if stored.dtype.kind not in "fiu":
        raise UserError(f"{checkpoint.path}: {name} holds {stored.dtype}, expected real numbers")
    with np.errstate(over="ignore"):  # told below
        value = stored.astype(np.float32)
    if not np.isfinite(value).all():
        raise UserError(f"{checkpoint.path}: {name} holds NaN or infinity, expected finite weights")
    return value
