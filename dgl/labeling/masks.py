"""Masks of objects: a map's region refined on the image's own edges, its box and its outline."""

import os
from typing import NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from PIL import Image

from dgl.data.sample import Box
from dgl.labeling.labels import Polygon, box_iou
from dgl.labeling.objects import Region
from dgl.predict.grabcut import Seeds, pseudo_mask

# An outline's points lie at most so far from the mask's edge, as a part of the image's longer side.
_TOLERANCE = 0.002
# A mask whose box has less in common with the map's is one of something else.
_LEAST_IOU = 0.1


class Mask(NamedTuple):
    """The mask of one object."""

    pixels: np.ndarray  # (S, S) bool, at the side that GrabCut saw, whatever the image's shape
    box: Box  # `(x0, y0, x1, y1)` floats, half open, as fractions of the image's sides


def refine(
    image: np.ndarray, score: np.ndarray, region: Region, others: np.ndarray, seeds: Seeds
) -> Mask:
    """The mask of an object whose region in a map is known.

    Of the parts that GrabCut finds it is the one that has most in common with the region, or the region
    itself where that has little or GrabCut finds nothing.

    Args:
        image: of :func:`~dgl.predict.grabcut.small_image`.
        score: (h, w) float32 in [0, 1], the map.
        region: the object's part of it.
        others: (h, w) bool, the parts of other objects, which are background here.
        seeds: of GrabCut.
    """
    side = image.shape[0]
    size = (side, side)
    known = cv2.resize(region.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    height, width = score.shape
    x0, y0, x1, y1 = region.box
    unrefined = Mask(known, (x0 / width, y0 / height, x1 / width, y1 / height))
    found = pseudo_mask(image, np.where(others, 0, score), seeds)
    if found is None:
        return unrefined
    # Pixels that touch at a corner are one part.
    count, parts, table, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    shared = np.bincount(np.asarray(parts, np.int32)[known], minlength=count)
    shared[0] = 0
    best = int(shared.argmax())
    x, y, columns, rows = table[best, :4].tolist()
    box = (x / side, y / side, (x + columns) / side, (y + rows) / side)
    if not shared[best] or box_iou(box, unrefined.box) < _LEAST_IOU:
        return unrefined
    return Mask(parts == best, box)


def full_size(mask: Mask, width: int, height: int) -> np.ndarray:
    """The mask in the image's pixels, (height, width) bool."""
    resized = cv2.resize(mask.pixels.astype(np.float32), (width, height))
    return np.asarray(resized > 0.5)


def outline(pixels: np.ndarray) -> Tuple[Polygon, ...]:
    """The outline of a mask, (H, W) bool in one piece, as polygons of COCO; holes are filled.

    Returns:
        One polygon ``(x, y, x, y, ...)``, whose ends are those of the half-open box of the mask, or none
        for a mask of fewer than three points.
    """
    found = cv2.findContours(pixels.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contours = found[-2]
    if not contours:
        return ()
    contour = max(contours, key=cv2.contourArea)
    low, high = contour[:, 0].min(axis=0), contour[:, 0].max(axis=0)
    points = cv2.approxPolyDP(contour, _TOLERANCE * max(pixels.shape), True)[:, 0].astype(float)
    if len(points) < 3 or (high == low).any():
        return ()
    # A contour goes through the centers of the outermost pixels; its stretched copy surrounds them.
    kept_low, kept_high = points.min(axis=0), points.max(axis=0)
    points = low + (points - kept_low) * ((high + 1 - low) / np.maximum(kept_high - kept_low, 1))
    return (tuple(round(float(value), 2) for value in points.ravel()),)


def write_png(path: str, masks: Sequence[Optional[np.ndarray]], width: int, height: int) -> None:
    """Write the masks of an image's objects as one PNG of indexed colors, as PASCAL VOC does.

    Masks are (H, W) bool or ``None``. A pixel has the number of its object, from 1, the first one's where
    several have it, and 0 elsewhere.
    """
    numbers = np.zeros((height, width), np.uint8)
    for number, mask in reversed(list(enumerate(masks, 1))):
        if mask is not None:
            numbers[mask] = min(number, 255)
    image = Image.fromarray(numbers, "P")
    image.putpalette(_palette())
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image.save(path)


def _palette() -> bytes:
    """PASCAL VOC's colors: bit 0, 1, 2 of a number is the highest bit of red, green, blue, and so on."""
    bits = np.arange(256)[:, np.newaxis, np.newaxis] >> np.arange(24).reshape(8, 3) & 1
    return np.packbits(bits.astype(bool), axis=1).tobytes()
