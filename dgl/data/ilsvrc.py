"""ILSVRC CLS-LOC as its publishers ship it (Russakovsky et al., 2015), and folders in its manner.

As published: images in ``Data/CLS-LOC/{train,val}``, PASCAL VOC XML in
``Annotations/CLS-LOC/{train,val}``, lists of ``id number`` lines in ``ImageSets/CLS-LOC``, and the
names of the classes in ``LOC_synset_mapping.txt`` or ``devkit/data/map_clsloc.txt``; all that may lie
in a folder ``ILSVRC``, as Kaggle packs it. In its manner: images in ``train/<class>/`` and ``val/``,
XML under the same paths in ``annotations/``, and ``classes.txt``.

A training image's class is its folder, a validation image's that of its objects.
"""

import logging
import os
from typing import Optional

from tqdm import tqdm

from dgl.data.annotations import read_annotation
from dgl.data.ilsvrc_files import (
    CLASS_LISTS,
    EXTENSIONS,
    find_annotations,
    find_images,
    folder_names,
    has_xml,
    list_pictures,
    read_classes,
)
from dgl.data.image_folder import class_folders
from dgl.data.sample import DataSet, Sample, check_class_index, check_classes, check_split
from dgl.data.split_totals import (
    ILSVRC_BOXES,
    ILSVRC_CLASSES,
    ILSVRC_IMAGES,
    check_images_and_boxes,
)
from dgl.errors import UserError, first_few, quote

EXPECTED = (
    "Data/CLS-LOC and Annotations/CLS-LOC (ILSVRC), or train/<class>/ and val/ with XML of the same "
    "paths in annotations/"
)

_logger = logging.getLogger(__name__)


def detect_ilsvrc(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Tell whether a folder has annotations in XML where ILSVRC has them."""
    annotations = find_annotations(data_dir)
    return annotations is not None and any(
        has_xml(os.path.join(annotations, part)) for part in ("val", "train", "test")
    )


def load_ilsvrc(
    data_dir: str,
    split: str,
    dataname: Optional[str] = None,
    classes: Optional[int] = None,
    with_boxes: bool = True,
) -> DataSet:
    """Read one split of ILSVRC CLS-LOC or of a data set in its manner.

    Class indices count the sorted synsets, as in every published ImageNet network; the synset list
    supplies names alone. ``DATA/classes.txt`` gives the order where it is there and no synset list
    is. Without either, the classes are the sorted class folders of ``train``, or else the sorted
    names of the objects.

    Args:
        data_dir: str, the folder of ``Data`` or of ``ILSVRC``, or of ``train``, ``val`` and
            ``annotations``.
        split: str, ``"train"``, ``"val"`` or ``"test"``; of the last two, each stands for the other
            where only one has annotations (ILSVRC's test split has none).
        dataname: str, a name for the data set, or ``None`` for the folder's own.
        classes: int, an explicit number of classes to check against, or ``None``.
        with_boxes: bool, ``False`` to leave the boxes out. The XML of ``train`` then is not read;
            that of ``val`` is, for the classes.

    Returns:
        :class:`~dgl.data.sample.DataSet`, in the order of the list in ``ImageSets``, or sorted
        where there is none. An image of ``train`` without XML or without objects has no box.

    Raises:
        UserError: images or annotations are missing, an XML file is not as expected, an image of
            ``val`` has no object or objects of several classes, a class is not in the list of
            classes, ``train`` has neither such a list nor class folders, or the full validation set
            does not have its 50,000 images. An image on two lines of a list for ``val`` gives two
            samples and a logged warning, and so do boxes other than 80,477 in the full validation
            set.
    """
    check_split(split)
    check_classes(classes)
    data_dir = os.path.abspath(data_dir)
    annotations = find_annotations(data_dir)
    if annotations is None:
        raise UserError(f"{data_dir}: no folder of annotations; expected {EXPECTED}")
    part = _find_part(annotations, split)
    pictures = find_images(data_dir)
    entries = list_pictures(data_dir, pictures, part)
    if not entries:
        raise UserError(
            "{}: no images ({}); expected {}".format(
                os.path.join(data_dir, pictures, part), " ".join(EXTENSIONS), EXPECTED
            )
        )
    known = read_classes(data_dir)
    if known is None:
        train = os.path.join(data_dir, pictures, "train")
        folders = tuple(sorted(class_folders(train))) if os.path.isdir(train) else ()
        known = (folders, folders, train)
    source = os.path.join(annotations, part)
    if part == "train":
        if not known[0]:
            raise UserError(
                "{}: no class folders with images; expected them, or a list of the classes in one "
                "of {} in {}".format(train, ", ".join(CLASS_LISTS), data_dir)
            )
        labels = [folder_names(entry.relative)[0] for entry in entries]
        found = _read_train(entries, labels, source) if with_boxes else [None] * len(entries)
    else:
        found = _read_val(entries, source, known[0])
        labels = [annotation.names[0] for annotation in found]
        if not known[0]:
            ordered = tuple(sorted(set(labels)))
            known = (ordered, ordered, source)
    keys, class_names, origin = known

    indices = {key: index for index, key in enumerate(keys)}
    samples = []
    for entry, label, annotation in zip(entries, labels, found):
        if label not in indices:
            raise UserError(
                f"{entry.where}: class {quote(label)} is not one of the {len(keys)} of {origin}"
            )
        if classes is not None:
            check_class_index(indices[label], classes, entry.where)
        boxes, size = ((), None) if annotation is None else (annotation.boxes, annotation.size)
        boxes = boxes if with_boxes else ()
        samples.append(Sample(entry.relative, entry.path, indices[label], boxes, size=size))
    if part == "val" and len(keys) == ILSVRC_CLASSES:
        # The published number of boxes is that of wsolevaluation's list.
        check_images_and_boxes(
            source, samples, ILSVRC_IMAGES, ILSVRC_BOXES, with_boxes, strict=False
        )
    name = dataname or os.path.basename(data_dir)
    return DataSet(name, "ilsvrc", split, samples, class_names, classes or len(keys))


def _find_part(annotations, split):
    """The folder that stands for a split; that of training needs no annotations."""
    others = {"train": (), "val": ("test",), "test": ("val",)}[split]
    for part in (split,) + others:
        if part == "train" or os.path.isdir(os.path.join(annotations, part)):
            return part
    raise UserError(f"{os.path.join(annotations, split)}: no such folder; expected {EXPECTED}")


def _read_val(entries, source, keys):
    """An annotation an image, each with objects of one class; all that lack one in one message."""
    found, lacking, paths = [], [], []
    for entry in tqdm(entries, desc="annotations", unit=" files", leave=False, delay=1):
        annotation, path = None, None
        for relative in _xml_names(entry.relative):
            path = os.path.join(source, relative)
            annotation = read_annotation(path)
            if annotation is not None:
                break
        if annotation is None:
            lacking.append(path + " (missing)")
            continue
        if not annotation.names:
            lacking.append(path + " (no object)")
            continue
        if len(set(annotation.names)) > 1:
            raise UserError(
                f"{path}: objects of the classes {first_few(map(quote, sorted(set(annotation.names))))}; expected one class"
            )
        found.append(annotation)
        paths.append(path)
    if lacking:
        raise UserError(
            f"{source}: {len(lacking)} of {len(entries)} images have no annotation with an object, expected one XML file "
            f"each: {first_few(lacking)}"
        )
    classes = set(keys).union(annotation.names[0] for annotation in found)
    for entry, annotation, path in zip(entries, found, paths):
        _check_folders(entry, annotation.names[0], classes, path)
    return found


def _check_folders(entry, label, classes, path):
    """Refuse an image in the folder of another class; a folder of another name says nothing."""
    named = [name for name in folder_names(entry.relative) if name in classes]
    if named and label not in named:
        raise UserError(
            f"{path}: objects of class {quote(label)}, but the image is in the folder {quote(named[0])}; expected one class"
        )


def _read_train(entries, labels, source):
    """An annotation or ``None`` an image, with the objects of the image's own class alone."""
    found, others = [], []
    for entry, label in zip(
        tqdm(entries, desc="annotations", unit=" files", leave=False, delay=1), labels
    ):
        path = os.path.join(source, _xml_names(entry.relative)[0])
        annotation = read_annotation(path)
        if annotation is not None and any(name != label for name in annotation.names):
            own = [i for i, name in enumerate(annotation.names) if name == label]
            annotation = annotation._replace(
                names=(label,) * len(own), boxes=tuple(annotation.boxes[i] for i in own)
            )
            others.append(path)
        found.append(annotation)
    if others:
        _logger.warning(
            "%s: %d files have objects of a class other than their folder's, which are left out: %s",
            source,
            len(others),
            first_few(others, limit=1),
        )
    return found


def _xml_names(relative):
    """Where an image's XML may be: under the image's own path or, as in ILSVRC's val, flat."""
    mirrored = os.path.splitext(relative)[0] + ".xml"
    flat = mirrored.rpartition("/")[2]
    return (mirrored,) if flat == mirrored else (mirrored, flat)
