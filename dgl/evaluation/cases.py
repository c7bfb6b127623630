"""How a predicted box fails: it covers a part of the object, more than the object, or lies elsewhere."""

import numpy as np

from dgl import boxes as box_ops
from dgl.typing_names import ArrayLike

RIGHT, PART, MORE, ELSEWHERE = CASES = ("right", "part", "more", "elsewhere")
_MOSTLY = 0.5


def case_of(box: ArrayLike, true_boxes: ArrayLike, iou: float = 0.5) -> str:
    """The case of one predicted box, by the true box that it overlaps most.

    ``right``: the IoU is reached. ``part``: most of the box lies on the object, and it misses more of
    the object than it has beside it. ``more``: most of the object lies in the box, which reaches beyond.
    ``elsewhere``: neither.

    Args:
        box: numbers (4,), ``x0, y0, x1, y1``, both ends belonging to it.
        true_boxes: numbers (G, 4), G at least 1.
        iou: float, the overlap from which a box is right.

    Returns:
        str, one of :data:`CASES`.

    Raises:
        ValueError: no true box, or a malformed one.
    """
    box, true_boxes = box_ops.as_boxes(box)[0], box_ops.as_boxes(true_boxes)
    overlaps = box_ops.iou(box, true_boxes)[0]
    best = int(np.argmax(overlaps))
    if overlaps[best] >= iou:
        return RIGHT
    truth = true_boxes[best]
    sides = np.minimum(box[2:], truth[2:]) - np.maximum(box[:2], truth[:2]) + 1
    shared = float(np.prod(np.maximum(sides, 0)))
    of_box = shared / float(np.prod(box[2:] - box[:2] + 1))
    of_truth = shared / float(np.prod(truth[2:] - truth[:2] + 1))
    if of_box >= _MOSTLY and of_box >= of_truth:
        return PART
    return MORE if of_truth >= _MOSTLY else ELSEWHERE
