"""Lists of ImageNet's classes: synsets and their words, or one name a line."""

import os
import re
from typing import Dict, NamedTuple, Optional, Tuple

from dgl.data.text_files import read_class_names, read_lines, strip_numbers
from dgl.errors import UserError, quote

SYNSET_LISTS = (
    ("LOC_synset_mapping.txt", re.compile(r"(\S+)(?:[ \t]+(.+))?"), "'wnid words'"),
    ("devkit/data/map_clsloc.txt", re.compile(r"(\S+)[ \t]+\d+[ \t]+(.+)"), "'wnid number name'"),
)
CLASSES_FILE = "classes.txt"


class ClassList(NamedTuple):
    """The classes by index: as folders and annotations call them, for people, and their source."""

    keys: Tuple[str, ...]
    names: Tuple[str, ...]
    source: str


def read_classes(data_dir: str) -> Optional[ClassList]:
    """The classes that a list in a data folder names, or ``None`` without a list.

    Raises:
        UserError: a line is not as expected, or a class is there twice.
    """
    for name, pattern, expected in SYNSET_LISTS:
        for path in (os.path.join(data_dir, name), os.path.join(data_dir, "ILSVRC", name)):
            if os.path.isfile(path):
                synsets = _read_synsets(path, pattern, expected)
                keys = tuple(sorted(synsets))
                return ClassList(keys, tuple(synsets[key] for key in keys), path)
    path = os.path.join(data_dir, CLASSES_FILE)
    if not os.path.isfile(path):
        return None
    keys = read_class_names(path, with_numbers=True)
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"{path}: class {quote(twice)} a second time; expected it once")
    return ClassList(keys, strip_numbers(keys), path)


def _read_synsets(path: str, pattern: "re.Pattern[str]", expected: str) -> Dict[str, str]:
    synsets: Dict[str, str] = {}
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
