"""Read and encode image files.

:func:`read_image` and :func:`read_reduced` are the one decoder of training, evaluation, localization and
the page: whatever a file holds, they return upright 8-bit RGB.
"""

import os
import stat
import warnings
from typing import BinaryIO, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from PIL import Image

from dgl.data.image_files import TGA_EXTENSIONS, can_read_avif, can_read_heic, no_such_file
from dgl.data.views import rgb_to_bgr
from dgl.errors import UserError, printable, quote
from dgl.utils.types import ArrayLike

PIXEL_LIMIT = 100 * 1000 * 1000
# Larger images are decoded at half their sides: 24 megapixels is what most cameras have.
REDUCED_PIXELS = 25 * 1000 * 1000
# Encoders write about ten scans, optimizers a few dozen; decoding thousands of them takes minutes.
MOST_SCANS = 100

# Raster formats only: some of Pillow's other readers start external programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "ICO")
_FORMAT_NAMES = "JPEG, PNG, BMP, GIF, TIFF, WebP, AVIF, HEIC, JPEG 2000, TGA, ICO or PPM"
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_STRIP = 256  # rows of a reduced image that are converted at a time
_JPEG, _SCAN = b"\xff\xd8", b"\xff\xda"
_EXIF_ORIENTATION = 0x0112

# Pillow warns from 89 megapixels on; here PIXEL_LIMIT is the limit, and exceeding it is an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Damaged metadata beside sound pixels does not matter.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class Decoded(NamedTuple):
    """An image file as :func:`read_reduced` gives it."""

    image: np.ndarray  # uint8 (h, w, 3), RGB, upright, of at most `REDUCED_PIXELS` pixels
    # `(width, height)` of the upright file in pixels, in which boxes are counted.
    size: Tuple[int, int]
    # The file's EXIF orientation, 1 to 8, which is undone in `image` and `size`.
    orientation: int = 1

    @property
    def scale(self) -> Tuple[float, float]:
        """(x, y): pixels of ``image`` per pixel of the file; 1 unless it was reduced."""
        height, width = self.image.shape[:2]
        return width / float(self.size[0]), height / float(self.size[1])

    def to_image(self, boxes: ArrayLike) -> np.ndarray:
        """Boxes (N, 4) in pixels of the file -> the same in pixels of ``image``."""
        if self.scale == (1, 1):
            return np.asarray(boxes)
        return np.asarray(boxes, np.float64).reshape(-1, 4) * (self.scale * 2)

    def to_file(self, box: np.ndarray) -> np.ndarray:
        """A box in whole pixels of ``image`` -> the same in whole pixels of the file."""
        if self.scale == (1, 1):
            return box
        return np.rint(np.asarray(box, np.float64) / (self.scale * 2)).astype(np.int64)


def read_image(path: str) -> np.ndarray:
    """Decode an image file to 8-bit RGB, upright, at its own size.

    Grayscale, CMYK and palette images become RGB; transparency is composited on white; 16-bit
    grayscale is scaled (65535 becomes 255), unless all of its values fit 8 bits; EXIF orientation is
    applied; of an animation the first frame is taken.

    Returns:
        uint8 array (H, W, 3), RGB, contiguous and writable.

    Raises:
        UserError: the file is missing, empty, not an image, damaged or truncated, has more than
            :data:`MOST_SCANS` JPEG scans or more than :data:`PIXEL_LIMIT` pixels (both checked
            before decoding).
    """
    return _read(path, PIXEL_LIMIT).image


def read_reduced(path: str) -> Decoded:
    """Decode an image file as :func:`read_image`, at half its sides above :data:`REDUCED_PIXELS`."""
    return _read(path, REDUCED_PIXELS)


def _read(path: str, most_pixels: int) -> Decoded:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise UserError(f"{path}: {kind}; expected an image file")
        if status.st_size == 0:
            raise UserError(f"{path}: the file is empty; expected an image")
        with open(path, "rb") as stream:
            return _decode(stream, path, most_pixels)
    except FileNotFoundError as error:
        raise no_such_file(path, "no such file; expected an image") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{quote(path, 400)}: cannot be read: {reason}") from error


def decode_stream(stream: BinaryIO, name: str) -> Decoded:
    """Decode an image file that is in memory, as :func:`read_reduced`; errors call it ``name``."""
    return _decode(stream, name, REDUCED_PIXELS)


def decode_pil(image: Image.Image, name: str) -> Decoded:
    """Decode a PIL image of any mode, as :func:`read_reduced`; the image stays open."""
    # A draft would change the image of the caller.
    return _pixels_of(image, name, REDUCED_PIXELS, may_draft=False)


def _check_scans(stream: BinaryIO, path: str) -> None:
    """Refuse a JPEG with more scans than any encoder writes."""
    if stream.read(len(_JPEG)) == _JPEG:
        scans = sum(block.count(_SCAN) for block in iter(lambda: stream.read(1 << 20), b""))
        if scans > MOST_SCANS:
            raise UserError(f"{path}: damaged image: {scans} scans; expected at most {MOST_SCANS}")
    stream.seek(0)


def _formats_of(stream: BinaryIO, path: str) -> Tuple[str, ...]:
    """The formats to try; TGA has no mark to be recognized by, so the file's name has to say it."""
    start = stream.read(12)
    stream.seek(0)
    formats: Tuple[str, ...] = _FORMATS
    if path.lower().endswith(TGA_EXTENSIONS):
        formats += ("TGA",)
    if start[4:8] == b"ftyp":
        if can_read_avif():
            formats += ("AVIF",)
        if start[8:12] in _HEIC_BRANDS:
            if not can_read_heic():
                raise UserError(
                    f"{path}: a HEIC image; expected the package pillow-heif "
                    '(pip install "dgl-localization[heic]"), or another format'
                )
            formats += ("HEIF",)
    return formats


def _decode(stream: BinaryIO, path: str, most_pixels: int) -> Decoded:
    _check_scans(stream, path)
    formats = _formats_of(stream, path)
    try:
        image = Image.open(stream, formats=formats)
    except Image.UnidentifiedImageError as error:
        expected = f"expected {_FORMAT_NAMES}"
        raise UserError(f"{path}: not an image (no known format); {expected}") from error
    except Image.DecompressionBombError as error:
        raise UserError(_too_large(path, "too many")) from error
    # Pillow's readers raise almost any exception on damaged data.
    except Exception as error:
        raise UserError(f"{path}: damaged image: {_reason(error)}") from error
    with image:
        return _pixels_of(image, path, most_pixels)


def _pixels_of(image: Image.Image, path: str, most_pixels: int, may_draft: bool = True) -> Decoded:
    size = image.size
    if not size[0] * size[1]:
        raise UserError(f"{path}: an image without pixels")
    if size[0] * size[1] > PIXEL_LIMIT:
        raise UserError(_too_large(path, f"{size[0]} x {size[1]}"))
    factor = 1
    while -(-size[0] // factor) * -(-size[1] // factor) > most_pixels:
        factor *= 2
    try:
        stated = _orientation(image)
        if factor > 1 and may_draft:
            # A JPEG is decoded at this size; all else is decoded whole and then reduced.
            image.draft(None, (size[0] // factor, size[1] // factor))
        is_drafted = image.size != size
        image.load()
        if not is_drafted:
            size = image.size
        is_whole = factor == 1 or is_drafted
        pixels = _to_rgb(image, path) if is_whole else _reduce(image, path, factor)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: damaged or truncated image: {_reason(error)}") from error
    # Pillow turns TIFF images itself; whether it then drops the tag depends on its version.
    orientation = 1 if image.format == "TIFF" else stated
    return Decoded(upright(pixels, orientation), size[::-1] if orientation >= 5 else size, stated)


def _reduce(image: Image.Image, path: str, factor: int) -> np.ndarray:
    """The RGB image at a fraction of its sides, strip by strip so as to need little more memory."""
    width, height = image.size
    reduced = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
    for top in range(0, len(reduced), _STRIP):
        box = (0, top * factor, width, min(height, (top + _STRIP) * factor))
        strip = Image.fromarray(_to_rgb(image.crop(box), path)).reduce(factor)
        reduced[top : top + _STRIP] = np.asarray(strip)
    return reduced


def _too_large(path: str, pixels: str) -> str:
    limit = PIXEL_LIMIT // 1000000
    return f"{path}: {pixels} pixels; expected an image of at most {limit} megapixels"


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split())) or type(error).__name__


def _to_rgb(image: Image.Image, path: str) -> np.ndarray:
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or (
        "transparency" in image.info and image.mode in ("RGB", "L", "P", "1")
    ):
        # Pillow turns La, whose gray is multiplied by alpha, into LA only.
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(rgba, mask=rgba)
        return np.array(white)
    if image.mode.startswith("I"):
        gray = _scale_16_bit(np.asarray(image), path)
        return np.repeat(gray[:, :, np.newaxis], 3, axis=2)
    if image.mode == "F":
        raise UserError(f"{path}: floating-point image; expected 8 or 16 bits per channel")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _scale_16_bit(values: np.ndarray, path: str) -> np.ndarray:
    # Depending on its version, Pillow reads 16-bit grayscale as uint16 or int32.
    values = values.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UserError(f"{path}: values beyond 16 bits; expected 8 or 16 bits per channel")
    if values.max() <= 255:  # 8 bits in a wider type, as Pillow's convert("I") leaves them
        return values.astype(np.uint8)
    return ((values + 128) // 257).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        stated = int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged metadata beside a sound image
        return 1
    return stated if 1 <= stated <= 8 else 1


def turn_boxes(boxes: np.ndarray, orientation: int, size: Tuple[int, int]) -> np.ndarray:
    """Boxes (N, 4) in the frame that a file stores -> the same in the upright image.

    ``orientation`` is EXIF's, 1 to 8, and ``size`` the ``(width, height)`` of the upright image.
    """
    turned = np.array(boxes, np.float64).reshape(-1, 4)
    width, height = size
    if orientation in (5, 6, 7, 8):
        turned = turned[:, [1, 0, 3, 2]]
    if orientation in (2, 3, 6, 7):
        turned[:, [0, 2]] = width - turned[:, [2, 0]]
    if orientation in (3, 4, 7, 8):
        turned[:, [1, 3]] = height - turned[:, [3, 1]]
    return turned


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an array (H, W, ...) as its EXIF orientation, 1 to 8, says."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def image_size(path: str) -> Optional[Tuple[int, int]]:
    """``(width, height)`` of an image as :func:`read_image` returns it, mostly from its header alone.

    ``None`` where the file is missing or no image, which reading it reports.
    """
    try:
        with open(path, "rb") as stream:
            image = Image.open(stream, formats=_formats_of(stream, path))
            width, height = image.size
            if image.format == "TIFF" and _EXIF_ORIENTATION in getattr(image, "tag_v2", {}):
                # Whether the size is upright before the pixels are read depends on Pillow's version.
                if width * height <= PIXEL_LIMIT:
                    image.load()
                width, height = image.size
                return width, height
            return (height, width) if _orientation(image) in (5, 6, 7, 8) else (width, height)
    except Exception:  # Pillow's readers raise almost any exception on damaged data
        return None


def encode_image(image: np.ndarray, extension: str, quality: Optional[int] = None) -> bytes:
    """Encode an image, uint8 (H, W, 3) RGB or (H, W), in the format of an extension such as ``".png"``.

    ``quality`` is that of a JPEG, 0 to 100. What OpenCV cannot write raises ``ValueError``.
    """
    options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    pixels = np.ascontiguousarray(rgb_to_bgr(image) if image.ndim == 3 else image)
    try:
        done, encoded = cv2.imencode(extension, pixels, options)
    except cv2.error as error:
        raise ValueError(f"cannot encode as {extension}: {error}") from error
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as {extension}")
    return bytes(encoded.tobytes())
