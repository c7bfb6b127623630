"""Checks of a training's classes: images of each, the same in both splits, in the checkpoint's order."""

import os
from collections import Counter
from typing import List, Optional

import numpy as np

from dgl.data.class_names import list_difference
from dgl.data.image_files import is_folder_entry, scan_folder
from dgl.data.sample import DataSet
from dgl.errors import UserError, first_few, quote
from dgl.weights import ModelCard

from tensorpack.utils import logger  # isort: skip


def check_classes(training: DataSet, labels: Optional[np.ndarray] = None) -> None:
    """Check that there are at least two classes and that each has an image.

    ``labels`` are the class indices of the images that could be read, by default those of the list.

    Raises:
        UserError: otherwise. A folder without images beside those of the classes counts as a class.
    """
    lacking = _lacking(training, labels)
    if labels is None:
        lacking += empty_folders(training)
    if lacking:
        what = "readable training images" if labels is not None else "training images"
        raise UserError(
            f"{training.name}: no {what} of {first_few(map(quote, lacking))}; expected at least one "
            "of every class"
        )


def check_splits(training: DataSet, validation: DataSet, classes: int) -> None:
    """Warn of classes that only one split has, by their names; ``classes`` is the number of outputs.

    Raises:
        UserError: one class only, or labels that count from 1.
    """
    lacking = _lacking(training)
    if training.class_names is None and lacking == ["0"] and classes == training.classes:
        raise UserError(
            f"{training.name}: labels are 1 to {classes - 1}, none is 0; expected classes counted from 0"
        )
    trained, validated = ({s.class_index for s in data.samples} for data in (training, validation))
    untrained = set(range(classes)) - trained
    few = f"no training images of {len(untrained)} of {classes} classes, which will not be learned"
    found = [
        (few, map(training.class_name, sorted(untrained))),
        (
            "validation counts images of classes without training images as wrong",
            map(validation.class_name, sorted(validated - trained)),
        ),
        ("no validation images of", map(training.class_name, sorted(trained - validated))),
        ("folders without images are no classes", empty_folders(training)),
    ]
    for what, names in found:
        named = first_few(map(quote, names))
        if named:
            logger.warning("%s: %s: %s", training.name, what, named)


def check_order(card: Optional[ModelCard], data: DataSet, what: str) -> None:
    """Refuse data whose classes are not those of a checkpoint, in their order, where both have names.

    Raises:
        UserError: they differ; ``what`` has the card, such as ``--resume: train_log/mine``.
    """
    names = card.class_names if card is not None else None
    difference = list_difference(names, data.class_names) if names and data.class_names else ""
    if difference:
        raise UserError(
            f"{what} has other classes than {data.name}: {difference}; expected the same, in the same order"
        )


def _lacking(training: DataSet, labels: Optional[np.ndarray] = None) -> List[str]:
    """Names of the classes without an image; images of one class only are a :class:`UserError`."""
    counts = Counter(s.class_index for s in training.samples) if labels is None else Counter(labels)
    if len(counts) == 1:
        name = training.class_name(next(iter(counts)))
        raise UserError(
            f"{training.name}: all training images are of one class, {quote(name)}; expected two or more"
        )
    return [training.class_name(c) for c in range(training.classes) if not counts[c]]


def empty_folders(training: DataSet) -> List[str]:
    """Folders beside those of the classes that hold no image, which the layout left out."""
    if training.format != "folder":
        return []
    root = os.path.dirname(os.path.dirname(training.samples[0].path))
    return sorted(
        entry.name
        for entry in scan_folder(root)
        if is_folder_entry(entry) and entry.name not in (training.class_names or ())
    )
