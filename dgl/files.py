"""Writing a file so that it is either there completely or not there at all."""

import os
import uuid

from dgl.errors import UserError


def write_atomically(path: str, data: bytes) -> None:
    """Write bytes under a temporary name in the same folder, then rename.

    Folders that are missing are made. The temporary file does not outlive a failure.

    Args:
        path: str, the file to write.
        data: bytes.

    Raises:
        UserError: the folder cannot be made or written, the disk is full, ``path`` is a folder.
    """
    path = str(path)
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, ".{}.tmp".format(uuid.uuid4().hex))
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
            "{}: cannot be written ({}); expected a place in a writable folder".format(
                path, error.strerror or error
            )
        ) from error
