"""What a visitor may send, and how long it stays: bytes, pixels, types, and the folder of uploads."""

import os
import shutil
import tempfile
import threading
import time
from typing import List, NamedTuple, Tuple

import numpy as np
from PIL import Image

from dgl.data.image_io import read_image
from dgl.errors import UserError, printable

# Pillow's name of each kind -> the extensions that a browser offers for it.
KINDS = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
}
EXPECTED = "expected a JPEG, PNG, WebP, GIF, BMP or TIFF"
MEGA = 1000 * 1000
_LONGEST_NAME = 80
# An upload is read within a moment of its arrival; a slow one is written to all the while.
_KEPT_SECONDS = 60.0
_SWEEP_SECONDS = 10.0
_MOST_FOLDER_BYTES = 1000 * MEGA


class Limits(NamedTuple):
    """What one upload may be.

    Attributes:
        most_bytes: of the file.
        most_pixels: width times height, by the file's header.
    """

    most_bytes: int = 20 * MEGA
    most_pixels: int = 25 * MEGA


def extensions() -> List[str]:
    """File name extensions of the kinds that are accepted, each with its dot."""
    return [extension for group in KINDS.values() for extension in group]


def shown_name(path: str) -> str:
    """The name of a file as it may be shown and written into a record.

    Args:
        path: str, of a file whose name a visitor chose.

    Returns:
        str: one printable line of at most 80 characters.
    """
    name = printable(os.path.basename(path)) or "picture"
    if len(name) <= _LONGEST_NAME:
        return name
    return name[: _LONGEST_NAME - 12] + "\u2026" + name[-11:]


def _is_inside(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))


def read_upload(path: str, folder: str, limits: Limits) -> Tuple[np.ndarray, str]:
    """Decode an upload.

    Args:
        path: str, where the server put it.
        folder: str, the one for uploads; whatever lies elsewhere is not read.
        limits: :class:`Limits`.

    Returns:
        (uint8 RGB (H, W, 3), the name to show).

    Raises:
        UserError: a file elsewhere, too many bytes or pixels, another type, or damage. The message has
            the visitor's name for the file, not the server's.
    """
    name = shown_name(path)
    if not _is_inside(path, folder) or not os.path.isfile(path):
        raise UserError(f"{name}: the upload is no longer there; drop the image again")
    size = os.path.getsize(path)
    if size > limits.most_bytes:
        raise UserError(
            f"{name}: {size / MEGA:.1f} MB; expected a file of at most {limits.most_bytes / MEGA:g} MB"
        )
    try:
        _check_header(path, name, limits.most_pixels)
        return read_image(path), name
    except UserError as error:
        raise UserError(str(error).replace(printable(path), name)) from None


def _check_header(path: str, name: str, most_pixels: int) -> None:
    """Raise :class:`UserError` for another type or too many pixels; damage is for the decoder to tell."""
    try:
        with Image.open(path, formats=tuple(KINDS)) as image:
            width, height = image.size
    except Image.UnidentifiedImageError:
        raise UserError(f"{name}: not an image; {EXPECTED}") from None
    except Exception:  # whatever Pillow's readers raise on damage
        return
    if width * height > most_pixels:
        raise UserError(
            f"{name}: {width} x {height} pixels; expected at most {most_pixels / MEGA:g} megapixels"
        )


class UploadFolder:
    """A folder of its own for uploads, swept while it is in use and removed at the end.

    Used in a ``with``; :attr:`path` is the folder.
    """

    def __init__(
        self,
        kept_seconds: float = _KEPT_SECONDS,
        sweep_seconds: float = _SWEEP_SECONDS,
        most_bytes: int = _MOST_FOLDER_BYTES,
    ):
        """Make the folder, for this user alone.

        Args:
            kept_seconds: how long a file stays after it was last written.
            sweep_seconds: time between two looks.
            most_bytes: of all files together; beyond that the oldest go first.
        """
        # Resolved, for who compares paths with it.
        self.path = os.path.realpath(tempfile.mkdtemp(prefix="dgl-serve-"))
        self._kept_seconds = kept_seconds
        self._most_bytes = most_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(sweep_seconds,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        shutil.rmtree(self.path, ignore_errors=True)

    def _watch(self, seconds):
        while not self._stop.wait(seconds):
            self.sweep(time.time())

    def sweep(self, now: float) -> None:
        """Remove what is too old, then the oldest while all together is too much.

        Args:
            now: seconds since the epoch.
        """
        files = []
        for parent, folders, names in os.walk(self.path, topdown=False):
            for name in names:
                path = os.path.join(parent, name)
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                files.append((status.st_mtime, status.st_size, path))
            for name in folders:
                _remove_empty(os.path.join(parent, name), now - self._kept_seconds)
        total = sum(size for _, size, _ in files)
        for modified, size, path in sorted(files):
            if modified >= now - self._kept_seconds and total <= self._most_bytes:
                break
            try:
                os.remove(path)
            except OSError:
                continue
            total -= size


def _remove_empty(folder, before):
    """Remove a folder that is empty and old; a new one is about to get its file."""
    try:
        if os.lstat(folder).st_mtime < before:
            os.rmdir(folder)
    except OSError:
        pass
