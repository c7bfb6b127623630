"""Reading a small file that comes from outside: of bounded size, and nothing but a file."""

import os
import stat
from typing import Optional

from dgl.data.sample import quote
from dgl.errors import UserError


def read_bounded(path: str, most: int, expected: str) -> Optional[bytes]:
    """The bytes of a file, such as the annotation of one picture.

    Args:
        path: str, the file.
        most: int, bytes it may have.
        expected: str, what the file should be, for messages.

    Returns:
        bytes, or ``None`` where there is no such file.

    Raises:
        UserError: ``path`` is no regular file, cannot be read, or is larger than ``most``.
    """
    try:
        # Opening a pipe would wait for somebody to write to it.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError("{}: not a file; expected {}".format(path, expected))
        with open(path, "rb") as stream:
            data = stream.read(most + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError("{}: cannot be read: {}".format(quote(path, 400), reason)) from error
    if len(data) > most:
        raise UserError(
            "{}: more than {} bytes; expected {}, which is far smaller".format(path, most, expected)
        )
    return data
