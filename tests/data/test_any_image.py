"""Images as programs have them: every kind gives the RGB pixels that it shows, or one line."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image
from refusals import refusal

from dgl.data.any_image import decoded_image, listed_images
from dgl.errors import ArgumentError, UserError

RGB = np.random.RandomState(0).randint(0, 256, (7, 9, 3)).astype(np.uint8)
GRAY = RGB[..., 0]
GRAY_RGB = np.repeat(GRAY[..., None], 3, axis=2)
ALPHA = np.where(GRAY > 99, 255, 0).astype(np.uint8)
ON_WHITE = np.where(ALPHA[..., None] > 0, RGB, 255)
GRAY_ON_WHITE = np.where(ALPHA[..., None] > 0, GRAY_RGB, 255)
LA = Image.merge("LA", list(map(Image.fromarray, (GRAY, ALPHA))))


class Tensor:
    """What PyTorch's and TensorFlow's tensors have in common."""

    def __init__(self, array):
        self.shape = array.shape
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array


class OnDevice:
    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")


STORED = io.BytesIO()  # at its end
Image.fromarray(RGB).save(STORED, "PNG")
CLOSED = io.BytesIO()
CLOSED.close()


def in_memory(mode, image=RGB, orientation=1, **info):
    made = Image.fromarray(image).convert(mode)
    made.getexif()[0x0112] = orientation
    made.info.update(info)
    return made


def shown(mode):
    """RGB's pixels as Pillow has them in another mode."""
    return np.asarray(in_memory(mode).convert("RGB"))


KINDS = {
    "array": (RGB, RGB),
    "view that is not contiguous": (RGB[::-1, ::-1], RGB[::-1, ::-1]),
    "gray": (GRAY, GRAY_RGB),
    "gray with a channel": (GRAY[..., None], GRAY_RGB),
    "gray with alpha": (np.dstack([GRAY, ALPHA]), GRAY_ON_WHITE),
    "RGBA": (np.dstack([RGB, ALPHA]), ON_WHITE),
    "int64": (RGB.astype(np.int64), RGB),
    "uint16": (RGB.astype(np.uint16) * 257, RGB),
    "uint16 of 8 bits": (RGB.astype(np.uint16), RGB),
    "bool": (GRAY > 99, np.repeat((GRAY > 99)[..., None], 3, 2) * 255),
    "float64 in 0..1": (RGB / 255.0, RGB),
    "float16 in 0..1": ((RGB / 255.0).astype(np.float16), RGB),
    "a little beyond 1": (RGB / 254.99, RGB),
    "float32 in 0..255": (RGB.astype(np.float32), RGB),
    "black": (np.zeros((7, 9, 3)), np.zeros((7, 9, 3))),
    "tensor": (Tensor(RGB), RGB),
    "PIL RGB": (Image.fromarray(RGB), RGB),
    "PIL L": (Image.fromarray(GRAY), GRAY_RGB),
    "PIL LA": (LA, GRAY_ON_WHITE),
    "PIL RGBA": (Image.fromarray(np.dstack([RGB, ALPHA])), ON_WHITE),
    "PIL P": (in_memory("P"), shown("P")),
    "PIL 1": (in_memory("1"), shown("1")),
    "PIL CMYK": (in_memory("CMYK"), RGB),
    "PIL HSV": (in_memory("HSV"), shown("HSV")),
    "PIL I;16": (Image.fromarray(GRAY.astype(np.uint16) * 257), GRAY_RGB),
    "PIL I": (Image.fromarray(GRAY.astype(np.int32) * 257), GRAY_RGB),
    "PIL I of 8 bits": (in_memory("I", GRAY), GRAY_RGB),
    "PIL F in 0..1": (Image.fromarray((GRAY / 255.0).astype(np.float32)), GRAY_RGB),
    "PIL F in 0..255": (in_memory("F", GRAY), GRAY_RGB),
    "PIL La": (LA.convert("La"), GRAY_ON_WHITE),
    "PIL RGBa": (Image.fromarray(np.dstack([RGB, ALPHA])).convert("RGBa"), ON_WHITE),
    "PIL RGBX": (in_memory("RGBX"), RGB),
    "PIL PA": (in_memory("P").convert("PA"), shown("P")),
    "PIL YCbCr": (in_memory("YCbCr"), shown("YCbCr")),
    "PIL P, all clear": (in_memory("P", transparency=bytes(256)), np.full((7, 9, 3), 255)),
    "PIL RGB, a color clear": (in_memory("RGB", transparency=tuple(map(int, RGB[0, 0]))),
                               np.where((RGB[0, 0] == RGB).all(2, keepdims=True), 255, RGB)),
    "PIL with EXIF": (in_memory("RGB", orientation=6), np.rot90(RGB, -1)),
    "bytes of a file": (STORED.getvalue(), RGB),
    "file in memory": (io.BytesIO(STORED.getvalue()), RGB),
    "file in memory that was just written": (STORED, RGB),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_its_pixels(kind):
    image, expected = KINDS[kind]
    found = decoded_image(image)
    assert found.image.dtype == np.uint8 and found.size == found.image.shape[1::-1]
    tolerance = 1 if "float16" in kind or "beyond" in kind else 0
    np.testing.assert_allclose(found.image.astype(int), np.asarray(expected, int), atol=tolerance)


@pytest.mark.parametrize("of", [str, pathlib.Path, np.str_])
def test_paths(tmp_path, of):
    path = tmp_path / "ä b.png"
    Image.fromarray(RGB).save(str(path))
    np.testing.assert_array_equal(decoded_image(of(str(path))).image, RGB)


@pytest.mark.parametrize("image, words", [
    (True, "True"),
    (3.5, "3.5"),
    ([[0, 1], [2, 3]], "a list"),
    (RGB / 200.0, "from 0 to 1.2"),
    (RGB / 127.5 - 1, "0 to 1 or 0 to 255"),
    (RGB.astype(int) * 2, "0 to 255"),
    (RGB.astype(int) - 1, "-1"),
    (np.full((4, 4, 3), np.nan), "nan"),
    (np.moveaxis(RGB, -1, 0), "moveaxis"),
    (np.zeros((4, 4, 5), np.uint8), r"\(4, 4, 5\)"),
    (RGB[None], r"\(1, 7, 9, 3\)"),
    (np.uint8(3), r"\(\)"),
    (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
    (np.array([[{}]]), "object"),
    (OnDevice(), "OnDevice .*cuda:0"),
    ("tabby cat", "tabby cat: no such file"), ("", "'': no such file"),
    ("https://a.org/b.jpg", "expected the path of a file, .*urlretrieve"),
    ("data:image/png;base64,iVBORw0KGgo=", "an address"), ("a\0b", "cannot be read"),
    (io.StringIO("text"), "expected a binary file"), (CLOSED, "closed file"),
    (pathlib.Path("/tmp"), "a folder"), (b"GIF89a", "image"),
])  # fmt: skip
def test_what_is_no_image_gives_a_line(image, words):
    with pytest.raises(UserError, match=words) as caught:
        decoded_image(image)
    is_file = isinstance(image, (str, bytes, io.IOBase, pathlib.Path))
    assert is_file or isinstance(caught.value, ArgumentError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("images, count", [
    ("a.jpg", 1), (pathlib.Path("a.jpg"), 1), (b"...", 1), (memoryview(b"..."), 1),
    (Image.fromarray(RGB), 1), (RGB, 1), (GRAY, 1), (Tensor(RGB), 1),
    ([RGB, GRAY], 2), ((RGB, GRAY), 2), (iter([RGB, GRAY]), 2), ({"a": 1}.keys(), 1), ([], 0),
    (np.stack([RGB, RGB, RGB]), 3), (np.array(["a.jpg", "b.jpg"]), 2),
    (True, None), (3, None), (None, None), ({"a": RGB}, None), ({"a.jpg"}, None),
])  # fmt: skip
def test_one_image_or_several(images, count):
    if count is None:
        assert "images: " in refusal(listed_images, images)
    else:
        assert len(list(listed_images(images))) == count


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("scale", [1, 255.0])
def test_arrays_of_opencv(channels, scale):
    turned = np.dstack([RGB[..., ::-1], np.full(GRAY.shape, 255, "uint8")])[..., :channels]
    found = decoded_image(turned / scale if scale > 1 else turned, "bgr").image
    np.testing.assert_array_equal(found, RGB)
    np.testing.assert_array_equal(decoded_image(GRAY, "bgr").image, GRAY_RGB)
    assert "channels 'gbr': expected one of rgb, bgr" in refusal(decoded_image, RGB, "gbr")
