"""The images that `dgl label` reads, from a folder or a data set, and the class to localize in each."""

import hashlib
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from dgl.data.class_names import ClassNames
from dgl.data.image_files import image_names
from dgl.data.layouts import detect_layout, load_data
from dgl.data.sample import DataSet
from dgl.errors import UserError

# The layout of a folder of images without labels.
IMAGES = "images"


class Item(NamedTuple):
    """One image to label."""

    image: str  # its path below the data folder, with forward slashes
    path: str  # its absolute path
    label: Optional[int] = None  # its own class, or `None`
    # The network's class to localize, or `None` for the most probable one
    target: Optional[int] = None


class Inputs(NamedTuple):
    """All images of a run of `dgl label`."""

    root: str  # the absolute path of the data folder
    name: str  # of the data set, as are layout and split
    layout: str
    split: str
    items: List[Item]  # no image twice
    classes: Tuple[str, ...]  # names of the objects' classes
    unmatched: Tuple[str, ...] = ()  # the classes that the network does not know

    def summary(self) -> Dict[str, Any]:
        """What a store's header says of it."""
        digest = hashlib.sha256()
        for item in self.items:
            line = repr((item.image, item.label, item.target))
            digest.update(line.encode("utf-8", "surrogateescape"))
        return {
            "path": self.root,
            "name": self.name,
            "layout": self.layout,
            "split": self.split,
            "images": len(self.items),
            "fingerprint": digest.hexdigest(),
        }


def find_data(
    data: str, split: str, dataname: Optional[str] = None, layout: Optional[str] = None
) -> Optional[DataSet]:
    """The data set in a folder, boxes left out; ``None`` for a folder of images that is none.

    Raises:
        UserError: nothing is recognized, or a file is not as expected.
    """
    if layout is None:
        try:
            layout = detect_layout(data, dataname)
        except UserError:
            if os.path.isdir(data) and image_names(data):
                return None
            raise
    return load_data(data, split, dataname, layout, with_boxes=False)


def make_inputs(
    data: str,
    dataset: Optional[DataSet],
    class_names: ClassNames,
    is_predicted: bool = False,
    limit: Optional[int] = None,
) -> Inputs:
    """The first ``limit`` images of a data set, or of a folder, no image twice.

    Args:
        dataset: of :func:`find_data`, or ``None`` for a folder of images without labels.
        class_names: of the network, with the number of its classes.
        is_predicted: whether the images' own labels are not to be used.

    Raises:
        UserError: labels of more classes than the network has, where neither side has names.
    """
    root = os.path.abspath(data)
    own_classes = tuple(class_names.name(index) for index in range(class_names.classes))
    if dataset is None:
        items = [Item(name, os.path.join(root, name)) for name in image_names(root)[:limit]]
        return Inputs(root, os.path.basename(root), IMAGES, "all", items, own_classes)
    targets = None if is_predicted else match_classes(dataset, class_names)
    found: Dict[str, Item] = {}
    for sample in dataset.samples[:limit]:
        image = os.path.relpath(sample.path, root).replace(os.sep, "/")
        own = () if targets is None else (sample.class_index, targets[sample.class_index])
        found.setdefault(image, Item(image, sample.path, *own))
    items = list(found.values())
    source = (root, dataset.name, dataset.format, dataset.split)
    if targets is None:
        return Inputs(*source, items, own_classes)
    classes = tuple(dataset.class_name(index) for index in range(dataset.classes))
    unmatched = tuple(name for name, target in zip(classes, targets) if target is None)
    return Inputs(*source, items, classes, unmatched)


def match_classes(dataset: DataSet, class_names: ClassNames) -> Sequence[Optional[int]]:
    """The network's class for each class of a data set, ``None`` where it has none of that name.

    Where the network or the data set has no names, classes are matched by their index.

    Raises:
        UserError: they are matched by index, and the network has fewer.
    """
    names = dataset.class_names
    if names is None or not class_names.names:
        if dataset.classes > class_names.classes:
            raise UserError(
                f"{dataset.name}: labels of {dataset.classes} classes, but the checkpoint has "
                f"{class_names.classes}; expected a checkpoint of these classes, or --predict"
            )
        return list(range(dataset.classes))
    if tuple(names) == class_names.names:
        return list(range(len(names)))
    return [class_names.exact(name) for name in names]
