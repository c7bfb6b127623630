"""Layout ``yolo``: the text files of YOLO's trainers, a line ``class x y width height`` for each object.

``data.yaml`` names the classes (``names``) and, for each split (``train``, ``val``, ``test``), a folder of
images or a list of them; or ``classes.txt``, ``images/`` and ``labels/`` without it, as annotation tools
export. The labels of ``images/a.jpg`` are in ``labels/a.txt``: the last ``images`` of a path becomes
``labels``. Center and size of a box are fractions of the upright image, whose size is read from its header;
longer lines are polygons ``class x y x y ...``, of which the enclosing box counts.
"""

import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import yaml

from dgl.data.class_names import read_class_names
from dgl.data.image_files import image_names, is_folder_entry, scan_folder
from dgl.data.image_io import image_size
from dgl.data.layouts.registry import Request, register_layout
from dgl.data.sample import SPLIT_CANDIDATES, SPLIT_NAMES, SPLITS, Box, DataSet, samples_of_objects
from dgl.data.text_files import (
    DIGITS,
    check_box,
    check_class_index,
    first_there,
    progress,
    read_lines,
    read_numbers,
    resolve_below,
)
from dgl.errors import UserError, quote
from dgl.utils.files import read_bounded

MAX_YAML_BYTES = 1024 * 1024
MAX_LABEL_BYTES = 1024 * 1024  # of a line; polygons have thousands of points

_EXPECTED = "data.yaml with names, train and val, or classes.txt, images/ and labels/"
_YAML_NAMES = ("data.yaml", "dataset.yaml", "data.yml")
_CLASSES = "classes.txt"
_IMAGES, _LABELS = "images", "labels"
_LINE = "expected 'class x y width height' in fractions of the image"
# Programs round; beyond it these are pixels.
_SLACK = 0.01


class _Listed(NamedTuple):
    relative: str  # its path below the data folder
    where: str  # for messages


def detect_yolo(data_dir: str, dataname: Optional[str] = None) -> bool:
    """Recognize ``data.yaml``, or the folders ``images`` and ``labels`` with ``classes.txt``."""
    return first_there(data_dir, _YAML_NAMES) is not None or (
        first_there(data_dir, [_CLASSES]) is not None
        and all(os.path.isdir(os.path.join(data_dir, name)) for name in (_IMAGES, _LABELS))
    )


@register_layout("yolo", _EXPECTED, detect_yolo)
def load_yolo(request: Request) -> DataSet:
    """Read one split of a data set in YOLO's form.

    Paths in ``data.yaml`` are looked up below its ``path``, where that is below ``DATA``, and below
    ``DATA``. An image gives one sample for each class present
    (:func:`~dgl.data.sample.samples_of_objects`); one without labels, which is background, gives none.
    ``val`` and ``test`` stand for each other where only one is there. Without ``data.yaml``, a split is
    ``images/<split>``, or all of ``images`` where there is no such folder.

    Returns:
        Samples sorted by path, or in the order of the list. A sample's id is the path below ``images``.
        An image whose header cannot be read has no boxes; reading it reports why.
    """
    data_dir, bad = request.data_dir, request.bad
    source = first_there(data_dir, _YAML_NAMES)
    if source is not None:
        config = _read_yaml(source)
        class_names = _read_names(config.get("names"), source)
        listed = _list_yaml(request, config, source)
    elif os.path.isfile(request.path(_CLASSES)):
        source = request.path(_IMAGES)
        class_names = read_class_names(request.path(_CLASSES))
        listed = _list_folders(data_dir, request.split)
    else:
        raise UserError(f"{request.path(_YAML_NAMES[0])}: no such file; expected {_EXPECTED}")

    images = []
    for image in progress(listed, "labels", " images"):
        with bad:
            path, _ = resolve_below(data_dir, "", image.relative, image.where)
            identity, labels = _labels_of(data_dir, image)
            objects = list(_read_labels(labels, len(class_names)))
            size = None
            if objects:
                most = max(class_index for class_index, _ in objects)
                check_class_index(most, request.classes, labels)
                size = image_size(path) if request.with_boxes else None
            placed: List[Tuple[int, Optional[Box]]] = []
            for class_index, box in objects:
                scaled = [side * by for side, by in zip(box, (size or (1, 1)) * 2)]
                placed.append((class_index, check_box(scaled, labels) if size else None))
            images.append((identity, path, placed, size))
    bad.check(source, len(listed))
    return request.data_set(samples_of_objects(images, source, request.with_boxes), class_names)


def _read_yaml(path: str) -> Dict[str, Any]:
    data = read_bounded(path, MAX_YAML_BYTES, "a YAML file")
    try:
        # This loader makes texts, lists and dicts alone; a class "no" stays what it is.
        # The one in C is faster by far on thousands of brackets.
        config = yaml.load(data or b"", Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # noqa: S506
    # ValueError: bytes that are no text, RecursionError: lists in lists in lists.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: no YAML ({' '.join(str(error).split())}); expected {_EXPECTED}"
        ) from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: no mapping; expected {_EXPECTED}")
    if "kpt_shape" in config:
        raise UserError(f"{path}: kpt_shape: labels of poses; expected boxes or polygons")
    return config


def _read_names(names: Any, path: str) -> Tuple[str, ...]:
    """The names by class index, from a list or from ``index: name``."""
    if isinstance(names, dict):
        if sorted(names) != sorted(str(index) for index in range(len(names))):
            raise UserError(f"{path}: names: expected indices 0 to {len(names) - 1}")
        names = [names[str(index)] for index in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n for n in names):
        raise UserError(f"{path}: no names; expected the classes, a list or 'index: name'")
    return tuple(names)


def _list_yaml(request: Request, config: Dict[str, Any], path: str) -> List[_Listed]:
    """The images of a split as ``data.yaml`` names them: folders, lists, or several of these."""
    data_dir = request.data_dir
    key = next((name for name in _usual_names(request.split) if config.get(name)), None)
    if key is None:
        raise UserError(f"{path}: no {request.split}; expected a folder or a list of its images")
    values = config[key] if isinstance(config[key], list) else [config[key]]
    listed: List[_Listed] = []
    for value in values:
        where = f"{path}: {key}"
        if not isinstance(value, str):
            raise UserError(f"{where}: expected a path, or a list of paths")
        relative = _find_entry(data_dir, config.get("path"), value, where)
        if os.path.isdir(os.path.join(data_dir, relative)):
            listed += _list_folder(data_dir, relative)
        else:
            listed += _read_list(request, relative)
    if not listed:
        raise UserError(f"{path}: {key}: no images in {quote(str(config[key]))}; expected some")
    return listed


def _usual_names(split: str) -> List[str]:
    return [name for candidate in SPLIT_CANDIDATES[split] for name in SPLIT_NAMES[candidate]]


def _find_entry(data_dir: str, base: Any, value: str, where: str) -> str:
    """The path of a folder or a list below the data folder; what is named may lie in ``path``."""
    # Roboflow writes `../train/images` for a folder beside data.yaml; YOLO's trainers read it so.
    names = [value] + ([value[3:]] if value.startswith("../") else [])
    bases = [base] if isinstance(base, str) and base else []
    found = ""
    for folder in [*bases, ""]:
        for name in names:
            relative = os.path.relpath(os.path.join(data_dir, folder, name), data_dir)
            if relative.split(os.sep)[0] == os.pardir:
                continue
            found = found or relative
            if os.path.exists(os.path.join(data_dir, relative)):
                return relative.replace(os.sep, "/")
    if found:
        raise UserError(
            f"{where}: {os.path.join(data_dir, found)}: no such file or folder; expected images"
        )
    raise UserError(f"{where}: {quote(value)} leads out of the data folder {data_dir}")


def _list_folders(data_dir: str, split: str) -> List[_Listed]:
    """The images of a split in ``images/<split>``, or all of them where no split has a folder."""
    folders = [f"{_IMAGES}/{name}" for name in _usual_names(split)]
    folder = next((f for f in folders if os.path.isdir(os.path.join(data_dir, f))), None)
    every = [f"{_IMAGES}/{name}" for other in SPLITS for name in SPLIT_NAMES[other]]
    if folder is None and first_there(data_dir, every, os.path.isdir):
        raise UserError(f"{os.path.join(data_dir, folders[0])}: no such folder; expected images")
    found = _list_folder(data_dir, folder or _IMAGES)
    if not found:
        raise UserError(f"{os.path.join(data_dir, folder or _IMAGES)}: no images; expected some")
    return found


def _list_folder(data_dir: str, folder: str) -> List[_Listed]:
    found = sorted(_walk(data_dir, folder, set()))
    return [_Listed(image, os.path.join(data_dir, image)) for image in found]


def _walk(data_dir: str, folder: str, seen: Set[str]) -> Iterator[str]:
    """The images in a folder and those below it; links are followed, but none in a circle."""
    path = os.path.join(data_dir, folder)
    real = os.path.realpath(path)
    if real in seen:
        return
    seen.add(real)
    prefix = "" if folder == "." else folder + "/"
    for name in image_names(path):
        yield prefix + name
    for entry in scan_folder(path):
        if is_folder_entry(entry):
            yield from _walk(data_dir, prefix + entry.name, seen)


def _read_list(request: Request, relative: str) -> List[_Listed]:
    """The images of a list: ``./`` is the list's own folder, other paths are below ``DATA``."""
    data_dir, bad = request.data_dir, request.bad
    path = request.path(relative)
    listed = []
    for number, text in read_lines(path, bad=bad):
        where = f"{path}:{number}"
        if text.startswith("./"):
            text = os.path.join(os.path.dirname(relative), text[2:])
        elif os.path.isabs(text) and text.startswith(os.path.join(data_dir, "")):
            text = os.path.relpath(text, data_dir)
        with bad:
            inside, _ = resolve_below(data_dir, "", text, where)
            listed.append(_Listed(os.path.relpath(inside, data_dir).replace(os.sep, "/"), where))
    bad.refuse(len(listed))
    return listed


def _labels_of(data_dir: str, image: _Listed) -> Tuple[str, str]:
    """The id of an image, and the path of its labels."""
    parts = image.relative.split("/")
    places = [place for place, part in enumerate(parts[:-1]) if part == _IMAGES]
    labels = list(parts)
    if places:
        labels[places[-1]] = _LABELS
        parts = parts[places[-1] + 1 :]
    stem = os.path.splitext(os.path.join(data_dir, *labels))[0]
    return "/".join(parts), stem + ".txt"


def _read_labels(path: str, classes: int) -> Iterator[Tuple[int, Box]]:
    """Yield ``(class index, box in fractions)`` of each line; nothing where there is no file."""
    if not os.path.lexists(path):
        return
    for number, text in read_lines(path, MAX_LABEL_BYTES):
        where = f"{path}:{number}"
        fields = text.split()
        if not DIGITS.fullmatch(fields[0]):
            raise UserError(f"{where}: class {quote(fields[0])}; {_LINE}")
        check_class_index(int(fields[0]), classes, where)
        if len(fields) != 5 and (len(fields) < 7 or len(fields) % 2 == 0):
            raise UserError(f"{where}: {len(fields)} numbers; {_LINE}, or a polygon")
        values = read_numbers(fields[1:], where, _LINE)
        for value in values:
            # Comparisons with NaN are false.
            if not -_SLACK <= value <= 1 + _SLACK:
                raise UserError(f"{where}: {value:g} is no fraction; {_LINE}")
        if len(values) == 4:
            x, y, width, height = values
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        else:
            xs, ys = values[::2], values[1::2]
            box = (min(xs), min(ys), max(xs), max(ys))
        yield int(fields[0]), check_box(box, where)
