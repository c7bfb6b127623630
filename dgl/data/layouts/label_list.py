"""Layouts ``imagenet`` and ``cub``: the lists of the published code.

``DATA/labels/<dataname>/{train,val}.txt`` have one image per line::

    relative/path class [x0 y0 x1 y1 [x0 y0 x1 y1 ...]]

or the same with commas or semicolons, cells in quotes or not, after a line of headings or none (CSV);
headings with a width and a height, such as ``path,label,x,y,w,h``, are followed.
Classes count from 0. Paths are relative to ``DATA/train`` or ``DATA/val`` (``imagenet``) or to
``DATA/images`` (``cub``), and may contain spaces. A line may stop after the class.
"""

import functools
import os
import re
from typing import Iterator, List, Optional, Tuple

from dgl.data.class_names import read_class_names
from dgl.data.image_files import IMAGE_EXTENSIONS, scan_folder
from dgl.data.layouts import cub, ilsvrc
from dgl.data.layouts.registry import Request, check_data_folder, get_layout, register_layout
from dgl.data.sample import SPLIT_CANDIDATES, SPLIT_NAMES, SPLITS, Box, DataSet, Sample
from dgl.data.text_files import (
    DIGITS,
    BadLines,
    check_box,
    check_class_index,
    first_there,
    is_number,
    read_lines,
    read_numbers,
    resolve_below,
    split_cells,
)
from dgl.errors import UserError, quote

# The data sets by their short names: the layout their publishers ship, and the number of classes.
PUBLISHED_LAYOUTS = {"imagenet": "ilsvrc", "cub": "cub200"}
PUBLISHED_CLASSES = {"imagenet": ilsvrc.CLASSES, "cub": cub.CLASSES}

_EXPECTED = {
    "imagenet": "labels/<dataname>/{train,val}.txt with images in train/ and val/",
    "cub": "labels/<dataname>/{train,val}.txt with images in images/",
}
_QUOTED_PATH = re.compile(r"""(["'])(.+?)\1[ \t]+(.*)""", re.DOTALL)
# The axis that a heading of a box names, and whether it is a size.
_AXES = (
    (re.compile(r"w|.*width"), "x", True),
    (re.compile(r"h|.*height"), "y", True),
    (re.compile(r"(.*_)?x[0-9a-z_]*|.*left|.*right|.*xm(in|ax)"), "x", False),
    (re.compile(r"(.*_)?y[0-9a-z_]*|.*top|.*bottom|.*ym(in|ax)"), "y", False),
)
_EXTENSIONS = "(?:{})".format("|".join(map(re.escape, IMAGE_EXTENSIONS)))
_ENDS_PATH = re.compile(_EXTENSIONS + "$", re.IGNORECASE)
_LINE = "expected 'relative/path class [x0 y0 x1 y1 ...]'"
# It matches at the last extension before white space, whatever follows (hence DOTALL), without
# backtracking over runs of white space, which would take quadratic time.
_PATH_AND_NUMBERS = re.compile(rf"(.*{_EXTENSIONS})[ \t]+(.*)", re.IGNORECASE | re.DOTALL)


def load_label_list(request: Request) -> DataSet:
    """Read one split of a data set in the published list format.

    ``val`` and ``test`` stand for each other where only one has a list. Without ``classes``, their
    number is that of the class names, or else the largest label of this split plus one.

    Returns:
        The data set. Four numbers are ``x y width height`` in the train list of ``cub``, as in the one
        that circulates, and ``x0 y0 x1 y1`` elsewhere. Class names come from
        ``DATA/labels/<dataname>/classes.txt`` or ``DATA/classes.txt`` where present. An image that is
        there on two lines with one class gives two samples and a logged warning.
    """
    data_dir, is_cub, bad = request.data_dir, request.layout == "cub", request.bad
    dataname = _find_dataname(request)
    folder = request.path("labels", dataname)
    lists = ((split, _find_list(folder, split)) for split in SPLIT_CANDIDATES[request.split])
    list_split, list_path = next((own for own in lists if own[1]), ("", None))
    if list_path is None:
        missing = os.path.join(folder, request.split)
        raise UserError(f"{missing}.txt: no such file; expected {_EXPECTED[request.layout]}")
    image_folder = "images" if is_cub else _image_folder(data_dir, list_split)
    is_xywh = (is_cub and list_split == "train") or _has_sizes(list_path)

    names_path = first_there(folder, ["classes.txt"]) or first_there(data_dir, ["classes.txt"])
    class_names = None if names_path is None else read_class_names(names_path)
    limit = request.classes or (len(class_names) if class_names else None)
    samples: List[Sample] = []
    for number, text in _entries(list_path, bad):
        where = f"{list_path}:{number}"
        with bad:
            relative, class_index, boxes = parse_line(text, where, is_xywh)
            check_class_index(class_index, limit, where)
            if not samples and _is_below_data(data_dir, image_folder, relative):
                image_folder = ""
            path, identity = resolve_below(data_dir, image_folder, relative, where)
            # A training list may repeat an image to weight it; in an evaluation it counts twice.
            if list_split != "train":
                bad.note(identity, where, class_index)
            own = boxes if request.with_boxes else ()
            samples.append(Sample(identity, path, class_index, own))
    samples = [sample for sample in samples if sample.id not in bad.lost]
    bad.check(list_path, len(samples))
    if not samples:
        raise UserError(f"{list_path}: no images listed; {_LINE}")
    classes = limit or max(sample.class_index for sample in samples) + 1
    return request.data_set(samples, class_names, classes, dataname)


def _find_list(folder: str, split: str) -> Optional[str]:
    """The list of a split, or ``None`` where it has none."""
    return first_there(folder, [n + end for n in SPLIT_NAMES[split] for end in (".txt", ".csv")])


def _image_folder(data_dir: str, split: str) -> str:
    """The folder of a split's images: ``split``, or another usual name for it that is there."""
    return os.path.basename(first_there(data_dir, SPLIT_NAMES[split], os.path.isdir) or split)


def _is_below_data(data_dir: str, folder: str, relative: str) -> bool:
    """Whether a path counts from the data folder, as ``val/a.jpg`` does where others have ``a.jpg``."""
    found = (os.path.isfile(os.path.join(data_dir, own, relative)) for own in (folder, ""))
    return tuple(found) == (False, True)


def _has_sizes(list_path: str) -> bool:
    """Whether the headings of a table say ``x y width height``; ``False`` without headings."""
    _, text = next(iter(read_lines(list_path, bad=BadLines())), (0, ""))
    if not _is_headings(text):
        return False
    known = [_axis_of(cell) for cell in split_cells(text)[2:]]
    for first in range(0, len(known) - len(known) % 4, 4):
        box = known[first : first + 4]
        if None not in box and [axis for axis, _ in filter(None, box)] != ["x", "y", "x", "y"]:
            raise UserError(
                f"{list_path}:1: {quote(text)}; expected a box as x0, y0, x1, y1 or as x, y, width, height"
            )
    return any(own is not None and own[1] for own in known[2:4])


def _axis_of(heading: str) -> Optional[Tuple[str, bool]]:
    heading = heading.lower().replace(" ", "_").replace("-", "_")
    return next(((axis, size) for name, axis, size in _AXES if name.fullmatch(heading)), None)


def _is_headings(text: str) -> bool:
    cells = split_cells(text) if _is_table(text) else []
    return bool(cells) and not any(cell.isdigit() or _ENDS_PATH.search(cell) for cell in cells)


def _entries(list_path: str, bad: BadLines) -> Iterator[Tuple[int, str]]:
    """The lines of a list, without the headings of a table."""
    for number, text in read_lines(list_path, bad=bad):
        if number > 1 or not _is_headings(text):
            yield number, text


def _is_table(text: str) -> bool:
    """Whether a line is of a table: its path ends at a separator or in quotes, or it has headings."""
    if _PATH_AND_NUMBERS.fullmatch(text) or _QUOTED_PATH.fullmatch(text):
        return False
    return text.startswith('"') or "," in text or ";" in text


def parse_line(text: str, where: str, is_xywh: bool = False) -> Tuple[str, int, Tuple[Box, ...]]:
    """``(relative path, class index, boxes)`` of one line of a list, the boxes ``(x0, y0, x1, y1)``.

    Args:
        text: the line without white space at its ends.
        where: ``file:line`` for messages.
        is_xywh: whether four numbers mean ``x y width height``.

    Raises:
        UserError: the line is not as expected.
    """
    # An extension marks the end of the path, so that a bad number is not taken for a part of it.
    match = _QUOTED_PATH.fullmatch(text) or _PATH_AND_NUMBERS.fullmatch(text)
    if match:
        path, numbers = match.groups()[-2], match.groups()[-1].split()
    elif _is_table(text) and _ENDS_PATH.search(split_cells(text)[0]):
        path, *cells = split_cells(text)
        numbers = list(filter(None, cells))  # an image without boxes may have empty cells
    else:
        path, numbers = _split_right(text)
    if not numbers:
        raise UserError(f"{where}: no class after the path; {_LINE}")
    if not DIGITS.fullmatch(numbers[0]):
        raise UserError(
            f"{where}: class {quote(numbers[0])}; expected a whole number counted from 0"
        )
    values = read_numbers(numbers[1:], where, _LINE)
    if len(values) % 4:
        raise UserError(
            f"{where}: {len(values)} numbers after the class; {_LINE}, four numbers per box"
        )
    boxes = []
    for x0, y0, x1, y1 in zip(*[iter(values)] * 4):
        box = (x0, y0, x0 + x1, y0 + y1) if is_xywh else (x0, y0, x1, y1)
        boxes.append(check_box(box, where))
    return path, int(numbers[0]), tuple(boxes)


def _split_right(text: str) -> Tuple[str, List[str]]:
    """Split a line at the numbers that end it, for a path without a known extension."""
    tokens = list(re.finditer(r"[^ \t]+", text))
    first = len(tokens)
    while first > 1 and is_number(tokens[first - 1].group()):
        first -= 1
    return text[: tokens[first - 1].end()], [token.group() for token in tokens[first:]]


def list_names(data_dir: str) -> List[str]:
    """Sorted names of the folders below ``DATA/labels`` that hold a list, possibly none."""
    labels = os.path.join(data_dir, "labels")
    entries = scan_folder(labels) if os.path.isdir(labels) else []
    return sorted(e.name for e in entries if any(_find_list(e.path, split) for split in SPLITS))


def _find_dataname(request: Request) -> str:
    """The folder below ``DATA/labels`` to read: the one asked for if it is there, or the only one."""
    dataname, names = request.dataname, list_names(request.data_dir)
    labels = request.path("labels")
    if not names:
        wanted = os.path.join(labels, dataname or "<dataname>", request.split + ".txt")
        raise UserError(f"{wanted}: no such file; expected {_EXPECTED[request.layout]}")
    if dataname is None and len(names) > 1:
        raise UserError(f"{labels}: several data sets; name one of {names}")
    dataname = dataname or names[0]
    if dataname not in names:
        raise UserError(f"{labels}: no data set {quote(dataname)} here; expected one of {names}")
    return dataname


def guess_image_root(data_dir: str, dataname: Optional[str] = None) -> Optional[str]:
    """Tell which of the two image roots a folder with lists has: ``"imagenet"`` or ``"cub"``.

    ``None`` where there is no list, no folder of images, or no way to tell them apart. Where both
    ``images/`` and ``train/`` or ``val/`` are there, the list of ``dataname`` is looked into.
    """
    names = list_names(data_dir)
    has_images = os.path.isdir(os.path.join(data_dir, "images"))
    has_splits = first_there(data_dir, SPLIT_NAMES["train"] + SPLIT_NAMES["val"], os.path.isdir)
    if not names or not (has_images or has_splits):
        return None
    if not (has_images and has_splits):
        return "cub" if has_images else "imagenet"
    folder = os.path.join(data_dir, "labels", dataname if dataname in names else names[0])
    for split in ("val", "train", "test"):
        path = _find_list(folder, split)
        relative = path and _first_path(path)
        if path and relative:
            is_cub, is_imagenet = (
                os.path.isfile(resolve_below(data_dir, root, relative, path)[0])
                for root in ("images", _image_folder(data_dir, split))
            )
            if is_cub != is_imagenet:
                return "cub" if is_cub else "imagenet"
    return None


def _first_path(list_path: str) -> Optional[str]:
    """The path on the first line of a list that is as expected."""
    bad = BadLines()
    for number, text in _entries(list_path, bad):
        with bad:
            return parse_line(text, f"{list_path}:{number}")[0]
    return None


def named_layout(data_dir: str, name: str, dataname: Optional[str] = None) -> str:
    """The layout that ``--imagenet`` or ``--cub`` (``name``) stands for in a data folder.

    It is ``name`` itself where there are label lists, else the set as published.

    Raises:
        UserError: there is neither.
    """
    check_data_folder(data_dir)
    names = list_names(data_dir)
    if dataname in names if dataname is not None else names:
        return name
    published = get_layout(PUBLISHED_LAYOUTS[name])
    if published.detect(data_dir, dataname):
        return published.name
    if names:
        return name  # lists, but not the one asked for: its loader names those there are
    raise UserError(
        f"{data_dir}: no data for --{name}; expected {_EXPECTED[name]}, or {published.expected}"
    )


def _has_root(data_dir: str, dataname: Optional[str], image_root: str) -> bool:
    return guess_image_root(data_dir, dataname) == image_root


# Lists are tried first: somebody wrote them to have them read.
for _root, _text in _EXPECTED.items():
    _detect = functools.partial(_has_root, image_root=_root)
    register_layout(_root, _text, _detect, rank=0)(load_label_list)
