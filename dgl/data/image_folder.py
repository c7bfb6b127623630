"""Plain folders of images, one folder a class, without boxes.

``DIR/{train,val}/<class>/*.jpg``, or ``DIR/<class>/*.jpg``, whose images then are the one split
asked for.
"""

import os
from typing import List, Optional

from tqdm import tqdm

from dgl.data.image_io import image_names, is_folder_entry, is_image_entry
from dgl.data.sample import SPLITS, DataSet, Sample, check_class_index, check_classes, check_split
from dgl.errors import UserError

EXPECTED = "{train,val}/<class>/*.jpg, or <class>/*.jpg (folders of images, one a class)"


def detect_image_folder(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Tell whether a folder holds class folders, in ``train`` or ``val`` or two of its own.

    A single folder of pictures is no sign: it could be any folder that happens to hold images.
    """
    return bool(_split_folders(data_dir)) or len(class_folders(data_dir)) > 1


def load_image_folder(
    data_dir: str,
    split: str,
    dataname: Optional[str] = None,
    classes: Optional[int] = None,
    with_boxes: bool = True,
) -> DataSet:
    """Read one split of a data set of class folders.

    The classes are the sorted names of the folders that hold an image in any split, so the indices
    of different splits agree.

    Args:
        data_dir: str, the folder of class folders, or of ``train/`` and ``val/`` (or ``test/``)
            with class folders.
        split: str, ``"train"``, ``"val"`` or ``"test"``; of the last two, each stands for the other
            where only one is there.
        dataname: str, a name for the data set, or ``None`` for the folder's own.
        classes: int, an explicit number of classes to check the folders against, or ``None``.
        with_boxes: bool, without effect: there are no boxes in this layout.

    Returns:
        :class:`~dgl.data.sample.DataSet` without boxes, sorted by class and file name.

    Raises:
        UserError: there are no class folders with images for this split, or more than
            ``classes``.
    """
    check_split(split)
    check_classes(classes)
    data_dir = os.path.abspath(data_dir)
    folders = _split_folders(data_dir) or {split: ""}
    others = {"train": (), "val": ("test",), "test": ("val",)}[split]
    found = next((name for name in (split,) + others if name in folders), None)
    if found is None:
        raise UserError(
            f"{os.path.join(data_dir, split)}: no class folders with images (found {sorted(folders)}); expected {EXPECTED}"
        )
    class_names = sorted(
        {
            name
            for folder in folders.values()
            for name in class_folders(os.path.join(data_dir, folder))
        }
    )
    if not class_names:
        raise UserError(f"{data_dir}: no class folders with images; expected {EXPECTED}")
    root = os.path.join(data_dir, folders[found])
    samples: List[Sample] = []
    for class_index, class_name in enumerate(
        tqdm(class_names, desc="listing " + split, unit=" classes", leave=False, delay=1)
    ):
        folder = os.path.join(root, class_name)
        if classes is not None:
            check_class_index(class_index, classes, folder)
        if not os.path.isdir(folder):
            continue
        samples.extend(
            Sample(class_name + "/" + name, os.path.join(folder, name), class_index)
            for name in image_names(folder)
        )
    name = dataname or os.path.basename(data_dir)
    return DataSet(name, "folder", split, samples, tuple(class_names), classes or len(class_names))


def _split_folders(data_dir):
    """Split name to folder name, for the splits that hold class folders.

    A folder ``train`` that holds images directly is not one of them: it is a class of
    locomotives.
    """
    return {
        name: name
        for name in SPLITS
        if os.path.isdir(os.path.join(data_dir, name))
        and class_folders(os.path.join(data_dir, name))
    }


def class_folders(folder: str) -> List[str]:
    """Names of the sub-folders that hold at least one image, in no order.

    Raises:
        UserError: a folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if is_folder_entry(entry)]
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error
    return [name for name in names if _has_image(os.path.join(folder, name))]


def _has_image(folder):
    try:
        with os.scandir(folder) as entries:
            return any(is_image_entry(entry) for entry in entries)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error
