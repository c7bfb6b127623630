"""Gallery: order and numbers of its records, counts of failure cases, strips and their captions."""

import numpy as np
import pytest

from dgl.predict.overlay import PREDICTED_COLOR, TRUTH_COLOR, overlay
from dgl.report.gallery import Entry, caption, case_counts, compose_tile, in_order, script_index

NAMES = ("file", "id", "true_class", "correct", "ious", "cases")
ITEMS = [
    ("a.jpg", "a", "dog", True, {"x": 0.2, "y": 0.9}, {"x": "part", "y": "right"}),
    ("a.jpg", "b", "cat", True, {"x": None, "y": 0.5}, {"x": None, "y": "right"}),
    ("a.jpg", "c", "dog", False, {"x": 0.5, "y": None}, {"x": "right", "y": None}),
    ("a.jpg", "d", "cat", False, {"x": None, "y": 0.1}, {"x": None, "y": "part"}),
]
ITEMS = [dict(zip(NAMES, item)) for item in ITEMS]


def test_order_and_index():
    # By the first entry's IoU from the highest down; without one last, as they came.
    items = in_order(ITEMS)
    assert [item["id"] for item in items] == ["c", "a", "b", "d"]
    assert script_index(items, ["cat", "dog"], ["right", "part"], 0.5) == [
        {"c": 1, "k": 0, "i": [0.5, None], "r": [1, -1], "f": [0, -1]},
        {"c": 1, "k": 1, "i": [0.2, 0.9], "r": [0, 1], "f": [1, 0]},
        {"c": 0, "k": 1, "i": [None, 0.5], "r": [-1, 1], "f": [-1, 0]},
        {"c": 0, "k": 0, "i": [None, 0.1], "r": [-1, 0], "f": [-1, 1]},
    ]


def test_case_counts():
    assert case_counts(ITEMS) == [("x", [1, 1, 0, 0, 2]), ("y", [2, 1, 0, 0, 3])]
    assert case_counts([{"cases": {"x": None}}]) == case_counts([]) == []


@pytest.mark.parametrize(
    "count, rows, columns", [(0, 1, 1), (1, 1, 2), (3, 1, 4), (4, 2, 3), (9, 3, 4)]
)
@pytest.mark.parametrize("shape", [(60, 80), (80, 60)])
def test_layout(count, rows, columns, shape):
    image = np.zeros(shape + (3,), np.uint8)
    entries = [Entry("dgl@a", np.zeros((4, 4)))] * count
    tile = compose_tile(image, [], entries, panel=100)
    height = min(100 * shape[0] // shape[1], 125)  # then 34 of a caption, and 8 between the panels
    assert tile.shape == (rows * (height + 42) - 8, columns * 108 - 8, 3)


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
    is_drawn = [(panel == PREDICTED_COLOR).all(axis=2).any() for panel in panels]
    assert is_drawn == [False, False, True]


def test_true_box_is_in_every_panel_and_scaled_with_the_image():
    image = np.full((50, 50, 3), 90, np.uint8)
    tile = compose_tile(image, [(10, 10, 30, 40)], [Entry("e", np.zeros((5, 5)))], panel=200)
    for i in range(2):
        panel = tile[:200, i * 208 : i * 208 + 200]
        assert tuple(panel[100, 40]) == TRUTH_COLOR and tuple(panel[160, 80]) == TRUTH_COLOR


@pytest.mark.parametrize("pillow", ["new", "old"])
def test_captions(monkeypatch, pillow):
    if pillow == "old":  # whose default font has no size
        monkeypatch.setattr("PIL.ImageFont.load_default", lambda: None)
    strip = caption("dgl@conv5_3", "IoU 0.71", 300)
    assert strip.shape == (34, 300, 3) and strip.dtype == np.uint8
    dark = np.flatnonzero((strip.min(axis=2) < 160).any(axis=0))
    assert dark.min() < 15 and dark.max() > 280
    # A long name is cut short, and leaves the number on the right as it is.
    long_name, number = (caption(name, "IoU 0.71", 300) for name in ("w" * 200, ""))
    np.testing.assert_array_equal(long_name[:, 235:], number[:, 235:])
