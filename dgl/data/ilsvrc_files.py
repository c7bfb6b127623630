"""Where ILSVRC CLS-LOC keeps what: its folders, lists of images and list of synsets."""

import os
import re
from typing import List, NamedTuple, Optional, Tuple

from tqdm import tqdm

from dgl.data.image_io import is_folder_entry
from dgl.data.label_list import check_repeats, read_class_names, strip_numbers
from dgl.data.sample import DIGITS, read_lines, resolve_below
from dgl.errors import UserError, quote

EXTENSIONS = (".jpeg", ".jpg", ".png")

# Relative to DATA, first come, first served; Kaggle packs all but the synset list into ILSVRC/.
_IMAGES = ("Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")
_ANNOTATIONS = ("Annotations/CLS-LOC", "ILSVRC/Annotations/CLS-LOC", "annotations")
_LISTS = ("ImageSets/CLS-LOC", "ILSVRC/ImageSets/CLS-LOC")
_SYNSETS = (
    ("LOC_synset_mapping.txt", re.compile(r"(\S+)(?:[ \t]+(.+))?"), "'wnid words'"),
    ("devkit/data/map_clsloc.txt", re.compile(r"(\S+)[ \t]+\d+[ \t]+(.+)"), "'wnid number name'"),
)
_CLASSES = "classes.txt"
CLASS_LISTS = tuple(name for name, _, _ in _SYNSETS) + (_CLASSES,)


class Entry(NamedTuple):
    """One image of a list or a folder.

    Attributes:
        relative: str, its path below the folder of its split, with extension.
        path: str, its absolute path.
        where: str naming the place for messages: ``list:line``, or the image itself.
    """

    relative: str
    path: str
    where: str


def find_annotations(data_dir: str) -> Optional[str]:
    """Absolute path of the folder of annotations, or ``None``."""
    found = _first_folder(data_dir, _ANNOTATIONS)
    return None if found is None else os.path.join(data_dir, found)


def find_images(data_dir: str) -> str:
    """The folder of ``train`` and ``val``, relative to ``data_dir``; possibly ``""``."""
    return _first_folder(data_dir, _IMAGES) or ""


def _find_list(data_dir, part):
    """Absolute path of the list of a split in ``ImageSets``, or ``None``."""
    # Training for classification uses all images; train_loc.txt has those with boxes.
    names = ("train_cls", "train_loc") if part == "train" else (part,)
    for folder in _LISTS:
        for name in names:
            path = os.path.join(data_dir, folder, name + ".txt")
            if os.path.isfile(path):
                return path
    return None


def _first_folder(data_dir, candidates):
    return next((c for c in candidates if os.path.isdir(os.path.join(data_dir, c))), None)


def folder_names(relative: str) -> List[str]:
    """Names of the folders of a relative path, outermost first."""
    return relative.split("/")[:-1]


def has_xml(folder: str) -> bool:
    """Whether there is an XML file in a folder or in one of its first few folders."""
    if not os.path.isdir(folder):
        return False
    folders: List[str] = []
    for entry in _scan(folder):
        if entry.name.endswith(".xml"):
            return True
        if len(folders) < 5 and is_folder_entry(entry):
            folders.append(entry.path)
    return any(entry.name.endswith(".xml") for path in folders for entry in _scan(path))


def read_classes(data_dir: str) -> Optional[Tuple[Tuple[str, ...], Tuple[str, ...], str]]:
    """The classes that a file in ``data_dir`` lists.

    Args:
        data_dir: str, absolute path.

    Returns:
        ``(keys, names, path)``: the classes as folders and annotations call them by class index,
        their names for people, and the file; ``None`` where there is no such file.

    Raises:
        UserError: a line is not as expected, or a class is there twice.
    """
    for name, pattern, expected in _SYNSETS:
        for path in (os.path.join(data_dir, name), os.path.join(data_dir, "ILSVRC", name)):
            if os.path.isfile(path):
                synsets = _read_synsets(path, pattern, expected)
                keys = tuple(sorted(synsets))
                return keys, tuple(synsets[key] for key in keys), path
    path = os.path.join(data_dir, _CLASSES)
    if not os.path.isfile(path):
        return None
    keys = read_class_names(path, with_numbers=True)
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"{path}: class {quote(twice)} a second time; expected it once")
    return keys, strip_numbers(keys), path


def _read_synsets(path, pattern, expected):
    synsets = {}
    for number, text in read_lines(path):
        where = f"{path}:{number}"
        match = pattern.fullmatch(text)
        if not match:
            raise UserError(f"{where}: {quote(text)}; expected {expected}")
        key, words = match.groups()
        if key in synsets:
            raise UserError(f"{where}: {quote(key)} a second time; expected it once")
        synsets[key] = words or key
    if not synsets:
        raise UserError(f"{path}: the file is empty; expected lines {expected}")
    return synsets


def list_pictures(data_dir: str, pictures: str, part: str) -> List[Entry]:
    """The images of a split, by the list in ``ImageSets`` or else by what the folder holds.

    Args:
        data_dir: str, absolute path of the data folder.
        pictures: str, the folder of the splits, relative to ``data_dir``.
        part: str, the folder of the split; for ``"train"`` every image is in a class folder.

    Returns:
        List of :class:`Entry`. A listed image may be missing; one of ``val`` on several lines is
        there as often, with a logged warning.

    Raises:
        UserError: the folder is missing, a line is not as expected or leads out of the split's
            folder, or two images of a folder differ in their extension alone.
    """
    root = os.path.join(data_dir, pictures, part)
    list_path = _find_list(data_dir, part)
    if list_path is not None:
        return _listed(list_path, root, part)
    if not os.path.isdir(root):
        raise UserError(f"{root}: no such folder; expected images")
    entries = []
    if part != "train":
        entries.extend(sorted(_names_by_stem(root).values()))
    subfolders = sorted(_subfolders(root))
    for name in tqdm(subfolders, desc="listing " + part, unit=" folders", leave=False, delay=1):
        names = _names_by_stem(os.path.join(root, name))
        entries.extend(name + "/" + picture for picture in sorted(names.values()))
    paths = [os.path.join(root, relative) for relative in entries]
    return [Entry(relative, path, path) for relative, path in zip(entries, paths)]


def _listed(list_path, root, part):
    by_folder, nested = {}, None
    entries, lines = [], {}
    for number, text in tqdm(
        read_lines(list_path), desc=os.path.basename(list_path), unit=" lines", leave=False, delay=1
    ):
        where = f"{list_path}:{number}"
        cut = max(text.rfind(" "), text.rfind("\t")) + 1
        listed, count = text[:cut].rstrip(" \t"), text[cut:]
        if not listed or not DIGITS.fullmatch(count):
            raise UserError(f"{where}: {quote(text)}; expected 'id number'")
        _, relative = resolve_below(root, "", listed, where)
        if part == "train" and "/" not in relative:
            raise UserError(f"{where}: {quote(text)}; expected 'class/id number'")
        if not relative.lower().endswith(EXTENSIONS):
            parent, _, stem = relative.rpartition("/")
            if parent not in by_folder:
                by_folder[parent] = _names_by_stem(os.path.join(root, parent) if parent else root)
            name = by_folder[parent].get(stem)
            if name is None and not parent:
                # The images of val are often sorted into class folders afterwards.
                nested = _nested(root) if nested is None else nested
                name = nested.get(stem)
            relative = (parent + "/" if parent else "") + (name or stem + ".JPEG")
        entries.append(Entry(relative, os.path.join(root, relative), where))
        if part != "train":
            # One annotation an image, hence one class, whatever the number of lines.
            lines.setdefault(relative, []).append((number, None))
    check_repeats(list_path, lines)
    return entries


def _nested(root):
    """Stem to relative path of the images one folder down."""
    if not os.path.isdir(root):
        return {}
    return {
        stem: folder + "/" + name
        for folder in _subfolders(root)
        for stem, name in _names_by_stem(os.path.join(root, folder)).items()
    }


def _subfolders(folder):
    return [entry.name for entry in _scan(folder) if is_folder_entry(entry)]


def _names_by_stem(folder):
    """Names of a folder's images by their stem; empty for a folder that is not there."""
    names = {}
    if not os.path.isdir(folder):
        return names
    for entry in _scan(folder):
        stem, extension = os.path.splitext(entry.name)
        if extension.lower() not in EXTENSIONS or stem.startswith("."):
            continue
        if stem in names:
            raise UserError(
                "{}: both {} and {}; expected one image an annotation".format(
                    folder, *(quote(name) for name in sorted([names[stem], entry.name]))
                )
            )
        names[stem] = entry.name
    return names


def _scan(folder):
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error
