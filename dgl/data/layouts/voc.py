"""Layout ``voc``: PASCAL VOC (Everingham et al., 2010): a file of XML for each image, and lists of names.

``Annotations/*.xml``, images in ``JPEGImages/`` and the lists ``ImageSets/Main/{train,val,test}.txt``, in
``DATA`` or in the one folder ``VOC<year>`` of it. Without lists, all annotated images are the one split
asked for; ``annotations/`` and ``images/`` do as well, as annotation tools name them.

In VOC's boxes pixels count from 1 and the last one belongs to the box, so ``xmin ymin xmax ymax`` is
``(xmin - 1, ymin - 1, xmax, ymax)`` here.
"""

import os
import re
from typing import Dict, List, Optional, Tuple

from dgl.data.annotations import Annotation, read_annotation
from dgl.data.class_names import read_class_names
from dgl.data.image_files import images_by_stem, is_folder_entry, scan_folder
from dgl.data.layouts.registry import Request, register_layout
from dgl.data.sample import SPLIT_CANDIDATES, Box, DataSet, samples_of_objects
from dgl.data.text_files import (
    BadLines,
    check_class_index,
    first_there,
    progress,
    read_lines,
    resolve_below,
)
from dgl.errors import UserError, quote

_EXPECTED = (
    "Annotations/*.xml, JPEGImages/ and ImageSets/Main/{train,val}.txt, or annotations/*.xml and "
    "images/"
)
_ANNOTATIONS = ("Annotations", "annotations")
_IMAGES = ("JPEGImages", "images", "Images")
_LISTS = "ImageSets/Main"
_CLASS_FILES = ("classes.txt", "labels.txt")
_YEAR = re.compile(r"VOC\d{4}")
# VOC's trainval is both splits; a set may have no other list.
_SPLITS = {"train": ("train", "trainval"), "val": ("val",), "test": ("test",)}


def detect_voc(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize XML beside images, or lists in ``ImageSets/Main``."""
    for folder in _candidates(data_dir, dataname):
        annotations = first_there(folder, _ANNOTATIONS, os.path.isdir)
        images = first_there(folder, _IMAGES, os.path.isdir)
        has_lists = os.path.isdir(os.path.join(folder, _LISTS))
        if annotations and images and (has_lists or _names_of_xml(annotations)):
            return True
    return False


@register_layout("voc", _EXPECTED, detect_voc)
def load_voc(request: Request) -> DataSet:
    """Read one split of a data set in PASCAL VOC's form.

    The classes are those of ``classes.txt`` or ``labels.txt``, or else the sorted names of the objects of
    all splits, as VOC's own. An image gives one sample for each class present
    (:func:`~dgl.data.sample.samples_of_objects`). Objects marked as difficult do not count, as in VOC's
    evaluation; an image without others is left out. ``val`` and ``test`` stand for each other where only
    one has a list; ``dataname`` chooses between folders of several years.

    Returns:
        Samples in the order of the list, or sorted by name.
    """
    bad = request.bad
    folder, source, image_root = _choose_folder(request.data_dir, request.dataname)
    entries = _list_split(folder, source, request.split, bad)
    if not entries:
        raise UserError(f"{folder}: no images listed for {request.split}; expected {_EXPECTED}")
    annotations = _read_all(source, entries, bad)
    bad.refuse(len(annotations))
    class_names, origin = _class_names(folder, source, entries, annotations)
    indices = {name: index for index, name in enumerate(class_names)}

    images = []
    stems: Dict[str, Dict[str, List[str]]] = {}
    for key, annotation in annotations.items():
        where = f"{os.path.join(source, key)}.xml"
        with bad:
            objects: List[Tuple[int, Optional[Box]]] = []
            for name, box, is_difficult in zip(
                annotation.names, annotation.boxes, annotation.difficult
            ):
                if name not in indices:
                    raise UserError(
                        f"{where}: class {quote(name)}; expected one of those in {origin}"
                    )
                check_class_index(indices[name], request.classes, where)
                if not is_difficult:
                    objects.append((indices[name], _from_voc(box)))
            below, stem = os.path.split(key)
            if below not in stems:
                stems[below] = images_by_stem(os.path.join(folder, image_root, below))
            # Of a.jpg and a.png, the annotation's <filename> chooses.
            names = stems[below].get(stem, [stem + ".jpg"])
            own = os.path.basename(annotation.filename)
            relative = os.path.join(below, own if own in names else names[0])
            path, identity = resolve_below(folder, image_root, relative, where)
            images.append((identity, path, objects, annotation.size))
    bad.check(source, len(entries))
    return request.data_set(samples_of_objects(images, source, request.with_boxes), class_names)


def _from_voc(box: Box) -> Box:
    x0, y0, x1, y1 = box
    # Tools that count from 0 write 0 for the first pixel.
    return (x0 if 0 <= x0 < 1 else x0 - 1, y0 if 0 <= y0 < 1 else y0 - 1, x1, y1)


def _candidates(data_dir: str, dataname: Optional[str]) -> List[str]:
    """``DATA`` and the folders of years in it; the one named ``dataname`` alone where there is one."""
    folders = [data_dir, os.path.join(data_dir, "VOCdevkit")]
    years = [
        entry.path
        for folder in folders
        if os.path.isdir(folder)
        for entry in sorted(scan_folder(folder), key=lambda entry: entry.name)
        if _YEAR.fullmatch(entry.name) and is_folder_entry(entry)
    ]
    named = [path for path in years if os.path.basename(path) == dataname]
    return named or [data_dir, *years]


def _choose_folder(data_dir: str, dataname: Optional[str]) -> Tuple[str, str, str]:
    """The data set's folder, that of its annotations, and the name of that of its images."""
    candidates = _candidates(data_dir, dataname)
    found = [path for path in candidates if first_there(path, _ANNOTATIONS, os.path.isdir)]
    if not found:
        raise UserError(f"{data_dir}: no folder of annotations; expected {_EXPECTED}")
    if len(found) > 1:
        names = [os.path.basename(path) for path in found]
        raise UserError(f"{data_dir}: several data sets; name one of {names}")
    images = first_there(found[0], _IMAGES, os.path.isdir)
    if images is None:
        raise UserError(f"{found[0]}: no folder of images; expected {_EXPECTED}")
    annotations = first_there(found[0], _ANNOTATIONS, os.path.isdir)
    return found[0], str(annotations), os.path.basename(images)


def _names_of_xml(folder: str) -> List[str]:
    """Sorted names of the XML files in a folder, without the extension."""
    names = (os.path.splitext(entry.name) for entry in scan_folder(folder))
    return sorted(stem for stem, end in names if end == ".xml" and not stem.startswith("."))


def _list_split(folder: str, source: str, split: str, bad: BadLines) -> Dict[str, str]:
    """The names of a split's images, each with its place for messages."""
    lists = os.path.join(folder, _LISTS)
    if not os.path.isdir(lists):
        return dict.fromkeys(_names_of_xml(source), source)
    candidates = [name for part in SPLIT_CANDIDATES[split] for name in _SPLITS[part]]
    path = first_there(lists, [name + ".txt" for name in candidates])
    if path is None:
        wanted = os.path.join(lists, candidates[0] + ".txt")
        raise UserError(f"{wanted}: no such file; expected a list of names, one per line")
    entries: Dict[str, str] = {}
    for number, text in read_lines(path, bad=bad):
        where = f"{path}:{number}"
        with bad:
            key = resolve_below(source, "", text, where)[1]
            if key in entries:
                raise UserError(f"{where}: {quote(text)} a second time; expected it once")
            entries[key] = where
    bad.refuse(len(entries))
    return entries


def _read_all(source: str, entries: Dict[str, str], bad: BadLines) -> Dict[str, Annotation]:
    """The annotation of each name; the names come with their places for messages."""
    found = {}
    for key, where in progress(entries.items(), "annotations", " files"):
        path = os.path.join(source, key + ".xml")
        with bad:
            annotation = read_annotation(path)
            if annotation is None:
                raise UserError(
                    f"{where}: {path}: no such file; expected the annotation of {quote(key)}"
                )
            found[key] = annotation
    return found


def _class_names(
    folder: str, source: str, entries: Dict[str, str], annotations: Dict[str, Annotation]
) -> Tuple[Tuple[str, ...], str]:
    """The classes by index, and where they come from."""
    path = first_there(folder, _CLASS_FILES)
    if path is not None:
        return read_class_names(path, with_numbers=True), path
    found = {name for annotation in annotations.values() for name in annotation.names}
    # The indices of all splits agree, so those of the other splits are looked through, too.
    bad = BadLines()
    names = _all_names(folder, source, bad)
    others = {name: source for name in names if name not in entries}
    for annotation in _read_all(source, others, bad).values():
        found.update(annotation.names)
    bad.refuse(len(names))
    return tuple(sorted(found)), source


def _all_names(folder: str, source: str, bad: BadLines) -> List[str]:
    lists = os.path.join(folder, _LISTS)
    if not os.path.isdir(lists):
        return []
    found = dict.fromkeys(_names_of_xml(source))
    for split, names in _SPLITS.items():
        if any(os.path.isfile(os.path.join(lists, name + ".txt")) for name in names):
            found.update(dict.fromkeys(_list_split(folder, source, split, bad)))
    return list(found)
