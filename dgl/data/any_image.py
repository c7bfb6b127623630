"""Images as Python programs have them: paths, files in memory, PIL images, and arrays of many kinds."""

import io
import os
from collections.abc import Iterable, Mapping
from typing import Any, Iterator, List, Union

import numpy as np
from PIL import Image

from dgl.data.image_io import Decoded, decode_pil, decode_stream, read_reduced
from dgl.errors import ArgumentError, UserError, quote, reason_of

# How far floats may leave 0..1 or 0..255, as resizing and rounding make them.
_TOLERANCE = 1e-3
_CHANNELS = ("rgb", "bgr")
_BYTES = (bytes, bytearray, memoryview)
_EXPECTED = "expected a path, a PIL image, or an array (H, W, 3), (H, W) or (H, W, 4), RGB"


def listed_images(images: Any) -> Union[List[Any], Iterator[Any]]:
    """One image or several -> a list, or an iterator where only one by one are known.

    Args:
        images: one image as :func:`decoded_image` takes it; a list, tuple, generator or array of them.

    Raises:
        ArgumentError: something else, such as a number or a dict.
    """
    if isinstance(images, (str, os.PathLike, Image.Image, *_BYTES)) or _is_file(images):
        return [images]
    if isinstance(images, (Mapping, set, frozenset)):
        raise ArgumentError(
            f"images: {type(images).__name__}; expected images in an order, such as a list"
        )
    if hasattr(images, "__array__"):
        array = _as_array(images)
        if array.dtype.kind in "OUS" and array.ndim == 1:
            return list(array)
        return list(array) if array.ndim == 4 else [array]
    if isinstance(images, (list, tuple)):
        return list(images)
    if isinstance(images, Iterable):
        return iter(images)
    raise ArgumentError(f"images: {quote(images)}; {_EXPECTED}, or a list of them")


def decoded_image(image: Any, channels: str = "rgb") -> Decoded:
    """One image as upright 8-bit RGB.

    Args:
        image: one of

            - the path of a file (``str`` or ``os.PathLike``); its bytes, or a binary file of them;
            - a ``PIL.Image`` of any mode, whose EXIF orientation is applied as that of a file is;
            - an array or a tensor, (H, W, 3) RGB, (H, W, 4) RGB with alpha, (H, W, 2) or (H, W) and
              (H, W, 1) gray: uint8; other integers in 0..255; uint16 in 0..65535; bool, whose ``True`` is
              white; floats in 0..1 or in 0..255. OpenCV's ``imread`` gives BGR, not RGB.

        channels: ``"rgb"`` or ``"bgr"``, the order in arrays of three or four channels; files and PIL
            images know theirs.

    Returns:
        :class:`~dgl.data.image_io.Decoded`; a file is reduced above
        :data:`~dgl.data.image_io.REDUCED_PIXELS`, an array is not.

    Raises:
        UserError: a file that cannot be read.
        ArgumentError: an object of another kind, or values out of range.
    """
    if channels not in _CHANNELS:
        raise ArgumentError(f"channels {quote(channels)}: expected one of {', '.join(_CHANNELS)}")
    if isinstance(image, (str, os.PathLike)):
        return read_reduced(os.fsdecode(image))
    if _is_file(image):
        return _read_file(image)
    if isinstance(image, _BYTES):
        return decode_stream(io.BytesIO(image), "image")
    if isinstance(image, Image.Image):
        if image.mode != "F":
            return decode_pil(image, "image")
        image = np.asarray(image)
    if isinstance(image, (list, tuple)) or not hasattr(image, "__array__"):
        kind = "a list" if isinstance(image, (list, tuple)) else quote(image)
        raise ArgumentError(f"image: {kind}; {_EXPECTED}")
    array = _as_array(image)
    if channels == "bgr" and array.shape[2:] in ((3,), (4,)):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    rgb = _rgb(array)
    return Decoded(rgb, (rgb.shape[1], rgb.shape[0]))


def _read_file(stream: Any) -> Decoded:
    """A binary file from its beginning, as Pillow reads it: what was just written is at its end."""
    name = str(getattr(stream, "name", "image"))
    try:
        if getattr(stream, "seekable", lambda: False)():
            stream.seek(0)
        data = io.BytesIO(stream.read())
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{name}: cannot be read: {error}; expected a binary file") from error
    return decode_stream(data, name)


def _is_file(image: Any) -> bool:
    return callable(getattr(image, "read", None)) and not hasattr(image, "__array__")


def _as_array(image: Any) -> np.ndarray:
    try:
        return np.asarray(image)
    except Exception as error:  # which one depends on the library that the object comes from
        raise ArgumentError(
            f"image: a {type(image).__name__} that is no array of numbers "
            f"({reason_of(error, 120)}); {_EXPECTED}"
        ) from error


def _rgb(array: np.ndarray) -> np.ndarray:
    """An array of any of the kinds of :func:`decoded_image` as uint8 (H, W, 3)."""
    what = f"image: {array.dtype} of shape {array.shape}"
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 2, 3, 4):
        raise ArgumentError(
            f"{what}, channels first; expected (H, W, 3): numpy.moveaxis(image, 0, -1)"
        )
    is_image = array.ndim == 2 or (array.ndim == 3 and 1 <= array.shape[2] <= 4)
    if not is_image or not array.size:
        raise ArgumentError(f"{what}; {_EXPECTED}")
    pixels = _eight_bits(array, what)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(pixels.shape[:2] + (1,)), 3, axis=2)
    if pixels.shape[2] == 3:
        return pixels
    mode = "LA" if pixels.shape[2] == 2 else "RGBA"
    return decode_pil(Image.fromarray(np.ascontiguousarray(pixels), mode), "image").image


def _eight_bits(array: np.ndarray, what: str) -> np.ndarray:
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8:
        return array
    if kind not in "iuf":
        raise ArgumentError(f"{what}; expected numbers, such as uint8 in 0..255")
    low, high = float(array.min()), float(array.max())
    expected = "0 to 1 or 0 to 255" if kind == "f" else "0 to 255"
    # Written so that NaN fails too.
    if not (low >= -_TOLERANCE and high <= 65535):
        raise ArgumentError(f"{what} has values from {low:g} to {high:g}; expected {expected}")
    if kind == "f" and high <= 1 + _TOLERANCE:
        array = array * 255.0
    elif kind == "u" and array.dtype.itemsize == 2 and high > 255:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif high > 255 + _TOLERANCE or (kind == "f" and high < 2):
        raise ArgumentError(f"{what} has values from {low:g} to {high:g}; expected {expected}")
    if kind != "f":
        return array.astype(np.uint8)
    rounded: np.ndarray = np.clip(np.rint(array), 0, 255).astype(np.uint8)
    return rounded
