"""Layout ``cub200``: CUB-200-2011 as its publishers ship it (Wah et al., 2011).

``images.txt`` (``id path``), ``image_class_labels.txt`` (``id class``), ``train_test_split.txt``
(``id 1`` for training, ``id 0`` for test), ``bounding_boxes.txt`` (``id x y width height``),
``classes.txt`` (``class name``), all counted from 1; images in ``images/`` and, where they were
downloaded too, masks in ``segmentations/``.
"""

import os
import re
from typing import Callable, Dict, List, Mapping, Optional, Tuple, TypeVar

from dgl.data.class_names import strip_numbers
from dgl.data.layouts.registry import register_layout
from dgl.data.sample import Box, DataSet, Sample
from dgl.data.text_files import (
    DIGITS,
    BadLines,
    UnknownClassError,
    add_repeat,
    check_box,
    check_class_index,
    check_total,
    is_nearly_full,
    is_number,
    read_lines,
    resolve_below,
    tell_repeats,
)
from dgl.errors import UserError, quote

# As published.
CLASSES = 200
IMAGES = 11788
TEST_IMAGES = 5794

_EXPECTED = (
    "images.txt, image_class_labels.txt, train_test_split.txt, bounding_boxes.txt, classes.txt "
    "and images/ (CUB-200-2011)"
)

# A path may hold any character, white space among them.
_ID_AND_REST = re.compile(rf"({DIGITS.pattern})[ \t]+(.+)", re.DOTALL)

# Id -> ("file:line", the rest of the line).
_Table = Dict[int, Tuple[str, str]]
_Value = TypeVar("_Value")


def detect_cub(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize CUB-200-2011 as published by its two main files."""
    return all(
        os.path.isfile(os.path.join(data_dir, name))
        for name in ("images.txt", "image_class_labels.txt")
    )


@register_layout("cub200", _EXPECTED, detect_cub)
def load_cub(
    data_dir: str, split: str, dataname: Optional[str], classes: Optional[int], with_boxes: bool
) -> DataSet:
    """Read one split of CUB-200-2011; the arguments are those of ``load_data``.

    ``val`` and ``test`` are the same 5,794 images. Without boxes and masks, ``bounding_boxes.txt`` may
    be missing.

    Returns:
        Samples in the order of ``images.txt``, each sample with one box
        ``(x, y, x + width, y + height)`` and, where ``segmentations/`` has it, a mask.
    """
    bad = BadLines()
    files = _Files(data_dir, bad)
    class_names = _read_class_names(data_dir)
    labels = files.table("image_class_labels.txt", "id class", _label, len(class_names))
    is_train = files.table("train_test_split.txt", "id 0-or-1", _is_train)
    boxes: Dict[int, Box] = {}
    if with_boxes:
        boxes = files.table("bounding_boxes.txt", "id x y width height", _box)
    if not bad.reasons:
        _check_full_set(data_dir, class_names, is_train)

    has_masks = with_boxes and os.path.isdir(os.path.join(data_dir, "segmentations"))
    found: Dict[int, Sample] = {}
    lines: Dict[str, List[Tuple[int, int]]] = {}
    first: Dict[str, int] = {}
    for key, (where, relative) in files.images.items():
        if key in bad.lost:
            continue
        with bad.of(key):
            path, identity = resolve_below(data_dir, "images", relative, where)
            other = first.setdefault(identity, key)
            if (labels[other], is_train[other]) != (labels[key], is_train[key]):
                bad.lost.add(other)
            if is_train[other] != is_train[key]:
                raise UserError(
                    f"{where}: {quote(identity)} is both in training and in test; expected one split"
                )
            add_repeat(lines, identity, int(where.rpartition(":")[2]), labels[key], where, bad)
            if is_train[key] == (split == "train"):
                check_class_index(labels[key], classes, where)
                masks = _masks(data_dir, identity, where) if has_masks else ()
                own = (boxes[key],) if key in boxes else ()
                found[key] = Sample(identity, path, labels[key], own, masks)
    bad.check(data_dir, len(lines))
    tell_repeats(os.path.join(data_dir, "images.txt"), lines)
    samples = [sample for key, sample in found.items() if key not in bad.lost]
    if not samples:
        path = os.path.join(data_dir, "train_test_split.txt")
        raise UserError(f"{path}: no image of the {split} split")
    name = dataname or os.path.basename(data_dir)
    limit = classes or len(class_names)
    return DataSet(name, "cub200", split, samples, class_names, limit, tuple(bad.reasons))


class _Files:
    """The files of the data set, each with a line for each id of ``images.txt``."""

    def __init__(self, data_dir: str, bad: BadLines):
        self._data_dir = data_dir
        self._bad = bad
        # Id -> (place for messages, path).
        self.images = _read_table(data_dir, "images.txt", "id path", bad)

    def table(
        self, name: str, columns: str, parse: Callable[..., _Value], *settings: int
    ) -> Dict[int, _Value]:
        """Id -> what ``parse`` makes of the place of its line and the rest of it."""
        table = _read_table(self._data_dir, name, columns, self._bad, self.images)
        found: Dict[int, _Value] = {}
        for key, cell in table.items():
            with self._bad.of(key):
                found[key] = parse(*cell, *settings)
        return found


def _read_table(
    data_dir: str, name: str, columns: str, bad: BadLines, images: Optional[_Table] = None
) -> _Table:
    """Read one file, whose ids must be those of ``images`` if given."""
    path = os.path.join(data_dir, name)
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file; expected {_EXPECTED}")
    table: _Table = {}
    for number, text in read_lines(path, bad=bad):
        where = f"{path}:{number}"
        with bad:
            match = _ID_AND_REST.fullmatch(text)
            if not match:
                raise UserError(f"{where}: {quote(text)}; expected '{columns}'")
            key, rest = int(match.group(1)), match.group(2)
            if key in table:
                bad.lost.add(key)
                raise UserError(f"{where}: id {key} a second time; expected it once")
            if images is not None and key not in images:
                if key in bad.lost:
                    continue  # said of another file
                bad.lost.add(key)
                raise UserError(f"{where}: id {key} is not in images.txt")
            table[key] = (where, rest)
    bad.refuse(len(table))
    for key, (where, _) in (images or {}).items():
        if key not in table:
            with bad.of(key):
                raise UserError(f"{path}: no line for id {key} ({where})")
    bad.refuse(len(table))
    if not table:
        raise UserError(f"{path}: the file is empty; expected lines '{columns}'")
    return table


def _read_class_names(data_dir: str) -> Tuple[str, ...]:
    bad = BadLines()
    table = _read_table(data_dir, "classes.txt", "class name", bad)
    bad.refuse(len(table), most=0)  # without one of them, all classes behind it would be other ones
    for place, (key, (where, _)) in enumerate(sorted(table.items()), 1):
        if key != place:
            raise UserError(f"{where}: class {key}; expected classes 1 to {len(table)}")
    return strip_numbers([table[key][1] for key in sorted(table)])


def _label(where: str, text: str, classes: int) -> int:
    """Class index counted from 0, from a label counted from 1."""
    if not (DIGITS.fullmatch(text) and 1 <= int(text) <= classes):
        kind = UnknownClassError if DIGITS.fullmatch(text) else UserError
        raise kind(f"{where}: class {quote(text)}; expected 1 to {classes}, as in classes.txt")
    return int(text) - 1


def _is_train(where: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise UserError(f"{where}: {quote(text)}; expected 1 (training) or 0 (test)")
    return text == "1"


def _box(where: str, text: str) -> Box:
    tokens = text.split()
    if len(tokens) != 4 or not all(is_number(token) for token in tokens):
        raise UserError(f"{where}: {quote(text)}; expected 'id x y width height'")
    x, y, width, height = (float(token) for token in tokens)
    return check_box((x, y, x + width, y + height), where)


def _masks(data_dir: str, identity: str, where: str) -> Tuple[str, ...]:
    """Path of the image's mask in a tuple, empty where there is none."""
    relative = os.path.splitext(identity)[0] + ".png"
    path, _ = resolve_below(data_dir, "segmentations", relative, where)
    return (path,) if os.path.isfile(path) else ()


def _check_full_set(
    data_dir: str, class_names: Tuple[str, ...], is_train: Mapping[int, bool]
) -> None:
    if len(class_names) != CLASSES or not is_nearly_full(len(is_train), IMAGES):
        return
    check_total(os.path.join(data_dir, "images.txt"), "images", len(is_train), IMAGES)
    tested = len(is_train) - sum(is_train.values())
    check_total(os.path.join(data_dir, "train_test_split.txt"), "test images", tested, TEST_IMAGES)
