"""What a picture file may claim before a decoder sees it.

Some files take a reader far more than their size: a progressive JPEG takes a pass over all pixels for each
of its scans; tags of TIFF and of Exif may all refer to the same bytes, which are copied for each of them; a
comment of a GIF is put together in a time quadratic in its length. Whether Pillow bears them depends on its
version. Sources: ITU-T T.81, annex B; TIFF 6.0, section 2; GIF89a, sections 15 and 24.
"""

import os
import struct
from typing import BinaryIO

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
        ValueError: they claim what no sound picture has.
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
            raise ValueError("more than {} bytes of Exif data".format(MOST_EXIF))
        if marker[:1] != b"\xff" or marker == _SCAN or length < 2:
            break
        stream.seek(length - 2, os.SEEK_CUR)
    # Within a scan a byte of 255 is followed by 0, so that nothing else looks like the next one.
    scans, tail = 1, b""
    for block in iter(lambda: stream.read(_BLOCK), b""):
        scans += (tail + block).count(_SCAN)
        tail = block[-1:]
    if scans > MOST_SCANS:
        raise ValueError("{} scans, expected at most {}".format(scans, MOST_SCANS))


def _check_tiff(stream, head):
    order = "<" if head.startswith(b"I") else ">"
    big = b"+" in head
    offset, number, entry = ("Q", "Q", "HHQ8x") if big else ("I", "H", "HHI4x")
    stream.seek(8 if big else 4)
    stream.seek(_read(stream, order + offset)[0])
    tags = _read(stream, order + number)[0]
    if tags > 65535:
        raise ValueError("{} tags, expected at most 65535".format(tags))
    room, claimed = os.fstat(stream.fileno()).st_size, 0
    for _ in range(tags):
        _, kind, count = _read(stream, order + entry)
        claimed += count * _TAG_SIZES.get(kind, 1)
        if claimed > room:
            raise ValueError("its tags claim more than its {} bytes".format(room))


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
                raise ValueError("a comment of more than {} bytes".format(MOST_COMMENT))
