"""Layout ``folder``: folders of images, one per class, without boxes.

``DIR/{train,val}/<class>/*.jpg``, or ``DIR/<class>/*.jpg``, whose images are then the one split
asked for. Folders of splits may also be called ``training``, ``validation``, ``valid`` or ``testing``.
"""

import logging
import os
from typing import Dict, List, Optional

from dgl.data.image_files import LeftOut, image_names, is_folder_entry, is_image_entry, scan_folder
from dgl.data.layouts.registry import Request, register_layout
from dgl.data.sample import SPLIT_CANDIDATES, SPLIT_NAMES, SPLITS, DataSet, Sample
from dgl.data.text_files import check_class_index, progress
from dgl.errors import UserError

_logger = logging.getLogger(__name__)

_EXPECTED = "{train,val}/<class>/*.jpg, or <class>/*.jpg (folders of images, one per class)"


def detect_image_folder(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize class folders: in ``train``, ``val`` or ``test``, or at least two in the folder itself.

    A single folder of images could be any folder.
    """
    return bool(_split_folders(data_dir)) or len(class_folders(data_dir)) > 1


# Tried last: data sets of other layouts have class folders too.
@register_layout("folder", _EXPECTED, detect_image_folder, rank=2)
def load_image_folder(request: Request) -> DataSet:
    """Read one split of a data set of class folders.

    The classes are the sorted names of the folders that hold an image in any split, so the indices
    of different splits agree. ``val`` and ``test`` stand for each other where only one is there.

    Returns:
        Samples without boxes, sorted by class and file name.
    """
    splits = _split_folders(request.data_dir)
    folders = list(splits.values()) or [""]
    candidates = SPLIT_CANDIDATES[request.split]
    folder = next((splits[name] for name in candidates if name in splits), "")
    if splits and not folder:
        raise UserError(
            f"{request.path(request.split)}: no class folders with images (found {sorted(folders)}); "
            f"expected {_EXPECTED}"
        )
    names = tuple(sorted({name for own in folders for name in class_folders(request.path(own))}))
    if not names:
        raise UserError(f"{request.data_dir}: no class folders with images; expected {_EXPECTED}")
    samples: List[Sample] = []
    left_out = LeftOut()
    for index, name in enumerate(progress(names, "listing " + request.split, " classes")):
        path = request.path(folder, name)
        check_class_index(index, request.classes, path)
        images = image_names(path, left_out) if os.path.isdir(path) else []
        samples += [Sample(f"{name}/{own}", os.path.join(path, own), index) for own in images]
    if left_out:
        _logger.warning("%s: %s", request.path(folder), left_out)
    return request.data_set(samples, names)


def _split_folders(data_dir: str) -> Dict[str, str]:
    """Split -> name of its folder, of those that hold class folders.

    A folder ``train`` that holds images directly is not one of them: it is a class of locomotives.
    """
    there = {entry.name.lower(): entry.name for entry in scan_folder(data_dir)}
    found = {}
    for split in SPLITS:
        for name in filter(None, map(there.get, SPLIT_NAMES[split])):
            path = os.path.join(data_dir, name)
            if split not in found and os.path.isdir(path) and class_folders(path):
                found[split] = name
    return found


def class_folders(folder: str) -> List[str]:
    """Names of the sub-folders that hold at least one image, in no order."""
    return [
        entry.name
        for entry in scan_folder(folder)
        if is_folder_entry(entry) and any(map(is_image_entry, scan_folder(entry.path)))
    ]
