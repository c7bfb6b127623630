"""What visitors may send, and what is left of it."""

import os

import numpy as np
import pytest
from PIL import Image

from dgl.errors import UserError
from dgl.serving.limits import Limits, UploadFolder, read_upload, shown_name

SMALL = np.arange(48 * 40 * 3, dtype=np.uint8).reshape(40, 48, 3)


def save(folder, name, picture=SMALL):
    path = os.path.join(str(folder), name)
    Image.fromarray(picture).save(path)
    return path


@pytest.mark.parametrize("extension", ["png", "bmp", "tif"])
def test_a_picture(tmp_path, extension):
    path = save(tmp_path, "a." + extension)
    image, name = read_upload(path, str(tmp_path), Limits())
    assert np.array_equal(image, SMALL) and name == "a." + extension


@pytest.mark.parametrize(
    "limits, message",
    [
        (Limits(most_bytes=100), r"a.png: 0.0 MB; expected a file of at most 0.0001 MB"),
        (Limits(most_pixels=1919), r"a.png: 48 x 40 pixels; expected at most 0.001919 megapixels"),
    ],
)
def test_too_large(tmp_path, limits, message):
    path = save(tmp_path, "a.png")
    with pytest.raises(UserError, match="^" + message + "$"):
        read_upload(path, str(tmp_path), limits)


def test_limits_are_inclusive(tmp_path):
    path = save(tmp_path, "a.png")
    read_upload(path, str(tmp_path), Limits(os.path.getsize(path), 48 * 40))


@pytest.mark.parametrize(
    "data, message",
    [
        (
            b"no image at all",
            "a.png: not an image; expected a JPEG, PNG, WebP, GIF, BMP or TIFF",
        ),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.png: not an image"),
        (b"P6 2 2 255 " + b"0" * 12, "a.png: not an image"),
        (b"", "a.png: "),
        (None, "a.png: damaged or truncated image"),
    ],
)
def test_what_is_no_picture(tmp_path, data, message):
    path = save(tmp_path, "a.png")
    if data is None:
        with open(path, "rb") as stream:
            data = stream.read()[:-40]
    with open(path, "wb") as stream:
        stream.write(data)
    with pytest.raises(UserError) as raised:
        read_upload(path, str(tmp_path), Limits())
    text = str(raised.value)
    assert text.startswith(message) and str(tmp_path) not in text and "\n" not in text


def test_files_elsewhere_are_not_read(tmp_path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    outside = save(tmp_path, "secret.png")
    os.symlink(outside, str(uploads / "link.png"))
    for path in (outside, str(uploads / ".." / "secret.png"), str(uploads / "link.png"), ""):
        with pytest.raises(UserError, match="no longer there"):
            read_upload(path, str(uploads), Limits())


@pytest.mark.parametrize(
    "path, shown",
    [
        ("/x/photo.jpg", "photo.jpg"),
        ("/x/a\x1b[31mb\n.png", r"a\x1b[31mb .png"),
        ("", "picture"),
        ("n" * 100 + ".jpeg", "n" * 68 + "\u2026" + "nnnnnn.jpeg"),
    ],
)
def test_names_are_text(path, shown):
    assert shown_name(path) == shown


def put(folder, name, age, now, size=10):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(b"x" * size)
    os.utime(path, (now - age, now - age))
    return path


def test_old_uploads_go(tmp_path):
    with UploadFolder(kept_seconds=60, sweep_seconds=3600) as uploads:
        now = 1e9
        old, new = (put(uploads.path, name, age, now) for name, age in (("a/o", 61), ("b/n", 59)))
        os.utime(os.path.dirname(old), (now - 61, now - 61))
        uploads.sweep(now)
        assert not os.path.exists(old) and os.path.exists(new)
        os.utime(os.path.dirname(old), (now - 61, now - 61))
        uploads.sweep(now)
        assert os.listdir(uploads.path) == ["b"]


def test_the_oldest_go_where_there_are_too_many_bytes():
    with UploadFolder(sweep_seconds=3600, most_bytes=25) as uploads:
        paths = [put(uploads.path, name, age, 1e9) for name, age in (("a", 3), ("b", 2), ("c", 1))]
        uploads.sweep(1e9)
        assert [os.path.exists(path) for path in paths] == [False, True, True]


def test_the_folder_is_private_and_goes_at_the_end():
    with UploadFolder() as uploads:
        put(uploads.path, "a/b", 0, 1e9)
        assert os.stat(uploads.path).st_mode & 0o077 == 0
    assert not os.path.exists(uploads.path)


def test_it_is_swept_by_itself():
    with UploadFolder(kept_seconds=0, sweep_seconds=0.01) as uploads:
        path = put(uploads.path, "a", 3600, 1e9)
        for _ in range(500):
            if not os.path.exists(path):
                break
            uploads._stop.wait(0.01)
        assert not os.path.exists(path)
