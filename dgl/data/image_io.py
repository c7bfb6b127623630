"""Reading images: one reader for training, evaluation and the demo.

Whatever an image file holds, :func:`read_image` gives 8-bit RGB. Transparent pixels are composited
on white, the usual background of a page, so what hides under them does not show.
"""

import os
import stat
import struct
import warnings
from typing import BinaryIO, List

import numpy as np
from PIL import Image

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
    """Decode an image file to 8-bit RGB, upright.

    Grayscale, CMYK and palette images become RGB; transparency is composited on white; 16-bit
    grayscale is scaled (65535 becomes 255); EXIF orientation is applied; of an animation the first
    frame is taken.

    Args:
        path: str, the image file.

    Returns:
        uint8 array (H, W, 3), RGB, contiguous and writable.

    Raises:
        UserError: the file is missing, empty, no image, damaged or truncated, claims what no
            image has (:mod:`dgl.data.image_io`), or has more than :data:`PIXEL_LIMIT` pixels
            (checked from its header, before decoding).
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise UserError(f"{path}: {kind}; expected an image file")
        if status.st_size == 0:
            raise UserError(f"{path}: the file is empty; expected an image")
        with open(path, "rb") as stream:
            return _decode(stream, path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected an image") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{quote(path, 400)}: cannot be read: {reason}") from error


def _decode(stream, path):
    try:
        check_headers(stream)
    except ValueError as error:
        raise UserError(f"{path}: damaged image: {error}") from error
    try:
        image = Image.open(stream, formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{path}: not an image (no known format)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(_too_large(path)) from error
    # Pillow's readers raise almost any exception on damaged data, so nothing narrower would do.
    except Exception as error:
        raise UserError(f"{path}: damaged image: {_reason(error)}") from error
    try:
        if 0 in image.size:
            raise UserError(f"{path}: an image without pixels")
        if image.size[0] * image.size[1] > PIXEL_LIMIT:
            raise UserError(_too_large(path, image.size))
        image.load()
        rgb, orientation = _to_rgb(image, path), _orientation(image)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: damaged or truncated image: {_reason(error)}") from error
    finally:
        image.close()  # its pixels are not needed beside the upright ones
    return _upright(rgb, orientation)


def _too_large(path, size=None):
    found = "too many pixels" if size is None else "{} x {} pixels".format(*size)
    return f"{path}: {found}; expected an image of at most {PIXEL_LIMIT // 1000000} megapixels"


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
        raise UserError(f"{path}: floating-point image; expected 8 or 16 bits a channel")
    return np.array(image.convert("RGB"))


def _gray_to_rgb(gray):
    return np.repeat(gray[:, :, np.newaxis], 3, axis=2)


def _scale_16_bit(values, path):
    # Depending on its version, Pillow gives 16-bit grayscale as uint16 or int32.
    values = values.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UserError(f"{path}: values beyond 16 bits; expected 8 or 16 bits a channel")
    return ((values + 128) // 257).astype(np.uint8)


def _on_white(rgba):
    alpha = rgba[:, :, 3:].astype(np.uint16)
    # At most 255 * 255 + 127, which uint16 holds.
    mixed = rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)


def _orientation(image):
    # Pillow's TIFF reader turns the image itself; whether it drops the tag depends on its version.
    if image.format == "TIFF":
        return 1
    try:
        stored = (image.info.get("exif"), image.info.get("Raw profile type exif"))
        if max(len(part or "") for part in stored) > MOST_EXIF:
            return 1
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:
        # Damaged metadata beside a sound image: as if there were none.
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
    """Whether an :class:`os.DirEntry` is an image, by its extension; dot files are not.

    A link that leads nowhere is one: reading it tells of the image that is lost.
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
    """Sorted names of the images in a folder, by extension; sub-folders and dot files left out.

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
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error


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
            raise UserError(
                "{}: no images in this folder; expected files ending in {}".format(
                    path, " ".join(IMAGE_EXTENSIONS)
                )
            )
        return [os.path.join(path, name) for name in names]
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file or folder; expected images")
    return [path]


# What an image file may claim before a decoder sees it.

# Programs write about ten scans, those that look for the smallest file a few dozen.
MOST_SCANS = 100
# Two segments of JPEG; nothing but a damaged file has more.
MOST_EXIF = 2 * 65536
MOST_COMMENT = 1 << 20

_SCAN = b"\xff\xda"
_BLOCK = 1 << 20
_EXIF = b"Exif\0\0"
_TAG_SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8,
    18: 8,
}  # fmt: skip


def check_headers(stream: BinaryIO) -> None:
    """Look through the headers of a JPEG, TIFF or GIF; other files pass.

    Args:
        stream: binary file that can seek; left at its beginning.

    Raises:
        ValueError: they claim what no sound image has.
        OSError: the file cannot be read.
    """
    stream.seek(0)
    head = stream.read(4)
    try:
        if head.startswith(b"\xff\xd8"):
            _check_jpeg(stream)
        elif head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            _check_tiff(stream, head)
        elif head.startswith(b"GIF8"):
            _check_gif(stream)
    except (struct.error, IndexError):
        pass  # it ends early, which the decoder says
    stream.seek(0)


def _check_jpeg(stream):
    exif = 0
    stream.seek(2)
    while True:
        marker, length = struct.unpack(">2sH", stream.read(4))
        if marker == b"\xff\xe1" and stream.read(len(_EXIF)) == _EXIF:
            exif += length
            stream.seek(-len(_EXIF), os.SEEK_CUR)
        elif marker == b"\xff\xe1":
            stream.seek(-len(_EXIF), os.SEEK_CUR)
        if exif > MOST_EXIF:
            raise ValueError(f"more than {MOST_EXIF} bytes of Exif data")
        if marker[:1] != b"\xff" or marker == _SCAN or length < 2:
            break
        stream.seek(length - 2, os.SEEK_CUR)
    # Within a scan a byte of 255 is followed by 0, so that nothing else looks like the next one.
    scans, tail = 1, b""
    for block in iter(lambda: stream.read(_BLOCK), b""):
        scans += (tail + block).count(_SCAN)
        tail = block[-1:]
    if scans > MOST_SCANS:
        raise ValueError(f"{scans} scans, expected at most {MOST_SCANS}")


def _check_tiff(stream, head):
    order = "<" if head.startswith(b"I") else ">"
    big = b"+" in head
    offset, number, entry = ("Q", "Q", "HHQ8x") if big else ("I", "H", "HHI4x")
    stream.seek(8 if big else 4)
    stream.seek(_read(stream, order + offset)[0])
    tags = _read(stream, order + number)[0]
    if tags > 65535:
        raise ValueError(f"{tags} tags, expected at most 65535")
    room, claimed = os.fstat(stream.fileno()).st_size, 0
    for _ in range(tags):
        _, kind, count = _read(stream, order + entry)
        claimed += count * _TAG_SIZES.get(kind, 1)
        if claimed > room:
            raise ValueError(f"its tags claim more than its {room} bytes")


def _read(stream, form):
    return struct.unpack(form, stream.read(struct.calcsize(form)))


def _check_gif(stream):
    stream.seek(10)
    flags = stream.read(1)[0]
    stream.seek(13 + (3 << (flags & 7) + 1 if flags & 128 else 0))
    comment = 0
    while stream.read(1) == b"!":
        is_comment = stream.read(1) == b"\xfe"
        for size in iter(lambda: stream.read(1)[0], 0):
            comment += size if is_comment else 0
            stream.seek(size, os.SEEK_CUR)
            if comment > MOST_COMMENT:
                raise ValueError(f"a comment of more than {MOST_COMMENT} bytes")
