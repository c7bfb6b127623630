"""Layout ``cub200``: CUB-200-2011 as its publishers ship it (Wah et al., 2011).

``images.txt`` (``id path``), ``image_class_labels.txt`` (``id class``), ``train_test_split.txt``
(``id 1`` for training, ``id 0`` for test), ``bounding_boxes.txt`` (``id x y width height``),
``classes.txt`` (``class name``), all counted from 1; images in ``images/`` and, where they were
downloaded too, masks in ``segmentations/``.
"""

import os
import re
from typing import Dict, List, Mapping, Optional, Tuple

from dgl.data.layouts.registry import register_layout
from dgl.data.sample import Box, DataSet, Sample
from dgl.data.text_files import (
    DIGITS,
    check_box,
    check_class_index,
    check_repeats,
    check_total,
    is_nearly_full,
    is_number,
    read_lines,
    resolve_below,
    strip_numbers,
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


def detect_cub(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize CUB-200-2011 as published by its two main files."""
    return all(
        os.path.isfile(os.path.join(data_dir, name))
        for name in ("images.txt", "image_class_labels.txt")
    )


@register_layout("cub200", _EXPECTED, detect_cub)
def load_cub(
    data_dir: str,
    split: str,
    dataname: Optional[str] = None,
    classes: Optional[int] = None,
    with_boxes: bool = True,
) -> DataSet:
    """Read one split of CUB-200-2011; the arguments are those of ``load_data``.

    ``val`` and ``test`` are the same 5,794 images. Without boxes and masks, ``bounding_boxes.txt`` may
    be missing.

    Returns:
        :class:`~dgl.data.sample.DataSet`, in the order of ``images.txt``, each sample with one box
        ``(x, y, x + width, y + height)`` and, where ``segmentations/`` has it, a mask.

    Raises:
        UserError: a file is missing, a line is not as expected, the files disagree on the ids, an
            image is there with two classes or in both splits, or the full set does not have 11,788
            images, 5,794 of them for test.
    """
    images = _read_table(data_dir, "images.txt", "id path")
    label_table = _read_table(data_dir, "image_class_labels.txt", "id class", images)
    split_table = _read_table(data_dir, "train_test_split.txt", "id 0-or-1", images)
    boxes: Dict[int, Tuple[Box, ...]] = {}
    if with_boxes:
        table = _read_table(data_dir, "bounding_boxes.txt", "id x y width height", images)
        boxes = {key: (_box(*cell),) for key, cell in table.items()}
    class_names = _read_class_names(data_dir)
    labels = _read_labels(label_table, len(class_names))
    is_train = {key: _is_train(*cell) for key, cell in split_table.items()}
    _check_full_set(data_dir, class_names, is_train)

    _check_repeats(data_dir, images, labels, is_train)
    samples = []
    has_masks = with_boxes and os.path.isdir(os.path.join(data_dir, "segmentations"))
    for key, (where, relative) in images.items():
        if is_train[key] != (split == "train"):
            continue
        if classes is not None:
            check_class_index(labels[key], classes, label_table[key][0])
        path, identity = resolve_below(data_dir, "images", relative, where)
        masks = _masks(data_dir, identity, where) if has_masks else ()
        samples.append(Sample(identity, path, labels[key], boxes.get(key, ()), masks))
    if not samples:
        path = os.path.join(data_dir, "train_test_split.txt")
        raise UserError(f"{path}: no image of the {split} split")
    name = dataname or os.path.basename(data_dir)
    return DataSet(name, "cub200", split, samples, class_names, classes or len(class_names))


def _check_repeats(
    data_dir: str, images: _Table, labels: Mapping[int, int], is_train: Mapping[int, bool]
) -> None:
    """Refuse an image with two classes or in both splits; warn of one with two ids."""
    lines: Dict[str, List[Tuple[int, int]]] = {}
    splits: Dict[str, bool] = {}
    for key, (where, relative) in images.items():
        identity = resolve_below(data_dir, "images", relative, where)[1]
        lines.setdefault(identity, []).append((int(where.rpartition(":")[2]), labels[key]))
        if splits.setdefault(identity, is_train[key]) != is_train[key]:
            raise UserError(
                f"{where}: {quote(identity)} is both in training and in test; expected one split"
            )
    check_repeats(os.path.join(data_dir, "images.txt"), lines)


def _read_table(data_dir: str, name: str, columns: str, images: Optional[_Table] = None) -> _Table:
    """Read one file, whose ids must be those of ``images`` if given."""
    path = os.path.join(data_dir, name)
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file; expected {_EXPECTED}")
    table: _Table = {}
    for number, text in read_lines(path):
        where = f"{path}:{number}"
        match = _ID_AND_REST.fullmatch(text)
        if not match:
            raise UserError(f"{where}: {quote(text)}; expected '{columns}'")
        key, rest = int(match.group(1)), match.group(2)
        if key in table:
            raise UserError(f"{where}: id {key} a second time; expected it once")
        if images is not None and key not in images:
            raise UserError(f"{where}: id {key} is not in images.txt")
        table[key] = (where, rest)
    if images is not None and len(table) < len(images):
        key = next(key for key in images if key not in table)
        raise UserError(f"{path}: no line for id {key} ({images[key][0]})")
    if not table:
        raise UserError(f"{path}: the file is empty; expected lines '{columns}'")
    return table


def _read_class_names(data_dir: str) -> Tuple[str, ...]:
    table = _read_table(data_dir, "classes.txt", "class name")
    for place, (key, (where, _)) in enumerate(sorted(table.items()), 1):
        if key != place:
            raise UserError(f"{where}: class {key}; expected classes 1 to {len(table)}")
    return strip_numbers([table[key][1] for key in sorted(table)])


def _read_labels(table: _Table, classes: int) -> Dict[int, int]:
    """Class indices counted from 0, from labels counted from 1."""
    labels = {}
    for key, (where, text) in table.items():
        if not (DIGITS.fullmatch(text) and 1 <= int(text) <= classes):
            raise UserError(
                f"{where}: class {quote(text)}; expected 1 to {classes}, as in classes.txt"
            )
        labels[key] = int(text) - 1
    return labels


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
