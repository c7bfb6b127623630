"""Data sets described by the metadata folders of wsolevaluation, with their images.

``DATA`` is such a folder itself, or has one a split, or is laid out as wsolevaluation's own folder:
``metadata/<NAME>/<split>/`` with images in ``dataset/<NAME>/``.
"""

import os
from typing import Optional

from dgl.data.sample import DataSet, Sample, check_classes, check_split, resolve_below
from dgl.data.split_totals import WSOL_TOTALS, check_images_and_boxes
from dgl.data.wsol_metadata import IDS, LABELS, read_metadata
from dgl.errors import UserError, quote

EXPECTED = (
    "image_ids.txt, class_labels.txt and localization.txt, in DATA, <split>/ or "
    "metadata/<NAME>/<split>/ (wsolevaluation)"
)
# The names of the paper and those of its extension (2020), in which val is for full supervision.
_PARTS = {
    "train": ("train", "train-weaksup"),
    "val": ("val", "train-fullsup"),
    "test": ("test",),
}


def detect_wsol(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Tell whether a folder holds metadata in the form of wsolevaluation."""
    return _is_metadata(data_dir) or bool(_parts(data_dir)) or bool(_names(data_dir))


def load_wsol(
    data_dir: str,
    split: str,
    dataname: Optional[str] = None,
    classes: Optional[int] = None,
    with_boxes: bool = True,
) -> DataSet:
    """Read one split of a data set with wsolevaluation's metadata.

    Images and masks are in the first of ``DATA/dataset/<NAME>``, ``DATA/<NAME>``, ``DATA/images``
    and ``DATA`` where one of them is found.

    Args:
        data_dir: str, the folder ``DATA``.
        split: str, ``"train"`` (or the folder ``train-weaksup``), ``"val"`` (or ``train-fullsup``)
            or ``"test"``, which are three different sets. Where ``DATA`` is itself the metadata of
            one split, it is taken for the split asked for.
        dataname: str, the folder below ``DATA/metadata`` (the only one by default); without such
            folders, a name for the data set.
        classes: int, an explicit number of classes to check the labels against, or ``None`` for the
            largest label of this split plus one.
        with_boxes: bool, whether to read boxes and masks; of a training split they are never read.

    Returns:
        :class:`~dgl.data.sample.DataSet`, in the order of ``image_ids.txt``.

    Raises:
        UserError: the metadata are missing or not as expected (see
            :func:`~dgl.data.wsol_metadata.read_metadata`), ``dataname`` is needed or unknown, or a
            full set named CUB or ILSVRC does not have its published number of images or boxes.
    """
    check_split(split)
    check_classes(classes)
    data_dir = os.path.abspath(data_dir)
    folder, name = _find(data_dir, split, dataname)
    with_boxes = with_boxes and split != "train"
    records = read_metadata(folder, with_boxes, classes)

    where = os.path.join(folder, IDS)
    own = ("dataset/" + name, name) if name == os.path.basename(name) and name != ".." else ()
    roots = own + ("images", "")
    pictures = _find_root(data_dir, roots, (record.id for record in records))
    masks = _find_root(
        data_dir,
        (pictures,) + roots,
        (path for record in records for path in record.mask_paths),
    )
    samples = []
    for record in records:
        path, identity = resolve_below(data_dir, pictures, record.id, where)
        mask_paths = [resolve_below(data_dir, masks, m, where)[0] for m in record.mask_paths]
        ignore = record.ignore_path
        samples.append(
            Sample(
                identity,
                path,
                record.label,
                record.boxes,
                tuple(mask_paths),
                None if ignore is None else resolve_below(data_dir, masks, ignore, where)[0],
                record.size,
            )
        )
    images, boxes = WSOL_TOTALS.get((name.upper(), split), (None, None))
    if images is not None:
        check_images_and_boxes(folder, samples, images, boxes, with_boxes)
    limit = classes or max(record.label for record in records) + 1
    return DataSet(name, "wsolevaluation", split, samples, None, limit)


def _is_metadata(folder):
    return all(os.path.isfile(os.path.join(folder, name)) for name in (IDS, LABELS))


def _parts(folder):
    """Names of the folders of splits in a folder."""
    return [
        part
        for parts in _PARTS.values()
        for part in parts
        if os.path.isfile(os.path.join(folder, part, IDS))
    ]


def _names(data_dir):
    """Sorted names of the data sets below ``DATA/metadata``."""
    metadata = os.path.join(data_dir, "metadata")
    if not os.path.isdir(metadata):
        return []
    try:
        names = os.listdir(metadata)
    except OSError as error:
        raise UserError(f"{metadata}: cannot be listed: {error.strerror}") from error
    return sorted(name for name in names if _parts(os.path.join(metadata, name)))


def _find(data_dir, split, dataname):
    """``(folder, name)``: the metadata folder of a split and the name of its data set."""
    own = os.path.basename(data_dir)
    if _is_metadata(data_dir):
        if any(own in parts for parts in _PARTS.values()):
            own = os.path.basename(os.path.dirname(data_dir))
        return data_dir, dataname or own
    base, name = data_dir, dataname or own
    if not _parts(data_dir):
        metadata, names = os.path.join(data_dir, "metadata"), _names(data_dir)
        if not names:
            raise UserError(f"{data_dir}: no metadata; expected {EXPECTED}")
        if dataname is None and len(names) > 1:
            raise UserError(f"{metadata}: several data sets; name one of {names}")
        name = names[0] if dataname is None else dataname
        if name not in names:
            raise UserError(f"{metadata}: no data set {quote(name)} here; expected one of {names}")
        base = os.path.join(metadata, name)
    found = _parts(base)
    for part in _PARTS[split]:
        if part in found:
            return os.path.join(base, part), name
    raise UserError(
        "{}: no {} here; expected one of {}, found {}".format(
            base, IDS, ", ".join(part + "/" + IDS for part in _PARTS[split]), found
        )
    )


def _find_root(data_dir, roots, relatives):
    """The first folder that has the first path found anywhere; the first one where none is found."""
    for relative in relatives:
        for root in roots:
            if os.path.isfile(os.path.join(data_dir, root, relative)):
                return root
    return next((root for root in roots if os.path.isdir(os.path.join(data_dir, root))), roots[0])
