"""Layout ``ilsvrc``: ILSVRC CLS-LOC as its publishers ship it (Russakovsky et al., 2015), or alike.

As published: images in ``Data/CLS-LOC/{train,val}``, PASCAL VOC XML in
``Annotations/CLS-LOC/{train,val}``, lists of ``id number`` lines in ``ImageSets/CLS-LOC``, and the
names of the classes in ``LOC_synset_mapping.txt`` or ``devkit/data/map_clsloc.txt``; all that may lie
in a folder ``ILSVRC``, as Kaggle packs it. Or else: images in ``train/<class>/`` and ``val/``, XML
under the same paths in ``annotations/``, and ``classes.txt``.

A training image's class is its folder, a validation image's that of its objects.
"""

import functools
import logging
import os
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from dgl.data.annotations import Annotation, read_annotation
from dgl.data.class_names import read_class_names, strip_numbers
from dgl.data.image_files import IMAGE_EXTENSIONS, images_by_stem, is_folder_entry, scan_folder
from dgl.data.layouts.image_folder import class_folders
from dgl.data.layouts.registry import Request, register_layout
from dgl.data.sample import SPLIT_CANDIDATES, SPLIT_NAMES, DataSet, Sample
from dgl.data.text_files import (
    DIGITS,
    BadLines,
    check_class_index,
    check_total,
    first_there,
    is_nearly_full,
    progress,
    read_lines,
    read_table,
    resolve_below,
)
from dgl.errors import UserError, first_few, quote

# As published; the number of boxes is that of wsolevaluation's list of the validation set.
CLASSES = 1000
VAL_IMAGES = 50000
VAL_BOXES = 80477

_EXPECTED = (
    "Data/CLS-LOC and Annotations/CLS-LOC (ILSVRC), or train/<class>/ and val/ with XML of the same "
    "paths in annotations/"
)
# Relative to DATA; the first that is there counts.
_IMAGES = ("Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")
_ANNOTATIONS = ("Annotations/CLS-LOC", "ILSVRC/Annotations/CLS-LOC", "annotations")
_LISTS = ("ImageSets/CLS-LOC", "ILSVRC/ImageSets/CLS-LOC")
# Lists of the synsets: the class of a line, and its words.
_SYNSETS = (
    ("LOC_synset_mapping.txt", re.compile(r"(\S+)(?:[ \t]+(.+))?"), "'wnid words'"),
    ("devkit/data/map_clsloc.txt", re.compile(r"(\S+)[ \t]+\d+[ \t]+(.+)"), "'wnid number name'"),
)
_CLASSES_FILE = "classes.txt"

_logger = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One image of a list or a folder."""

    relative: str  # its path below the folder of its split, with extension
    path: str  # its absolute path
    where: str  # the place for messages: `list:line`, or the image itself


# An image, its class, and what its annotation, if it is read, has of objects of that class.
_Found = List[Tuple[Entry, str, Optional[Annotation]]]


class _Classes(NamedTuple):
    """The classes by index: as folders and annotations call them, for people, and their source."""

    keys: Tuple[str, ...]
    names: Tuple[str, ...]
    source: str


def detect_ilsvrc(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize annotations in XML where ILSVRC has them."""
    annotations = first_there(data_dir, _ANNOTATIONS, os.path.isdir)
    return annotations is not None and any(
        _has_xml(os.path.join(annotations, part))
        for split in ("val", "train", "test")
        for part in SPLIT_NAMES[split]
    )


@register_layout("ilsvrc", _EXPECTED, detect_ilsvrc)
def load_ilsvrc(request: Request) -> DataSet:
    """Read one split of ILSVRC or of a data set laid out alike.

    Class indices count the sorted synsets, as in every published ImageNet network; the synset list
    supplies names alone. ``DATA/classes.txt`` gives the order where it is there and no synset list
    is. Without either, the classes are the sorted class folders of ``train``, or else the sorted
    names of the objects. ``val`` and ``test`` stand for each other where only one has annotations
    (ILSVRC's test split has none). Without boxes, the XML of ``train`` is not read; that of ``val``
    is, for the classes.

    Returns:
        Samples in the order of the list in ``ImageSets``, or sorted where there is none. An image of
        ``train`` without XML or without objects has no box; one of ``val`` has objects of one class.
        An image on two lines of a list for ``val`` gives two samples and a logged warning.
    """
    data_dir, bad = request.data_dir, request.bad
    annotation_root = first_there(data_dir, _ANNOTATIONS, os.path.isdir)
    if annotation_root is None:
        raise UserError(f"{data_dir}: no folder of annotations; expected {_EXPECTED}")
    part = _find_part(annotation_root, request.split)
    entries = list_split(data_dir, part, bad)
    if not entries:
        raise UserError(f"{_image_folder(data_dir, part)}: no images; expected {_EXPECTED}")
    known = _read_classes(data_dir)
    source = os.path.join(annotation_root, part)
    if part == "train":
        if not known.keys:
            lists = ", ".join([name for name, _, _ in _SYNSETS] + [_CLASSES_FILE])
            raise UserError(
                f"{known.source}: no class folders with images; expected them, or a list of the "
                f"classes in one of {lists} in {data_dir}"
            )
        found = _read_train(entries, source if request.with_boxes else None, bad)
    else:
        found = _read_val(entries, source, known.keys, bad)
        if not known.keys:
            ordered = tuple(sorted({label for _, label, _ in found}))
            known = _Classes(ordered, ordered, source)

    indices = {key: index for index, key in enumerate(known.keys)}
    samples = []
    for entry, label, annotation in found:
        with bad:
            if label not in indices:
                raise UserError(
                    f"{entry.where}: class {quote(label)} is not one of the {len(indices)} of "
                    f"{known.source}"
                )
            check_class_index(indices[label], request.classes, entry.where)
            boxes, size = ((), None) if annotation is None else (annotation.boxes, annotation.size)
            own = boxes if request.with_boxes else ()
            samples.append(Sample(entry.relative, entry.path, indices[label], own, size=size))
    bad.check(source, len(samples))
    total = len(samples) + len(bad.reasons)
    if part == "val" and len(known.keys) == CLASSES and is_nearly_full(total, VAL_IMAGES):
        check_total(source, "images", total, VAL_IMAGES)
        boxes_found = sum(len(sample.boxes) for sample in samples)
        if request.with_boxes and boxes_found != VAL_BOXES:
            _logger.warning(f"{source}: {boxes_found} boxes; expected {VAL_BOXES} in the full set")
    return request.data_set(samples, known.names, len(known.keys))


def _image_folder(data_dir: str, part: str) -> str:
    return os.path.join(first_there(data_dir, _IMAGES, os.path.isdir) or data_dir, part)


def _read_classes(data_dir: str) -> _Classes:
    """The classes of the list of synsets, else of ``classes.txt``, else the folders of training."""
    for name, pattern, expected in _SYNSETS:
        path = first_there(data_dir, (name, "ILSVRC/" + name))
        if path is not None:
            synsets = _read_synsets(path, pattern, expected)
            keys = tuple(sorted(synsets))
            return _Classes(keys, tuple(synsets[key] for key in keys), path)
    path = os.path.join(data_dir, _CLASSES_FILE)
    if os.path.isfile(path):
        keys = read_class_names(path, with_numbers=True)
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UserError(f"{path}: class {quote(twice)} a second time; expected it once")
        return _Classes(keys, strip_numbers(keys), path)
    train = _image_folder(data_dir, "train")
    folders = tuple(sorted(class_folders(train))) if os.path.isdir(train) else ()
    return _Classes(folders, folders, train)


def _read_synsets(path: str, pattern: "re.Pattern[str]", expected: str) -> Dict[str, str]:
    def split(text: str) -> Tuple[Optional[str], Optional[str]]:
        match = pattern.fullmatch(text)
        return (match.group(1), match.group(2) or match.group(1)) if match else (None, None)

    return read_table(path, split, lambda words, where: words, expected, BadLines(most=0))


def _has_xml(folder: str) -> bool:
    """Whether there is an XML file in a folder or in one of its first five sub-folders."""
    if not os.path.isdir(folder):
        return False
    entries = scan_folder(folder)
    subfolders = [entry.path for entry in entries if is_folder_entry(entry)][:5]
    entries += [entry for path in subfolders for entry in scan_folder(path)]
    return any(entry.name.endswith(".xml") for entry in entries)


def _find_part(annotations: str, split: str) -> str:
    """The folder that stands for a split; that of training needs no annotations."""
    for candidate in SPLIT_CANDIDATES[split]:
        for part in SPLIT_NAMES[candidate]:
            if part == "train" or os.path.isdir(os.path.join(annotations, part)):
                return part
    raise UserError(f"{os.path.join(annotations, split)}: no such folder; expected {_EXPECTED}")


def _read_val(listed: Sequence[Entry], source: str, keys: Sequence[str], bad: BadLines) -> _Found:
    """The images with annotations that have objects of one class; few bad ones are left out."""
    read: List[Tuple[Entry, str, Annotation]] = []
    lacking = []
    for entry in progress(listed, "annotations", " files"):
        with bad:
            path = _xml_path(source, entry)
            if not os.path.exists(path):  # as in ILSVRC, without the image's folder
                path = os.path.join(source, os.path.basename(path))
            annotation = read_annotation(path)
            if annotation is None or not annotation.names:
                lacking.append(path + (" (missing)" if annotation is None else " (no object)"))
                raise UserError(
                    f"{lacking[-1]}; expected an XML file with an object for each image"
                )
            if len(set(annotation.names)) > 1:
                named = first_few(map(quote, sorted(set(annotation.names))))
                raise UserError(f"{path}: objects of the classes {named}; expected one class")
            read.append((entry, path, annotation))
    if len(lacking) * 100 > len(listed):
        raise UserError(
            f"{source}: {len(lacking)} of {len(listed)} images have no annotation with an object; "
            f"expected one XML file each: {first_few(lacking)}"
        )
    classes = set(keys).union(annotation.names[0] for _, _, annotation in read)
    found: _Found = []
    for entry, path, annotation in read:
        label = annotation.names[0]
        with bad:
            # Folders may have any name, but not that of another class.
            folders = [name for name in entry.relative.split("/")[:-1] if name in classes]
            if folders and label not in folders:
                raise UserError(
                    f"{path}: objects of class {quote(label)}, but the image is in the "
                    f"folder {quote(folders[0])}; expected one class"
                )
            found.append((entry, label, annotation))
    bad.refuse(len(found))
    return found


def _read_train(listed: Sequence[Entry], source: Optional[str], bad: BadLines) -> _Found:
    """The images, whose classes are their folders; without a ``source`` no annotation is read."""
    found: _Found = []
    others = []
    for entry in progress(listed, "annotations", " files"):
        label = entry.relative.split("/")[0]
        with bad:
            path = "" if source is None else _xml_path(source, entry)
            annotation = read_annotation(path) if path else None
            if annotation is not None and any(name != label for name in annotation.names):
                own = [box for n, box in zip(annotation.names, annotation.boxes) if n == label]
                annotation = annotation._replace(names=(label,) * len(own), boxes=tuple(own))
                others.append(path)
            found.append((entry, label, annotation))
    if others:
        _logger.warning(
            f"{source}: {len(others)} files have objects of a class other than their folder's, which are "
            f"left out: {first_few(others, limit=1)}"
        )
    return found


def _xml_path(source: str, entry: Entry) -> str:
    return os.path.join(source, os.path.splitext(entry.relative)[0] + ".xml")


def list_split(data_dir: str, part: str, bad: BadLines) -> List[Entry]:
    """The images of a split, by the list in ``ImageSets`` or else by what the folder holds.

    A listed image may be missing; one of ``val`` on several lines is there as often, with a logged
    warning.

    Args:
        part: the folder of the split; for ``"train"`` every image is in a class folder.
        bad: takes the messages of wrong lines, and of images that differ in their extension alone.

    Raises:
        UserError: the folder is missing, or more than one line in a hundred is not as expected or leads
            out of the split's folder, or so many images of a folder differ in their extension alone.
    """
    root = _image_folder(data_dir, part)
    # Training for classification uses all images; train_loc.txt has those with boxes.
    names = ("train_cls.txt", "train_loc.txt") if part == "train" else (part + ".txt",)
    list_path = first_there(data_dir, [f"{folder}/{name}" for folder in _LISTS for name in names])
    if list_path is not None:
        return _read_list(list_path, root, part, bad)
    if not os.path.isdir(root):
        raise UserError(f"{root}: no such folder; expected images")
    folders = sorted(entry.name + "/" for entry in scan_folder(root) if is_folder_entry(entry))
    entries = []
    for folder in progress([""] * (part != "train") + folders, "listing " + part, " folders"):
        for _, found in sorted(images_by_stem(os.path.join(root, folder)).items()):
            with bad:
                relative = folder + _only(found, root)
                path = os.path.join(root, relative)
                entries.append(Entry(relative, path, path))
    bad.refuse(len(entries))
    return entries


def _only(names: Sequence[str], folder: str) -> str:
    """The one image of a stem."""
    if len(names) > 1:
        both = " and ".join(map(quote, names))
        raise UserError(f"{folder}: both {both}; expected one image per annotation")
    return names[0]


def _read_list(list_path: str, root: str, part: str, bad: BadLines) -> List[Entry]:
    names_in = functools.lru_cache(maxsize=None)(images_by_stem)

    @functools.lru_cache(maxsize=None)
    def folders() -> List[str]:
        return sorted(entry.path for entry in scan_folder(root) if is_folder_entry(entry))

    def find(relative: str) -> str:
        """The image of a path without extension."""
        folder, stem = os.path.split(os.path.join(root, relative))
        found = names_in(folder).get(stem, [])
        if not found and folder == root and os.path.isdir(root):
            # Images of val are often sorted into class folders afterwards.
            for folder in folders():
                found = names_in(folder).get(stem, [])
                if found:
                    break
        if not found:
            return relative + ".JPEG"
        return os.path.relpath(os.path.join(folder, _only(found, folder)), root)

    entries = []
    for number, text in read_lines(list_path, bad=bad):
        where = f"{list_path}:{number}"
        cut = max(text.rfind(" "), text.rfind("\t")) + 1
        listed, count = text[:cut].rstrip(" \t"), text[cut:]
        with bad:
            if not listed or not DIGITS.fullmatch(count):
                raise UserError(f"{where}: {quote(text)}; expected 'id number'")
            _, relative = resolve_below(root, "", listed, where)
            if part == "train" and "/" not in relative:
                raise UserError(f"{where}: {quote(text)}; expected 'class/id number'")
            if not relative.lower().endswith(IMAGE_EXTENSIONS):
                relative = find(relative)
            entries.append(Entry(relative, os.path.join(root, relative), where))
            if part != "train":
                bad.note(relative, where)  # one annotation per image, hence one class
    bad.refuse(len(entries))
    return entries
