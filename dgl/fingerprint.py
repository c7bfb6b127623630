"""The hash of a checkpoint, by which results tell the weights that they were made with."""

import hashlib
import os
from typing import List

from dgl.errors import UserError


def weights_fingerprint(path: str) -> str:
    """Hash of a checkpoint's files.

    Args:
        path: str, a file, or the prefix of TensorFlow's files.

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
            raise UserError("{}: cannot be read: {}".format(name, error.strerror)) from error
    return digest.hexdigest()


def _files_of(path: str) -> List[str]:
    if os.path.isfile(path):
        return [path]
    folder, prefix = os.path.split(path)
    names = sorted(os.listdir(folder or "."))
    return [
        os.path.join(folder, name)
        for name in names
        if name.startswith(prefix + ".index") or name.startswith(prefix + ".data-")
    ]
