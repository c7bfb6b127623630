"""Layout ``folder``: folders of images, one per class, without boxes.

``DIR/{train,val}/<class>/*.jpg``, or ``DIR/<class>/*.jpg``, whose images are then the one split
asked for. Folders of splits may also be called ``training``, ``validation``, ``valid`` or ``testing``.
"""

import logging
import os
from typing import Dict, List, Optional

from dgl.data.image_files import LeftOut, image_names, is_folder_entry, is_image_entry, scan_folder
from dgl.data.layouts.registry import register_layout
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
def load_image_folder(
    data_dir: str, split: str, dataname: Optional[str], classes: Optional[int], with_boxes: bool
) -> DataSet:
    """Read one split of a data set of class folders; the arguments are those of ``load_data``.

    The classes are the sorted names of the folders that hold an image in any split, so the indices
    of different splits agree. ``val`` and ``test`` stand for each other where only one is there.

    Returns:
        Samples without boxes, sorted by class and file name.
    """
    splits = _split_folders(data_dir)
    folders = list(splits.values()) or [""]
    folder = next((splits[name] for name in SPLIT_CANDIDATES[split] if name in splits), "")
    if splits and not folder:
        raise UserError(
            f"{os.path.join(data_dir, split)}: no class folders with images (found "
            f"{sorted(folders)}); expected {_EXPECTED}"
        )
    class_names = sorted(
        {name for other in folders for name in class_folders(os.path.join(data_dir, other))}
    )
    if not class_names:
        raise UserError(f"{data_dir}: no class folders with images; expected {_EXPECTED}")
    samples: List[Sample] = []
    left_out = LeftOut()
    for class_index, class_name in enumerate(progress(class_names, "listing " + split, " classes")):
        path = os.path.join(data_dir, folder, class_name)
        check_class_index(class_index, classes, path)
        if os.path.isdir(path):
            samples.extend(
                Sample(class_name + "/" + name, os.path.join(path, name), class_index)
                for name in image_names(path, left_out)
            )
    if left_out:
        _logger.warning("%s: %s", os.path.join(data_dir, folder), left_out)
    name = dataname or os.path.basename(data_dir)
    return DataSet(name, "folder", split, samples, tuple(class_names), classes or len(class_names))


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
