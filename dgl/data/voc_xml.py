"""One picture's objects from an XML file in the form of PASCAL VOC, as ILSVRC has them.

An annotation comes from outside, so it is parsed by ``defusedxml``: document types, entities and
references to other files are refused, and so are files far larger than any annotation.
"""

from typing import NamedTuple, Optional, Tuple

import defusedxml.ElementTree as defused_tree
from defusedxml.common import DefusedXmlException

from dgl.data.annotation_file import read_bounded
from dgl.data.sample import DIGITS, Box, check_box, is_number, quote
from dgl.errors import UserError

MAX_BYTES = 1024 * 1024

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class Annotation(NamedTuple):
    """What an XML file says of its picture.

    Attributes:
        names: tuple of str, the class of each object, possibly empty.
        boxes: tuple of ``(x0, y0, x1, y1)`` floats in pixels, one an object.
        size: ``(width, height)`` of the picture in pixels, ``None`` where it is not declared (or
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
            "{}: {} in the file; expected an annotation without document type and entities".format(
                path, type(error).__name__
            )
        ) from error
    # LookupError: an encoding that Python does not know; ValueError: one that expat cannot take.
    except (defused_tree.ParseError, LookupError, ValueError) as error:
        raise UserError(
            "{}: no well-formed XML ({}); expected <annotation>".format(path, error)
        ) from error
    if root.tag != "annotation":
        raise UserError("{}: <{}>; expected <annotation>".format(path, quote(root.tag)[1:-1]))
    names, boxes = [], []
    for number, element in enumerate(root.findall("object"), 1):
        where = "{}: object {}".format(path, number)
        name = (element.findtext("name") or "").strip()
        if not name:
            raise UserError("{}: no <name>; expected its class".format(where))
        names.append(name)
        boxes.append(_box(element, where))
    return Annotation(tuple(names), tuple(boxes), _size(root, path))


def _box(element, where):
    found = element.findall("bndbox")
    if len(found) != 1:
        raise UserError("{}: {} <bndbox>; expected one".format(where, len(found)))
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
                "{}: <{}> of the picture is {}; expected a whole number of pixels".format(
                    path, side, quote(text) if text else "missing"
                )
            )
        sides.append(int(text))
    return (sides[0], sides[1]) if all(sides) else None
