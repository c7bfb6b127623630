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
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from dgl.data.image_files import scan_folder
from dgl.data.layouts import cub, ilsvrc
from dgl.data.layouts.registry import Request, register_layout
from dgl.data.sample import Box, DataSet, Sample
from dgl.data.text_files import (
    DIGITS,
    BadLines,
    check_box,
    check_class_index,
    check_total,
    find_root,
    is_headings,
    is_nearly_full,
    is_number,
    read_lines,
    read_table,
    resolve_below,
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


def detect_wsol(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize metadata of wsolevaluation."""
    return _is_metadata(data_dir) or bool(_split_folders(data_dir)) or bool(_names(data_dir))


@register_layout("wsolevaluation", _EXPECTED, detect_wsol)
def load_wsol(request: Request) -> DataSet:
    """Read one split of a data set with wsolevaluation's metadata.

    The splits are ``train`` (or ``train-weaksup``), ``val`` (or ``train-fullsup``) and ``test``, three
    different sets. Where ``DATA`` is itself the metadata of one split, it is taken for the split asked
    for. Boxes and masks of a training split are never read. Images and masks are in the first of
    ``DATA/dataset/<NAME>``, ``DATA/<NAME>``, ``DATA/images`` and ``DATA`` that holds one of them.
    Samples are in the order of ``image_ids.txt``.
    """
    data_dir, split = request.data_dir, request.split
    folder, name = _find_metadata(data_dir, split, request.dataname)
    with_boxes = request.with_boxes and split != "train"
    records = read_metadata(folder, with_boxes, request.classes, bad=request.bad)

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
        masks = tuple(map(mask_path, record.mask_paths))
        ignore = record.ignore_path and mask_path(record.ignore_path)
        samples.append(
            Sample(identity, path, record.label, record.boxes, masks, ignore, record.size)
        )
    images, boxes = _TOTALS.get((name.upper(), split), (0, None))
    if not request.bad.reasons and is_nearly_full(len(samples), images):
        check_total(folder, "images", len(samples), images)
        if with_boxes and boxes is not None:
            check_total(folder, "boxes", sum(len(sample.boxes) for sample in samples), boxes)
    classes = max(record.label for record in records) + 1
    return request.data_set(samples, None, classes, name)


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
    folder = os.path.abspath(folder)
    ids = _read_ids(folder, bad)
    labels = dict.fromkeys(ids, -1)
    if with_labels:
        parse = functools.partial(_label, classes=classes)
        path = os.path.join(folder, LABELS)
        labels = read_table(path, functools.partial(_split, ids, 1), parse, "'id,label'", bad, ids)
    found = _Localization({}, {}, {})
    sizes: Dict[str, Tuple[int, int]] = {}
    if with_boxes:
        found = _read_localization(folder, ids, bad)
        # A mask has the size of its image; boxes need it listed.
        path = os.path.join(folder, SIZES)
        if found.boxes or os.path.isfile(path):
            split, columns = functools.partial(_split, ids, 2), "'id,width,height'"
            sizes = read_table(path, split, _size, columns, bad, ids)
    records = [
        Record(
            key,
            labels[key],
            tuple(found.boxes.get(key, ())),
            sizes.get(key),
            tuple(found.masks.get(key, ())),
            found.ignored.get(key),
        )
        for key in ids
        if key not in bad.lost
    ]
    bad.check(folder, len(records))
    return records


def _read_ids(folder: str, bad: BadLines) -> Dict[str, int]:
    """The ids, those with a wrong line too, and the numbers of their lines."""
    path = os.path.join(folder, IDS)
    ids: Dict[str, int] = {}
    seen: Dict[str, int] = {}
    for number, text in read_lines(path, bad=bad):
        where = f"{path}:{number}"
        text = _unquoted(text)
        is_new = ids.setdefault(text, number) == number
        with bad.of(text if is_new else None):
            _, identity = resolve_below(folder, "", text, where)
            first = seen.setdefault(identity, number)
            if first != number:
                raise UserError(
                    f"{where}: {quote(text)} a second time, as on line {first}; expected it once"
                )
    if not ids:
        bad.refuse(0)
        raise UserError(f"{path}: the file is empty; expected one id per line")
    return ids


class _Localization(NamedTuple):
    """By id boxes, or masks with what is to be ignored."""

    boxes: Dict[str, List[Box]]
    masks: Dict[str, List[str]]
    ignored: Dict[str, str]


def _read_localization(folder: str, ids: Dict[str, int], bad: BadLines) -> _Localization:
    path = os.path.join(folder, LOCALIZATION)
    found = _Localization({}, {}, {})
    for number, text in read_lines(path, bad=bad):
        where = f"{path}:{number}"
        # An id may contain commas.
        is_mask = text.count(",") < 4 or _split(ids, 2, text)[1] is not None
        key, fields = _split(ids, 2 if is_mask else 4, text)
        if number == 1 and key is None and is_headings(text):
            continue
        with bad.of(key):
            if key is None or fields is None:
                raise UserError(
                    f"{where}: {quote(text)}; expected {_LOCALIZATION_LINE} and an id of {IDS}"
                )
            if found.boxes if is_mask else found.masks:
                raise UserError(f"{where}: boxes and masks in one file; expected either")
            if not is_mask:
                found.boxes.setdefault(key, []).append(_box(fields, where))
                continue
            mask, ignore = fields
            if not mask:
                raise UserError(f"{where}: no mask; expected {_LOCALIZATION_LINE}")
            for relative in filter(None, fields):
                resolve_below(folder, "", relative, where)
            if ignore and found.ignored.setdefault(key, ignore) != ignore:
                raise UserError(
                    f"{where}: {quote(key)} is ignored by {quote(found.ignored[key])} already; "
                    "expected one ignore_path per image"
                )
            found.masks.setdefault(key, []).append(mask)
    if not found.boxes and not found.masks:
        bad.refuse(0)
        raise UserError(f"{path}: the file is empty; expected lines {_LOCALIZATION_LINE}")
    told = bad.lost.union(found.boxes, found.masks)
    without = [key for key in ids if key not in told]
    if without:
        _logger.warning(
            f"{path}: no line for {len(without)} of the {len(ids)} ids, which count as images "
            f"without boxes: {first_few(map(quote, without), limit=1)}"
        )
    return found


def _split(
    ids: Dict[str, int], values: int, text: str
) -> Tuple[Optional[str], Optional[List[str]]]:
    """The id of a line and that many fields after it; of a wrong line the id alone, if it has one."""
    fields = text.rsplit(",", values)
    key = _id_of(ids, fields[0])
    if key is not None and len(fields) > values:
        return key, [_unquoted(field.strip(_BLANK)) for field in fields[1:]]
    keys = (_id_of(ids, text.rsplit(",", number)[0]) for number in range(_MOST_FIELDS))
    return next((key for key in keys if key is not None), None), None


def _id_of(ids: Dict[str, int], cell: str) -> Optional[str]:
    """The id that a cell has, perhaps in quotes."""
    cell = cell.strip(_BLANK)
    return next((key for key in (cell, _unquoted(cell)) if key in ids), None)


def _unquoted(cell: str) -> str:
    """A cell of a table without the quotes around it."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


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
