"""Headers that claim too much are refused before a decoder sees them; sound ones pass."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from dgl.data import image_io
from dgl.data.image_io import MOST_COMMENT, MOST_EXIF, MOST_SCANS, check_headers, read_image
from dgl.errors import UserError

NOISE = np.random.RandomState(0).randint(0, 256, (40, 50, 3)).astype(np.uint8)


def saved(form, **options):
    stream = io.BytesIO()
    Image.fromarray(NOISE).save(stream, form, **options)
    return stream.getvalue()


def check(tmp_path, data):
    path = tmp_path / "picture"
    path.write_bytes(data)
    with open(str(path), "rb") as stream:
        check_headers(stream)
        assert stream.tell() == 0
    return str(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_sound_pictures_pass(tmp_path, form):
    data = saved(form)
    check(tmp_path, data)
    for end in range(0, len(data), max(1, len(data) // 50)):
        check(tmp_path, data[:end])  # the decoder tells of those that end early


def with_scans(count):
    data = saved("JPEG", progressive=True)
    own = data.count(b"\xff\xda")
    begin = data.rindex(b"\xff\xda")
    return data[:-2] + data[begin:-2] * (count - own) + data[-2:]


def test_scans(tmp_path):
    check(tmp_path, with_scans(MOST_SCANS))
    with pytest.raises(ValueError, match=r"101 scans, expected at most 100"):
        check(tmp_path, with_scans(MOST_SCANS + 1))


def with_exif(size):
    data, left = saved("JPEG"), size
    segments = b""
    while left > 8:
        length = min(65535, left)
        segments += b"\xff\xe1" + struct.pack(">H", length) + b"Exif\0\0" + b"\0" * (length - 8)
        left -= length
    return data[:2] + segments + data[2:]


def test_exif(tmp_path):
    check(tmp_path, with_exif(2 * 65535))
    with pytest.raises(ValueError, match="bytes of Exif data"):
        check(tmp_path, with_exif(3 * 65535))
    assert MOST_EXIF >= 2 * 65535


def test_other_application_segments_may_be_many(tmp_path):
    data = saved("JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 60002) + b"http://ns.adobe.com/" + b"\0" * 59980
    assert read_image(check(tmp_path, data[:2] + segment * 40 + data[2:])).shape == NOISE.shape


@pytest.mark.parametrize("order, big", [("<", False), (">", False), ("<", True), (">", True)])
def test_tags(tmp_path, order, big):
    def tiff(tags, count):
        mark = b"II" if order == "<" else b"MM"
        head = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
        number = struct.pack(order + ("Q" if big else "H"), tags)
        form = order + ("HHQQ" if big else "HHII")
        entries = b"".join(struct.pack(form, i, 5, count, 8) for i in range(min(tags, 65535)))
        return mark + head + number + entries + b"\0" * 1000

    check(tmp_path, tiff(10, 10))
    with pytest.raises(ValueError, match="its tags claim more than its"):
        check(tmp_path, tiff(10, 1000))
    if big:
        with pytest.raises(ValueError, match="tags, expected at most 65535"):
            check(tmp_path, tiff(2**60, 1))


def with_comment(size):
    data = saved("GIF")
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0)
    parts = [min(255, size - begin) for begin in range(0, size, 255)]
    blocks = b"".join(bytes([length]) + b"c" * length for length in parts)
    return data[:place] + b"!\xfe" + blocks + b"\0" + data[place:]


def test_comment(tmp_path):
    assert read_image(check(tmp_path, with_comment(MOST_COMMENT))).shape == NOISE.shape
    with pytest.raises(ValueError, match="a comment of more than"):
        check(tmp_path, with_comment(MOST_COMMENT + 1))


def test_the_reader_says_so(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(with_scans(MOST_SCANS + 1))
    with pytest.raises(UserError, match=r"a\.jpg: damaged image: 101 scans"):
        read_image(str(path))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16", "CMYK"])
def test_strips_give_what_the_whole_gives(tmp_path, monkeypatch, mode):
    image = Image.fromarray(NOISE)
    if mode == "I;16":
        image = Image.fromarray(NOISE[:, :, 0].astype(np.uint16) * 200)
    elif mode.endswith("A"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(NOISE[:, :, 0]))
    else:
        image = image.convert(mode)
    path = str(tmp_path / "a.tif")
    image.save(path)
    whole = read_image(path)
    monkeypatch.setattr(image_io, "_STRIP", 3 * NOISE.shape[1] + 7)
    np.testing.assert_array_equal(read_image(path), whole)


def test_transparent_palette_in_strips(tmp_path, monkeypatch):
    path = str(tmp_path / "a.png")
    Image.fromarray(NOISE).convert("P").save(path, transparency=bytes(range(256)))
    whole = read_image(path)
    monkeypatch.setattr(image_io, "_STRIP", 3 * NOISE.shape[1])
    np.testing.assert_array_equal(read_image(path), whole)
