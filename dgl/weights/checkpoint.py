"""Reading checkpoints as one kind of object: TensorFlow's (V1 and V2), tensorpack's `.npz`, and others'.

The files of Keras, PyTorch and safetensors keep the names and the axis order they were saved with.
"""

import os
import re
import stat
import zipfile
from typing import Callable, Optional

import numpy as np

from dgl.backbones.registry import Shapes
from dgl.errors import UserError, first_line
from dgl.tf_compat import tf
from dgl.weights.formats.common import DAMAGED_ARCHIVE, Opened
from dgl.weights.formats.keras_h5 import open_keras
from dgl.weights.formats.npz import open_npz, plain_name
from dgl.weights.formats.safetensors import is_safetensors, open_safetensors
from dgl.weights.formats.torch import is_legacy_torch, open_torch, pickles_in

_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")

# Beside TensorFlow's checkpoints; it says which is the newest.
_STATE_FILE = "checkpoint"
_MOST_STATE = 1 << 20

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

# What TensorFlow's readers raise on damaged data; a file that ends early becomes IndexError.
_DAMAGED_TENSORFLOW = (
    tf.errors.OpError,
    ValueError,
    LookupError,
    RuntimeError,
    OSError,
    MemoryError,
)


class Checkpoint:
    """Variables of a checkpoint by name, read one at a time.

    Attributes:
        path: what identifies it to a person: the prefix or the file.
        shapes: ordered variable name (without ``:0``) -> tuple of int.
    """

    def __init__(self, path: str, shapes: Shapes, read: Callable[[str], np.ndarray]):
        self.path = path
        self.shapes = shapes
        self._read = read

    def read(self, name: str) -> np.ndarray:
        """The value of variable ``name``, a NumPy array.

        Raises:
            UserError: its data cannot be read.
        """
        return self._read(name)


def _check_files(prefix):
    """Refuse a pipe or a device among a checkpoint's files: reading one would not end."""
    folder, name = os.path.split(prefix)
    parts = (name, name + ".index", name + ".data-")
    try:
        found = os.listdir(folder or os.curdir)
    except OSError:
        found = []  # its reader says what is the matter
    for part in found:
        path = os.path.join(folder, part)
        if (part in parts or part.startswith(parts[2])) and os.path.exists(path):
            mode = os.stat(path).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise UserError(f"{path}: not a file; expected a part of a checkpoint")


def _open_tensorflow(prefix):
    _check_files(prefix)
    try:
        reader = tf.train.NewCheckpointReader(prefix)
        stored = reader.get_variable_to_shape_map()
        kinds = reader.get_variable_to_dtype_map()
    except _DAMAGED_TENSORFLOW as error:
        raise UserError(
            f"{prefix}: not a readable TensorFlow checkpoint ({first_line(error)})"
        ) from None
    names = {plain_name(name): name for name in sorted(stored)}

    def read(name):
        try:
            value = reader.get_tensor(names[name])
            # NumPy has no bfloat16 of its own.
            return value.astype("float32") if kinds[names[name]].name == "bfloat16" else value
        except _DAMAGED_TENSORFLOW as error:
            raise UserError(f"{prefix}: {name} cannot be read ({first_line(error)})") from None

    return Checkpoint(prefix, {name: tuple(stored[names[name]]) for name in names}, read)


def _latest_in(folder):
    """Prefix of the checkpoint that a folder's state file calls the newest, ``None`` without one.

    A copied folder's state file may hold the path of where it was written: only its last part counts,
    so that no state file leads elsewhere.
    """
    path = os.path.join(folder, _STATE_FILE)
    # A damaged state file says nothing; the files beside it may be sound.
    if not os.path.isfile(path) or os.path.getsize(path) > _MOST_STATE:
        return None
    try:
        state = tf.train.get_checkpoint_state(folder)
    except ValueError:
        return None
    name = os.path.basename(state.model_checkpoint_path) if state else ""
    if not name or "\0" in name:
        return None
    prefix = os.path.join(folder, name)
    return prefix if os.path.isfile(prefix + ".index") or os.path.isfile(prefix) else None


def _newest_in(folder):
    """Prefix of the checkpoint that a folder stands for."""
    latest = _latest_in(folder)
    if latest is not None:
        return latest
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise UserError(
            f"--load {folder}: the folder cannot be read ({error.strerror or error}); expected one with a checkpoint"
        ) from None
    prefixes = sorted(name[: -len(".index")] for name in names if name.endswith(".index"))
    if len(prefixes) == 1:
        return os.path.join(folder, prefixes[0])
    found = "several checkpoints: " + ", ".join(prefixes) if prefixes else "no checkpoint"
    raise UserError(f"--load {folder}: the folder holds {found}; name one by its prefix")


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
    return any(name == _STATE_FILE or name.endswith(".index") for name in names)


_READERS = {
    ".npz": open_npz,
    ".h5": open_keras,
    ".hdf5": open_keras,
    ".keras": open_keras,
    ".pth": open_torch,
    ".pt": open_torch,
    ".safetensors": open_safetensors,
}


def _members(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except DAMAGED_ARCHIVE:
        return []


def reader_of(path: str) -> Optional[Callable[[str], Opened]]:
    """What reads a file: by its content where that tells, else by its extension, else ``None``."""
    with open(path, "rb") as stream:
        head = stream.read(64)
    if head.startswith(_HDF5_MAGIC):
        return open_keras
    if is_legacy_torch(head):
        return open_torch
    if is_safetensors(head, os.path.getsize(path)):
        return open_safetensors
    members = _members(path) if head.startswith(b"PK") else []
    if pickles_in(members):
        return open_torch
    if any(name.endswith(".npy") for name in members):
        return open_npz
    return _READERS.get(os.path.splitext(path)[1].lower())


def open_checkpoint(path: str) -> Checkpoint:
    """Open a checkpoint.

    Args:
        path: a TensorFlow prefix, its ``.index``, ``.meta`` or ``.data`` file, the folder it is in, a
            V1 ``.ckpt`` file, a tensorpack ``.npz``, or weights of another library: Keras's ``.h5`` or
            ``.hdf5``, PyTorch's ``.pth`` or ``.pt``, ``.safetensors``. What these are is taken from
            their content where it tells, else from the extension.

    Returns:
        :class:`Checkpoint`. Names, axis order and numbers are the file's own (bfloat16 becomes
        float32); see :mod:`dgl.weights.formats.keras_h5`, :mod:`~dgl.weights.formats.torch` and
        :mod:`~dgl.weights.formats.safetensors`.

    Raises:
        UserError: missing, unreadable, holding pickled objects other than tensors, leading to other
            files or claiming more numbers than it has.
    """
    if os.path.basename(path) == "checkpoint" and os.path.isfile(path):
        path = os.path.dirname(path) or os.curdir  # TensorFlow's note of a folder's newest
    if os.path.isdir(path):
        return _open_tensorflow(_newest_in(path))
    path = _SUFFIX.sub("", path)
    if os.path.isfile(path + ".index"):
        return _open_tensorflow(path)
    if not os.path.isfile(path):
        raise UserError(
            f"--load {path}: no such checkpoint; expected a TensorFlow prefix with its .index file, a "
            "folder with one, a .ckpt, .npz, .h5, .hdf5, .pth, .pt or .safetensors"
        )
    try:
        reader = reader_of(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}), expected a checkpoint"
        ) from None
    return Checkpoint(path, *reader(path)) if reader else _open_tensorflow(path)


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
        raise UserError(f"{checkpoint.path}: {name} holds {stored.dtype}, expected real numbers")
    with np.errstate(over="ignore"):  # told below
        value = stored.astype(np.float32)
    if not np.isfinite(value).all():
        raise UserError(f"{checkpoint.path}: {name} holds NaN or infinity, expected finite weights")
    return value
