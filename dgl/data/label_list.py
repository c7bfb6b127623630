"""The list format of the published code: ``DATA/labels/<dataname>/{train,val}.txt``.

One image a line::

    relative/path class [x0 y0 x1 y1 [x0 y0 x1 y1 ...]]

Classes count from 0. Paths are relative to ``DATA/train`` or ``DATA/val`` (image root ``imagenet``)
or to ``DATA/images`` (image root ``cub``), and may contain spaces. A line may stop after the class.
"""

import logging
import os
import re
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from tqdm import tqdm

from dgl.data.image_io import IMAGE_EXTENSIONS
from dgl.data.sample import (
    DIGITS,
    Box,
    DataSet,
    Sample,
    check_box,
    check_class_index,
    check_classes,
    check_split,
    is_number,
    read_lines,
    resolve_below,
)
from dgl.errors import UserError, first_few, quote

EXPECTED = {
    "imagenet": "labels/<dataname>/{train,val}.txt with images in train/ and val/",
    "cub": "labels/<dataname>/{train,val}.txt with images in images/",
}

_logger = logging.getLogger(__name__)

_LINE = "expected 'relative/path class [x0 y0 x1 y1 ...]'"
# It matches at the last extension before white space, whatever follows (hence DOTALL): it never goes
# back over a run of white space, which would take a time quadratic in the run's length.
_PATH_AND_NUMBERS = re.compile(
    r"(.*(?:{}))[ \t]+(.*)".format("|".join(re.escape(end) for end in IMAGE_EXTENSIONS)),
    re.IGNORECASE | re.DOTALL,
)


def load_label_list(
    data_dir: str,
    split: str,
    dataname: Optional[str] = None,
    classes: Optional[int] = None,
    image_root: str = "imagenet",
    train_boxes: Optional[str] = None,
    with_boxes: bool = True,
) -> DataSet:
    """Read one split of a data set in the published list format.

    Args:
        data_dir: str, the folder ``DATA``.
        split: str, ``"train"``, ``"val"`` or ``"test"``; of the last two, each stands for the other
            where only one has a list.
        dataname: str, the folder below ``DATA/labels``; ``None`` where there is only one.
        classes: int, an explicit number of classes to check the labels against, or ``None``: the
            number of class names, or else the largest label of this split plus one.
        image_root: str, ``"imagenet"`` (images in ``DATA/<split>``) or ``"cub"``
            (``DATA/images``).
        train_boxes: str, what four numbers of the train list mean: ``"xyxy"`` or ``"xywh"``.
            ``None`` means ``"xywh"`` for ``cub`` and ``"xyxy"`` for ``imagenet``: the CUB list that
            circulates has ``x y width height`` in train.txt but ``x0 y0 x1 y1`` in val.txt.
        with_boxes: bool, ``False`` to leave every sample's boxes out (the lines are checked all
            the same).

    Returns:
        :class:`~dgl.data.sample.DataSet`. Boxes are ``(x0, y0, x1, y1)`` in either case. Class
        names come from ``DATA/labels/<dataname>/classes.txt`` or ``DATA/classes.txt`` where
        present.

    Raises:
        UserError: the list is missing or empty, a line of it is not as expected, or an image of
            the ``val`` or ``test`` split is on two lines with different classes. An image that is
            there on two lines with one class gives two samples and a logged warning.
    """
    check_split(split)
    check_classes(classes)
    data_dir = os.path.abspath(data_dir)
    dataname = resolve_dataname(data_dir, dataname, split, image_root)
    folder = os.path.join(data_dir, "labels", dataname)
    list_split = _list_split(folder, split, image_root)
    list_path = os.path.join(folder, list_split + ".txt")
    image_folder = "images" if image_root == "cub" else list_split
    is_xywh = list_split == "train" and (
        (train_boxes or ("xywh" if image_root == "cub" else "xyxy")) == "xywh"
    )

    class_names = _find_class_names(data_dir, folder)
    limit = classes if classes is not None or class_names is None else len(class_names)
    samples = []
    lines: Dict[str, List[Tuple[int, int]]] = {}
    for number, text in tqdm(
        read_lines(list_path), desc=os.path.basename(list_path), unit=" lines", leave=False, delay=1
    ):
        where = f"{list_path}:{number}"
        relative, class_index, boxes = parse_line(text, where, is_xywh)
        check_class_index(class_index, limit, where)
        path, identity = resolve_below(data_dir, image_folder, relative, where)
        samples.append(Sample(identity, path, class_index, boxes if with_boxes else ()))
        # A training list may repeat an image to weigh it; in an evaluation it counts twice.
        if list_split != "train":
            lines.setdefault(identity, []).append((number, class_index))
    if not samples:
        raise UserError(f"{list_path}: no images listed; {_LINE}")
    check_repeats(list_path, lines)
    if limit is None:
        limit = max(sample.class_index for sample in samples) + 1
    return DataSet(dataname, image_root, split, samples, class_names, limit)


def parse_line(text: str, where: str, is_xywh: bool = False) -> Tuple[str, int, Tuple[Box, ...]]:
    """Parse one line of a list.

    Args:
        text: str, the line without white space at its ends.
        where: str, ``file:line`` for messages.
        is_xywh: bool, whether four numbers mean ``x y width height``.

    Returns:
        ``(relative path, class index, boxes)``, the boxes a tuple of ``(x0, y0, x1, y1)``.

    Raises:
        UserError: the line is not as expected.
    """
    # With an extension the end of the path is certain, so a bad number is not taken for a part of
    # it.
    match = _PATH_AND_NUMBERS.fullmatch(text)
    path, numbers = (match.group(1), match.group(2).split()) if match else _split_right(text)
    if not numbers:
        raise UserError(f"{where}: no class after the path; {_LINE}")
    if not DIGITS.fullmatch(numbers[0]):
        raise UserError(
            f"{where}: class {quote(numbers[0])}; expected a whole number counted from 0"
        )
    values = []
    for token in numbers[1:]:
        if not is_number(token):
            raise UserError(f"{where}: {quote(token)} is not a number; {_LINE}")
        values.append(float(token))
    if len(values) % 4:
        raise UserError(
            f"{where}: {len(values)} numbers after the class; {_LINE}" + ", four numbers a box"
        )
    boxes = []
    for x0, y0, x1, y1 in zip(*[iter(values)] * 4):
        box = (x0, y0, x0 + x1, y0 + y1) if is_xywh else (x0, y0, x1, y1)
        boxes.append(check_box(box, where))
    return path, int(numbers[0]), tuple(boxes)


def check_repeats(list_path: str, lines: Mapping[str, Sequence[Tuple[int, int]]]) -> None:
    """Refuse an image with two classes; an image listed twice in one class is only told of.

    Args:
        list_path: str, the list.
        lines: dict from an image's id to its ``(line number, class index)`` pairs.

    Raises:
        UserError: an image has lines with different classes.
    """
    repeats = [(key, entries) for key, entries in lines.items() if len(entries) > 1]
    for key, ((first, class_index), *others) in repeats:
        for number, other_class in others:
            if other_class != class_index:
                raise UserError(
                    f"{list_path}:{number}: {quote(key)} has class {other_class}, but class {class_index} on line {first}; expected one class"
                )
    if repeats:
        told = (
            "{} on lines {}".format(quote(key), " and ".join(str(number) for number, _ in entries))
            for key, entries in repeats
        )
        _logger.warning(
            "%s: %d of its images are on several lines, each of which counts: %s",
            list_path,
            len(repeats),
            first_few(told, limit=1),
        )


def _split_right(text):
    """A path without a known extension ends where the numbers at the end of the line begin."""
    tokens = list(re.finditer(r"[^ \t]+", text))
    first = len(tokens)
    while first > 1 and is_number(tokens[first - 1].group()):
        first -= 1
    return text[: tokens[first - 1].end()], [token.group() for token in tokens[first:]]


def list_names(data_dir: str) -> List[str]:
    """Sorted names of the folders below ``DATA/labels`` that hold a list, possibly none."""
    labels = os.path.join(data_dir, "labels")
    if not os.path.isdir(labels):
        return []
    try:
        entries = os.listdir(labels)
    except OSError as error:
        raise UserError(f"{labels}: cannot be listed: {error.strerror}") from error
    return sorted(
        name
        for name in entries
        if any(
            os.path.isfile(os.path.join(labels, name, split + ".txt"))
            for split in ("train", "val", "test")
        )
    )


def resolve_dataname(
    data_dir: str, dataname: Optional[str], split: str = "train", image_root: str = "imagenet"
) -> str:
    """The folder below ``DATA/labels`` to read.

    Args:
        data_dir: str, the folder ``DATA``.
        dataname: str, or ``None`` for the only one there is.
        split: str, for the message.

    Returns:
        str.

    Raises:
        UserError: there is no such folder, or ``dataname`` is ``None`` and there are several.
    """
    names = list_names(data_dir)
    if dataname is None and len(names) == 1:
        return names[0]
    labels = os.path.join(data_dir, "labels")
    if not names:
        wanted = os.path.join(labels, dataname or "<dataname>", split + ".txt")
        raise UserError(f"{wanted}: no such file; expected {EXPECTED[image_root]}")
    if dataname is None:
        raise UserError(f"{labels}: several data sets; name one of {names}")
    if dataname not in names:
        raise UserError(f"{labels}: no data set {quote(dataname)} here; expected one of {names}")
    return dataname


def _list_split(folder, split, image_root):
    others = {"train": (), "val": ("test",), "test": ("val",)}[split]
    for candidate in (split,) + others:
        if os.path.isfile(os.path.join(folder, candidate + ".txt")):
            return candidate
    raise UserError(
        "{}: no such file; expected {}".format(
            os.path.join(folder, split + ".txt"), EXPECTED[image_root]
        )
    )


def guess_image_root(data_dir: str, dataname: Optional[str] = None) -> Optional[str]:
    """Tell which of the two image roots a folder with lists has.

    Args:
        data_dir: str, the folder ``DATA``.
        dataname: str or ``None``, the folder below ``DATA/labels`` to look into where both
            ``images/`` and ``train/`` or ``val/`` are there.

    Returns:
        ``"imagenet"``, ``"cub"``, or ``None`` where there is no list, no folder of images, or no
        way to tell them apart.
    """
    names = list_names(data_dir)
    if not names:
        return None
    has_images = os.path.isdir(os.path.join(data_dir, "images"))
    has_splits = any(os.path.isdir(os.path.join(data_dir, name)) for name in ("train", "val"))
    if has_images != has_splits:
        return "cub" if has_images else "imagenet"
    if not has_images:
        return None
    folder = os.path.join(data_dir, "labels", dataname if dataname in names else names[0])
    for split in ("val", "train", "test"):
        list_path = os.path.join(folder, split + ".txt")
        if not os.path.isfile(list_path):
            continue
        for number, text in read_lines(list_path):
            relative = parse_line(text, f"{list_path}:{number}")[0]
            is_there = {
                root: os.path.isfile(os.path.join(data_dir, images, relative))
                for root, images in (("cub", "images"), ("imagenet", split))
            }
            if is_there["cub"] != is_there["imagenet"]:
                return "cub" if is_there["cub"] else "imagenet"
            break
    return None


def _find_class_names(data_dir, folder):
    for path in (os.path.join(folder, "classes.txt"), os.path.join(data_dir, "classes.txt")):
        if os.path.isfile(path):
            return read_class_names(path)
    return None


# Lists of class names, with or without the numbers that CUB puts before them.

_INDEX_AND_NAME = re.compile(r"(\d{1,7})[ \t]+(.+)")
_CUB_PREFIX = re.compile(r"(\d{3})\.(.+)")


def read_class_names(path: str, with_numbers: bool = False) -> Tuple[str, ...]:
    """Read class names: one a line, or ``index name`` lines counted from 0 or from 1.

    Args:
        path: str, the file.
        with_numbers: bool, whether to keep the numbers of CUB's names
            (``001.Black_footed_Albatross``), which are dropped otherwise.

    Returns:
        Tuple of str by class index.

    Raises:
        UserError: the file is empty, or its indices leave a gap or repeat.
    """
    lines = [text for _, text in read_lines(path)]
    if not lines:
        raise UserError(f"{path}: no class names; expected one name a line")
    matches = [_INDEX_AND_NAME.fullmatch(line) for line in lines]
    strip = tuple if with_numbers else strip_numbers
    if not all(matches):
        return strip(lines)
    names = {int(match.group(1)): match.group(2) for match in matches if match}
    start = min(names)
    if start > 1 or sorted(names) != list(range(start, start + len(lines))):
        raise UserError(
            f"{path}: indices leave a gap or repeat; expected {len(lines)} lines 'index name' counted from 0 or "
            "from 1"
        )
    return strip([names[index] for index in sorted(names)])


def strip_numbers(names: Iterable[str]) -> Tuple[str, ...]:
    """Drop CUB's ``001.`` from every name, where each name's number is its place counted from 1."""
    matches = [_CUB_PREFIX.fullmatch(name) for name in names]
    if all(match and int(match.group(1)) == i for i, match in enumerate(matches, 1)):
        return tuple(match.group(2) for match in matches if match)
    return tuple(names)
