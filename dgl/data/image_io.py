"""Reading pictures: one reader for training, evaluation and the demo.

Whatever a picture file holds, :func:`read_image` gives 8-bit RGB. Transparent pixels are composited
on white, the usual background of a page, so what hides under them does not show.
"""

import os
import stat
import warnings
from typing import List

import numpy as np
from PIL import Image

from dgl.data.picture_headers import MOST_EXIF, check_headers
from dgl.data.sample import quote
from dgl.errors import UserError
from dgl.terminal import printable

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

# Raster formats only: some of Pillow's other readers start external programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000")
_EXIF_ORIENTATION = 0x0112
# Pixels that are converted at a time, so that what lies between the decoder and the result is small.
_STRIP = 4 * 1000 * 1000

# Pillow warns from 89 megapixels on; PIXEL_LIMIT is the limit here, and going over it is an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# It also tells of damaged metadata beside sound pixels, in lines that look like a failure.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def read_image(path: str) -> np.ndarray:
    """Decode a picture file to 8-bit RGB, upright.

    Grayscale, CMYK and palette pictures become RGB; transparency is composited on white; 16-bit
    grayscale is scaled (65535 becomes 255); EXIF orientation is applied; of an animation the first
    frame is taken.

    Args:
        path: str, the picture file.

    Returns:
        uint8 array (H, W, 3), RGB, contiguous and writable.

    Raises:
        UserError: the file is missing, empty, no picture, damaged or truncated, claims what no
            picture has (:mod:`dgl.data.picture_headers`), or has more than :data:`PIXEL_LIMIT` pixels
            (checked from its header, before decoding).
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise UserError("{}: {}; expected a picture file".format(path, kind))
        if status.st_size == 0:
            raise UserError("{}: the file is empty; expected a picture".format(path))
        with open(path, "rb") as stream:
            return _decode(stream, path)
    except FileNotFoundError as error:
        raise UserError("{}: no such file; expected a picture".format(path)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError("{}: cannot be read: {}".format(quote(path, 400), reason)) from error


def _decode(stream, path):
    try:
        check_headers(stream)
    except ValueError as error:
        raise UserError("{}: damaged picture: {}".format(path, error)) from error
    try:
        image = Image.open(stream, formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise UserError("{}: not a picture (no known format)".format(path)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(_too_large(path)) from error
    # Pillow's readers raise almost any exception on damaged data, so nothing narrower would do.
    except Exception as error:
        raise UserError("{}: damaged picture: {}".format(path, _reason(error))) from error
    try:
        if 0 in image.size:
            raise UserError("{}: a picture without pixels".format(path))
        if image.size[0] * image.size[1] > PIXEL_LIMIT:
            raise UserError(_too_large(path, image.size))
        image.load()
        rgb, orientation = _to_rgb(image, path), _orientation(image)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            "{}: damaged or truncated picture: {}".format(path, _reason(error))
        ) from error
    finally:
        image.close()  # its pixels are not needed beside the upright ones
    return _upright(rgb, orientation)


def _too_large(path, size=None):
    found = "too many pixels" if size is None else "{} x {} pixels".format(*size)
    return "{}: {}; expected a picture of at most {} megapixels".format(
        path, found, PIXEL_LIMIT // 1000000
    )


def _reason(error):
    return printable(" ".join(str(error).split())) or type(error).__name__


def _to_rgb(image, path):
    width, height = image.size
    rows = max(1, _STRIP // width)
    if rows >= height:
        return _convert(image, path)
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        rgb[top:bottom] = _convert(image.crop((0, top, width, bottom)), path)
    return rgb


def _convert(image, path):
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or (
        "transparency" in image.info and image.mode in ("RGB", "L", "P", "1")
    ):
        return _on_white(np.asarray(image.convert("RGBA")))
    if image.mode == "RGB":
        return np.array(image)
    if image.mode.startswith("I"):
        return _gray_to_rgb(_scale_16_bit(np.asarray(image), path))
    if image.mode in ("L", "1"):
        return _gray_to_rgb(np.asarray(image.convert("L")))
    if image.mode == "F":
        raise UserError("{}: floating-point picture; expected 8 or 16 bits a channel".format(path))
    return np.array(image.convert("RGB"))


def _gray_to_rgb(gray):
    return np.repeat(gray[:, :, np.newaxis], 3, axis=2)


def _scale_16_bit(values, path):
    # Depending on its version, Pillow gives 16-bit grayscale as uint16 or int32.
    values = values.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UserError("{}: values beyond 16 bits; expected 8 or 16 bits a channel".format(path))
    return ((values + 128) // 257).astype(np.uint8)


def _on_white(rgba):
    alpha = rgba[:, :, 3:].astype(np.uint16)
    # At most 255 * 255 + 127, which uint16 holds.
    mixed = rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)


def _orientation(image):
    # Pillow's TIFF reader turns the picture itself; whether it drops the tag depends on its version.
    if image.format == "TIFF":
        return 1
    try:
        stored = (image.info.get("exif"), image.info.get("Raw profile type exif"))
        if max(len(part or "") for part in stored) > MOST_EXIF:
            return 1
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:
        # Damaged metadata beside a sound picture: as if there were none.
        return 1


def _upright(array, orientation):
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def is_image_entry(entry: os.DirEntry) -> bool:
    """Whether an :class:`os.DirEntry` is a picture, by its extension; dot files are not.

    A link that leads nowhere is one: reading it tells of the picture that is lost.
    """
    if not entry.name.lower().endswith(IMAGE_EXTENSIONS) or entry.name.startswith("."):
        return False
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:  # a link to itself
        return True


def is_folder_entry(entry: os.DirEntry) -> bool:
    """Whether an :class:`os.DirEntry` is a folder that is not hidden; links are followed."""
    try:
        return not entry.name.startswith(".") and entry.is_dir()
    except OSError:  # a link to itself
        return False


def image_names(folder: str) -> List[str]:
    """Sorted names of the pictures in a folder, by extension; sub-folders and dot files left out.

    Args:
        folder: str.

    Returns:
        List of str, possibly empty.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if is_image_entry(entry))
    except OSError as error:
        raise UserError("{}: cannot be listed: {}".format(folder, error.strerror)) from error


def list_images(path: str) -> List[str]:
    """The pictures that a command-line argument stands for.

    Args:
        path: str, a picture file (whatever its extension) or a folder (not searched recursively).

    Returns:
        List of str: the file itself, or the folder's pictures sorted by name.

    Raises:
        UserError: nothing is there, or the folder holds no picture.
    """
    if os.path.isdir(path):
        names = image_names(path)
        if not names:
            raise UserError(
                "{}: no pictures in this folder; expected files ending in {}".format(
                    path, " ".join(IMAGE_EXTENSIONS)
                )
            )
        return [os.path.join(path, name) for name in names]
    if not os.path.exists(path):
        raise UserError("{}: no such file or folder; expected pictures".format(path))
    return [path]
