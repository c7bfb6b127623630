"""Read, list and encode image files.

:func:`read_image` is the one decoder of training, evaluation, localization and the page: whatever a
file holds, it returns upright 8-bit RGB.
"""

import os
import stat
import warnings
from typing import BinaryIO, List, Optional, Tuple

import cv2
import numpy as np
from PIL import Image

from dgl.data.views import rgb_to_bgr
from dgl.errors import UserError, printable, quote

IMAGE_EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".ppm",
    ".pgm",
    ".jp2",
)
PIXEL_LIMIT = 100 * 1000 * 1000
# Encoders write about ten scans, optimizers a few dozen; decoding thousands of them takes minutes.
MOST_SCANS = 100

# Raster formats only: some of Pillow's other readers start external programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000")
_JPEG, _SCAN = b"\xff\xd8", b"\xff\xda"
_EXIF_ORIENTATION = 0x0112

# Pillow warns from 89 megapixels on; here PIXEL_LIMIT is the limit, and exceeding it is an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Damaged metadata beside sound pixels does not matter.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def read_image(path: str) -> np.ndarray:
    """Decode an image file to 8-bit RGB, upright.

    Grayscale, CMYK and palette images become RGB; transparency is composited on white; 16-bit
    grayscale is scaled (65535 becomes 255); EXIF orientation is applied; of an animation the first
    frame is taken.

    Args:
        path: str, the image file.

    Returns:
        uint8 array (H, W, 3), RGB, contiguous and writable.

    Raises:
        UserError: the file is missing, empty, not an image, damaged or truncated, has more than
            :data:`MOST_SCANS` JPEG scans or more than :data:`PIXEL_LIMIT` pixels (both checked
            before decoding).
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise UserError(f"{path}: {kind}; expected an image file")
        if status.st_size == 0:
            raise UserError(f"{path}: the file is empty; expected an image")
        with open(path, "rb") as stream:
            _check_scans(stream, path)
            return _decode(stream, path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected an image") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{quote(path, 400)}: cannot be read: {reason}") from error


def _check_scans(stream: BinaryIO, path: str) -> None:
    """Refuse a JPEG with more scans than any encoder writes."""
    if stream.read(len(_JPEG)) == _JPEG:
        scans = sum(block.count(_SCAN) for block in iter(lambda: stream.read(1 << 20), b""))
        if scans > MOST_SCANS:
            raise UserError(f"{path}: damaged image: {scans} scans; expected at most {MOST_SCANS}")
    stream.seek(0)


def _decode(stream: BinaryIO, path: str) -> np.ndarray:
    try:
        image = Image.open(stream, formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{path}: not an image (no known format)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(_too_large(path, "too many")) from error
    # Pillow's readers raise almost any exception on damaged data.
    except Exception as error:
        raise UserError(f"{path}: damaged image: {_reason(error)}") from error
    with image:
        width, height = image.size
        if not width * height:
            raise UserError(f"{path}: an image without pixels")
        if width * height > PIXEL_LIMIT:
            raise UserError(_too_large(path, f"{width} x {height}"))
        try:
            image.load()
            return _upright(_to_rgb(image, path), _orientation(image))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{path}: damaged or truncated image: {_reason(error)}") from error


def _too_large(path: str, pixels: str) -> str:
    limit = PIXEL_LIMIT // 1000000
    return f"{path}: {pixels} pixels; expected an image of at most {limit} megapixels"


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split())) or type(error).__name__


def _to_rgb(image: Image.Image, path: str) -> np.ndarray:
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or (
        "transparency" in image.info and image.mode in ("RGB", "L", "P", "1")
    ):
        rgba = image.convert("RGBA")
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
    return ((values + 128) // 257).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    # Pillow turns TIFF images itself; whether it then drops the tag depends on its version.
    if image.format == "TIFF":
        return 1
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged metadata beside a sound image
        return 1


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def image_size(path: str) -> Optional[Tuple[int, int]]:
    """Size of an image as :func:`read_image` returns it, mostly from its header alone.

    Args:
        path: str, the image file.

    Returns:
        ``(width, height)`` in pixels, upright after EXIF orientation, or ``None`` where the file is
        missing or no image, which reading it reports.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
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
    """Encode an image in the format of a file name extension.

    Args:
        image: uint8 array (H, W, 3), RGB, or (H, W), grayscale.
        extension: str, such as ``".png"`` or ``".jpg"``.
        quality: int from 0 to 100, of a JPEG; ``None`` for OpenCV's default.

    Returns:
        bytes, the file's content.

    Raises:
        ValueError: OpenCV cannot write such an image or such a format.
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


def scan_folder(folder: str) -> List["os.DirEntry[str]"]:
    """The entries of a folder, in no order.

    Raises:
        UserError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error


def is_image_entry(entry: "os.DirEntry[str]") -> bool:
    """Whether an :class:`os.DirEntry` is an image, by its extension; hidden files are not.

    A broken link counts, so that reading it reports the missing image.
    """
    if not entry.name.lower().endswith(IMAGE_EXTENSIONS) or entry.name.startswith("."):
        return False
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:  # a link to itself
        return True


def is_folder_entry(entry: "os.DirEntry[str]") -> bool:
    """Whether an :class:`os.DirEntry` is a folder that is not hidden; links are followed."""
    try:
        return not entry.name.startswith(".") and entry.is_dir()
    except OSError:  # a link to itself
        return False


def image_names(folder: str) -> List[str]:
    """Sorted names of the images in a folder, possibly none; sub-folders are left out.

    Raises:
        UserError: the folder cannot be listed.
    """
    return sorted(entry.name for entry in scan_folder(folder) if is_image_entry(entry))


def list_images(path: str) -> List[str]:
    """The images that a command-line argument stands for.

    Args:
        path: str, an image file (whatever its extension) or a folder (not searched recursively).

    Returns:
        List of str: the file itself, or the folder's images sorted by name.

    Raises:
        UserError: nothing is there, or the folder holds no image.
    """
    if os.path.isdir(path):
        names = image_names(path)
        if not names:
            expected = " ".join(IMAGE_EXTENSIONS)
            raise UserError(
                f"{path}: no images in this folder; expected files ending in {expected}"
            )
        return [os.path.join(path, name) for name in names]
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file or folder; expected images")
    return [path]
