"""TensorFlow's checkpoints, version 1 (one file) and 2 (an index and data files), by their prefix."""

import glob
import os
from typing import Mapping, Optional

import numpy as np

from dgl.errors import UserError, first_line
from dgl.tf_compat import lazy_tf as tf
from dgl.weights.formats.npz import plain_name
from dgl.weights.formats.registry import Opened, Refused

# Beside TensorFlow's checkpoints; it names the newest one.
STATE_FILE = "checkpoint"
_MOST_STATE = 1 << 20


def _check_files(prefix: str) -> None:
    """Refuse a pipe or a device among a checkpoint's files: reading one would not end."""
    for path in (prefix, prefix + ".index", *glob.glob(glob.escape(prefix) + ".data-*")):
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            raise UserError(f"{path}: not a file; expected a part of a checkpoint")


def open_tensorflow(prefix: str) -> Opened:
    """Open a TensorFlow checkpoint by its prefix, of version 1 or 2; none of its parts is a pipe."""
    _check_files(prefix)
    try:
        reader = tf.train.NewCheckpointReader(prefix)
    except Exception as error:
        reason = first_line(error).partition(": perhaps your file")[0]
        raise Refused(
            f"not a readable TensorFlow checkpoint ({reason}); expected one, or a model: .keras, .h5, "
            ".onnx, .pb or a SavedModel's folder"
        ) from None
    stored = reader.get_variable_to_shape_map()
    names = {plain_name(name): name for name in sorted(stored)}

    def read(name: str) -> np.ndarray:
        value: np.ndarray = reader.get_tensor(names[name])
        # NumPy has no bfloat16 of its own.
        return value.astype("float32") if value.dtype.name == "bfloat16" else value

    return {name: stored[names[name]] for name in names}, read


def _latest_in(folder: str) -> Optional[str]:
    """Prefix of the checkpoint that a folder's state file calls the newest, ``None`` without one.

    A copied folder's state file may hold the path of where it was written: only its last part counts,
    so that no state file leads elsewhere.
    """
    path = os.path.join(folder, STATE_FILE)
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


def newest_in(folder: str) -> str:
    """The prefix of the newest checkpoint in a folder.

    Raises:
        UserError: there is none, or several and no state file that names one.
    """
    latest = _latest_in(folder)
    if latest is not None:
        return latest
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise UserError(
            f"--load {folder}: the folder cannot be read ({error.strerror or error}); expected one with a "
            "checkpoint"
        ) from None
    prefixes = sorted(name[: -len(".index")] for name in names if name.endswith(".index"))
    if len(prefixes) == 1:
        return os.path.join(folder, prefixes[0])
    found = "several checkpoints: " + ", ".join(prefixes) if prefixes else "no checkpoint"
    raise UserError(f"--load {folder}: the folder holds {found}; name one by its prefix")


def save_tensorflow(prefix: str, variables: Mapping[str, np.ndarray]) -> None:
    """Write variables (name -> array) as a TensorFlow checkpoint, and the state file that names it.

    Each file is renamed when it is complete, the state file last.

    Raises:
        UserError: the folder is missing or cannot be written, or the disk is full.
    """
    from dgl.utils.devices import session_config  # loads tensorpack

    with tf.Graph().as_default(), tf.Session(config=session_config(0)) as session:
        # Fed, because a graph message holds at most 2 GiB.
        starts = {name: tf.placeholder(v.dtype, v.shape) for name, v in variables.items()}
        stored = [tf.get_variable(name, initializer=start) for name, start in starts.items()]
        session.run(
            tf.variables_initializer(stored), {starts[name]: v for name, v in variables.items()}
        )
        saver = tf.train.Saver(stored, save_relative_paths=True)
        try:
            saver.save(session, prefix, write_meta_graph=False)
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise UserError(f"{prefix}: cannot be written ({first_line(error)})") from None
