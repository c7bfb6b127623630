"""The rule of the photographs: names of pictures, their class and split, sizes and boxes.

All of it follows from a picture's id and its annotation, so that any two makings agree.
"""

import re
import zlib
from typing import Optional, Sequence, Tuple, TypeVar

_Corners = TypeVar("_Corners", bound=Sequence[float])

CLASS_NAMES = ("apple", "banana", "kangaroo", "orange", "raccoon")
LONGEST_SIDE = 384

_ID = re.compile("({})_[0-9]{{5}}".format("|".join(CLASS_NAMES)))


def make_id(class_name: str, number: int) -> str:
    """``kangaroo_00090`` from a class name and a number of 0 to 99999.

    Raises:
        ValueError: either is none.
    """
    image_id = "{}_{:05d}".format(class_name, number)
    class_index_of(image_id)
    return image_id


def class_index_of(image_id: str) -> int:
    """Index of a picture's class in :data:`CLASS_NAMES`, from its id.

    Raises:
        ValueError: that is no id of this data set.
    """
    match = _ID.fullmatch(image_id)
    if match is None:
        raise ValueError("{!r} is no id; expected as kangaroo_00090".format(image_id))
    return CLASS_NAMES.index(match.group(1))


def split_of(image_id: str) -> str:
    """``"val"`` where the CRC-32 of the id is divisible by 4, else ``"train"``."""
    return "train" if zlib.crc32(image_id.encode("ascii")) % 4 else "val"


def scaled_size(size: Sequence[int]) -> Tuple[int, ...]:
    """A picture's size when its longest side is brought down to :data:`LONGEST_SIDE`.

    Args:
        size: ``(width, height)`` in pixels, 1 or more.

    Returns:
        ``(width, height)``, ints; ``size`` itself where it is small enough.
    """
    longest = max(size)
    if longest <= LONGEST_SIDE:
        return tuple(size)
    return tuple(max(1, round(side * LONGEST_SIDE / longest)) for side in size)


def scaled_box(
    box: Sequence[float], size: Tuple[int, ...], new_size: Tuple[int, ...]
) -> Optional[Tuple[int, ...]]:
    """A box in the pixels of a scaled picture: scaled, rounded (halves to even), clipped.

    The two axes have scales of their own, since the shorter side of the picture was rounded.

    Args:
        box: ``(x0, y0, x1, y1)`` in pixels of the picture as annotated.
        size: ``(width, height)`` of that picture.
        new_size: ``(width, height)`` after scaling.

    Returns:
        ``(x0, y0, x1, y1)`` ints in ``0 .. side - 1``, or ``None`` where no area is left.
    """
    corners = []
    for value, old, new in zip(box, size * 2, new_size * 2):
        corners.append(min(max(round(value * new / old), 0), new - 1))
    return tuple(corners) if _area(corners) > 0 else None


def largest_box(boxes: Sequence[_Corners]) -> _Corners:
    """The box of the largest area, the first of them where several are.

    Args:
        boxes: sequence of ``(x0, y0, x1, y1)``, one or more.
    """
    return max(boxes, key=_area)


def _area(box):
    x0, y0, x1, y1 = box
    return (x1 - x0) * (y1 - y0)
