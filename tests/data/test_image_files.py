"""Files of folders: every extension is read, what is left out is counted, large images are reduced."""

import os

import numpy as np
import pytest
from own_process import call
from PIL import Image

from dgl.data import image_files, image_io
from dgl.data.image_files import LeftOut, can_read_avif, can_read_heic, image_names, list_images
from dgl.data.image_io import Decoded, read_image, read_reduced, turn_boxes, upright
from dgl.errors import UserError

HEIGHT, WIDTH = 40, 64
# Pillow's format by extension, of those that are not named after it.
WRITTEN = {
    ".jfif": "JPEG", ".jpe": "JPEG", ".pjpeg": "JPEG", ".JPG": "JPEG", ".mpo": "JPEG", ".dib": "BMP",
    ".tga": "TGA", ".icb": "TGA", ".ico": "ICO", ".avif": "AVIF", ".heic": "HEIF", ".hif": "HEIF",
    ".j2k": "JPEG2000", ".jpx": "JPEG2000", ".pbm": "PPM", ".pnm": "PPM", ".apng": "PNG",
}  # fmt: skip


@pytest.fixture
def rgb():
    """A smooth image whose corners differ, so that every encoder keeps it."""
    x, y = np.linspace(0, 200, WIDTH)[None], np.linspace(0, 150, HEIGHT)[:, None]
    return np.stack([x + 0 * y, y + 0 * x, 255 - x / 2 - y / 2], axis=2).astype(np.uint8)


def write(path, rgb, form, **options):
    if form == "AVIF" and not can_read_avif():
        pytest.skip("this Pillow has no AVIF")
    if form == "HEIF" and not can_read_heic():
        pytest.skip("pillow-heif is not installed")
    if form == "ICO":
        options["sizes"] = [(WIDTH, HEIGHT)]
    Image.fromarray(rgb).save(str(path), form, **options)


@pytest.mark.parametrize("extension", sorted(WRITTEN))
def test_every_extension_is_listed_and_read(tmp_path, rgb, extension):
    path = tmp_path / ("a" + extension)
    write(path, rgb, WRITTEN[extension])
    assert list_images(str(tmp_path)) == [str(path)]
    np.testing.assert_allclose(read_image(str(path)).astype(int), rgb.astype(int), atol=12)


@pytest.mark.parametrize("form", ["AVIF", "HEIF", "WEBP"])
def test_orientation_of_other_formats(tmp_path, rgb, form):
    path, exif = tmp_path / ("a." + form.lower()), Image.Exif()
    exif[0x0112] = 6
    write(path, rgb, form, exif=exif.tobytes(), quality=95)
    turned = np.rot90(rgb, -1).astype(int)
    np.testing.assert_allclose(read_image(str(path)).astype(int), turned, atol=12)


def test_what_cannot_be_read_is_counted_and_named(tmp_path, rgb, monkeypatch):
    Image.fromarray(rgb).save(str(tmp_path / "a.png"))
    for name in ("b.heic", "c.HEIC", "d.svg", "e", "notes.txt", "boxes.xml", ".hidden.psd"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.psd").mkdir()
    monkeypatch.setattr(image_files, "can_read_heic", lambda: False)
    left_out = LeftOut()
    assert image_names(str(tmp_path), left_out) == ["a.png"]
    text = str(left_out)
    assert text.startswith("4 files left out")
    for part in ("2 .heic (pip install", "1 .svg", "1 without extension"):
        assert part in text
    os.remove(str(tmp_path / "a.png"))
    with pytest.raises(UserError, match="no images in this folder .4 files left out"):
        list_images(str(tmp_path))


def test_heic_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setattr(image_io, "can_read_heic", lambda: False)
    with pytest.raises(UserError, match=r"a\.heic: a HEIC image; expected the package pillow-heif"):
        read_image(str(tmp_path / "a.heic"))


def test_random_bytes_are_no_tga(tmp_path):
    (tmp_path / "a.img").write_bytes(bytes([0, 0, 2] + [0] * 9 + [2, 0, 2, 0, 24, 32]) + b"x" * 12)
    with pytest.raises(UserError, match="not an image"):
        read_image(str(tmp_path / "a.img"))


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("name, options", [
    ("a.jpg", {"quality": 97, "subsampling": 0}),
    ("a.jpg", {"quality": 97, "progressive": True}),
    ("a.png", {}),
    ("a.tif", {}),
    ("a.webp", {"lossless": True}),
])  # fmt: skip
def test_large_files_are_reduced(tmp_path, rgb, monkeypatch, name, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = str(tmp_path / name)
    Image.fromarray(rgb).save(path, exif=exif, **options)
    whole = read_image(path)
    assert read_reduced(path).size == whole.shape[1::-1]
    for limit, factor in ((HEIGHT * WIDTH, 1), (HEIGHT * WIDTH - 1, 2), (HEIGHT * WIDTH // 5, 4)):
        monkeypatch.setattr(image_io, "REDUCED_PIXELS", limit)
        found = read_reduced(path)
        assert found.size == whole.shape[1::-1] and found.orientation == orientation
        blocks = whole.reshape(len(whole) // factor, factor, -1, factor, 3).mean(axis=(1, 3))
        assert found.image.shape == blocks.shape
        np.testing.assert_allclose(found.image, blocks, atol=4)


def test_strips_of_palettes_and_transparency(tmp_path, rgb, monkeypatch):
    monkeypatch.setattr(image_io, "_STRIP", 3)
    monkeypatch.setattr(image_io, "REDUCED_PIXELS", HEIGHT * WIDTH // 2)
    alpha = np.where(np.arange(WIDTH) < 20, 0, 255).astype(np.uint8)
    rgba = np.dstack([rgb, np.tile(alpha, (HEIGHT, 1))])
    for number, image in enumerate([Image.fromarray(rgba), Image.fromarray(rgb).convert("P")]):
        path = str(tmp_path / f"{number}.png")
        image.save(path)
        whole = read_image(path).astype(float)
        blocks = whole.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(read_reduced(path).image, blocks, atol=1)


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
    path = str(tmp_path / name)
    Image.new("RGB", (12000, 8000), (200, 30, 30)).save(
        path, **({"compress_level": 1} if ".png" in name else {})
    )
    call("data.test_image_files", "read_within", path, "0.7e9")
