"""The image reader: every kind of file gives 8-bit RGB, or a one-line error; large ones are reduced."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from own_process import call
from PIL import Image
from refusals import check_refusal, refusal
from sample_images import exif_of

from dgl.data import image_io
from dgl.data.image_files import can_read_avif, can_read_heic
from dgl.data.image_io import Decoded, encode_image, read_image, read_reduced, turn_boxes, upright

HEIGHT, WIDTH = 40, 64


def save(tmp_path, image, name, **options):
    """Write an array or a PIL image; returns its path."""
    path = str(tmp_path / name)
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(path, **options)
    return path


def check(array, expected, tolerance=0):
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous and array.flags.writeable
    np.testing.assert_allclose(array.astype(int), np.asarray(expected, int), atol=tolerance)


def blocks(image, factor):
    """The means of an image's blocks of pixels."""
    return image.reshape(len(image) // factor, factor, -1, factor, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "misnamed.jpg"])
def test_lossless_rgb(tmp_path, rgb, name):
    form = "PNG" if name == "misnamed.jpg" else None
    check(read_image(save(tmp_path, rgb, name, format=form)), rgb)


@pytest.mark.parametrize(
    "mode, options, tolerance", [("L", {}, 4), ("CMYK", {"subsampling": 0}, 12)]
)
def test_jpeg_of_other_colors(tmp_path, rgb, mode, options, tolerance):
    image = Image.fromarray(rgb).convert(mode)
    path = save(tmp_path, image, "a.jpg", quality=98, **options)
    check(read_image(path), np.asarray(image.convert("RGB")), tolerance)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(tmp_path, rgb, mode):
    alpha = np.linspace(0, 255, HEIGHT * WIDTH).astype(np.uint8).reshape(HEIGHT, WIDTH)
    color = Image.fromarray(rgb).convert(mode[:-1])
    image = color.convert(mode)
    image.putalpha(Image.fromarray(alpha))
    opaque = np.asarray(color.convert("RGB"), float)
    part = alpha[:, :, np.newaxis] / 255.0
    check(read_image(save(tmp_path, image, "a.png")), np.rint(opaque * part + 255 * (1 - part)))


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_transparent_palette_entry_becomes_white(tmp_path, name):
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 750)
    image.putpixel((3, 1), 1)
    path = save(tmp_path, image, name, transparency=0)
    expected = np.full((2, 4, 3), 255)
    expected[1, 3] = 200, 100, 50
    check(read_image(path), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "color.png"])
def test_16_bits_are_scaled(tmp_path, rgb, name):
    values = np.array([[0, 128, 129, 255, 256], [257, 32768, 65278, 65406, 65535]], np.uint16)
    values = rgb.astype(np.uint16) * 257 if "color" in name else np.dstack([values] * 3)
    path = str(tmp_path / name)
    assert cv2.imwrite(path, values[..., ::-1] if "color" in name else values[..., 0])
    check(read_image(path), np.rint(values / 257.0))


@pytest.mark.parametrize("dtype, value", [(np.float32, 1), (np.int32, 70000)])
def test_more_than_16_bits_are_refused(tmp_path, dtype, value):
    path = save(tmp_path, np.array([[0, value]], dtype), "a.tif")
    check_refusal(r"a\.tif: .*expected 8 or 16 bits", read_image, path)


# EXIF: orientation o says where row 0 and column 0 of the stored image are; these undo it.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.avif", "a.heic"])
def test_exif_orientation(tmp_path, rgb, name, orientation):
    if (name == "a.avif" and not can_read_avif()) or (name == "a.heic" and not can_read_heic()):
        pytest.skip("not read here")
    options = {"exif": exif_of(orientation), "subsampling": 0}
    if name in ("a.webp", "a.avif", "a.heic"):
        options = {"exif": options["exif"].tobytes()}
    path = save(tmp_path, rgb, name, quality=98, **options)
    tolerance = {"a.png": 0, "a.tif": 0, "a.jpg": 4}.get(name, 12)
    check(read_image(path), UPRIGHT[orientation](rgb), tolerance)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_matter(tmp_path, rgb):
    path = save(tmp_path, rgb, "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert read_image(path).shape == rgb.shape


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_first_frame_of_an_animation(tmp_path, name):
    first, second = (Image.new("RGB", (6, 5), color) for color in ("red", "blue"))
    path = save(tmp_path, first, name, save_all=True, append_images=[second], lossless=True)
    check(read_image(path), np.tile(np.array([255, 0, 0]), (5, 6, 1)))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.bmp", "a.tif", "a.webp", "a.ppm"])
@pytest.mark.parametrize("kept", [0.1, 0.9])
def test_truncated_file_is_an_error(tmp_path, name, kept):
    noise = np.random.RandomState(0).randint(0, 256, (90, 80, 3)).astype(np.uint8)
    path = save(tmp_path, noise, name)
    os.truncate(path, int(os.path.getsize(path) * kept))
    assert refusal(read_image, path).startswith(path)


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("a.jpg", b"", "is empty"),
        ("a.jpg", b"hello, this is text\n" * 9, "not an image"),
        ("a.jpg", b"\xff\xd8\xff", ""),
        ("a.img", bytes([0, 0, 2] + [0] * 9 + [2, 0, 2, 0, 24, 32]) + b"x" * 12, "not an image"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "expected the package pillow-heif"),
    ],
    ids=["empty", "text", "JPEG's start", "no TGA by its name", "HEIC without its package"],
)
def test_what_is_no_image(tmp_path, monkeypatch, name, data, reason):
    monkeypatch.setattr(image_io, "can_read_heic", lambda: False)
    path = tmp_path / name
    path.write_bytes(data)
    message = refusal(read_image, str(path))
    assert message.startswith(f"{path}: ") and reason in message


def bomb(width, height):
    """A PNG whose header claims a size that its data do not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for body in (b"IHDR" + header, b"IDAT" + zlib.compress(b"\0" * 99), b"IEND"):
        data += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("width, height", [(10001, 10000), (13000, 13000), (2000000, 2000000)])
def test_too_many_pixels_is_known_from_the_header(tmp_path, rgb, monkeypatch, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(width, height))
    check_refusal(r"bomb\.png: .* at most 100 megapixels", read_image, str(path))
    monkeypatch.setattr(image_io, "PIXEL_LIMIT", HEIGHT * WIDTH)
    check(read_image(save(tmp_path, rgb, "a.png")), rgb)


def test_scans_of_a_jpeg_are_limited(tmp_path, rgb):
    path = save(tmp_path, rgb, "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    scan = data[data.rindex(b"\xff\xda") : -2]
    (tmp_path / "a.jpg").write_bytes(data[:-2] + scan * 100 + data[-2:])
    check_refusal(r"a\.jpg: .* scans; expected at most 100", read_image, path)


@pytest.mark.parametrize("extension, quality", [(".png", None), (".jpg", 90), (".jpg", None)])
def test_encoded_images_are_read_back(tmp_path, rgb, extension, quality):
    path = tmp_path / ("a" + extension)
    path.write_bytes(encode_image(rgb, extension, quality))
    check(read_image(str(path)), rgb, tolerance=0 if extension == ".png" else 12)
    path.write_bytes(encode_image(rgb[:, :, 0], ".png"))
    check(read_image(str(path)), rgb[:, :, [0, 0, 0]])
    with pytest.raises(ValueError):
        encode_image(rgb, ".xyz")


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("name, options", [
    ("a.jpg", {"quality": 97, "subsampling": 0}),
    ("a.jpg", {"quality": 97, "progressive": True}),
    ("a.png", {}),
    ("a.tif", {}),
    ("a.webp", {"lossless": True}),
])  # fmt: skip
def test_large_files_are_reduced(tmp_path, rgb, monkeypatch, name, options, orientation):
    path = save(tmp_path, rgb, name, exif=exif_of(orientation), **options)
    whole = read_image(path)
    assert read_reduced(path).size == whole.shape[1::-1]
    for limit, factor in ((HEIGHT * WIDTH, 1), (HEIGHT * WIDTH - 1, 2), (HEIGHT * WIDTH // 5, 4)):
        monkeypatch.setattr(image_io, "REDUCED_PIXELS", limit)
        found = read_reduced(path)
        assert found.size == whole.shape[1::-1] and found.orientation == orientation
        np.testing.assert_allclose(found.image, blocks(whole, factor), atol=4)


def test_strips_of_palettes_and_transparency(tmp_path, rgb, monkeypatch):
    monkeypatch.setattr(image_io, "_STRIP", 3)
    monkeypatch.setattr(image_io, "REDUCED_PIXELS", HEIGHT * WIDTH // 2)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :20] = 0
    for image in (np.dstack([rgb, alpha]), Image.fromarray(rgb).convert("P")):
        path = save(tmp_path, image, "a.png")
        expected = blocks(read_image(path).astype(float), 2)
        np.testing.assert_allclose(read_reduced(path).image, expected, atol=1)


def test_boxes_of_a_reduced_image():
    decoded = Decoded(np.zeros((50, 101, 3), np.uint8), (201, 99))
    box = np.array([[20, 30, 120, 90]])
    here = decoded.to_image(box)
    np.testing.assert_allclose(here, box * np.array([101 / 201, 50 / 99] * 2))
    np.testing.assert_array_equal(decoded.to_file(here), box)
    whole = Decoded(np.zeros((99, 201, 3), np.uint8), (201, 99))
    np.testing.assert_array_equal(whole.to_image(box), box)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_with_its_image(orientation):
    stored = np.zeros((HEIGHT, WIDTH), np.uint8)
    stored[5:12, 20:50] = 1
    shown = upright(stored, orientation)
    ((x0, y0, x1, y1),) = turn_boxes([(20, 5, 50, 12)], orientation, shown.shape[::-1])
    expected = np.zeros_like(shown)
    expected[int(y0) : int(y1), int(x0) : int(x1)] = 1
    np.testing.assert_array_equal(shown, expected)


def read_within(path, most):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read_reduced(path)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < float(most)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["large.jpg", "large.png"])
def test_the_memory_of_the_largest_image_is_bounded(tmp_path, name):
    """A file of 96 megapixels takes no more than what docs/security.md states."""
    image = Image.new("RGB", (12000, 8000), (200, 30, 30))
    path = save(tmp_path, image, name, **({"compress_level": 1} if ".png" in name else {}))
    call("data.test_image_io", "read_within", path, "0.7e9")
