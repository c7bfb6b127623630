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
from dgl.data.image_files import image_names, is_folder_entry, scan_folder
from dgl.data.layouts.registry import register_layout
from dgl.data.sample import (
    SPLIT_CANDIDATES,
    Box,
    DataSet,
    Sample,
    check_samples,
    samples_by_class,
)
from dgl.data.text_files import (
    BadLines,
    check_class_index,
    find_root,
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
        annotations = _first(folder, _ANNOTATIONS)
        if annotations is None or _first(folder, _IMAGES) is None:
            continue
        if os.path.isdir(os.path.join(folder, _LISTS)) or _names_of_xml(
            os.path.join(folder, annotations)
        ):
            return True
    return False


@register_layout("voc", _EXPECTED, detect_voc)
def load_voc(
    data_dir: str, split: str, dataname: Optional[str], classes: Optional[int], with_boxes: bool
) -> DataSet:
    """Read one split of a data set in PASCAL VOC's form; the arguments are those of ``load_data``.

    The classes are those of ``classes.txt`` or ``labels.txt``, or else the sorted names of the objects of
    all splits, as VOC's own. An image gives one sample for each class present
    (:func:`~dgl.data.sample.samples_by_class`). Objects marked as difficult do not count, as in VOC's
    evaluation; an image without others is left out. ``val`` and ``test`` stand for each other where only
    one has a list; ``dataname`` chooses between folders of several years.

    Returns:
        Samples in the order of the list, or sorted by name.
    """
    bad = BadLines()
    folder = _choose_folder(data_dir, dataname)
    source = os.path.join(folder, _first(folder, _ANNOTATIONS) or "")
    entries = _list_split(folder, source, split, bad)
    if not entries:
        raise UserError(f"{folder}: no images listed for {split}; expected {_EXPECTED}")
    image_root = find_root(folder, [name for name in _IMAGES if _first(folder, (name,))], ())
    annotations = _read_all(source, entries, bad)
    bad.refuse(len(annotations))
    class_names, origin = _class_names(folder, source, entries, annotations)
    indices = {name: index for index, name in enumerate(class_names)}

    samples: List[Sample] = []
    empty: List[str] = []
    images: Dict[str, Dict[str, List[str]]] = {}
    for key, annotation in annotations.items():
        where = f"{os.path.join(source, key)}.xml"
        with bad:
            objects = []
            for name, box, is_difficult in zip(
                annotation.names, annotation.boxes, annotation.difficult
            ):
                if name not in indices:
                    raise UserError(
                        f"{where}: class {quote(name)}; expected one of those in {origin}"
                    )
                check_class_index(indices[name], classes, where)
                if not is_difficult:
                    objects.append((indices[name], _from_voc(box)))
            relative = _find_image(folder, image_root, key, annotation.filename, images)
            path, identity = resolve_below(folder, image_root, relative, where)
            if not objects:
                empty.append(identity)
            samples += samples_by_class(identity, path, objects, annotation.size, with_boxes)
    bad.check(source, len(entries))
    check_samples(samples, source, empty)
    name = dataname or os.path.basename(data_dir)
    limit = classes or len(class_names)
    return DataSet(name, "voc", split, samples, class_names, limit, tuple(bad.reasons))


def _from_voc(box: Box) -> Box:
    x0, y0, x1, y1 = box
    # Tools that count from 0 write 0 for the first pixel.
    return (x0 if 0 <= x0 < 1 else x0 - 1, y0 if 0 <= y0 < 1 else y0 - 1, x1, y1)


def _first(folder: str, names: Tuple[str, ...]) -> Optional[str]:
    """The first of some sub-folders that is there."""
    return next((name for name in names if os.path.isdir(os.path.join(folder, name))), None)


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


def _choose_folder(data_dir: str, dataname: Optional[str]) -> str:
    found = [path for path in _candidates(data_dir, dataname) if _first(path, _ANNOTATIONS)]
    if not found:
        raise UserError(f"{data_dir}: no folder of annotations; expected {_EXPECTED}")
    if len(found) > 1:
        names = [os.path.basename(path) for path in found]
        raise UserError(f"{data_dir}: several data sets; name one of {names}")
    if _first(found[0], _IMAGES) is None:
        raise UserError(f"{found[0]}: no folder of images; expected {_EXPECTED}")
    return found[0]


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
    paths = [os.path.join(lists, name + ".txt") for name in candidates]
    path = next((path for path in paths if os.path.isfile(path)), None)
    if path is None:
        raise UserError(f"{paths[0]}: no such file; expected a list of names, one per line")
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
    for name in _CLASS_FILES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
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


def _find_image(
    folder: str, root: str, key: str, filename: str, known: Dict[str, Dict[str, List[str]]]
) -> str:
    """Path of an annotation's image below the folder of images: the one of the same name.

    Where there are several, such as ``a.jpg`` and ``a.png``, the annotation's ``<filename>`` chooses.
    """
    below, stem = os.path.split(key)
    if below not in known:
        path = os.path.join(folder, root, below)
        known[below] = {}
        for name in image_names(path) if os.path.isdir(path) else ():
            known[below].setdefault(os.path.splitext(name)[0], []).append(name)
    found = known[below].get(stem, [stem + ".jpg"])
    name = os.path.basename(filename) if os.path.basename(filename) in found else found[0]
    return f"{below}/{name}" if below else name
