"""Segmentation masks of a picture as one array in the geometry of score maps (wsolevaluation's rule)."""

from typing import Dict, Optional, Sequence, Tuple

import cv2
import numpy as np

from dgl.data.image_io import read_image
from dgl.errors import UserError

OBJECT, IGNORED = 1, 255


def read_mask(mask_paths: Sequence[str], ignore_path: Optional[str], size: int) -> np.ndarray:
    """Read and squash the masks of one picture.

    Whatever is not black belongs to a mask. Masks are resized to their nearest pixels, and the object is
    the union of all; what the ignore mask marks beside the object does not count.

    Args:
        mask_paths: sequence of str, at least one.
        ignore_path: str or ``None``.
        size: int, the side of the square.

    Returns:
        uint8 array (size, size): 1 on the object, 255 where nothing counts, 0 elsewhere.

    Raises:
        UserError: a mask cannot be read, or the masks of one picture differ in size.
    """
    shapes: Dict[Tuple[int, ...], str] = {}
    parts = [_read(path, size, shapes) for path in mask_paths]
    mask = np.any(parts, axis=0).astype(np.uint8) * np.uint8(OBJECT)
    if ignore_path is not None:
        mask[_read(ignore_path, size, shapes) & (mask != OBJECT)] = IGNORED
    return mask


def _read(path, size, shapes):
    image = read_image(path)
    shapes[image.shape] = path
    if len(shapes) > 1:
        described = ["{1} x {0} in {2}".format(*shape[:2] + (p,)) for shape, p in shapes.items()]
        raise UserError("{}: expected masks of one size, got {}".format(path, ", ".join(described)))
    resized = cv2.resize(image.max(axis=2), (size, size), interpolation=cv2.INTER_NEAREST)
    return resized > 0
