"""Layout ``wsolevaluation``: metadata folders of Choe et al. (CVPR 2020), with their images.

A metadata folder describes one split: ``image_ids.txt``, ``class_labels.txt`` (``id,label``),
``image_sizes.txt`` (``id,width,height``) and ``localization.txt``, either ``id,x0,y0,x1,y1`` in pixels
of the original image or ``id,mask_path,ignore_path``, with as many lines per image as it has boxes or
masks. An id is the image's path below the folder of images.

``DATA`` is such a folder itself, or has one per split, or is laid out as wsolevaluation's own folder:
``metadata/<NAME>/<split>/`` with images in ``dataset/<NAME>/``.
"""

import functools
import logging
import os
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

from dgl.data.image_files import scan_folder
from dgl.data.layouts import cub, ilsvrc
from dgl.data.layouts.registry import register_layout
from dgl.data.sample import Box, DataSet, Sample
from dgl.data.text_files import (
    DIGITS,
    BadLines,
    check_box,
    check_class_index,
    check_total,
    find_root,
    is_nearly_full,
    is_number,
    read_lines,
    resolve_below,
    split_cells,
    unquoted,
)
from dgl.errors import UserError, first_few, quote

IDS, LABELS, SIZES = "image_ids.txt", "class_labels.txt", "image_sizes.txt"
LOCALIZATION = "localization.txt"

_EXPECTED = (
    "image_ids.txt, class_labels.txt and localization.txt, in DATA, <split>/ or "
    "metadata/<NAME>/<split>/ (wsolevaluation)"
)
_LOCALIZATION_LINE = "'id,x0,y0,x1,y1' or 'id,mask_path,ignore_path'"
_MOST_FIELDS = 8  # after the id of a wrong line
# An id may begin with other white space.
_BLANK = " \t"
# Folders of the splits: the paper's names and those of its extension (2020), in which val is for
# full supervision.
_PARTS = {"train": ("train", "train-weaksup"), "val": ("val", "train-fullsup"), "test": ("test",)}
# Data set and split -> published numbers of images and of boxes.
_TOTALS: Dict[Tuple[str, str], Tuple[int, Optional[int]]] = {
    ("CUB", "val"): (1000, None),
    ("CUB", "test"): (cub.TEST_IMAGES, None),
    ("ILSVRC", "val"): (10000, None),
    ("ILSVRC", "test"): (ilsvrc.VAL_IMAGES, ilsvrc.VAL_BOXES),
}

_logger = logging.getLogger(__name__)
_Value = TypeVar("_Value")


def detect_wsol(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize metadata of wsolevaluation."""
    return _is_metadata(data_dir) or bool(_split_folders(data_dir)) or bool(_names(data_dir))


@register_layout("wsolevaluation", _EXPECTED, detect_wsol)
def load_wsol(
    data_dir: str, split: str, dataname: Optional[str], classes: Optional[int], with_boxes: bool
) -> DataSet:
    """Read one split of a data set with wsolevaluation's metadata, with the arguments of ``load_data``.

    The splits are ``train`` (or ``train-weaksup``), ``val`` (or ``train-fullsup``) and ``test``, three
    different sets. Where ``DATA`` is itself the metadata of one split, it is taken for the split asked
    for. Boxes and masks of a training split are never read. Images and masks are in the first of
    ``DATA/dataset/<NAME>``, ``DATA/<NAME>``, ``DATA/images`` and ``DATA`` that holds one of them.
    Samples are in the order of ``image_ids.txt``.
    """
    folder, name = _find_metadata(data_dir, split, dataname)
    with_boxes = with_boxes and split != "train"
    bad = BadLines()
    records = read_metadata(folder, with_boxes, classes, bad=bad)

    where = os.path.join(folder, IDS)
    own = ("dataset/" + name, name) if name == os.path.basename(name) and name != ".." else ()
    roots = own + ("images", "")
    image_root = find_root(data_dir, roots, (record.id for record in records))
    listed_masks = (path for record in records for path in record.mask_paths)
    mask_root = find_root(data_dir, (image_root, *roots), listed_masks)

    def mask_path(relative: str) -> str:
        return resolve_below(data_dir, mask_root, relative, where)[0]

    samples = []
    for record in records:
        path, identity = resolve_below(data_dir, image_root, record.id, where)
        samples.append(
            Sample(
                identity,
                path,
                record.label,
                record.boxes,
                tuple(map(mask_path, record.mask_paths)),
                None if record.ignore_path is None else mask_path(record.ignore_path),
                record.size,
            )
        )
    images, boxes = _TOTALS.get((name.upper(), split), (0, None))
    if not bad.reasons and is_nearly_full(len(samples), images):
        check_total(folder, "images", len(samples), images)
        if with_boxes and boxes is not None:
            check_total(folder, "boxes", sum(len(sample.boxes) for sample in samples), boxes)
    limit = classes or max(record.label for record in records) + 1
    return DataSet(name, "wsolevaluation", split, samples, None, limit, tuple(bad.reasons))


def _is_metadata(folder: str) -> bool:
    return all(os.path.isfile(os.path.join(folder, name)) for name in (IDS, LABELS))


def _split_folders(folder: str) -> List[str]:
    """Names of the folders of splits in a folder."""
    parts: Tuple[str, ...] = sum(_PARTS.values(), ())
    return [part for part in parts if os.path.isfile(os.path.join(folder, part, IDS))]


def _names(data_dir: str) -> List[str]:
    """Sorted names of the data sets below ``DATA/metadata``."""
    metadata = os.path.join(data_dir, "metadata")
    if not os.path.isdir(metadata):
        return []
    return sorted(entry.name for entry in scan_folder(metadata) if _split_folders(entry.path))


def _find_metadata(data_dir: str, split: str, dataname: Optional[str]) -> Tuple[str, str]:
    """``(folder, name)``: the metadata folder of a split and the name of its data set."""
    own = os.path.basename(data_dir)
    if _is_metadata(data_dir):
        if any(own in parts for parts in _PARTS.values()):
            own = os.path.basename(os.path.dirname(data_dir))
        return data_dir, dataname or own
    base, name = data_dir, dataname or own
    if not _split_folders(base):
        metadata, names = os.path.join(data_dir, "metadata"), _names(data_dir)
        if not names:
            raise UserError(f"{data_dir}: no metadata; expected {_EXPECTED}")
        if dataname is None and len(names) > 1:
            raise UserError(f"{metadata}: several data sets; name one of {names}")
        name = names[0] if dataname is None else dataname
        if name not in names:
            raise UserError(f"{metadata}: no data set {quote(name)} here; expected one of {names}")
        base = os.path.join(metadata, name)
    found = _split_folders(base)
    for part in _PARTS[split]:
        if part in found:
            return os.path.join(base, part), name
    expected = ", ".join(part + "/" + IDS for part in _PARTS[split])
    raise UserError(f"{base}: no {IDS} here; expected one of {expected}, found {found}")


class Record(NamedTuple):
    """What the metadata say about one image."""

    id: str  # the image's path, relative to the folder of images
    label: int  # class index counted from 0; -1 where labels were not read
    boxes: Tuple[Box, ...]  # `(x0, y0, x1, y1)` floats in pixels of the original image
    # `(width, height)` in pixels, or `None` where no size is listed
    size: Optional[Tuple[int, int]]
    mask_paths: Tuple[str, ...]  # relative to the folder of masks; the object is their union
    ignore_path: Optional[str]  # the mask of pixels that do not count


def read_metadata(
    folder: str,
    with_boxes: bool = True,
    classes: Optional[int] = None,
    with_labels: bool = True,
    bad: Optional[BadLines] = None,
) -> List[Record]:
    """Read a metadata folder; images and masks need not be there.

    Args:
        folder: the folder with ``image_ids.txt``.
        with_boxes: ``False`` to leave out boxes, masks and sizes, whose files then may be missing.
        classes: a number of classes to check the labels against, or ``None``.
        with_labels: ``False`` to leave out the labels, whose file then may be missing.
        bad: takes the messages of wrong lines. An image with a wrong line in any of the files is left out,
            since it would lack a label, a size or some of its boxes.

    Returns:
        In the order of ``image_ids.txt``. An image without a line in ``localization.txt`` has neither
        boxes nor masks; how many there are is logged.

    Raises:
        UserError: a file is missing (``image_sizes.txt`` is needed with boxes alone) or empty, or for more
            than one image in a hundred a line is not as expected, an id is there twice, unknown, without a
            label or without a size, or a path leads out of its folder.
    """
    bad = BadLines() if bad is None else bad
    files = _Files(os.path.abspath(folder), bad)
    labels = dict.fromkeys(files.ids, -1)
    if with_labels:
        labels = files.table(LABELS, 1, "'id,label'", functools.partial(_label, classes=classes))
    sizes: Dict[str, Tuple[int, int]] = {}
    if with_boxes:
        files.read_localization()
        # A mask has the size of its image; boxes need it listed.
        if files.boxes or os.path.isfile(os.path.join(files.folder, SIZES)):
            sizes = files.table(SIZES, 2, "'id,width,height'", _size)
    records = [
        Record(
            key,
            labels[key],
            tuple(files.boxes.get(key, ())),
            sizes.get(key),
            tuple(files.masks.get(key, ())),
            files.ignored.get(key),
        )
        for key in files.ids
        if key not in bad.lost
    ]
    bad.check(files.folder, len(records))
    return records


class _Files:
    """The files of a metadata folder; ids also have those with a wrong line, with their lines' numbers."""

    def __init__(self, folder: str, bad: BadLines):
        self.folder = folder
        self.ids: Dict[str, int] = {}
        self.boxes: Dict[str, List[Box]] = {}
        self.masks: Dict[str, List[str]] = {}
        self.ignored: Dict[str, str] = {}
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
        for number, text in self._lines(path):
            where = f"{path}:{number}"
            with self._bad.of(self._id_of(text, values)):
                key, fields = self._split(text, values, where, expected)
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

    def _lines(self, path: str) -> Iterator[Tuple[int, str]]:
        """The lines of a table without its headings."""
        for number, text in read_lines(path, bad=self._bad):
            if number > 1 or not self._is_heading(text):
                yield number, text

    def read_localization(self) -> None:
        """Read boxes, or masks with what is to be ignored; a file has either."""
        path = os.path.join(self.folder, LOCALIZATION)
        for number, text in self._lines(path):
            where = f"{path}:{number}"
            values = 4 if self._is_box(text) else 2
            with self._bad.of(self._id_of(text, values)):
                key, fields = self._split(text, values, where, _LOCALIZATION_LINE)
                if self.masks if values == 4 else self.boxes:
                    raise UserError(f"{where}: boxes and masks in one file; expected either")
                if values == 4:
                    self.boxes.setdefault(key, []).append(_box(fields, where))
                else:
                    self._add_mask(key, fields, where)
        if not self.boxes and not self.masks:
            self._bad.refuse(0)
            raise UserError(f"{path}: the file is empty; expected lines {_LOCALIZATION_LINE}")
        found = self._bad.lost.union(self.boxes, self.masks)
        without = [key for key in self.ids if key not in found]
        if without:
            _logger.warning(
                f"{path}: no line for {len(without)} of the {len(self.ids)} ids, which count as images "
                f"without boxes: {first_few(map(quote, without), limit=1)}"
            )

    def _add_mask(self, key: str, fields: Sequence[str], where: str) -> None:
        mask, ignore = fields
        if not mask:
            raise UserError(f"{where}: no mask; expected {_LOCALIZATION_LINE}")
        for relative in filter(None, fields):
            resolve_below(self.folder, "", relative, where)
        if ignore and self.ignored.setdefault(key, ignore) != ignore:
            raise UserError(
                f"{where}: {quote(key)} is ignored by {quote(self.ignored[key])} already; "
                "expected one ignore_path per image"
            )
        self.masks.setdefault(key, []).append(mask)

    def _split(self, text: str, values: int, where: str, expected: str) -> Tuple[str, List[str]]:
        """The id of a line, which may contain commas, and the fields after it."""
        fields = text.rsplit(",", values)
        if len(fields) <= values:
            raise UserError(f"{where}: {quote(text)}; expected {expected}")
        key = self._key(fields[0])
        if key not in self.ids:
            raise UserError(f"{where}: {quote(key)} is not in {IDS}; expected {expected}")
        return key, [unquoted(field.strip(_BLANK)) for field in fields[1:]]

    def _key(self, cell: str) -> str:
        """The id that a cell has, perhaps in quotes."""
        key = cell.strip(_BLANK)
        return key if key in self.ids else unquoted(key)

    def _id_of(self, text: str, values: int) -> Optional[str]:
        """The id of a line with that many fields after it, or with any number if it is wrong."""
        keys = (self._key(text.rsplit(",", n)[0]) for n in (values, *range(_MOST_FIELDS)))
        return next((key for key in keys if key in self.ids), None)

    def _is_heading(self, text: str) -> bool:
        """Whether a line is the headings of a table, such as ``image_id,label``."""
        cells = split_cells(text)
        has_id = any(self._key(text.rsplit(",", values)[0]) in self.ids for values in (1, 2, 4))
        return len(cells) > 1 and not has_id and not any(map(is_number, cells))

    def _is_box(self, text: str) -> bool:
        """Whether a line has four fields after its id, which may contain commas."""
        if text.count(",") >= 2 and self._key(text.rsplit(",", 2)[0]) in self.ids:
            return False
        return text.count(",") >= 4


def _add_once(seen: Dict[str, int], key: str, number: int, where: str, text: str) -> None:
    """Record the line of a key, written as ``text``; a second one is an error."""
    if key in seen:
        raise UserError(
            f"{where}: {quote(text)} a second time, as on line {seen[key]}; expected it once"
        )
    seen[key] = number


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


def _box(fields: Sequence[str], where: str) -> Box:
    if not all(map(is_number, fields)):
        found = quote(",".join(fields))
        raise UserError(f"{where}: {found}; expected four numbers x0,y0,x1,y1")
    return check_box([float(field) for field in fields], where)
