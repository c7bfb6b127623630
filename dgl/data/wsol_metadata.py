"""The metadata folders of wsolevaluation (Choe et al., CVPR 2020).

A folder describes one split: ``image_ids.txt``, ``class_labels.txt`` (``id,label``),
``image_sizes.txt`` (``id,width,height``) and ``localization.txt``, either ``id,x0,y0,x1,y1`` in pixels
of the original image or ``id,mask_path,ignore_path``, with as many lines an image as it has boxes or
masks. An id is the image's path below the folder of images.
"""

import logging
import os
from typing import List, NamedTuple, Optional, Tuple

from tqdm import tqdm

from dgl.data.sample import (
    DIGITS,
    Box,
    check_box,
    check_class_index,
    is_number,
    read_lines,
    resolve_below,
)
from dgl.errors import UserError, first_few, quote

IDS, LABELS, SIZES = "image_ids.txt", "class_labels.txt", "image_sizes.txt"
LOCALIZATION = "localization.txt"
NO_LABEL = -1
# Nothing else that counts as white space: an id may begin with it.
_BLANK = " \t"
_LOCALIZATION_LINE = "'id,x0,y0,x1,y1' or 'id,mask_path,ignore_path'"

_logger = logging.getLogger(__name__)


class Record(NamedTuple):
    """What the metadata say of one image.

    Attributes:
        id: str, the image's path, relative to the folder of images.
        label: int, class index counted from 0; -1 where labels were not asked for.
        boxes: tuple of ``(x0, y0, x1, y1)`` floats in pixels of the original image.
        size: ``(width, height)`` in pixels, or ``None`` where no size is listed.
        mask_paths: tuple of str, relative to the folder of masks; the object is their union.
        ignore_path: str or ``None``, the mask of what is not to be counted.
    """

    id: str
    label: int
    boxes: Tuple[Box, ...]
    size: Optional[Tuple[int, int]]
    mask_paths: Tuple[str, ...]
    ignore_path: Optional[str]


def read_metadata(
    folder: str, with_boxes: bool = True, classes: Optional[int] = None, with_labels: bool = True
) -> List[Record]:
    """Read a metadata folder; images and masks need not be there.

    Args:
        folder: str, the folder with ``image_ids.txt``.
        with_boxes: bool, ``False`` to leave out boxes, masks and sizes: ``localization.txt`` and
            ``image_sizes.txt`` then are not read and may be missing.
        classes: int, a number of classes to check the labels against, or ``None``.
        with_labels: bool, ``False`` to leave out the labels: ``class_labels.txt`` then is not read and
            may be missing.

    Returns:
        List of :class:`Record`, in the order of ``image_ids.txt``. An image without a line in
        ``localization.txt`` has neither boxes nor masks; how many there are is logged.

    Raises:
        UserError: a file is missing (``image_sizes.txt`` is needed with boxes alone) or empty, a
            line is not as expected, an id is there twice, unknown, without a label or without a
            size, or a path leads out of its folder.
    """
    folder = os.path.abspath(folder)
    ids = _read_ids(folder)
    labels = dict.fromkeys(ids, NO_LABEL)
    if with_labels:
        table = _read_table(folder, LABELS, ids, 1, "'id,label'")
        labels = {key: _label(text, where, classes) for key, where, text in table}
        _check_complete(folder, LABELS, ids, labels)
    if not with_boxes:
        return [Record(key, labels[key], (), None, (), None) for key in ids]
    boxes, masks, ignored = _read_localization(folder, ids)
    sizes = {}
    # Masks say how large their image is; boxes do not.
    if boxes or os.path.isfile(os.path.join(folder, SIZES)):
        table = _read_table(folder, SIZES, ids, 2, "'id,width,height'")
        sizes = {key: _size(text, where) for key, where, text in table}
        _check_complete(folder, SIZES, ids, sizes)
    return [
        Record(
            key,
            labels[key],
            tuple(boxes.get(key, ())),
            sizes.get(key),
            tuple(masks.get(key, ())),
            ignored.get(key),
        )
        for key in ids
    ]


def _lines(path):
    if not os.path.isfile(path):
        raise UserError(
            f"{path}: no such file; expected {IDS}, {LABELS}, {SIZES} and {LOCALIZATION}"
        )
    return tqdm(read_lines(path), desc=os.path.basename(path), unit=" lines", leave=False, delay=1)


def _read_ids(folder):
    path = os.path.join(folder, IDS)
    ids, seen = {}, {}
    for number, text in _lines(path):
        where = f"{path}:{number}"
        _, identity = resolve_below(folder, "", text, where)
        _add_once(seen, identity, number, where, text)
        ids[text] = number
    if not ids:
        raise UserError(f"{path}: the file is empty; expected an id a line")
    return ids


def _read_table(folder, name, ids, values, expected):
    """Yields ``(id, where, the rest of the line)``, one line an id."""
    path = os.path.join(folder, name)
    seen = {}
    for number, text in _lines(path):
        where = f"{path}:{number}"
        key, rest = _split(text, ids, values, where, expected)
        _add_once(seen, key, number, where, key)
        yield key, where, rest


def _add_once(seen, key, number, where, text):
    """Note the line of a key, which the file writes as ``text``; it may have no other."""
    if key in seen:
        raise UserError(
            f"{where}: {quote(text)} a second time, as on line {seen[key]}; expected it once"
        )
    seen[key] = number


def _split(text, ids, values, where, expected):
    """The id of a line, which may have commas itself, and the fields after it."""
    fields = text.rsplit(",", values)
    if len(fields) <= values:
        raise UserError(f"{where}: {quote(text)}; expected {expected}")
    key = fields[0].strip(_BLANK)
    if key not in ids:
        raise UserError(f"{where}: {quote(key)} is not in {IDS}; expected {expected}")
    return key, [field.strip(_BLANK) for field in fields[1:]]


def _check_complete(folder, name, ids, found):
    lacking = [key for key in ids if key not in found]
    if lacking:
        raise UserError(
            f"{os.path.join(folder, name)}: no line for {len(lacking)} of the {len(ids)} ids: {first_few(map(quote, lacking))}"
        )


def _label(fields, where, classes):
    if not DIGITS.fullmatch(fields[0]):
        raise UserError(
            f"{where}: label {quote(fields[0])}; expected a whole number counted from 0"
        )
    check_class_index(int(fields[0]), classes, where)
    return int(fields[0])


def _size(fields, where):
    if not all(DIGITS.fullmatch(field) and int(field) > 0 for field in fields):
        raise UserError(
            "{}: size {}; expected whole numbers of pixels above 0".format(
                where, quote(",".join(fields))
            )
        )
    return int(fields[0]), int(fields[1])


def _read_localization(folder, ids):
    """Boxes, mask paths and ignore paths by id; a file has either boxes or masks."""
    path = os.path.join(folder, LOCALIZATION)
    boxes, masks, ignored = {}, {}, {}
    for number, text in _lines(path):
        where = f"{path}:{number}"
        values = 4 if _is_box(text, ids) else 2
        key, fields = _split(text, ids, values, where, _LOCALIZATION_LINE)
        if values == 4:
            boxes.setdefault(key, []).append(_box(fields, where))
        else:
            _add_mask(key, fields, masks, ignored, folder, where)
        if boxes and masks:
            raise UserError(f"{where}: boxes and masks in one file; expected either")
    if not boxes and not masks:
        raise UserError(f"{path}: the file is empty; expected lines {_LOCALIZATION_LINE}")
    without = [key for key in ids if key not in boxes and key not in masks]
    if without:
        _logger.warning(
            "%s: no line for %d of the %d ids, which count as images without boxes: %s",
            path,
            len(without),
            len(ids),
            first_few(map(quote, without), limit=1),
        )
    return boxes, masks, ignored


def _is_box(text, ids):
    """Whether a line of ``localization.txt`` has four fields after its id, which may have commas."""
    commas = text.count(",")
    if commas >= 2 and text.rsplit(",", 2)[0].strip(_BLANK) in ids:
        return False
    return commas >= 4


def _box(fields, where):
    if not all(is_number(field) for field in fields):
        raise UserError(
            "{}: {}; expected four numbers x0,y0,x1,y1".format(where, quote(",".join(fields)))
        )
    return check_box(fields, where)


def _add_mask(key, fields, masks, ignored, folder, where):
    mask, ignore = fields
    if not mask:
        raise UserError(f"{where}: no mask; expected {_LOCALIZATION_LINE}")
    for relative in filter(None, fields):
        resolve_below(folder, "", relative, where)
    masks.setdefault(key, []).append(mask)
    if not ignore:
        return
    if ignored.setdefault(key, ignore) != ignore:
        raise UserError(
            f"{where}: {quote(key)} is ignored by {quote(ignored[key])} already; expected one ignore_path an image"
        )
