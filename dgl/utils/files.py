"""Atomic files and folders, reads of bounded size, and fingerprints of checkpoints."""

import contextlib
import glob
import hashlib
import json
import os
import shutil
import stat
import uuid
from typing import Any, Iterator, Optional

from dgl.errors import UserError, quote


def write_atomically(path: str, data: bytes) -> None:
    """Write a file so that it is either there completely or not at all.

    The bytes go to a temporary file in the same folder, which is then renamed. Missing folders are made.

    Raises:
        UserError: the folder cannot be made or written, the disk is full, ``path`` is a folder.
    """
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
    try:
        os.makedirs(folder, exist_ok=True)
        try:
            with open(temporary, "wb") as stream:
                stream.write(data)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def write_json(path: str, values: Any) -> None:
    """Write JSON values, indented, as :func:`write_atomically` does bytes."""
    write_atomically(path, (json.dumps(values, indent=1) + "\n").encode("utf-8"))


def cache_folder() -> str:
    """Where downloads are kept: ``$DGL_HOME``, else the operating system's folder for caches."""
    chosen = os.environ.get("DGL_HOME")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    import platformdirs

    return str(platformdirs.user_cache_dir("dgl"))


def read_bounded(path: str, most: int, expected: str) -> Optional[bytes]:
    """The bytes of a file of at most ``most``, or ``None`` where there is no such file.

    ``expected`` is the kind of file, for messages.

    Raises:
        UserError: ``path`` is no regular file, cannot be read, or is larger than ``most``.
    """
    try:
        # Opening a pipe would wait for a writer.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: not a file; expected {expected}")
        with open(path, "rb") as stream:
            # Python allocates as many bytes as it is asked to read.
            data = stream.read(min(most, status.st_size) + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{quote(path, 400)}: cannot be read: {reason}") from error
    if len(data) > most:
        raise UserError(f"{path}: more than {most} bytes, the limit; expected {expected}")
    return data


def has_content(out: str) -> bool:
    """Whether ``out`` is a folder with something in it, rather than empty or missing.

    Raises:
        UserError: ``out`` is no folder, or cannot be listed.
    """
    try:
        return bool(os.listdir(out))
    except FileNotFoundError:
        return False
    except OSError as error:
        is_file = isinstance(error, NotADirectoryError)
        found = "found a file" if is_file else f"it cannot be read: {error.strerror}"
        raise UserError(f"--out {out}: expected a new folder, {found}") from error


@contextlib.contextmanager
def new_folder(out: str, replace: bool = False) -> Iterator[str]:
    """Context that fills a folder, which takes its place at ``out`` in one step when it is complete.

    It is filled as ``.NAME.partial`` beside its place. Nothing of that is left if the block raises; what a
    killed program left is removed.

    Args:
        out: the folder to make; it may exist if it is empty.
        replace: whether an older one makes way, with all that it holds.

    Yields:
        The empty folder to fill.

    Raises:
        UserError: ``out`` is not empty or cannot be written.
    """
    if not replace and has_content(out):
        raise UserError(f"--out {out}: expected a new or empty folder, this one is not")
    target = os.path.abspath(out)
    # A folder beside the destination is on the same file system, so the last step is a rename.
    parent, name = os.path.split(target)
    folder = os.path.join(parent, f".{name}.partial")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        yield folder
        if os.path.lexists(target):
            shutil.rmtree(target) if replace else os.rmdir(target)
        os.replace(folder, target)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def weights_fingerprint(path: str) -> str:
    """SHA-256 of a checkpoint's files, hexadecimal, by which results identify their weights.

    ``path`` is a file, a SavedModel's folder, or the prefix of TensorFlow's files.

    Raises:
        UserError: a file cannot be read.
    """
    if os.path.isfile(path):
        files = [path]
    elif os.path.isdir(path):
        files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    else:
        prefix = glob.escape(path)
        files = glob.glob(prefix + ".index") + glob.glob(prefix + ".data-*")
    digest = hashlib.sha256()
    for name in sorted(files):
        try:
            with open(name, "rb") as stream:
                for block in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(block)
        except OSError as error:
            raise UserError(f"{name}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
