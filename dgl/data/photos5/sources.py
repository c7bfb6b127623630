"""Which pictures the three repositories hold, by the names of their annotation files.

An annotation belongs to the picture of the same name. What a file says of its picture's name or path
is not looked at: many say another.
"""

import os
import re
from typing import Dict, List, NamedTuple, Optional, Pattern, Tuple

from dgl.data.photos5.labelme import read_labelme
from dgl.data.photos5.rule import make_id
from dgl.data.sample import Box, first_few, quote
from dgl.data.voc_xml import read_annotation
from dgl.errors import UserError

FRUITS = ("apple", "banana", "orange")

OTHER_NAME = "not named by the rule"
OTHER_LABELS = "labelled as several classes or another one"
NO_OBJECT = "without an object"
ID_TAKEN = "its id belongs to another picture"
NO_PICTURE = "no picture of that name"


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
    """A picture as its repository has it.

    Attributes:
        id: str, what the data set calls it.
        annotation_path: str, the file with its boxes.
        image_path: str, the picture.
        boxes: tuple of ``(x0, y0, x1, y1)`` floats in pixels, one or more.
        size: ``(width, height)`` as declared, ``None`` where it is not.
    """

    id: str
    annotation_path: str
    image_path: str
    boxes: Tuple[Box, ...]
    size: Optional[Tuple[int, int]]


class Dropped(NamedTuple):
    """A picture that is left out.

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
    """Read the annotations of all three repositories; no picture is opened.

    An id goes to one picture. Where several annotations come to the same one, a fruit's file that is
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
    """Add a repository of one class: XML in its folder, the pictures in ``images/``."""
    for path, match in _matching(root, repository, repository.folders[0], dropped):
        annotation = read_annotation(path)
        if annotation is None:
            raise UserError("{}: no such file; expected an annotation".format(path))
        if _labelled(annotation, path, (class_name,), dropped):
            name = os.path.splitext(os.path.basename(path))[0] + ".jpg"
            image_path = os.path.join(root, "images", name)
            image_id = make_id(class_name, int(match.group(1)))
            _claim(
                found,
                dropped,
                Source(image_id, path, image_path, annotation.boxes, annotation.size),
            )


def _add_fruit(found, dropped, root):
    """Add the fruit: JSON and pictures side by side, in two folders that may share a name."""
    claims = []
    for rank, folder in enumerate(_FRUIT.folders):
        for path, match in _matching(root, _FRUIT, folder, dropped):
            annotation = read_labelme(path)
            if _labelled(annotation, path, FRUITS, dropped):
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
            "{} {}: {} cannot be listed ({}); expected a clone of {}".format(
                repository.flag, quote(root, 400), folder, reason, repository.name
            )
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
            "{} {}: no annotation in {}; expected a clone of {}".format(
                repository.flag, root, folder, repository.name
            )
        )
    return matching


def _labelled(annotation, path, labels, dropped):
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
        detail = "{} is {}".format(source.id, short_name(holder.annotation_path))
        dropped.append(Dropped(source.annotation_path, ID_TAKEN, detail))
    elif not os.path.lexists(source.image_path):
        dropped.append(Dropped(source.annotation_path, NO_PICTURE, source.image_path))
    else:
        found[source.id] = source
