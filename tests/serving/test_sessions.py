"""Uploads and sessions: limits, formats, names, and the maps that are kept."""

import os

import numpy as np
import pytest
from PIL import Image
from refusals import refusal

from dgl.serving import sessions
from dgl.serving.sessions import Limits, Session, read_upload, shown_name

SMALL = np.arange(48 * 40 * 3, dtype=np.uint8).reshape(40, 48, 3)


def save(folder, name, image=SMALL):
    path = os.path.join(str(folder), name)
    Image.fromarray(image).save(path)
    return path


@pytest.mark.parametrize("extension", ["png", "bmp", "tif"])
def test_an_image_up_to_the_limits(tmp_path, extension):
    path = save(tmp_path, "a." + extension)
    size, pixels = os.path.getsize(path), 48 * 40
    session = read_upload(path, str(tmp_path), Limits(size, pixels))
    assert np.array_equal(session.image, SMALL) and session.name == "a." + extension
    for limits, words in ((Limits(size - 1), " MB; "), (Limits(size, pixels - 1), "megapixels")):
        assert words in refusal(read_upload, path, str(tmp_path), limits)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.png: not an image"),
        (lambda _: b"P6 2 2 255 " + b"0" * 12, "a.png: not an image"),
        (lambda _: b"", "a.png: "),
        (lambda whole: whole[:-40], "a.png: damaged or truncated image"),
    ],
)
def test_what_is_no_image(tmp_path, change, message):
    path = tmp_path / "a.png"
    save(tmp_path, "a.png")
    path.write_bytes(change(path.read_bytes()))
    text = refusal(read_upload, str(path), str(tmp_path), Limits())
    assert text.startswith(message) and str(tmp_path) not in text


def test_files_elsewhere_are_not_read(tmp_path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    outside = save(tmp_path, "secret.png")
    os.symlink(outside, str(uploads / "link.png"))
    for path in (outside, str(uploads / ".." / "secret.png"), str(uploads / "link.png"), ""):
        assert "expired" in refusal(read_upload, path, str(uploads), Limits())


@pytest.mark.parametrize(
    "path, shown",
    [
        ("/x/photo.jpg", "photo.jpg"),
        ("/x/a\x1b[31mb\n.png", r"a\x1b[31mb .png"),
        ("", "image"),
        ("n" * 100 + ".jpeg", "n" * 68 + "\u2026" + "nnnnnn.jpeg"),
    ],
)
def test_names_are_text(path, shown):
    assert shown_name(path) == shown


def test_maps_are_bounded(monkeypatch):
    monkeypatch.setattr(sessions, "_MOST_MAP_BYTES", 1000)
    session = Session(SMALL, "a")
    for key in range(4):
        session.store(key, np.zeros(100, np.float32))
    assert [session.find(key) is not None for key in range(4)] == [False, False, True, True]


@pytest.mark.parametrize(
    "shape, shown", [((30, 40), (30, 40)), ((600, 1280), (300, 640)), ((1280, 1), (640, 1))]
)
def test_images_are_shown_small(shape, shown):
    session = Session(np.zeros(shape + (3,), np.uint8), "")
    assert session.shown.shape == shown + (3,) and session.size == shape
