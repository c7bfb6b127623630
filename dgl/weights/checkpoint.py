"""Reading checkpoints: TensorFlow's (V1 and V2) and tensorpack's `.npz`, as one kind of object."""

import io
import os
import re
import zipfile
import zlib
from collections import OrderedDict

import numpy as np

from dgl.errors import UserError
from dgl.files import write_atomically
from dgl.tf_compat import tf

_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")

# What the readers raise on damaged data; TensorFlow's turns a file that ends early into IndexError.
_DAMAGED_NPZ = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    LookupError,
    RuntimeError,
    EOFError,
    OSError,
    MemoryError,
)
_DAMAGED_TENSORFLOW = (
    tf.errors.OpError,
    ValueError,
    LookupError,
    RuntimeError,
    OSError,
    MemoryError,
)


class Checkpoint(object):
    """Variables of a checkpoint by name, read one at a time.

    Attributes:
        path: what identifies it to a person: the prefix or the file.
        shapes: ordered variable name (without ``:0``) -> tuple of int.
    """

    def __init__(self, path, shapes, read):
        self.path = path
        self.shapes = shapes
        self._read = read

    def read(self, name):
        """The value of variable ``name``, a NumPy array.

        Raises:
            UserError: its data cannot be read.
        """
        return self._read(name)


def _open_npz(path):
    try:
        archive = zipfile.ZipFile(path)
        shapes, members = OrderedDict(), {}
        for member in archive.namelist():
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                header = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = header(stream)
            if dtype.hasobject:
                raise UserError(
                    "{}: {} holds pickled objects, expected plain arrays; refused".format(
                        path, member
                    )
                )
            name = _plain(member[: -len(".npy")] if member.endswith(".npy") else member)
            shapes[name], members[name] = tuple(shape), member
    except _DAMAGED_NPZ as error:
        raise UserError("{}: not a readable .npz of arrays ({})".format(path, error)) from None

    def read(name):
        try:
            with archive.open(members[name]) as stream:
                return np.lib.format.read_array(stream, allow_pickle=False)
        except _DAMAGED_NPZ as error:
            raise UserError("{}: {} cannot be read ({})".format(path, name, error)) from None

    return Checkpoint(path, shapes, read)


def _plain(name):
    return name[:-2] if name.endswith(":0") else name


def _open_tensorflow(prefix):
    try:
        reader = tf.train.NewCheckpointReader(prefix)
        stored = reader.get_variable_to_shape_map()
    except _DAMAGED_TENSORFLOW as error:
        raise UserError(
            "{}: not a readable TensorFlow checkpoint ({})".format(prefix, _first_line(error))
        ) from None
    names = {_plain(name): name for name in sorted(stored)}

    def read(name):
        try:
            return reader.get_tensor(names[name])
        except _DAMAGED_TENSORFLOW as error:
            raise UserError(
                "{}: {} cannot be read ({})".format(prefix, name, _first_line(error))
            ) from None

    return Checkpoint(
        prefix, OrderedDict((name, tuple(stored[names[name]])) for name in names), read
    )


def _first_line(error):
    return (str(error).splitlines() or [""])[0]


def _newest_in(folder):
    """Prefix of the checkpoint that a folder stands for."""
    try:
        state = tf.train.get_checkpoint_state(folder)
    except ValueError:  # a damaged state file says nothing; the files beside it may be sound
        state = None
    latest = state.model_checkpoint_path if state else ""
    if latest and (os.path.isfile(latest + ".index") or os.path.isfile(latest)):
        return latest
    prefixes = sorted(f[: -len(".index")] for f in os.listdir(folder) if f.endswith(".index"))
    if len(prefixes) == 1:
        return os.path.join(folder, prefixes[0])
    found = "several checkpoints: " + ", ".join(prefixes) if prefixes else "no checkpoint"
    raise UserError("--load {}: the folder holds {}; name one by its prefix".format(folder, found))


def open_checkpoint(path):
    """Open a checkpoint.

    Args:
        path: a TensorFlow prefix, its ``.index``, ``.meta`` or ``.data`` file, the folder it is in, a
            V1 ``.ckpt`` file, or a tensorpack ``.npz``.

    Returns:
        :class:`Checkpoint`.

    Raises:
        UserError: missing, unreadable, or holding pickled objects.
    """
    if os.path.isdir(path):
        return _open_tensorflow(_newest_in(path))
    path = _SUFFIX.sub("", path)
    if os.path.isfile(path + ".index"):
        return _open_tensorflow(path)
    if not os.path.isfile(path):
        raise UserError(
            "--load {}: no such checkpoint; expected a TensorFlow prefix with its .index file, a "
            "folder with one, a .ckpt or a .npz".format(path)
        )
    if path.endswith(".npz"):
        return _open_npz(path)
    return _open_tensorflow(path)


def save_npz(path, variables):
    """Write variables (name -> array) as a tensorpack ``.npz``, compressed, atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **variables)
    write_atomically(path, buffer.getvalue())
