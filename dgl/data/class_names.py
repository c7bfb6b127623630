"""Names of classes: those of a network, the class that a text stands for, and lists of names in files."""

import difflib
import functools
import operator
import os
import re
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from dgl.data.text_files import read_lines
from dgl.errors import ArgumentError, UserError, first_few, quote

IMAGENET_CLASSES = 1000

_IMAGENET_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "imagenet_classes.txt")
_INDEX = re.compile("-?[0-9]{1,9}")
_NO_WORD = re.compile("n?[-+., 0-9]*")  # a number or an id, which is not near to any name
_LISTED = 8  # classes that an error lists
# difflib takes a time quadratic in the length of what it compares.
_MOST_COMPARED = 80

_INDEX_AND_NAME = re.compile(r"(\d{1,7})[ \t]+(.+)")
_CUB_PREFIX = re.compile(r"(\d{3})\.(.+)")


class ClassNames(Sequence[str]):
    """Names by class index; a network without names has an empty one."""

    def __init__(
        self,
        names: Sequence[str] = (),
        wordnet_ids: Sequence[str] = (),
        other_names: Sequence[Sequence[str]] = (),
        classes: Optional[int] = None,
    ):
        """Take the names by class index as they are; those of more than ``classes`` are left out."""
        # Their number may be more than that of names.
        self.classes = len(names) if classes is None else classes
        self.given = len(names)  # before those of more than `classes` were left out
        # All three are empty where they are not known; an id is such as "n02088094".
        self.names = tuple(names)[: self.classes]
        self.wordnet_ids = tuple(wordnet_ids)[: self.classes]
        self.other_names = tuple(map(tuple, other_names))[: self.classes]
        self._known: Optional[Tuple[Dict[str, List[int]], ...]] = None

    @classmethod
    def of(cls, names: Optional[Sequence[str]], classes: Optional[int] = None) -> "ClassNames":
        """The names of a network's classes, by default as many as there are names.

        WordNet ids of ImageNet classes, which the folders of ILSVRC are named by, are replaced by the
        names that they stand for.
        """
        if isinstance(names, ClassNames):
            if classes in (None, names.classes):
                return names
            return cls(names.names, names.wordnet_ids, names.other_names, classes)
        if names and all(re.fullmatch("n[0-9]{8}", name) for name in names):
            known = imagenet_class_names()
            rows = {wordnet_id: row for row, wordnet_id in enumerate(known.wordnet_ids)}
            if all(name in rows for name in names):
                own = [rows[name] for name in names]
                others = [known.other_names[row] for row in own]
                return cls([known[row] for row in own], names, others, classes)
        return cls(names or (), classes=classes)

    def check_outputs(self, what: str) -> "ClassNames":
        """Refuse (:class:`ArgumentError`) names where there is not one for each class."""
        if self and self.given != self.classes:
            hint = ", the background class included" if self.given == self.classes - 1 else ""
            raise ArgumentError(
                f"{what}: {self.given} names, but the network has {self.classes} outputs; expected one for "
                f"each{hint}"
            )
        return self

    def __getitem__(self, index: Any) -> Any:
        return self.names[index]

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        """The name of a class, or its index as text where it has none."""
        return self.names[index] if 0 <= index < len(self.names) else str(index)

    def place_of(self, text: str, index: int) -> Optional[int]:
        """The class of this very name, id or other word, or of the first of several between commas.

        ``index`` is its place in the list that it is from, which comes first where several classes have
        the name; ``None`` where there is no class, or several of them elsewhere.
        """
        _, ids, _, words = self._rules()
        for part in dict.fromkeys([text, text.split(",")[0]]):
            wanted = _plain(part)
            fits = {place for rule in (ids, words) for place in rule.get(wanted, ())}
            if index in fits:
                return index
            if len(fits) == 1:
                return fits.pop()
        return None

    def find(self, text: Union[str, int], what: str = "class") -> int:
        """The class that is meant.

        Args:
            text: an index, a WordNet id, a name, or the beginning of a name that fits one class only and
                is no word of another class's name.
                Case does not matter, nor do hyphens, underscores and spaces; a full name comes before
                another word for a class, and both before a beginning.
            what: what an error calls it, such as ``--class``.

        Returns:
            int, the class index.

        Raises:
            UserError: no class fits, or several do; the message lists these, or the nearest names.
        """
        if not isinstance(text, str):
            return self._checked(text, what)
        stripped = text.strip()
        if _INDEX.fullmatch(stripped) and (
            0 <= int(stripped) < self.classes or stripped not in self.names
        ):
            return self._checked(int(stripped), what)
        for fits in (*self._exact(text), self._begun(_plain(text))):
            if len(fits) == 1:
                return fits[0]
            if fits:
                raise UserError(
                    f"{what} {quote(text)}: {len(fits)} classes fit: {self._list(fits)}; expected one of "
                    "them by its index or full name"
                )
        raise UserError(
            f"{what} {quote(text)}: no such class{self._nearest(text)}; expected {self._expected()}"
        )

    def exact(self, text: str) -> Optional[int]:
        """The class of that full name, WordNet id or other word, as :meth:`find`; ``None`` unless one fits.

        Neither an index nor the beginning of a name is one.
        """
        fits = next(filter(None, self._exact(text)), [])
        return fits[0] if len(fits) == 1 else None

    def _checked(self, value: Any, what: str) -> int:
        try:
            if isinstance(value, bool):  # which Python takes for 0 or 1
                raise TypeError
            index = operator.index(value)
        except TypeError:
            raise UserError(f"{what} {value}: expected {self._expected()}") from None
        if not 0 <= index < self.classes:
            raise UserError(f"{what} {index} is out of range: expected {self._expected()}")
        return index

    def _expected(self) -> str:
        kinds = f"an index from 0 to {self.classes - 1}"
        if self.names:
            kinds += ", a WordNet id or a class name" if self.wordnet_ids else " or a class name"
        return kinds

    def _rules(self) -> Tuple[Dict[str, List[int]], ...]:
        """By name, by id, by plain name, by plain name or other word: the classes that have it."""
        if self._known is None:
            plain = enumerate(map(_plain, self.names))
            every = (enumerate(self.names), enumerate(self.wordnet_ids), plain, self._words())
            self._known = tuple(map(_by_word, every))
        return self._known

    def _exact(self, text: str) -> Iterator[List[int]]:
        """The classes that fit, by one rule after another."""
        by_name, *others = self._rules()
        yield by_name.get(text, [])
        wanted = _plain(text)
        for rule in others if wanted else ():
            yield rule.get(wanted, [])

    def _words(self) -> Iterator[Tuple[int, str]]:
        """(class, plain name) of every name and every other word."""
        for index, name in enumerate(self.names):
            yield index, _plain(name)
        for index, others in enumerate(self.other_names):
            for word in others:
                yield index, _plain(word)

    def _begun(self, wanted: str) -> List[int]:
        """The classes with a name that begins with a plain text, after those with it as a word anywhere.

        None without a beginning: words within names only tell that a beginning, such as ``dog`` of
        ``dogsled``, may not be what is meant.
        """
        words = list(self._words())
        begun = [index for index, word in words if wanted and word.startswith(wanted)]
        whole = [index for index, word in words if f" {wanted} " in f" {word} "]
        return _once([*whole, *begun]) if begun else []

    def _nearest(self, text: str) -> str:
        """The classes whose names contain the text, or else those with the most similar names."""
        wanted = _plain(text)[:_MOST_COMPARED]
        words = list(self._words())
        fits = _once(index for index, word in words if len(wanted) > 2 and wanted in word)
        if not fits and not _NO_WORD.fullmatch(wanted):
            choices = {word[:_MOST_COMPARED]: index for index, word in reversed(words)}
            near = difflib.get_close_matches(wanted, list(choices), 3) or (
                difflib.get_close_matches(wanted, list(choices), 1, 0.0)
            )
            fits = _once(choices[word] for word in near)
        return f"; nearest: {self._list(fits)}" if fits else ""

    def _list(self, indices: Sequence[int]) -> str:
        listed = ", ".join(f"{index} {self.names[index]}" for index in indices[:_LISTED])
        more = len(indices) - _LISTED
        return f"{listed} and {more} more" if more > 0 else listed


def list_difference(
    first: Sequence[str],
    second: Sequence[str],
    of_first: str = "the checkpoint",
    of_second: str = "the data",
) -> str:
    """How two lists of class names differ, for a message; ``""`` where they are the same.

    Case, hyphens, underscores and spaces at either end do not matter. ``of_first`` and ``of_second`` say
    what has them.
    """
    if list(map(_plain, first)) == list(map(_plain, second)):
        return ""
    places = [{_plain(name): i for i, name in enumerate(names)} for names in (first, second)]
    parts = []
    for names, others, owner in ((first, places[1], of_first), (second, places[0], of_second)):
        alone = [name for name in names if _plain(name) not in others]
        if alone:
            parts.append(f"only in {owner}: {first_few(map(quote, alone))}")
    moved = [
        f"{quote(name)} is {index} in {of_first} and {places[1][_plain(name)]} in {of_second}"
        for index, name in enumerate(first)
        if places[1].get(_plain(name), index) != index
    ]
    if moved:
        parts.append(first_few(moved, 2))
    if len(first) != len(second):
        parts.append(f"{len(first)} classes in {of_first}, {len(second)} in {of_second}")
    return "; ".join(parts) or "a name is there twice"


def _plain(name: str) -> str:
    """A name without what does not matter: case, hyphens, underscores, spaces at either end."""
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def _by_word(pairs: Iterable[Tuple[int, str]]) -> Dict[str, List[int]]:
    found: Dict[str, List[int]] = {}
    for index, word in pairs:
        own = found.setdefault(word, [])
        own += [] if index in own else [index]
    return found


def _once(indices: Iterable[int]) -> List[int]:
    return list(dict.fromkeys(indices))


@functools.lru_cache(maxsize=1)
def imagenet_class_names() -> ClassNames:
    """The 1,000 classes of ILSVRC 2012, in the order of their WordNet ids, as published networks have them.

    No two names are the same. The file is read at the first call.
    """
    with open(_IMAGENET_FILE, encoding="utf-8") as stream:
        rows = [line.rstrip("\n").split("\t") for line in stream]
    return ClassNames(
        [row[1] for row in rows],
        [row[0] for row in rows],
        [row[2].split(", ") if len(row) > 2 else () for row in rows],
    )


def read_class_names(path: str, with_numbers: bool = False) -> Tuple[str, ...]:
    """Read class names: one per line, or ``index name`` lines counted from 0 or from 1.

    Numbers of CUB's names (``001.Black_footed_Albatross``) are dropped unless ``with_numbers``.

    Raises:
        UserError: the file is empty, or its indices leave a gap or repeat.
    """
    names = [text for _, text in read_lines(path)]
    if not names:
        raise UserError(f"{path}: no class names; expected one name per line")
    matches = [match for match in map(_INDEX_AND_NAME.fullmatch, names) if match]
    if len(matches) == len(names):
        by_index = {int(match.group(1)): match.group(2) for match in matches}
        start = min(by_index)
        if start > 1 or sorted(by_index) != list(range(start, start + len(names))):
            raise UserError(
                f"{path}: indices leave a gap or repeat; expected {len(names)} lines 'index name' "
                "counted from 0 or from 1"
            )
        names = [by_index[index] for index in sorted(by_index)]
    return tuple(names) if with_numbers else strip_numbers(names)


def strip_numbers(names: Sequence[str]) -> Tuple[str, ...]:
    """Drop CUB's ``001.`` from every name, where each name's number is its place counted from 1."""
    matches = [match for match in map(_CUB_PREFIX.fullmatch, names) if match]
    if [int(match.group(1)) for match in matches] == list(range(1, len(names) + 1)):
        return tuple(match.group(2) for match in matches)
    return tuple(names)
