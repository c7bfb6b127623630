"""Atomic files and folders, reads of bounded size, and fingerprints of checkpoints."""

import contextlib
import hashlib
import os
import shutil
import stat
import uuid
from typing import IO, Iterator, List, Optional

from dgl.errors import UserError, quote


def write_atomically(path: str, data: bytes) -> None:
    """Write a file so that it is either there completely or not at all.

    The bytes go to a temporary file in the same folder, which is then renamed. Missing folders are made.

    Args:
        path: str, the file to write.
        data: bytes.

    Raises:
        UserError: the folder cannot be made or written, the disk is full, ``path`` is a folder.
    """
    path = str(path)
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
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); expected a place in a writable "
            "folder"
        ) from error


@contextlib.contextmanager
def atomic_text(path: str) -> Iterator[IO[str]]:
    """Context that writes a UTF-8 text file piece by piece, which is there completely or not at all.

    The pieces go to ``.NAME.partial`` beside the file, which a killed program leaves and the next one
    overwrites. Missing folders are made.

    Args:
        path: str, the file to write.

    Yields:
        text stream; file names that are not UTF-8 are written as they are.

    Raises:
        UserError: the file cannot be written.
    """
    folder, name = os.path.split(str(path))
    temporary = os.path.join(folder, f".{name}.partial")
    try:
        os.makedirs(folder or ".", exist_ok=True)
        with open(
            temporary, "w", encoding="utf-8", errors="surrogateescape", newline="\n"
        ) as stream:
            yield stream
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


@contextlib.contextmanager
def replaced_folder(path: str) -> Iterator[str]:
    """Context that fills a new folder, which then takes the place of an older one.

    It is filled as ``.NAME.partial`` beside its place; what a killed program left of it is removed.

    Args:
        path: str, the folder to write, with everything in it.

    Yields:
        str, the empty folder to fill.

    Raises:
        UserError: it cannot be written, or a file is in its place.
    """
    parent, name = os.path.split(os.path.abspath(path))
    folder = os.path.join(parent, f".{name}.partial")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        yield folder
        if os.path.lexists(path):
            shutil.rmtree(path)
        os.replace(folder, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cache_folder() -> str:
    """Where downloads are kept: ``$DGL_HOME``, else the operating system's folder for caches."""
    chosen = os.environ.get("DGL_HOME")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    import platformdirs

    return str(platformdirs.user_cache_dir("dgl"))


def read_bounded(path: str, most: int, expected: str) -> Optional[bytes]:
    """Read a file of limited size, such as the annotation of one image.

    Args:
        path: str, the file.
        most: int, the largest allowed number of bytes.
        expected: str, the kind of file, for messages.

    Returns:
        bytes, or ``None`` where there is no such file.

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
    if not os.path.isdir(out):
        if os.path.lexists(out):
            raise UserError(f"--out {out}: expected a new folder, found a file")
        return False
    try:
        return bool(os.listdir(out))
    except OSError as error:
        raise UserError(f"--out {out}: cannot be read ({error.strerror})") from error


@contextlib.contextmanager
def new_folder(out: str) -> Iterator[str]:
    """Context that writes a folder which takes its place at ``out`` in one step, when it is complete.

    If the block raises, nothing is left.

    Args:
        out: str, the folder to make; it may exist if it is empty.

    Yields:
        str, the folder to fill; it does not exist yet.

    Raises:
        UserError: ``out`` is not empty or cannot be written.
    """
    if has_content(out):
        raise UserError(f"--out {out}: expected a new or empty folder, this one is not")
    target = os.path.abspath(out)
    # A folder beside the destination is on the same file system, so the last step is a rename.
    parent, name = os.path.split(target)
    folder = os.path.join(parent, f".{name}.{uuid.uuid4().hex[:12]}")
    try:
        yield folder
        if os.path.isdir(target):
            os.rmdir(target)
        os.replace(folder, target)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def weights_fingerprint(path: str) -> str:
    """SHA-256 of a checkpoint's files, by which results identify the weights they were made with.

    Args:
        path: str, a file, or the prefix of TensorFlow's files.

    Returns:
        str, hexadecimal.

    Raises:
        UserError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for name in _files_of(path):
        try:
            with open(name, "rb") as stream:
                for block in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(block)
        except OSError as error:
            raise UserError(f"{name}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _files_of(path: str) -> List[str]:
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):  # a SavedModel's
        found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        return sorted(found)
    folder, prefix = os.path.split(path)
    names = sorted(os.listdir(folder or "."))
    return [
        os.path.join(folder, name)
        for name in names
        if name.startswith(prefix + ".index") or name.startswith(prefix + ".data-")
    ]
