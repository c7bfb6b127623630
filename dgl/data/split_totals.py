"""Published sizes of the data sets, by which a loader tells a truncated copy from a whole one.

Sizes: Choe et al., *Evaluating Weakly Supervised Object Localization Methods Right*, CVPR 2020.
A part of a set that somebody chose (a few classes, a thousand images) is no truncated copy, so a
total is only checked where the number of images comes close to it.
"""

import logging
from typing import Any, Optional, Sequence

from dgl.errors import UserError

_logger = logging.getLogger(__name__)

# Share of the published images from which on a copy is taken for the whole set.
NEARLY = 0.98

CUB_CLASSES = 200
CUB_IMAGES = 11788
CUB_TEST_IMAGES = 5794
ILSVRC_CLASSES = 1000
ILSVRC_IMAGES = 50000
ILSVRC_BOXES = 80477

# By the short names of the two sets, as the layouts of lists and the published networks have them.
CLASSES = {"cub": CUB_CLASSES, "imagenet": ILSVRC_CLASSES}

# (name, split of wsolevaluation) -> images, boxes or None.
WSOL_TOTALS = {
    ("CUB", "val"): (1000, None),
    ("CUB", "test"): (CUB_TEST_IMAGES, None),
    ("ILSVRC", "val"): (10000, None),
    ("ILSVRC", "test"): (ILSVRC_IMAGES, ILSVRC_BOXES),
}


def is_nearly(found: int, expected: int) -> bool:
    """Whether ``found`` is so close to ``expected`` that the whole set should be there."""
    return abs(found - expected) <= (1 - NEARLY) * expected + 1e-6


def check_total(where: str, what: str, found: int, expected: int) -> None:
    """Compare a number with the published one.

    Args:
        where: str naming the file or folder for the message.
        what: str, what was counted.
        found: int.
        expected: int.

    Raises:
        UserError: they differ.
    """
    if found != expected:
        raise UserError(f"{where}: {found} {what}; expected {expected} in the full set")


def check_images_and_boxes(
    where: str,
    samples: Sequence[Any],
    images: int,
    boxes: Optional[int] = None,
    with_boxes: bool = True,
    strict: bool = True,
) -> None:
    """Compare a nearly full split with its published numbers of images and of boxes.

    Args:
        where: str naming the file or folder for the message.
        samples: sequence with an attribute ``boxes`` each.
        images: int, the published number of images.
        boxes: int, that of boxes, or ``None`` where none is published.
        with_boxes: bool, whether boxes were read.
        strict: bool, ``False`` only warns of another number of boxes.

    Raises:
        UserError: the split is nearly full, but not exactly as published.
    """
    if not is_nearly(len(samples), images):
        return
    check_total(where, "pictures", len(samples), images)
    if boxes is None or not with_boxes:
        return
    try:
        check_total(where, "boxes", sum(len(sample.boxes) for sample in samples), boxes)
    except UserError as error:
        if strict:
            raise
        _logger.warning("%s", error)
