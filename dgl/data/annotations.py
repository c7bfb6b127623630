"""True boxes and masks of one image: PASCAL VOC's XML, labelme's JSON, and mask images.

XML comes from strangers, so ``defusedxml`` parses it: document types, entities and references to other
files are refused, and so are files far larger than any annotation.
"""

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import defusedxml.ElementTree as defused_tree
import numpy as np
from defusedxml.common import DefusedXmlException

from dgl.data.image_io import read_image, upright
from dgl.data.sample import Box
from dgl.data.text_files import DIGITS, check_box, read_numbers
from dgl.errors import UserError, quote
from dgl.utils.files import read_bounded

MAX_XML_BYTES = 1024 * 1024
# labelme may put the image itself into the file.
MAX_LABELME_BYTES = 16 * 1024 * 1024

# Values of a mask.
OBJECT, IGNORED = 1, 255


class Annotation(NamedTuple):
    """The objects of one image."""

    names: Tuple[str, ...]  # the class of each object, possibly empty
    boxes: Tuple[Box, ...]  # `(x0, y0, x1, y1)` floats in pixels, one per object
    # `(width, height)` of the image in pixels, `None` where it is not declared (or declared as
    # 0, as some programs write).
    size: Optional[Tuple[int, int]]
    # Whether each object is marked as too hard to count, as VOC marks them.
    difficult: Tuple[bool, ...] = ()
    filename: str = ""  # the image's name as the file gives it, possibly empty or wrong


def read_annotation(path: str) -> Optional[Annotation]:
    """Read an XML file in the form of PASCAL VOC, as ILSVRC has them; ``None`` where there is none.

    Raises:
        UserError: the file cannot be read, is too large or not well-formed, holds a document type or an
            entity, or an object lacks its name or a proper box.
    """
    data = read_bounded(path, MAX_XML_BYTES, "an XML file")
    if data is None:
        return None
    try:
        root = defused_tree.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UserError(
            f"{path}: {type(error).__name__} in the file; expected an annotation without document "
            "type and entities"
        ) from error
    # LookupError: an encoding that Python does not know; ValueError: one that expat cannot take.
    except (defused_tree.ParseError, LookupError, ValueError) as error:
        raise UserError(f"{path}: no well-formed XML ({error}); expected <annotation>") from error
    if root.tag != "annotation":
        raise UserError(f"{path}: <{quote(root.tag)[1:-1]}>; expected <annotation>")
    names, boxes, difficult = [], [], []
    for number, element in enumerate(root.findall("object"), 1):
        where = f"{path}: object {number}"
        name = (element.findtext("name") or "").strip()
        if not name:
            raise UserError(f"{where}: no <name>; expected its class")
        names.append(name)
        boxes.append(_box(element, where))
        difficult.append((element.findtext("difficult") or "").strip() == "1")
    filename = (root.findtext("filename") or "").strip()
    return Annotation(tuple(names), tuple(boxes), _size(root, path), tuple(difficult), filename)


def _box(element: Any, where: str) -> Box:
    found = element.findall("bndbox")
    if len(found) != 1:
        raise UserError(f"{where}: {len(found)} <bndbox>; expected one")
    texts = [(found[0].findtext(side) or "").strip() for side in ("xmin", "ymin", "xmax", "ymax")]
    corners = read_numbers(texts, where, "expected xmin, ymin, xmax and ymax in pixels")
    return check_box(corners, where)


def _size(root: Any, path: str) -> Optional[Tuple[int, int]]:
    size = root.find("size")
    if size is None:
        return None
    texts = [(size.findtext(side) or "").strip() for side in ("width", "height")]
    if not all(map(DIGITS.fullmatch, texts)):
        raise UserError(f"{path}: <size> is {' x '.join(map(quote, texts))}; expected whole pixels")
    width, height = map(int, texts)
    return (width, height) if width and height else None


def read_labelme(path: str) -> Annotation:
    """Read a JSON file of labelme; a box encloses all points of its shape, in any order.

    Raises:
        UserError: the file cannot be read, is larger than :data:`MAX_LABELME_BYTES`, is no JSON, or a shape
            lacks its label or proper points.
    """
    data = read_bounded(path, MAX_LABELME_BYTES, "a file of labelme")
    if data is None:
        raise UserError(f"{path}: cannot be read: no such file")
    try:
        # Whole numbers as float, too: int() takes quadratic time in the number of digits.
        document = json.loads(data, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: no JSON ({error}); expected a file of labelme") from error
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list):
        raise UserError(f'{path}: no list "shapes"; expected a file of labelme')
    names, boxes = [], []
    for number, shape in enumerate(shapes, 1):
        where = f"{path}: shape {number}"
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str) or not label.strip():
            raise UserError(f'{where}: no "label"; expected its class')
        names.append(label.strip())
        boxes.append(_shape_box(shape, where))
    return Annotation(tuple(names), tuple(boxes), _labelme_size(document, path))


def _shape_box(shape: Any, where: str) -> Box:
    # What a box around all points encloses exactly. Files of early versions name no type.
    kind = shape.get("shape_type")
    if kind not in (None, "rectangle", "polygon"):
        raise UserError(f"{where}: shape_type {quote(kind)}; expected rectangle")
    points = shape.get("points")
    try:
        xs, ys = zip(*points)
    except (TypeError, ValueError):
        xs, ys = (), ()
    if len(xs) < 2 or not all(isinstance(value, float) for value in xs + ys):
        raise UserError(f'{where}: no proper "points"; expected two corners [x, y]')
    for x, y in zip(xs, ys):  # one by one: min() and max() may pass over NaN
        check_box((x, y, x, y), where)
    return check_box((min(xs), min(ys), max(xs), max(ys)), where)


def _labelme_size(document: Any, path: str) -> Optional[Tuple[int, int]]:
    sides = [document.get(key) for key in ("imageWidth", "imageHeight")]
    if sides == [None, None]:
        return None
    if not all(isinstance(side, float) and side.is_integer() and side > 0 for side in sides):
        raise UserError(
            f"{path}: imageWidth, imageHeight are {quote(str(sides))}; expected whole numbers of pixels"
        )
    return int(sides[0]), int(sides[1])


def read_mask(
    mask_paths: Sequence[str], ignore_path: Optional[str], size: int, orientation: int = 1
) -> np.ndarray:
    """Read the masks of one image, squashed to a square as in wsolevaluation.

    Whatever is not black belongs to a mask. Masks are resized to their nearest pixels. The object is
    the union of all masks; what the ignore mask marks outside the object does not count.

    Args:
        mask_paths: at least one.
        size: the side of the square.
        orientation: EXIF's of the image, where the masks were made before it was turned.

    Returns:
        uint8 array (size, size): 1 on the object, 255 where nothing counts, 0 elsewhere.

    Raises:
        UserError: a mask cannot be read, or the masks of one image differ in size.
    """
    paths = list(mask_paths) + ([] if ignore_path is None else [ignore_path])
    masks: List[np.ndarray] = []
    shapes: Dict[Tuple[int, ...], str] = {}
    for path in paths:
        image = read_image(path)
        shapes[image.shape[:2]] = path
        if len(shapes) > 1:
            found = ", ".join(f"{w} x {h} in {name}" for (h, w), name in shapes.items())
            raise UserError(f"{path}: expected masks of one size, got {found}")
        resized = cv2.resize(image.max(axis=2), (size, size), interpolation=cv2.INTER_NEAREST)
        masks.append(upright(resized, orientation) > 0)
    is_object = np.any(masks[: len(mask_paths)], axis=0)
    result: np.ndarray = is_object.astype(np.uint8) * np.uint8(OBJECT)
    if ignore_path is not None:
        result[masks[-1] & ~is_object] = IGNORED
    return result
