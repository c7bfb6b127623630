"""One picture's objects from a JSON file of labelme.

Only labels, points and the declared size are read. Its ``imagePath`` is of no account: which picture a
file belongs to is told by the file's own name.
"""

import json

from dgl.data.annotation_file import read_bounded
from dgl.data.sample import check_box, quote
from dgl.data.voc_xml import Annotation
from dgl.errors import UserError

# labelme may put the picture itself into the file.
MAX_BYTES = 16 * 1024 * 1024

# What a box around all points encloses exactly. Files of early versions name no type.
_SHAPES = (None, "rectangle", "polygon")


def read_labelme(path: str) -> Annotation:
    """Read a JSON file of labelme.

    Args:
        path: str, the file.

    Returns:
        :class:`dgl.data.voc_xml.Annotation`; a box encloses all points of its shape, in whatever
        order they come.

    Raises:
        UserError: the file cannot be read, is larger than :data:`MAX_BYTES`, is no JSON, or a shape
            lacks its label or proper points.
    """
    data = read_bounded(path, MAX_BYTES, "a file of labelme")
    if data is None:
        raise UserError("{}: cannot be read: no such file".format(path))
    try:
        # Whole numbers too as float: int() takes a time quadratic in the number of digits.
        document = json.loads(data, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise UserError(
            "{}: no JSON ({}); expected a file of labelme".format(path, error)
        ) from error
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list):
        raise UserError('{}: no list "shapes"; expected a file of labelme'.format(path))
    names, boxes = [], []
    for number, shape in enumerate(shapes, 1):
        where = "{}: shape {}".format(path, number)
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str) or not label.strip():
            raise UserError('{}: no "label"; expected its class'.format(where))
        names.append(label.strip())
        boxes.append(_box(shape, where))
    return Annotation(tuple(names), tuple(boxes), _size(document, path))


def _box(shape, where):
    kind = shape.get("shape_type")
    if kind not in _SHAPES:
        raise UserError("{}: shape_type {}; expected rectangle".format(where, quote(kind)))
    points = shape.get("points")
    if (
        not isinstance(points, list)
        or len(points) < 2
        or not all(
            isinstance(point, list)
            and len(point) == 2
            and all(isinstance(value, float) for value in point)
            for point in points
        )
    ):
        raise UserError('{}: no proper "points"; expected two corners [x, y]'.format(where))
    # A comparison with NaN is false, which would let min() and max() pass over it.
    for point in points:
        check_box(point * 2, where)
    xs, ys = zip(*points)
    return check_box((min(xs), min(ys), max(xs), max(ys)), where)


def _size(document, path):
    sides = [document.get(key) for key in ("imageWidth", "imageHeight")]
    if sides == [None, None]:
        return None
    if not all(isinstance(side, float) and side.is_integer() and side > 0 for side in sides):
        raise UserError(
            "{}: imageWidth, imageHeight are {}; expected whole numbers of pixels".format(
                path, quote(sides)
            )
        )
    return (int(sides[0]), int(sides[1]))
