"""A data set's folder under ``--out``: there completely, in one step, or not at all."""

import contextlib
import os
import shutil
import uuid
from typing import Iterator

from dgl.errors import UserError


def holds_something(out: str) -> bool:
    """Whether ``out`` is a folder with something in it, and not free to be made.

    Raises:
        UserError: ``out`` is no folder, or cannot be listed.
    """
    target = os.path.abspath(out)
    if not os.path.isdir(target):
        if os.path.lexists(target):
            raise UserError("--out {}: expected a new folder, found a file".format(out))
        return False
    try:
        return bool(os.listdir(target))
    except OSError as error:
        raise UserError("--out {}: cannot be read ({})".format(out, error.strerror)) from error


def not_empty(out: str) -> UserError:
    """The error to raise where :func:`holds_something` and that is not what is wanted."""
    return UserError("--out {}: expected a new or empty folder, this one is not".format(out))


@contextlib.contextmanager
def new_folder(out: str) -> Iterator[str]:
    """Context in which a data set is written that takes its place at ``out`` when it is complete.

    Of a block that raises nothing is left.

    Args:
        out: str, the folder to make; it may exist if it is empty.

    Yields:
        str, the folder to fill meanwhile; it does not exist yet.

    Raises:
        UserError: it cannot be written.
    """
    target = os.path.abspath(out)
    # A folder beside the destination is on the same file system, so the last step is a rename.
    parent, name = os.path.split(target)
    folder = os.path.join(parent, ".{}.{}".format(name, uuid.uuid4().hex[:12]))
    try:
        yield folder
        if os.path.isdir(target):
            os.rmdir(target)
        os.replace(folder, target)
    except OSError as error:
        raise UserError("--out {}: cannot be written ({})".format(out, error.strerror)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
