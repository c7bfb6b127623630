"""Which images the three repositories hold, by the names of their annotation files.

An annotation belongs to the image of the same name. What a file says of its image's name or path
is not looked at: many say another.
"""

import json
import os
import re
import zlib
from typing import Dict, List, NamedTuple, Optional, Pattern, Sequence, Tuple, TypeVar

from dgl.data.annotations import Annotation, read_annotation
from dgl.data.sample import Box, check_box
from dgl.errors import UserError, first_few, quote
from dgl.utils.files import read_bounded

FRUITS = ("apple", "banana", "orange")

OTHER_NAME = "not named by the rule"
OTHER_LABELS = "labeled as several classes or another one"
NO_OBJECT = "without an object"
ID_TAKEN = "its id belongs to another image"
NO_IMAGE = "no image of that name"


class _Repository(NamedTuple):
    """Where a repository keeps its annotations: folders, and the names of files that count."""

    flag: str
    name: str
    folders: Tuple[str, ...]
    extension: str
    pattern: Pattern[str]


_KANGAROO = _Repository(
    "--kangaroo", "experiencor/kangaroo", ("annots",), ".xml", re.compile(r"([0-9]{5})\.xml")
)
_RACCOON = _Repository(
    "--raccoon",
    "datitran/raccoon_dataset",
    ("annotations",),
    ".xml",
    re.compile(r"raccoon-([0-9]{1,5})\.xml"),
)
_FRUIT = _Repository(
    "--fruit",
    "narumiruna/fruit-images-for-object-detection",
    (os.path.join("data", "bbox", "train"), os.path.join("data", "bbox", "test")),
    ".json",
    re.compile(r"([A-Za-z]+)_([0-9]{1,5})\.json"),
)


class Source(NamedTuple):
    """An image as its repository has it.

    Attributes:
        id: str, what the data set calls it.
        annotation_path: str, the file with its boxes.
        image_path: str, the image.
        boxes: tuple of ``(x0, y0, x1, y1)`` floats in pixels, one or more.
        size: ``(width, height)`` as declared, ``None`` where it is not.
    """

    id: str
    annotation_path: str
    image_path: str
    boxes: Tuple[Box, ...]
    size: Optional[Tuple[int, int]]


class Dropped(NamedTuple):
    """An image that is left out.

    Attributes:
        path: str, its annotation.
        reason: str, the same for all that are left out for that reason.
        detail: str, what is the matter with this one, possibly empty.
    """

    path: str
    reason: str
    detail: str = ""


def short_name(path: str) -> str:
    """A file's folder and name for a message: the fruit's two folders may share a name."""
    return quote("/".join(path.split(os.sep)[-2:]))[1:-1]


def find_sources(raccoon: str, kangaroo: str, fruit: str) -> Tuple[List[Source], List[Dropped]]:
    """Read the annotations of all three repositories; no image is opened.

    An id goes to one image. Where several annotations come to the same one, a fruit's file that is
    named after its label goes first (``orange_20.json`` before a ``mixed_20.json`` with nothing but
    oranges), then one in ``train``, then the shorter name; the others are dropped.

    Args:
        raccoon, kangaroo, fruit: str, the clones' folders.

    Returns:
        ``(sources, dropped)``: list of :class:`Source` sorted by id, list of :class:`Dropped`.

    Raises:
        UserError: a folder is not what it should be, or an annotation cannot be read.
    """
    found: Dict[str, Source] = {}
    dropped: List[Dropped] = []
    _add_numbered(found, dropped, kangaroo, _KANGAROO, "kangaroo")
    _add_numbered(found, dropped, raccoon, _RACCOON, "raccoon")
    _add_fruit(found, dropped, fruit)
    return [found[image_id] for image_id in sorted(found)], dropped


def _add_numbered(found, dropped, root, repository, class_name):
    """Add a repository of one class: XML in its folder, the images in ``images/``."""
    for path, match in _matching(root, repository, repository.folders[0], dropped):
        annotation = read_annotation(path)
        if annotation is None:
            raise UserError(f"{path}: no such file; expected an annotation")
        if _labeled(annotation, path, (class_name,), dropped):
            name = os.path.splitext(os.path.basename(path))[0] + ".jpg"
            image_path = os.path.join(root, "images", name)
            image_id = make_id(class_name, int(match.group(1)))
            _claim(
                found,
                dropped,
                Source(image_id, path, image_path, annotation.boxes, annotation.size),
            )


def _add_fruit(found, dropped, root):
    """Add the fruit: JSON and images side by side, in two folders that may share a name."""
    claims = []
    for rank, folder in enumerate(_FRUIT.folders):
        for path, match in _matching(root, _FRUIT, folder, dropped):
            annotation = read_labelme(path)
            if _labeled(annotation, path, FRUITS, dropped):
                label = annotation.names[0]
                image_id = make_id(label, int(match.group(2)))
                image_path = os.path.splitext(path)[0] + ".jpg"
                source = Source(image_id, path, image_path, annotation.boxes, annotation.size)
                claims.append(((match.group(1) != label, rank, len(path), path), source))
    for _, source in sorted(claims, key=lambda claim: claim[0]):
        _claim(found, dropped, source)


def _matching(root, repository, folder, dropped):
    """``(path, match)`` of the annotations in a folder, the shorter names first."""
    try:
        names = sorted(os.listdir(os.path.join(root, folder)), key=lambda name: (len(name), name))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{repository.flag} {quote(root, 400)}: {folder} cannot be listed ({reason}); expected a clone of {repository.name}"
        ) from error
    matching = []
    for name in names:
        path = os.path.join(root, folder, name)
        match = repository.pattern.fullmatch(name)
        if match is not None:
            matching.append((path, match))
        elif name.endswith(repository.extension) and not name.startswith("."):
            dropped.append(Dropped(path, OTHER_NAME))
    if not matching:
        raise UserError(
            f"{repository.flag} {root}: no annotation in {folder}; expected a clone of {repository.name}"
        )
    return matching


def _labeled(annotation, path, labels, dropped):
    """Whether the objects are all of one class out of ``labels``; dropped where not."""
    names = sorted(set(annotation.names))
    if not names:
        dropped.append(Dropped(path, NO_OBJECT))
    elif len(names) > 1 or names[0] not in labels:
        dropped.append(Dropped(path, OTHER_LABELS, first_few(map(quote, names))))
    else:
        return True
    return False


def _claim(found, dropped, source):
    holder = found.get(source.id)
    if holder is not None:
        detail = f"{source.id} is {short_name(holder.annotation_path)}"
        dropped.append(Dropped(source.annotation_path, ID_TAKEN, detail))
    elif not os.path.lexists(source.image_path):
        dropped.append(Dropped(source.annotation_path, NO_IMAGE, source.image_path))
    else:
        found[source.id] = source


# One image's objects from a JSON file of labelme.

# labelme may put the image itself into the file.
MAX_BYTES = 16 * 1024 * 1024

# What a box around all points encloses exactly. Files of early versions name no type.
_SHAPES = (None, "rectangle", "polygon")


def read_labelme(path: str) -> Annotation:
    """Read a JSON file of labelme.

    Args:
        path: str, the file.

    Returns:
        :class:`dgl.data.annotations.Annotation`; a box encloses all points of its shape, in whatever
        order they come.

    Raises:
        UserError: the file cannot be read, is larger than :data:`MAX_BYTES`, is no JSON, or a shape
            lacks its label or proper points.
    """
    data = read_bounded(path, MAX_BYTES, "a file of labelme")
    if data is None:
        raise UserError(f"{path}: cannot be read: no such file")
    try:
        # Whole numbers too as float: int() takes a time quadratic in the number of digits.
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
        boxes.append(_box(shape, where))
    return Annotation(tuple(names), tuple(boxes), _size(document, path))


def _box(shape, where):
    kind = shape.get("shape_type")
    if kind not in _SHAPES:
        raise UserError(f"{where}: shape_type {quote(kind)}; expected rectangle")
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
        raise UserError(f'{where}: no proper "points"; expected two corners [x, y]')
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
            f"{path}: imageWidth, imageHeight are {quote(sides)}; expected whole numbers of pixels"
        )
    return (int(sides[0]), int(sides[1]))


# The rule of the photographs: names of images, their class and split, sizes and boxes.

_Corners = TypeVar("_Corners", bound=Sequence[float])

CLASS_NAMES = ("apple", "banana", "kangaroo", "orange", "raccoon")
LONGEST_SIDE = 384

_ID = re.compile("({})_[0-9]{{5}}".format("|".join(CLASS_NAMES)))


def make_id(class_name: str, number: int) -> str:
    """``kangaroo_00090`` from a class name and a number of 0 to 99999.

    Raises:
        ValueError: either is none.
    """
    image_id = f"{class_name}_{number:05d}"
    class_index_of(image_id)
    return image_id


def class_index_of(image_id: str) -> int:
    """Index of an image's class in :data:`CLASS_NAMES`, from its id.

    Raises:
        ValueError: that is no id of this data set.
    """
    match = _ID.fullmatch(image_id)
    if match is None:
        raise ValueError(f"{image_id!r} is no id; expected as kangaroo_00090")
    return CLASS_NAMES.index(match.group(1))


def split_of(image_id: str) -> str:
    """``"val"`` where the CRC-32 of the id is divisible by 4, else ``"train"``."""
    return "train" if zlib.crc32(image_id.encode("ascii")) % 4 else "val"


def scaled_size(size: Sequence[int]) -> Tuple[int, ...]:
    """An image's size when its longest side is brought down to :data:`LONGEST_SIDE`.

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
    """A box in the pixels of a scaled image: scaled, rounded (halves to even), clipped.

    The two axes have scales of their own, since the shorter side of the image was rounded.

    Args:
        box: ``(x0, y0, x1, y1)`` in pixels of the image as annotated.
        size: ``(width, height)`` of that image.
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


# Paths and texts of the data set: the published code's label lists, and XML as ILSVRC ships it.

_XML = """<annotation>
\t<folder>{split}</folder>
\t<filename>{image_id}</filename>
\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>
{objects}</annotation>
"""

_OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>
\t</object>
"""


def relative_path(image_id: str) -> str:
    """Path of an image or an annotation below its split's folder, without extension.

    Training images lie in a folder a class, validation images in one.
    """
    if split_of(image_id) == "val":
        return image_id
    return f"{CLASS_NAMES[class_index_of(image_id)]}/{image_id}"


def list_line(image_id: str, boxes: Sequence[Sequence[int]]) -> str:
    """One line of a label list, ``path class x0 y0 x1 y1``, with the largest of the boxes."""
    return "{}.jpg {} {} {} {} {}".format(
        relative_path(image_id), class_index_of(image_id), *largest_box(boxes)
    )


def annotation_xml(image_id: str, size: Sequence[int], boxes: Sequence[Sequence[int]]) -> str:
    """The text of an image's annotation.

    Args:
        image_id: str.
        size: ``(width, height)`` ints.
        boxes: sequence of ``(x0, y0, x1, y1)`` ints.

    Returns:
        str, an XML document.
    """
    name = CLASS_NAMES[class_index_of(image_id)]
    return _XML.format(
        split=split_of(image_id),
        image_id=image_id,
        width=size[0],
        height=size[1],
        objects="".join(_OBJECT.format(*box, name=name) for box in boxes),
    )
