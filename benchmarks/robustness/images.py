"""Valid and damaged images of every supported format."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image
from sample_images import blob_image

from .case import ANY, GOOD, Case
from .mutate import around, refused

KIND = "images"


def _saved(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def sound():
    """name -> bytes of small valid images."""
    rgb = Image.fromarray(blob_image(3)[:48, :64])
    gray = rgb.convert("L")
    alpha = rgb.copy()
    alpha.putalpha(gray)
    other = Image.fromarray(blob_image(4)[:48, :64])
    both = {"save_all": True, "append_images": [other]}
    deep = cv2.imencode(".png", np.asarray(gray).astype(np.uint16) * 257)[1].tobytes()
    found = {
        "plain.jpg": _saved(rgb, "JPEG"),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True),
        "gray.jpg": _saved(gray, "JPEG"),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG"),
        "plain.png": _saved(rgb, "PNG"),
        "gray.png": _saved(gray, "PNG"),
        "bits.png": _saved(gray.convert("1"), "PNG"),
        "gray16.png": deep,
        "alpha.png": _saved(alpha, "PNG"),
        "gray_alpha.png": _saved(alpha.convert("LA"), "PNG"),
        "palette.png": _saved(rgb.convert("P"), "PNG"),
        "palette_clear.png": _saved(rgb.convert("P"), "PNG", transparency=bytes(range(256))),
        "animated.png": _saved(rgb, "PNG", **both),
        "animated.gif": _saved(rgb.convert("P"), "GIF", **both),
        "plain.gif": _saved(rgb, "GIF"),
        "plain.webp": _saved(rgb, "WEBP"),
        "animated.webp": _saved(rgb, "WEBP", **both),
        "plain.bmp": _saved(rgb, "BMP"),
        "plain.tif": _saved(rgb, "TIFF"),
        "packed.tif": _saved(rgb, "TIFF", compression="tiff_lzw"),
        "plain.ppm": _saved(rgb, "PPM"),
        "plain.pgm": _saved(gray, "PPM"),
        "plain.jp2": _saved(rgb, "JPEG2000"),
    }
    for orientation in range(1, 9):
        name = f"turned_{orientation}.jpg"
        found[name] = _saved(rgb, "JPEG", exif=_exif(orientation))
    return found


def png_chunk(kind, body):
    crc = zlib.crc32(kind + body) & 0xFFFFFFFF
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(width, height, data=b"", color=2, depth=8, extra=b""):
    """A PNG with a header of that size, whatever its data are."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", data)
        + png_chunk(b"IEND", b"")
    )


def zeros_png(width, height, color=2, depth=8):
    """A sound image of zeros, a thousandth of its pixels' size."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + width * channels * depth // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return png(width, height, data, color, depth)


def jpeg_of_size(width, height):
    """A JPEG whose frame header states another size than its data have."""
    data = bytearray(_saved(Image.new("RGB", (16, 16)), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def scans_jpeg(side, scans):
    """A progressive JPEG whose last scan is there again and again: each is a pass over all pixels."""
    data = _saved(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    begin = data.rindex(b"\xff\xda")
    table = data.rindex(b"\xff\xc4", 0, begin)
    return data[:-2] + data[table:-2] * scans + data[-2:]


def tags(entries, size, prefix=b"II*\0", total=None):
    """A directory of TIFF with many entries that all refer to the same bytes."""
    directory = b"".join(
        struct.pack("<HHII", 40000 + number, 7, size, 8 + 2 + 12 * entries + 4)
        for number in range(entries)
    )
    head = prefix + struct.pack("<I", 8) + struct.pack("<H", entries)
    return head + directory + struct.pack("<I", 0) + b"\0" * size


def exif_segments(blob):
    """A JPEG with Exif data of any length, which readers join out of segments."""
    data = _saved(Image.new("RGB", (16, 16)), "JPEG")
    parts = [blob[begin : begin + 65000] for begin in range(0, len(blob), 65000)]
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts
    )
    # Without JFIF's density readers look for it in the Exif data.
    begin = data.index(b"\xff\xdb")
    return data[:2] + segments + data[begin:]


def commented_gif(size):
    """A GIF with a comment of ``size`` bytes, in parts of 255."""
    data = _saved(Image.new("P", (8, 8)), "GIF")
    place = data.index(b",", 13)
    blocks = (b"\xff" + b"c" * 255) * (size // 255) + b"\0"
    return data[:place] + b"!\xfe" + blocks + data[place:]


def bombs():
    """Images that claim more than they hold, or that take far more than their size to read."""
    big = {
        "png of 60,000 x 60,000.png": png(60000, 60000),
        "png of 2**31-1.png": png(2**31 - 1, 2**31 - 1),
        "jpeg of 60,000 x 60,000.jpg": jpeg_of_size(60000, 60000),
        "bmp of 2**31-1.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**31 - 1,
                                                  2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
        "ppm of 60,000 x 60,000.ppm": b"P6\n60000 60000\n255\n",
        "ppm of many digits.ppm": b"P6\n" + b"9" * 100000 + b" 1\n255\n",
        "gif of 65,535 x 65,535.gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
        + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x08\x00;",
        "tiff of 60,000 x 60,000.tif": _saved(Image.new("L", (8, 8)), "TIFF").replace(
            struct.pack("<HHII", 256, 4, 1, 8), struct.pack("<HHII", 256, 4, 1, 60000)),
    }  # fmt: skip
    for name, data in big.items():
        yield refused(KIND, name, {name: data})
    long = {
        "1 x 1.png": zeros_png(1, 1),
        "20,000 x 1.png": zeros_png(20000, 1),
        "1 x 20,000.png": zeros_png(1, 20000),
    }
    for name, data in long.items():
        yield Case(KIND, name, {name: data}, GOOD)
    for name, data in {
        "jpeg of 65,500 x 1.jpg": jpeg_of_size(65500, 1),
        "no height.png": png(5, 0),
        "no width.jpg": jpeg_of_size(0, 9),
        "half of its data.png": png(4000, 4000, zlib.compress(b"\0" * 4000)),
        "text of 64 MB.png": png(
            1, 1, zlib.compress(b"\0" * 4),
            extra=png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (64 << 20), 9))),
        "profile of 64 MB.png": png(
            1, 1, zlib.compress(b"\0" * 4),
            extra=png_chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * (64 << 20), 9))),
        "more data than pixels.png": png(1, 1, zlib.compress(b"\0" * (64 << 20), 9)),
        "exif tags on the same bytes.png": png(
            1, 1, zlib.compress(b"\0" * 4), extra=png_chunk(b"eXIf", tags(20000, 300000))),
        "exif tags on the same bytes.jpg": exif_segments(tags(20000, 300000)),
        "tags on the same bytes.tif": tags(20000, 300000),
        "comment of 12 MB.gif": commented_gif(12 << 20),
        "scans without end.jpg": scans_jpeg(4000, 4000),
        "text.jpg": b"hello, this is text\n" * 50,
        "page.png": b"<html><script>alert(1)</script></html>",
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "zip.jpg": b"PK\x03\x04" + b"\0" * 99,
    }.items():  # fmt: skip
        yield Case(KIND, name, {name: data}, ANY)
    # The largest that are read: what bounds the memory of a reader.
    for name, make in {
        "100 megapixels.png": lambda: zeros_png(10000, 10000),
        "100 megapixels of transparency.png": lambda: zeros_png(10000, 10000, 6),
        "100 megapixels of 16 bits.png": lambda: zeros_png(10000, 10000, 0, 16),
        "100 megapixels of 16 bits and color.png": lambda: zeros_png(10000, 10000, 2, 16),
        "100 megapixels.jpg": lambda: _saved(
            Image.new("RGB", (10000, 10000)), "JPEG", progressive=True, exif=_exif(6)),
        "99 megapixels.webp": lambda: _saved(Image.new("RGBA", (16000, 6200)), "WEBP", method=0),
    }.items():  # fmt: skip
        yield Case(KIND, name, {name: make}, GOOD, slow=True)


def cases():
    """Yield every case of images."""
    found = sound()
    for name, data in found.items():
        slow = name.startswith("turned_") and not name.startswith("turned_6")
        yield from around(KIND, name, {name: data}, [name], slow=slow)
        stem, _, extension = name.rpartition(".")
        other = "png" if extension == "jpg" else "jpg"
        renamed = f"{stem}_{extension}.{other}"
        yield Case(KIND, renamed, {renamed: data}, GOOD, slow=slow)
    yield from bombs()
