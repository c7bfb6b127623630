"""How a picture becomes the network's square input, and where its boxes go: one view a protocol."""

from typing import Callable, NamedTuple

import numpy as np

from dgl.data.geometry import resize_bilinear_tf1, resize_centre_crop, squash

WSOL_MAP_SIZE = 224


class View(NamedTuple):
    """One picture as a protocol sees it.

    Attributes:
        image: uint8 RGB (S, S, 3).
        boxes: (K, 4), the true boxes in pixels of a square of side ``map_size``.
        map_size: side at which score maps are compared with the boxes.
    """

    image: np.ndarray
    boxes: np.ndarray
    map_size: int


class Geometry(NamedTuple):
    """A protocol's geometry: a description and ``view(image, boxes, size) -> View``."""

    description: str
    view: Callable


def _fixed(image, boxes, size):
    view, moved = resize_centre_crop(image, boxes, fixed_resize(size), size)
    return View(view, moved, size)


def fixed_resize(size: int) -> int:
    """Side before the crop: 256 for 224, the same ratio for other inputs."""
    return int(round(size * 256 / 224.0))


def _wsol(image, boxes, size):
    view, moved = squash(image, boxes, size)
    if size != WSOL_MAP_SIZE:
        _, moved = squash(image, boxes, WSOL_MAP_SIZE)
    return View(view, moved, WSOL_MAP_SIZE)


GEOMETRIES = {
    "fixed_threshold": Geometry("resized by 8/7, centre crop, boxes moved and clipped", _fixed),
    "wsolevaluation": Geometry("squashed without a crop, score maps and boxes at 224 x 224", _wsol),
}


def demo_input(image: np.ndarray, size: int) -> np.ndarray:
    """The per-image demo's input: TF 1's bilinear resize, aspect ignored, no rounding.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: side S.

    Returns:
        (S, S, 3) float32 BGR in 0..255.
    """
    return resize_bilinear_tf1(image, size, size)[..., ::-1]
