"""Strips of the gallery: layout, content of the panels, and captions with either font."""

import numpy as np
import pytest

from dgl.predict.overlay import PREDICTED_COLOR, TRUTH_COLOR, overlay
from dgl.report import strips
from dgl.report.strips import Entry, caption, compose_tile

GAP = 8
CAPTION = 34


def has(image, color):
    return bool((image == color).all(axis=2).any())


@pytest.mark.parametrize(
    "count, rows, columns", [(0, 1, 1), (1, 1, 2), (3, 1, 4), (4, 2, 3), (9, 3, 4)]
)
@pytest.mark.parametrize("shape", [(60, 80), (80, 60)])
def test_layout(count, rows, columns, shape):
    image = np.zeros(shape + (3,), np.uint8)
    entries = [Entry("dgl@a", np.zeros((4, 4)))] * count
    tile = compose_tile(image, [], entries, panel=100)
    height = min(100 * shape[0] // shape[1], 125)
    assert tile.shape == (rows * (height + CAPTION + GAP) - GAP, columns * (100 + GAP) - GAP, 3)


def test_panels_hold_image_then_overlays():
    rng = np.random.RandomState(0)
    image = rng.randint(0, 256, (100, 100, 3)).astype(np.uint8)
    score_map = rng.rand(7, 7)
    entries = [Entry("plain", score_map), Entry("boxed", score_map, box=(10, 20, 60, 70), iou=0.5)]
    tile = compose_tile(image, (), entries, panel=100)
    panels = [tile[:100, i * 108 : i * 108 + 100] for i in range(3)]
    np.testing.assert_array_equal(panels[0], image)
    np.testing.assert_array_equal(panels[1], overlay(image, score_map))
    changed = (panels[2] != panels[1]).any(axis=2)
    y, x = np.nonzero(changed)
    assert (abs(np.array([x.min(), y.min(), x.max(), y.max()]) - [10, 20, 60, 70]) <= 2).all()
    assert has(panels[2], PREDICTED_COLOR) and not has(panels[1], PREDICTED_COLOR)


def test_true_box_is_in_every_panel_and_scaled_with_the_image():
    image = np.full((50, 50, 3), 90, np.uint8)
    tile = compose_tile(image, [(10, 10, 30, 40)], [Entry("e", np.zeros((5, 5)))], panel=200)
    for i in range(2):
        panel = tile[:200, i * 208 : i * 208 + 200]
        assert tuple(panel[100, 40]) == TRUTH_COLOR and tuple(panel[160, 80]) == TRUTH_COLOR


@pytest.mark.parametrize("with_font", [True, False])
def test_captions(monkeypatch, with_font):
    if not with_font:
        monkeypatch.setattr(strips, "_font", lambda: None)
    strip = caption("dgl@conv5_3", "IoU 0.71", 300)
    assert strip.shape == (CAPTION, 300, 3) and strip.dtype == np.uint8
    dark = np.flatnonzero((strip.min(axis=2) < 160).any(axis=0))
    assert dark.min() < 15 and dark.max() > 280
    empty = caption("", "", 300)
    assert (empty == 255).all()
    left_only = caption("dgl@conv5_3", "", 300)
    assert (left_only[:, 200:] == 255).all() and (left_only[:, :100] < 160).any()
    # A long name is cut short, and leaves the number on the right as it is.
    long_name = caption("w" * 200, "IoU 0.71", 300)
    number = caption("", "IoU 0.71", 300)
    np.testing.assert_array_equal(long_name[:, 235:], number[:, 235:])
