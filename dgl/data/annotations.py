"""True boxes and masks of one image: PASCAL VOC's XML files and mask images.

One image's objects from an XML file in the form of PASCAL VOC, as ILSVRC has them.

An annotation comes from outside, so it is parsed by ``defusedxml``: document types, entities and
references to other files are refused, and so are files far larger than any annotation.
"""

from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import cv2
import defusedxml.ElementTree as defused_tree
import numpy as np
from defusedxml.common import DefusedXmlException

from dgl.data.image_io import read_image
from dgl.data.sample import DIGITS, Box, check_box, is_number
from dgl.errors import UserError, quote
from dgl.utils.files import read_bounded

MAX_BYTES = 1024 * 1024

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class Annotation(NamedTuple):
    """What an XML file says of its image.

    Attributes:
        names: tuple of str, the class of each object, possibly empty.
        boxes: tuple of ``(x0, y0, x1, y1)`` floats in pixels, one an object.
        size: ``(width, height)`` of the image in pixels, ``None`` where it is not declared (or
            declared as 0, as some programs write).
    """

    names: Tuple[str, ...]
    boxes: Tuple[Box, ...]
    size: Optional[Tuple[int, int]]


def read_annotation(path: str) -> Optional[Annotation]:
    """Read an XML file.

    Args:
        path: str, the file.

    Returns:
        :class:`Annotation`, or ``None`` where there is no such file.

    Raises:
        UserError: the file cannot be read, is larger than :data:`MAX_BYTES`, is not well-formed,
            holds a document type or an entity, or an object lacks its name or a proper box.
    """
    data = read_bounded(path, MAX_BYTES, "an XML file")
    if data is None:
        return None
    try:
        root = defused_tree.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UserError(
            f"{path}: {type(error).__name__} in the file; expected an annotation without document type and entities"
        ) from error
    # LookupError: an encoding that Python does not know; ValueError: one that expat cannot take.
    except (defused_tree.ParseError, LookupError, ValueError) as error:
        raise UserError(f"{path}: no well-formed XML ({error}); expected <annotation>") from error
    if root.tag != "annotation":
        raise UserError(f"{path}: <{quote(root.tag)[1:-1]}>; expected <annotation>")
    names, boxes = [], []
    for number, element in enumerate(root.findall("object"), 1):
        where = f"{path}: object {number}"
        name = (element.findtext("name") or "").strip()
        if not name:
            raise UserError(f"{where}: no <name>; expected its class")
        names.append(name)
        boxes.append(_box(element, where))
    return Annotation(tuple(names), tuple(boxes), _size(root, path))


def _box(element, where):
    found = element.findall("bndbox")
    if len(found) != 1:
        raise UserError(f"{where}: {len(found)} <bndbox>; expected one")
    values = []
    for side in _SIDES:
        text = (found[0].findtext(side) or "").strip()
        if not is_number(text):
            raise UserError(
                "{}: <{}> is {}; expected numbers in <{}>".format(
                    where, side, quote(text) if text else "missing", ">, <".join(_SIDES)
                )
            )
        values.append(float(text))
    return check_box(values, where)


def _size(root, path):
    size = root.find("size")
    if size is None:
        return None
    sides = []
    for side in ("width", "height"):
        text = (size.findtext(side) or "").strip()
        if not DIGITS.fullmatch(text):
            raise UserError(
                "{}: <{}> of the image is {}; expected a whole number of pixels".format(
                    path, side, quote(text) if text else "missing"
                )
            )
        sides.append(int(text))
    return (sides[0], sides[1]) if all(sides) else None


# Segmentation masks of an image as one array in the geometry of score maps (wsolevaluation's rule).

OBJECT, IGNORED = 1, 255


def read_mask(mask_paths: Sequence[str], ignore_path: Optional[str], size: int) -> np.ndarray:
    """Read and squash the masks of one image.

    Whatever is not black belongs to a mask. Masks are resized to their nearest pixels, and the object is
    the union of all; what the ignore mask marks beside the object does not count.

    Args:
        mask_paths: sequence of str, at least one.
        ignore_path: str or ``None``.
        size: int, the side of the square.

    Returns:
        uint8 array (size, size): 1 on the object, 255 where nothing counts, 0 elsewhere.

    Raises:
        UserError: a mask cannot be read, or the masks of one image differ in size.
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
