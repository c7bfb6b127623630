"""Layout ``wsolevaluation``: metadata folders of Choe et al. (CVPR 2020), with their images.

A metadata folder describes one split: ``image_ids.txt``, ``class_labels.txt`` (``id,label``),
``image_sizes.txt`` (``id,width,height``) and ``localization.txt``, either ``id,x0,y0,x1,y1`` in pixels
of the original image or ``id,mask_path,ignore_path``, with as many lines per image as it has boxes or
masks. An id is the image's path below the folder of images.

``DATA`` is such a folder itself, or has one per split, or is laid out as wsolevaluation's own folder:
``metadata/<NAME>/<split>/`` with images in ``dataset/<NAME>/``.
"""

import os
from typing import Dict, List, Optional, Tuple

from dgl.data.bad_lines import BadLines
from dgl.data.layouts import cub, ilsvrc
from dgl.data.layouts.registry import register_layout
from dgl.data.sample import DataSet, Sample
from dgl.data.text_files import check_total, find_root, is_nearly_full, resolve_below
from dgl.data.wsol_metadata import IDS, LABELS, read_metadata
from dgl.errors import UserError, quote

_EXPECTED = (
    "image_ids.txt, class_labels.txt and localization.txt, in DATA, <split>/ or "
    "metadata/<NAME>/<split>/ (wsolevaluation)"
)
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


def detect_wsol(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize metadata of wsolevaluation."""
    return _is_metadata(data_dir) or bool(_parts(data_dir)) or bool(_names(data_dir))


@register_layout("wsolevaluation", _EXPECTED, detect_wsol)
def load_wsol(
    data_dir: str,
    split: str,
    dataname: Optional[str] = None,
    classes: Optional[int] = None,
    with_boxes: bool = True,
) -> DataSet:
    """Read one split of a data set with wsolevaluation's metadata, with the arguments of ``load_data``.

    The splits are ``train`` (or ``train-weaksup``), ``val`` (or ``train-fullsup``) and ``test``, three
    different sets. Where ``DATA`` is itself the metadata of one split, it is taken for the split asked
    for. Boxes and masks of a training split are never read. Images and masks are in the first of
    ``DATA/dataset/<NAME>``, ``DATA/<NAME>``, ``DATA/images`` and ``DATA`` that holds one of them.

    Returns:
        :class:`~dgl.data.sample.DataSet`, in the order of ``image_ids.txt``.

    Raises:
        UserError: the metadata are missing or not as expected, ``dataname`` is needed or unknown, or
            a full set named CUB or ILSVRC lacks its published number of images or boxes. Few wrong lines
            are left out with their images.
    """
    folder, name = _find(data_dir, split, dataname)
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


def _parts(folder: str) -> List[str]:
    """Names of the folders of splits in a folder."""
    return [
        part
        for parts in _PARTS.values()
        for part in parts
        if os.path.isfile(os.path.join(folder, part, IDS))
    ]


def _names(data_dir: str) -> List[str]:
    """Sorted names of the data sets below ``DATA/metadata``."""
    metadata = os.path.join(data_dir, "metadata")
    if not os.path.isdir(metadata):
        return []
    try:
        names = os.listdir(metadata)
    except OSError as error:
        raise UserError(f"{metadata}: cannot be listed: {error.strerror}") from error
    return sorted(name for name in names if _parts(os.path.join(metadata, name)))


def _find(data_dir: str, split: str, dataname: Optional[str]) -> Tuple[str, str]:
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
            raise UserError(f"{data_dir}: no metadata; expected {_EXPECTED}")
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
    expected = ", ".join(part + "/" + IDS for part in _PARTS[split])
    raise UserError(f"{base}: no {IDS} here; expected one of {expected}, found {found}")
