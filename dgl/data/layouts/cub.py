"""Layout ``cub200``: CUB-200-2011 as its publishers ship it (Wah et al., 2011).

``images.txt`` (``id path``), ``image_class_labels.txt`` (``id class``), ``train_test_split.txt``
(``id 1`` for training, ``id 0`` for test), ``bounding_boxes.txt`` (``id x y width height``),
``classes.txt`` (``class name``), all counted from 1; images in ``images/`` and, where they were
downloaded too, masks in ``segmentations/``.
"""

import functools
import os
import re
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

from dgl.data.class_names import strip_numbers
from dgl.data.layouts.registry import Request, register_layout
from dgl.data.sample import Box, DataSet, Sample
from dgl.data.text_files import (
    DIGITS,
    BadLines,
    UnknownClassError,
    check_box,
    check_class_index,
    check_total,
    is_nearly_full,
    is_number,
    read_table,
    resolve_below,
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


def detect_cub(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize CUB-200-2011 as published by its two main files."""
    return all(
        os.path.isfile(os.path.join(data_dir, name))
        for name in ("images.txt", "image_class_labels.txt")
    )


@register_layout("cub200", _EXPECTED, detect_cub)
def load_cub(request: Request) -> DataSet:
    """Read one split of CUB-200-2011.

    ``val`` and ``test`` are the same 5,794 images. Without boxes and masks, ``bounding_boxes.txt`` may
    be missing.

    Returns:
        Samples in the order of ``images.txt``, each sample with one box
        ``(x, y, x + width, y + height)`` and, where ``segmentations/`` has it, a mask.
    """
    bad = request.bad
    images = _read(request, "images.txt", "'id path'", lambda text, where: (where, text), bad)
    class_names = _read_class_names(request)
    label = functools.partial(_label, classes=len(class_names))
    labels = _read(request, "image_class_labels.txt", "'id class'", label, bad, images)
    is_train = _read(request, "train_test_split.txt", "'id 0-or-1'", _is_train, bad, images)
    boxes: Dict[int, Box] = {}
    if request.with_boxes:
        columns = "'id x y width height'"
        boxes = _read(request, "bounding_boxes.txt", columns, _box, bad, images)
    is_whole = len(class_names) == CLASSES and is_nearly_full(len(is_train), IMAGES)
    if is_whole and not bad.reasons:
        check_total(request.path("images.txt"), "images", len(is_train), IMAGES)
        tested = len(is_train) - sum(is_train.values())
        path = request.path("train_test_split.txt")
        check_total(path, "test images", tested, TEST_IMAGES)

    has_masks = request.with_boxes and os.path.isdir(request.path("segmentations"))
    found: Dict[int, Sample] = {}
    first: Dict[str, int] = {}
    for key, (where, relative) in images.items():
        if key in bad.lost:
            continue
        with bad.of(key):
            path, identity = resolve_below(request.data_dir, "images", relative, where)
            other = first.setdefault(identity, key)
            if (labels[other], is_train[other]) != (labels[key], is_train[key]):
                bad.lost.add(other)
            if is_train[other] != is_train[key]:
                raise UserError(
                    f"{where}: {quote(identity)} is both in training and in test; expected one split"
                )
            bad.note(identity, where, labels[key])
            if is_train[key] == (request.split == "train"):
                check_class_index(labels[key], request.classes, where)
                masks = _masks(request, identity, where) if has_masks else ()
                own = (boxes[key],) if key in boxes else ()
                found[key] = Sample(identity, path, labels[key], own, masks)
    bad.check(request.data_dir, len(first))
    samples = [sample for key, sample in found.items() if key not in bad.lost]
    if not samples:
        path = request.path("train_test_split.txt")
        raise UserError(f"{path}: no image of the {request.split} split")
    return request.data_set(samples, class_names)


def _read(
    request: Request,
    name: str,
    columns: str,
    parse: Callable[[str, str], Any],
    bad: BadLines,
    images: Optional[Iterable[int]] = None,
) -> Dict[int, Any]:
    return read_table(request.path(name), _split, parse, columns, bad, images)


def _split(text: str) -> Tuple[Optional[int], Optional[str]]:
    """The id of a line and the rest."""
    match = _ID_AND_REST.fullmatch(text)
    return (int(match.group(1)), match.group(2)) if match else (None, None)


def _read_class_names(request: Request) -> Tuple[str, ...]:
    # Without one of them, all classes behind it would be other ones.
    bad, columns = BadLines(most=0), "'class name'"
    table = _read(request, "classes.txt", columns, lambda text, where: (where, text), bad)
    for place, (key, (where, _)) in enumerate(sorted(table.items()), 1):
        if key != place:
            raise UserError(f"{where}: class {key}; expected classes 1 to {len(table)}")
    return strip_numbers([table[key][1] for key in sorted(table)])


def _label(text: str, where: str, classes: int) -> int:
    """Class index counted from 0, from a label counted from 1."""
    if not (DIGITS.fullmatch(text) and 1 <= int(text) <= classes):
        kind = UnknownClassError if DIGITS.fullmatch(text) else UserError
        raise kind(f"{where}: class {quote(text)}; expected 1 to {classes}, as in classes.txt")
    return int(text) - 1


def _is_train(text: str, where: str) -> bool:
    if text not in ("0", "1"):
        raise UserError(f"{where}: {quote(text)}; expected 1 (training) or 0 (test)")
    return text == "1"


def _box(text: str, where: str) -> Box:
    tokens = text.split()
    if len(tokens) != 4 or not all(map(is_number, tokens)):
        raise UserError(f"{where}: {quote(text)}; expected 'id x y width height'")
    x, y, width, height = map(float, tokens)
    return check_box((x, y, x + width, y + height), where)


def _masks(request: Request, identity: str, where: str) -> Tuple[str, ...]:
    """Path of the image's mask in a tuple, empty where there is none."""
    relative = os.path.splitext(identity)[0] + ".png"
    path, _ = resolve_below(request.data_dir, "segmentations", relative, where)
    return (path,) if os.path.isfile(path) else ()
