"""Uploads and what the server keeps for a visitor: the image, the classifier's scores, the maps."""

import os
from collections import OrderedDict
from typing import Any, Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from PIL import Image

from dgl.data.image_io import read_image
from dgl.errors import UserError, printable

# Accepted formats by Pillow's name, with the extensions that a browser offers.
FORMATS = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
}
MEGA = 1000 * 1000
_LONGEST_NAME = 80
_SHOWN_SIDE = 640
# Per session; all methods at all layers of VGG16 at 224 x 224 take 26 MB.
_MOST_MAP_BYTES = 1 << 25


class Limits(NamedTuple):
    """Limits of an upload: size of the file, and width times height according to its header."""

    most_bytes: int = 20 * MEGA
    most_pixels: int = 25 * MEGA


class Scores(NamedTuple):
    """Output of a classifier for an image, float32 (classes,)."""

    probability: np.ndarray
    logits: np.ndarray

    @property
    def predicted(self) -> int:
        """The class of the highest logit; saturated probabilities may tie."""
        return int(self.logits.argmax())


class Session:
    """A visitor's image and everything that was computed from it.

    Attributes:
        image: uint8 RGB (H, W, 3), as uploaded.
        name: name to show.
        shown: uint8 RGB, ``image`` reduced to at most 640 pixels on the longer side.
        scores: checkpoint index -> :class:`Scores`.
        runs: how often a network ran for this image.
    """

    def __init__(self, image: np.ndarray, name: str):
        self.image = image
        self.name = name
        self.shown = at_most(image, _SHOWN_SIDE)
        self.scores: Dict[int, Scores] = {}
        self.runs = 0
        self._maps: OrderedDict[Tuple[Any, ...], np.ndarray] = OrderedDict()
        self._map_bytes = 0

    @property
    def size(self) -> Tuple[int, int]:
        """(height, width) of the image."""
        return self.image.shape[0], self.image.shape[1]

    def find(self, key: Tuple[Any, ...]) -> Optional[np.ndarray]:
        """A raw map computed before, or ``None``."""
        return self._maps.get(key)

    def store(self, key: Tuple[Any, ...], raw: np.ndarray) -> None:
        """Store a raw map; beyond 32 MB the oldest are dropped."""
        self._maps[key] = raw
        self._map_bytes += raw.nbytes
        while self._map_bytes > _MOST_MAP_BYTES and len(self._maps) > 1:
            self._map_bytes -= self._maps.popitem(last=False)[1].nbytes


def at_most(image: np.ndarray, side: int) -> np.ndarray:
    """An image reduced so that its longer side has at most ``side`` pixels, uint8 RGB."""
    height, width = image.shape[:2]
    scale = min(1.0, side / float(max(height, width)))
    if scale == 1.0:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def shown_name(path: str) -> str:
    """The name of a visitor's file as one printable line of at most 80 characters."""
    name = printable(os.path.basename(path)) or "image"
    if len(name) <= _LONGEST_NAME:
        return name
    return name[: _LONGEST_NAME - 12] + "\u2026" + name[-11:]


def read_upload(path: str, folder: str, limits: Limits) -> Session:
    """Start a session with an uploaded image.

    Args:
        path: the file on the server.
        folder: the folder for uploads; a file elsewhere is not read.
        limits: of the file.

    Raises:
        UserError: a file elsewhere, too many bytes or pixels, another format, or a damaged file. The
            message has the visitor's name for the file.
    """
    name = shown_name(path)
    inside = os.path.join(os.path.realpath(folder), "")
    if not os.path.realpath(path).startswith(inside) or not os.path.isfile(path):
        raise UserError(f"{name}: the upload has expired; drop the image again")
    size = os.path.getsize(path)
    if size > limits.most_bytes:
        raise UserError(
            f"{name}: {size / MEGA:.1f} MB; expected a file of at most {limits.most_bytes / MEGA:g} MB"
        )
    try:
        check_pixels(path, name, limits.most_pixels, tuple(FORMATS))
        return Session(read_image(path), name)
    except UserError as error:
        raise UserError(str(error).replace(printable(path), name)) from None


def check_pixels(
    source: Any, name: str, most_pixels: int, formats: Optional[Tuple[str, ...]] = None
) -> None:
    """Refuse an image that is too large by its header, or of no accepted format where some are given.

    Damage is reported by the decoder.
    """
    try:
        with Image.open(source, formats=formats) as image:
            width, height = image.size
    except Image.UnidentifiedImageError:
        if formats is None:
            return
        raise UserError(
            f"{name}: not an image; expected a JPEG, PNG, WebP, GIF, BMP or TIFF"
        ) from None
    except Exception:  # Pillow's readers raise many kinds on damage
        return
    if width * height > most_pixels:
        raise UserError(
            f"{name}: {width} x {height} pixels; expected at most {most_pixels / MEGA:g} megapixels"
        )
