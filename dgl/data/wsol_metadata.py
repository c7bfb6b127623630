"""The text files of wsolevaluation's metadata: ids, labels, sizes, and boxes or masks of one split.

:mod:`dgl.data.layouts.wsolevaluation` describes them, and finds the images that they speak of.
"""

import functools
import logging
import os
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

from dgl.data.bad_lines import BadLines
from dgl.data.sample import Box
from dgl.data.text_files import (
    DIGITS,
    check_box,
    check_class_index,
    is_number,
    read_lines,
    resolve_below,
    split_cells,
    unquoted,
)
from dgl.errors import UserError, first_few, quote

IDS, LABELS, SIZES = "image_ids.txt", "class_labels.txt", "image_sizes.txt"
LOCALIZATION = "localization.txt"
NO_LABEL = -1

_LOCALIZATION_LINE = "'id,x0,y0,x1,y1' or 'id,mask_path,ignore_path'"
_MOST_FIELDS = 8  # after the id of a wrong line
# An id may begin with other white space.
_BLANK = " \t"

_logger = logging.getLogger(__name__)

_Value = TypeVar("_Value")


class Record(NamedTuple):
    """What the metadata say about one image.

    Attributes:
        id: str, the image's path, relative to the folder of images.
        label: int, class index counted from 0; -1 where labels were not read.
        boxes: tuple of ``(x0, y0, x1, y1)`` floats in pixels of the original image.
        size: ``(width, height)`` in pixels, or ``None`` where no size is listed.
        mask_paths: tuple of str, relative to the folder of masks; the object is their union.
        ignore_path: str or ``None``, the mask of pixels that do not count.
    """

    id: str
    label: int
    boxes: Tuple[Box, ...]
    size: Optional[Tuple[int, int]]
    mask_paths: Tuple[str, ...]
    ignore_path: Optional[str]


def read_metadata(
    folder: str,
    with_boxes: bool = True,
    classes: Optional[int] = None,
    with_labels: bool = True,
    bad: Optional[BadLines] = None,
) -> List[Record]:
    """Read a metadata folder; images and masks need not be there.

    Args:
        folder: str, the folder with ``image_ids.txt``.
        with_boxes: bool, ``False`` to leave out boxes, masks and sizes: ``localization.txt`` and
            ``image_sizes.txt`` then are not read and may be missing.
        classes: int, a number of classes to check the labels against, or ``None``.
        with_labels: bool, ``False`` to leave out the labels: ``class_labels.txt`` then is not read
            and may be missing.
        bad: takes the messages of wrong lines. An image with a wrong line in any of the files is left out,
            since it would lack a label, a size or some of its boxes.

    Returns:
        List of :class:`Record`, in the order of ``image_ids.txt``. An image without a line in
        ``localization.txt`` has neither boxes nor masks; how many there are is logged.

    Raises:
        UserError: a file is missing (``image_sizes.txt`` is needed with boxes alone) or empty, or for more
            than one image in a hundred a line is not as expected, an id is there twice, unknown, without a
            label or without a size, or a path leads out of its folder.
    """
    bad = BadLines() if bad is None else bad
    files = _Files(os.path.abspath(folder), bad)
    labels = dict.fromkeys(files.ids, NO_LABEL)
    if with_labels:
        parse = functools.partial(_label, classes=classes)
        labels = files.table(LABELS, 1, "'id,label'", parse)
    boxes: Dict[str, List[Box]] = {}
    masks: Dict[str, List[str]] = {}
    ignored: Dict[str, str] = {}
    sizes: Dict[str, Tuple[int, int]] = {}
    if with_boxes:
        boxes, masks, ignored = files.localization()
        # A mask has the size of its image; boxes need it listed.
        if boxes or os.path.isfile(os.path.join(files.folder, SIZES)):
            sizes = files.table(SIZES, 2, "'id,width,height'", _size)
    records = [
        Record(
            key,
            labels[key],
            tuple(boxes.get(key, ())),
            sizes.get(key),
            tuple(masks.get(key, ())),
            ignored.get(key),
        )
        for key in files.ids
        if key not in bad.lost
    ]
    bad.check(files.folder, len(records))
    return records


class _Files:
    """The files of a metadata folder.

    Attributes:
        folder: absolute path.
        ids: all ids with the numbers of their lines, also those with a wrong line.
    """

    def __init__(self, folder: str, bad: BadLines):
        self.folder = folder
        self.ids: Dict[str, int] = {}
        self._bad = bad
        path = os.path.join(folder, IDS)
        seen: Dict[str, int] = {}
        for number, text in read_lines(path, bad=bad):
            where = f"{path}:{number}"
            text = unquoted(text)
            is_new = text not in self.ids
            self.ids.setdefault(text, number)
            with self._bad.of(text if is_new else None):
                _, identity = resolve_below(folder, "", text, where)
                _add_once(seen, identity, number, where, text)
        if not self.ids:
            bad.refuse(0)
            raise UserError(f"{path}: the file is empty; expected one id per line")

    def table(
        self, name: str, values: int, expected: str, parse: Callable[[List[str], str], _Value]
    ) -> Dict[str, _Value]:
        """Id -> what ``parse`` makes of the fields and the place of its line, one for each id."""
        path = os.path.join(self.folder, name)
        found: Dict[str, _Value] = {}
        seen: Dict[str, int] = {}
        for number, text in read_lines(path, bad=self._bad):
            where = f"{path}:{number}"
            if number == 1 and _is_heading(text, self.ids):
                continue
            with self._bad.of(_id_of(text, self.ids, values)):
                key, fields = _split(text, self.ids, values, where, expected)
                _add_once(seen, key, number, where, key)
                found[key] = parse(fields, where)
        lacking = [key for key in self.ids if key not in found and key not in self._bad.lost]
        if len(lacking) * 100 > len(self.ids):
            self._bad.refuse(len(found))
            raise UserError(
                f"{path}: no line for {len(lacking)} of the {len(self.ids)} ids: "
                f"{first_few(map(quote, lacking))}"
            )
        for key in lacking:
            with self._bad.of(key):
                raise UserError(f"{path}: no line for {quote(key)}; expected {expected}")
        return found

    def localization(
        self,
    ) -> Tuple[Dict[str, List[Box]], Dict[str, List[str]], Dict[str, str]]:
        """Boxes, mask paths and ignore paths by id; a file has either boxes or masks."""
        path = os.path.join(self.folder, LOCALIZATION)
        boxes: Dict[str, List[Box]] = {}
        masks: Dict[str, List[str]] = {}
        ignored: Dict[str, str] = {}
        for number, text in read_lines(path, bad=self._bad):
            where = f"{path}:{number}"
            if number == 1 and _is_heading(text, self.ids):
                continue
            values = 4 if _is_box(text, self.ids) else 2
            with self._bad.of(_id_of(text, self.ids, values)):
                key, fields = _split(text, self.ids, values, where, _LOCALIZATION_LINE)
                if masks if values == 4 else boxes:
                    raise UserError(f"{where}: boxes and masks in one file; expected either")
                if values == 4:
                    boxes.setdefault(key, []).append(_box(fields, where))
                else:
                    self._add_mask(key, fields, where, masks, ignored)
        if not boxes and not masks:
            self._bad.refuse(0)
            raise UserError(f"{path}: the file is empty; expected lines {_LOCALIZATION_LINE}")
        found = self._bad.lost.union(boxes, masks)
        without = [key for key in self.ids if key not in found]
        if without:
            _logger.warning(
                "%s: no line for %d of the %d ids, which count as images without boxes: %s",
                path,
                len(without),
                len(self.ids),
                first_few(map(quote, without), limit=1),
            )
        return boxes, masks, ignored

    def _add_mask(
        self,
        key: str,
        fields: Sequence[str],
        where: str,
        masks: Dict[str, List[str]],
        ignored: Dict[str, str],
    ) -> None:
        mask, ignore = fields
        if not mask:
            raise UserError(f"{where}: no mask; expected {_LOCALIZATION_LINE}")
        for relative in filter(None, fields):
            resolve_below(self.folder, "", relative, where)
        if ignore and ignored.setdefault(key, ignore) != ignore:
            raise UserError(
                f"{where}: {quote(key)} is ignored by {quote(ignored[key])} already; "
                "expected one ignore_path per image"
            )
        masks.setdefault(key, []).append(mask)


def _add_once(seen: Dict[str, int], key: str, number: int, where: str, text: str) -> None:
    """Record the line of a key, written as ``text``; a second one is an error."""
    if key in seen:
        raise UserError(
            f"{where}: {quote(text)} a second time, as on line {seen[key]}; expected it once"
        )
    seen[key] = number


def _split(
    text: str, ids: Dict[str, int], values: int, where: str, expected: str
) -> Tuple[str, List[str]]:
    """The id of a line, which may contain commas, and the fields after it."""
    fields = text.rsplit(",", values)
    if len(fields) <= values:
        raise UserError(f"{where}: {quote(text)}; expected {expected}")
    key = _key(fields[0], ids)
    if key not in ids:
        raise UserError(f"{where}: {quote(key)} is not in {IDS}; expected {expected}")
    return key, [unquoted(field.strip(_BLANK)) for field in fields[1:]]


def _key(cell: str, ids: Dict[str, int]) -> str:
    """The id that a cell has, perhaps in quotes."""
    key = cell.strip(_BLANK)
    return key if key in ids else unquoted(key)


def _id_of(text: str, ids: Dict[str, int], values: int) -> Optional[str]:
    """The id of a line with that many fields after it, or with any number if it is wrong."""
    for count in (values, *range(_MOST_FIELDS)):
        key = _key(text.rsplit(",", count)[0], ids)
        if key in ids:
            return key
    return None


def _is_heading(text: str, ids: Dict[str, int]) -> bool:
    """Whether a line is the headings of a table, such as ``image_id,label``."""
    cells = split_cells(text)
    has_id = any(_key(text.rsplit(",", values)[0], ids) in ids for values in (1, 2, 4))
    return len(cells) > 1 and not has_id and not any(map(is_number, cells))


def _label(fields: Sequence[str], where: str, classes: Optional[int]) -> int:
    if not DIGITS.fullmatch(fields[0]):
        raise UserError(
            f"{where}: label {quote(fields[0])}; expected a whole number counted from 0"
        )
    check_class_index(int(fields[0]), classes, where)
    return int(fields[0])


def _size(fields: Sequence[str], where: str) -> Tuple[int, int]:
    if not all(DIGITS.fullmatch(field) and int(field) > 0 for field in fields):
        found = quote(",".join(fields))
        raise UserError(f"{where}: size {found}; expected whole numbers of pixels above 0")
    return int(fields[0]), int(fields[1])


def _is_box(text: str, ids: Dict[str, int]) -> bool:
    """Whether a line of ``localization.txt`` has four fields after its id, which may contain commas."""
    commas = text.count(",")
    if commas >= 2 and _key(text.rsplit(",", 2)[0], ids) in ids:
        return False
    return commas >= 4


def _box(fields: Sequence[str], where: str) -> Box:
    if not all(map(is_number, fields)):
        found = quote(",".join(fields))
        raise UserError(f"{where}: {found}; expected four numbers x0,y0,x1,y1")
    return check_box([float(field) for field in fields], where)
