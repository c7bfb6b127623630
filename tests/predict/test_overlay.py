"""Heat maps, overlays, boxes and images on disk, against the formula and by their properties."""

import os

import cv2
import numpy as np
import pytest

from dgl.errors import UserError
from dgl.predict.overlay import (
    PREDICTED_COLOR,
    TRUTH_COLOR,
    colorize,
    draw_boxes,
    overlay,
    write_image,
)


def jet(level):
    """The piecewise linear JET map at ``level`` in [0, 1], RGB in [0, 255]."""
    channels = [1.5 - abs(4 * level - peak) for peak in (3, 2, 1)]
    return 255 * np.clip(channels, 0, 1)


@pytest.mark.parametrize("level", [0, 40, 64, 127, 128, 200, 255])
def test_colorize_is_jet_in_rgb_order(level):
    color = colorize(np.full((2, 3), level / 255.0 + 1e-6))
    assert color.shape == (2, 3, 3) and color.dtype == np.uint8
    # OpenCV's table has its knots slightly elsewhere than the closed form.
    np.testing.assert_allclose(color[0, 0], jet(level / 255.0), atol=6)


def test_overlay_is_the_published_mixture():
    rng = np.random.RandomState(0)
    image, score_map = rng.randint(0, 256, (20, 30, 3)).astype(np.uint8), rng.rand(20, 30)
    bgr = cv2.applyColorMap(np.uint8(255 * score_map), cv2.COLORMAP_JET)
    mixed = overlay(image, score_map)
    assert mixed.dtype == np.uint8
    np.testing.assert_allclose(mixed.astype(float), 0.3 * image + 0.7 * bgr[..., ::-1], atol=1)


def test_overlay_resizes_the_map_bilinearly():
    mixed = overlay(np.zeros((40, 60, 3), np.uint8), np.array([[0.0, 1.0]]))
    assert mixed.shape == (40, 60, 3)
    # Half-pixel centers: constant outside the two sample points, linear between them.
    columns = (np.arange(60) + 0.5) / 30.0 - 0.5
    expected = [0.7 * jet(level) for level in np.clip(columns, 0, 1)]
    np.testing.assert_allclose(mixed[7].astype(float), expected, atol=8)


def test_boxes_have_their_colors_and_lie_on_their_edges():
    image = np.full((200, 200, 3), 90, np.uint8)
    drawn = draw_boxes(image, (20, 30, 80, 90), np.array([[100, 110, 180, 170]]))
    assert (image == 90).all() and not np.shares_memory(image, drawn)
    for x, y in ((20, 60), (80, 60), (50, 30), (50, 90)):
        assert tuple(drawn[y, x]) == PREDICTED_COLOR
    for x, y in ((100, 140), (180, 140), (140, 110), (140, 170)):
        assert tuple(drawn[y, x]) == TRUTH_COLOR
    assert tuple(drawn[60, 50]) == (90, 90, 90)
    np.testing.assert_array_equal(draw_boxes(image, (0, 0, 0, 0), ()), image)
    np.testing.assert_array_equal(draw_boxes(image), image)


@pytest.mark.parametrize("name", ["a.png", "deep/er/b c#.PNG", "\u00fc.png"])
def test_png_round_trip(tmp_path, name):
    rgb = np.random.RandomState(1).randint(0, 256, (9, 7, 3)).astype(np.uint8)
    path = tmp_path / name
    write_image(str(path), rgb)
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read[..., ::-1], rgb)
    assert os.listdir(str(path.parent)) == [path.name]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.png").mkdir()
    for name in ("file/a.png", "folder.png", "a.nothing", "a", "a.", ".png/.."):
        with pytest.raises(UserError, match=name.split("/")[0]):
            write_image(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    assert sorted(os.listdir(str(tmp_path))) == ["file", "folder.png"]
