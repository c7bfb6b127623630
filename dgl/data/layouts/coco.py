"""Layout ``coco``: boxes in a JSON file of COCO's form (Lin et al., 2014), as most annotation tools write.

``annotations/instances_<split>*.json`` with images in ``<split>*/``, as published; ``<split>.json`` in
``annotations/`` or in the folder itself; ``<split>/_annotations.coco.json`` with the images beside it
(Roboflow); or one file for all images (``annotations.json``, ``instances_default.json`` of CVAT,
``result.json`` of Label Studio, ``labels.json`` of FiftyOne), which is then the one split asked for.
A box is ``[x, y, width, height]`` in pixels from the upper left corner of the image.
"""

import json
import os
import re
import reprlib
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from dgl.data.image_files import scan_folder
from dgl.data.layouts.registry import Request, register_layout
from dgl.data.sample import SPLIT_CANDIDATES, SPLIT_NAMES, Box, DataSet, samples_of_objects
from dgl.data.text_files import (
    MAX_TEXT_BYTES,
    BadLines,
    UnknownClassError,
    check_box,
    check_class_index,
    find_root,
    progress,
    resolve_below,
)
from dgl.errors import UserError, first_few, quote
from dgl.utils.files import read_bounded

_EXPECTED = "annotations/instances_<split>.json, <split>/_annotations.coco.json or annotations.json"
_SPLIT_FILE = r"(?:instances_|annotations_|coco_)?(?:{})(?:[-_]?\d{{4}})?\.json"
# One file for all images.
_ANY_FILE = r"(?:_?annotations(?:\.coco)?|instances|instances_default|result|labels|coco)\.json"
_ROBOFLOW = "_annotations.coco.json"
_KEYS = re.compile(rb'"(?:images|annotations|categories|info|licenses)"\s*:')
_PEEK_BYTES = 4096
# Python converts long runs of digits in quadratic time; ids have at most 64 bits.
_MOST_DIGITS = 20


class _Image(NamedTuple):
    """One entry of ``images``: its path as listed, its size, its place for messages."""

    file_name: str
    size: Optional[Tuple[int, int]]
    where: str


def detect_coco(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize JSON files by their names and their first key."""
    return any(_find_files(data_dir, split) for split in SPLIT_NAMES)


@register_layout("coco", _EXPECTED, detect_coco)
def load_coco(request: Request) -> DataSet:
    """Read one split of a data set in COCO's form.

    Classes count the categories by their ids, which may leave gaps. An image gives one sample for each
    class present (:func:`~dgl.data.sample.samples_of_objects`); one without objects gives none. Crowds
    (``iscrowd``) are not objects. ``val`` and ``test`` stand for each other where only one is there.
    Images are in the first of ``<split>``, ``images/<split>``, ``images``, ``data``, the JSON file's
    folder and ``DATA`` that has one of them.

    Returns:
        Samples in the order of ``images``, boxes ``(x, y, x + width, y + height)``.
    """
    data_dir, bad = request.data_dir, request.bad
    path = _choose_file(data_dir, request.split)
    document = _read_document(path)
    indices, class_names = _read_categories(document["categories"], path)
    images = _read_images(document["images"], path, bad)
    objects: Dict[Any, List[Tuple[int, Optional[Box]]]] = {key: [] for key in images}
    for entry, where in _entries(document["annotations"], "annotations", path, bad):
        with bad.of(_hashable(entry.get("image_id"))):
            key = _key(entry, "image_id", where)
            if key not in objects and key not in bad.lost:
                raise UserError(f"{where}: image_id {_shown(key)} is not among the images")
            found = _read_object(entry, indices, where)
            if found is not None:
                check_class_index(found[0], request.classes, where)
                if key in objects:
                    objects[key].append(found)
    bad.refuse(len(document["annotations"]))

    names = (image.file_name for image in images.values())
    root = find_root(data_dir, _roots(data_dir, path), names)
    kept = []
    for key, image in images.items():
        if key not in bad.lost:
            with bad:
                full, identity = resolve_below(data_dir, root, image.file_name, image.where)
                kept.append((identity, full, objects[key], image.size))
    bad.check(path, len(images) + len(document["annotations"]) - len(bad.reasons))
    return request.data_set(samples_of_objects(kept, path, request.with_boxes), class_names)


def _find_files(data_dir: str, split: str) -> List[str]:
    """Paths of the files that may be a split's, of its own name first."""
    folders = filter(os.path.isdir, (data_dir, os.path.join(data_dir, "annotations")))
    paths = [
        path
        for folder in folders
        for path in sorted(entry.path for entry in scan_folder(folder))
        if path.endswith(".json")
    ]

    def named(pattern: str) -> List[str]:
        names = re.compile(pattern, re.IGNORECASE)
        return [path for path in paths if names.fullmatch(os.path.basename(path))]

    for candidate in SPLIT_CANDIDATES[split]:
        found = named(_SPLIT_FILE.format("|".join(SPLIT_NAMES[candidate])))
        found += [os.path.join(data_dir, alias, _ROBOFLOW) for alias in SPLIT_NAMES[candidate]]
        found = list(filter(_is_coco, found))
        if found:
            return found
    if named(_SPLIT_FILE.format("|".join(sum(SPLIT_NAMES.values(), ())))):
        return []  # what has no split of its own in its name belongs to none of several
    return list(filter(_is_coco, named(_ANY_FILE)))


def _choose_file(data_dir: str, split: str) -> str:
    found = _find_files(data_dir, split)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"{data_dir}: no JSON file of the {split} split; expected {_EXPECTED}")
    raise UserError(
        f"{data_dir}: several files of the {split} split: {first_few(found)}; expected one"
    )


def _is_coco(path: str) -> bool:
    """Whether a file begins as one of COCO's form; other JSON files lie in data folders, too."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as stream:
            return _KEYS.search(stream.read(_PEEK_BYTES)) is not None
    except OSError:
        return False


def _roots(data_dir: str, path: str) -> List[str]:
    """Folders of images that may go with a JSON file, relative to the data folder."""
    own = os.path.relpath(os.path.dirname(path), data_dir)
    stem = os.path.splitext(os.path.basename(path))[0].rpartition("instances_")[2]
    named = [stem, re.sub(r"\W?\d{4}$", "", stem)]
    roots = [] if own == "." else [own] if os.path.basename(path) == _ROBOFLOW else []
    roots += [folder for name in named for folder in (name, "images/" + name)]
    return roots + ["images", "data", *([] if own == "." else [own]), ""]


def _read_document(path: str) -> Dict[str, List[Any]]:
    data = read_bounded(path, MAX_TEXT_BYTES, "a JSON file of COCO's form")
    if data is None:
        raise UserError(f"{path}: no such file; expected a JSON file of COCO's form")
    try:
        document = json.loads(
            data.decode("utf-8-sig"),
            parse_int=lambda text: int(text) if len(text) <= _MOST_DIGITS else float(text),
        )
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: no JSON ({error}); expected COCO's form") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise UserError(f'{path}: no list "{key}"; expected images, annotations, categories')
    found: Dict[str, List[Any]] = document
    return found


def _entries(
    entries: List[Any], kind: str, path: str, bad: BadLines
) -> Iterator[Tuple[Dict[str, Any], str]]:
    """The objects of one of the lists, each with its place for messages."""
    for number, entry in enumerate(progress(entries, kind, "")):
        where = f"{path}: {kind}[{number}]"
        with bad:
            if not isinstance(entry, dict):
                raise UserError(f"{where}: {_shown(entry)}; expected an object")
        if isinstance(entry, dict):
            yield entry, where


def _hashable(key: Any) -> Any:
    """An id as a key; ``None`` where it is none."""
    return key if isinstance(key, (int, str)) else None


def _key(entry: Dict[str, Any], name: str, where: str) -> Any:
    key = entry.get(name)
    # True equals 1.
    if not isinstance(key, (int, str)) or isinstance(key, bool):
        raise UserError(f'{where}: "{name}" is {_shown(key)}; expected a number or a text')
    return key


def _read_categories(entries: List[Any], path: str) -> Tuple[Dict[Any, int], Tuple[str, ...]]:
    """Class index by id, and the names by class index."""
    names: Dict[Any, str] = {}
    bad = BadLines(most=0)
    for entry, where in _entries(entries, "categories", path, bad):
        key, name = _key(entry, "id", where), entry.get("name")
        if not isinstance(name, str) or not name.strip():
            raise UserError(f'{where}: no "name"; expected its class')
        if key in names:
            raise UserError(f"{where}: id {_shown(key)} a second time; expected it once")
        names[key] = name.strip()
    bad.refuse(len(names))
    # The order of the ids is that of the published set; texts as ids keep the file's.
    keys = sorted(names) if all(isinstance(key, int) for key in names) else list(names)
    return {key: index for index, key in enumerate(keys)}, tuple(names[key] for key in keys)


def _read_images(entries: List[Any], path: str, bad: BadLines) -> Dict[Any, _Image]:
    images: Dict[Any, _Image] = {}
    seen: Dict[str, str] = {}
    for entry, where in _entries(entries, "images", path, bad):
        with bad.of(_hashable(entry.get("id"))):
            key, file_name = _key(entry, "id", where), entry.get("file_name")
            if not isinstance(file_name, str) or not file_name or "\0" in file_name:
                raise UserError(f'{where}: "file_name" is {_shown(file_name)}; expected a path')
            if key in images:
                raise UserError(f"{where}: id {_shown(key)} a second time; expected it once")
            if file_name in seen:
                raise UserError(f"{where}: {quote(file_name)} is {seen[file_name]} already")
            seen[file_name] = where[len(path) + 2 :]
            size = (entry.get("width"), entry.get("height"))
            is_known = all(type(side) is int and side > 0 for side in size)
            images[key] = _Image(file_name, size if is_known else None, where)  # type: ignore[arg-type]
    bad.refuse(len(images))
    return images


def _read_object(
    entry: Dict[str, Any], indices: Dict[Any, int], where: str
) -> Optional[Tuple[int, Box]]:
    """Class index and box of an annotation; ``None`` for a crowd."""
    category = _key(entry, "category_id", where)
    if category not in indices:
        raise UnknownClassError(
            f"{where}: category_id {_shown(category)} is not among the categories"
        )
    if entry.get("iscrowd"):
        return None
    values = entry.get("bbox")
    if (
        not isinstance(values, list)
        or len(values) != 4
        or not all(type(value) in (int, float) for value in values)
    ):
        raise UserError(f'{where}: "bbox" is {_shown(values)}; expected [x, y, width, height]')
    x, y, width, height = values
    return indices[category], check_box((x, y, x + width, y + height), where)


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    return quote(value if isinstance(value, str) else reprlib.repr(value))
