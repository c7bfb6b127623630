"""Read the text files of data sets: lines, tables, numbers, boxes and paths.

People write these files by hand or by script, so every error names the file and the line. Of wrong lines,
few are left out with their images and reported; many refuse the file (:class:`BadLines`).
"""

import codecs
import contextlib
import csv
import logging
import os
import re
import stat
import unicodedata
import urllib.parse
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from tqdm import tqdm

from dgl.data.sample import MAX_CLASSES, Box
from dgl.errors import UserError, first_few, quote

# ILSVRC's training list has 1.3 million lines, about 80 MB with boxes.
MAX_TEXT_BYTES = 512 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024
_PROBED = 32 * 1024  # bytes that show how a file is written
# No program writes a coordinate of so many characters.
_MOST_DIGITS = 64
# More than one wrong line in a hundred of the longest lists that there are.
_MOST_REASONS = 20000

DIGITS = re.compile(r"[0-9]{1,9}")
# Each digit can be matched in one way only, so that refusing a long run takes linear time.
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?|[-+]?(?:nan|inf|infinity)",
    re.IGNORECASE,
)
_DRIVE = re.compile(r"[A-Za-z]:/")  # of an absolute path on Windows

_logger = logging.getLogger(__name__)


class UnknownClassError(UserError):
    """A class that there is not: labels may count otherwise than the classes, so none of them is sure."""


class BadLines:
    """Context that leaves out what :class:`UserError` is raised of, if that is little of the whole.

    A wrong line among a thousand is a slip, and the others are as good as before; if more than the part
    ``most`` are wrong, the file is not what it was taken for. A class out of range is never left out.
    """

    def __init__(self, most: float = 0.01) -> None:
        self._most = most
        self.reasons: List[str] = []  # the messages
        self.lost: Set[Any] = set()  # keys of images with something wrong, see `of`
        self._key: Any = None
        self._first: Optional[UserError] = None
        # By image, the places of its lines and its class.
        self._lines: Dict[str, Tuple[List[str], Optional[int]]] = {}

    def of(self, key: Any) -> "BadLines":
        """The context for a line of an image, which is lost if the line is wrong; ``None`` for no image."""
        self._key = key
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Optional[BaseException], _: Any) -> bool:
        key, self._key = self._key, None
        if not isinstance(error, UserError) or isinstance(error, UnknownClassError):
            return False
        if key is not None:
            self.lost.add(key)
        self._first = self._first or error
        if len(self.reasons) >= _MOST_REASONS:
            raise self._first
        self.reasons.append(str(error))
        return True

    def note(self, image: str, where: str, class_index: Optional[int] = None) -> None:
        """Note the line of an image, ``file:number``, for :meth:`check` to tell of repeats.

        Raises:
            UserError: the image has a line with another class; nobody knows which is right, so it is lost.
        """
        places, other = self._lines.setdefault(image, ([], class_index))
        if class_index != other:
            self.lost.add(image)
            raise UserError(
                f"{where}: {quote(image)} has class {class_index}, but class {other} on line "
                f"{places[0].rpartition(':')[2]}; expected one class"
            )
        places.append(where)

    def refuse(self, good: int) -> None:
        """Raise the first error if too many lines are wrong, beside those that are ``good``."""
        if self._first is not None and len(self.reasons) > self._most * (good + len(self.reasons)):
            raise self._first

    def check(self, what: str, good: int) -> None:
        """Log what was left out of ``what``, a file, and repeats; raises as :meth:`refuse`."""
        self.refuse(good)
        bad = len(self.reasons)
        if bad:
            _logger.warning(
                f"{what}: {bad} of {good + bad} entries left out; the first: {self._first}"
            )
        repeats = [(key, places) for key, (places, _) in self._lines.items() if len(places) > 1]
        if repeats:
            key, places = repeats[0]
            numbers = " and ".join(place.rpartition(":")[2] for place in places)
            _logger.warning(
                f"{places[0].rpartition(':')[0]}: {len(repeats)} of its images are on several lines, each "
                f"of which counts, such as {quote(key)} on lines {numbers}"
            )


def check_class_index(class_index: int, classes: Optional[int], where: str) -> None:
    """Refuse (:class:`UnknownClassError`) a label, counted from 0, beyond the number of classes.

    The number is ``None`` where it is not known. Here and below, ``where`` names the place for the
    message, as ``file:line``.
    """
    limit = MAX_CLASSES if classes is None else classes
    if not 0 <= class_index < limit:
        raise UnknownClassError(
            f"{where}: class {class_index} is out of range; expected 0 to {limit - 1} "
            f"({limit} classes, counted from 0)"
        )


def check_box(box: Sequence[float], where: str) -> Box:
    """The box ``(x0, y0, x1, y1)`` as floats; :class:`UserError` unless finite and not inverted."""
    x0, y0, x1, y1 = (float(value) for value in box)
    # Comparisons with NaN are false, so this refuses NaN as well.
    if not (-1e9 < x0 <= x1 < 1e9 and -1e9 < y0 <= y1 < 1e9):
        raise UserError(
            f"{where}: box {x0:g} {y0:g} {x1:g} {y1:g}; expected finite x0 <= x1 and y0 <= y1"
        )
    return (x0, y0, x1, y1)


def read_numbers(cells: Sequence[str], where: str, expected: str) -> List[float]:
    """Decimal numbers; :class:`UserError` where a cell is none."""
    for cell in cells:
        if not is_number(cell):
            raise UserError(f"{where}: {quote(cell)} is not a number; {expected}")
    return list(map(float, cells))


def is_number(text: str) -> bool:
    """Whether ``text`` is a decimal number of at most 64 characters.

    NaN and infinity are numbers here, so that :func:`check_box` reports them as what they are.
    """
    return len(text) <= _MOST_DIGITS and _NUMBER.fullmatch(text) is not None


def resolve_below(data_dir: str, folder: str, relative: str, where: str) -> Tuple[str, str]:
    """Absolute path and id of a listed image or mask, which has to lie below the data folder.

    Symbolic links are followed, wherever they lead: large data sets are often assembled from links. A path
    with the backslashes of Windows, with ``%20`` for a space, or with accents in the other of Unicode's two
    forms is taken for the file that is there, unless a file has that very name.

    Args:
        data_dir: absolute path of the data folder.
        folder: the folder of images, relative to ``data_dir``; ``""`` for that one itself.
        relative: the path as listed, relative to that folder.

    Returns:
        ``(path, id)``: the absolute path, and ``relative`` normalized. A path that climbs out of
        ``folder`` but stays in ``data_dir`` has its path below ``data_dir`` as its id.

    Raises:
        UserError: ``relative`` is absolute or leads out of ``data_dir``.
    """
    if "\\" in relative or "%" in relative or not relative.isascii():
        relative = _as_named(os.path.join(data_dir, folder), relative)
    prefix = folder + "/" if folder else ""
    if "./" in relative or "//" in relative or relative.endswith(".") or os.sep != "/":
        inside = os.path.normpath(os.path.join(folder, relative)).replace(os.sep, "/")
        climbs = inside.split("/", 1)[0] == ".."
        identity = inside[len(prefix) :] if inside.startswith(prefix) else inside
    else:
        # Fast path: most of up to 1.3 million lines have nothing to normalize.
        inside, climbs, identity = prefix + relative, False, relative
    if climbs or os.path.isabs(relative) or _DRIVE.match(relative):
        raise UserError(
            f"{where}: path {quote(relative)} leads out of the data folder; expected a path below "
            f"{os.path.join(data_dir, folder)}"
        )
    return os.path.join(data_dir, inside), identity


def _as_named(folder: str, relative: str) -> str:
    """A listed path as the file system has it: of other spellings the first that is there."""
    if os.path.lexists(os.path.join(folder, relative)):
        return relative
    relative = relative.replace("\\", "/")
    decoded = urllib.parse.unquote(relative)
    others = [
        unicodedata.normalize(form, text) for text in (relative, decoded) for form in ("NFC", "NFD")
    ]
    found = (name for name in (decoded, *others) if os.path.lexists(os.path.join(folder, name)))
    return next(found, relative) if "\0" not in decoded else relative


def find_root(data_dir: str, roots: Sequence[str], relatives: Iterable[str]) -> str:
    """The folder that listed paths are relative to, where a layout allows several, the best first.

    It is the first of the ``roots``, below the data folder, that has the first path found anywhere; where
    none is found, the first root that is there, or the first one.
    """
    for relative in relatives:
        for name in (relative, relative.replace("\\", "/")):
            for root in roots:
                if os.path.isfile(os.path.join(data_dir, root, name)):
                    return root
    return next((root for root in roots if os.path.isdir(os.path.join(data_dir, root))), roots[0])


def first_there(
    folder: str, names: Iterable[str], is_there: Callable[[str], bool] = os.path.isfile
) -> Optional[str]:
    """The path of the first of some files, or folders with ``os.path.isdir``; ``None`` without any."""
    return next(filter(is_there, (os.path.join(folder, name) for name in names)), None)


def progress(items: Iterable[Any], what: str, unit: str) -> Any:
    """The items, with a bar that appears where they take more than a second."""
    return tqdm(items, what, unit=unit, leave=False, delay=1)


def read_lines(
    path: str, longest: int = MAX_LINE_BYTES, bad: Optional[BadLines] = None
) -> Iterator[Tuple[int, str]]:
    """Lines of a text file, without blank ones.

    The text is UTF-8, or UTF-16 as programs on Windows write it; lines end in LF, CRLF, or, where there
    is no LF, in CR; a byte order mark is accepted. A progress bar appears after a second.

    Args:
        longest: the most bytes of a line.
        bad: takes lines that are too long or no text, which are then left out.

    Yields:
        ``(number, text)``: the line's number counted from 1, and its text without white space at
        either end.

    Raises:
        UserError: the file cannot be read, is larger than :data:`MAX_TEXT_BYTES`, has a line of
            more than ``longest`` bytes, or is neither UTF-8 nor UTF-16 text.
    """
    lines = _lines(path, longest, contextlib.nullcontext() if bad is None else bad)
    yield from progress(lines, os.path.basename(path), " lines")


def _lines(path: str, longest: int, bad: Any) -> Iterator[Tuple[int, str]]:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: not a file; expected a text file")
        if status.st_size > MAX_TEXT_BYTES:
            raise UserError(
                f"{path}: {status.st_size} bytes; expected a text file of at most {MAX_TEXT_BYTES}"
            )
        encoding, newline = _form_of(path)
        end = newline or "\n"
        # Bytes that are no text become surrogates.
        with open(path, encoding=encoding, errors="surrogateescape", newline=newline) as stream:
            for number, line in enumerate(iter(lambda: stream.readline(longest + 1), ""), 1):
                text = ""
                with bad:
                    text = _checked(line, f"{path}:{number}", longest)
                while len(line) > longest and not line.endswith(end):
                    line = stream.readline(longest + 1)
                if text:
                    yield number, text
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected a text file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read: {reason}") from error


def _form_of(path: str) -> Tuple[str, Optional[str]]:
    """The encoding of a text file, and what its lines end in, ``None`` for anything usual."""
    with open(path, "rb") as stream:
        start = stream.read(_PROBED)
    first = start[:64]
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", None
    if len(first) > 3 and not any(first[1::2]):
        return "utf-16-le", None
    if len(first) > 3 and not any(first[::2]):
        return "utf-16-be", None
    return "utf-8-sig", "\r" if b"\r" in start and b"\n" not in start else "\n"


def _checked(line: str, where: str, longest: int) -> str:
    try:
        size = len(line) if line.isascii() else len(line.encode("utf-8"))
    except UnicodeEncodeError:
        raise UserError(f"{where}: not UTF-8 text") from None
    if size > longest:
        raise UserError(f"{where}: line longer than {longest} bytes; expected a text file")
    if "\0" in line:
        raise UserError(f"{where}: binary data; expected UTF-8 text")
    return line.strip(" \t\r\n")


def read_table(
    path: str,
    split: Callable[[str], Tuple[Any, Any]],
    parse: Callable[[Any, str], Any],
    expected: str,
    bad: BadLines,
    ids: Optional[Iterable[Any]] = None,
) -> Dict[Any, Any]:
    """Read a file with one line for each image: id -> what ``parse`` makes of the line.

    Args:
        split: text of a line -> ``(id, cells)``; an id that is not known, or cells that are not as
            expected, are ``None``.
        parse: ``(cells, place for messages)`` -> value; may raise :class:`UserError`.
        expected: what a line has, for messages.
        bad: takes the messages of wrong lines, and of ids without a line, whose images are lost.
        ids: the ids of the images; ``None`` where this file gives them.
    """
    known = None if ids is None else dict.fromkeys(ids)
    found: Dict[Any, Any] = {}
    lines: Dict[Any, int] = {}
    for number, text in read_lines(path, bad=bad):
        where = f"{path}:{number}"
        key, cells = split(text)
        is_strange = known is not None and key not in known
        if is_strange and (key in bad.lost or (number == 1 and is_headings(text))):
            continue  # said of another file, or headings
        with bad.of(key):
            if cells is None:
                raise UserError(f"{where}: {quote(text)}; expected {expected}")
            if is_strange:
                raise UserError(f"{where}: no image has the id of {quote(text)}")
            first = lines.setdefault(key, number)
            if first != number:
                raise UserError(f"{where}: {key} a second time, as on line {first}; expected one")
            found[key] = parse(cells, where)
    if known is None:
        bad.refuse(len(found))
    lacking = [key for key in known or () if key not in found and key not in bad.lost]
    if len(lacking) * 100 > len(known or found):
        bad.refuse(len(found))
        raise UserError(
            f"{path}: no line for {len(lacking)} of the {len(known or ())} ids: "
            f"{first_few(map(str, lacking))}; expected lines {expected}"
        )
    for key in lacking:
        with bad.of(key):
            raise UserError(f"{path}: no line for id {key}; expected {expected}")
    if not found:
        bad.refuse(0)
        raise UserError(f"{path}: the file is empty; expected lines {expected}")
    return found


def is_headings(text: str) -> bool:
    """Whether a line may be the headings of a table, such as ``image_id,label``."""
    cells = split_cells(text)
    return len(cells) > 1 and not any(map(is_number, cells))


def split_cells(text: str) -> List[str]:
    """The cells of a line of a table, separated by commas or semicolons, with or without quotes."""
    delimiter = ";" if text.count(";") > text.count(",") else ","
    try:
        cells = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        cells = text.split(delimiter)
    return [cell.strip() for cell in cells]


def check_total(where: str, kind: str, found: int, expected: int) -> None:
    """Refuse (:class:`UserError`) another number of ``kind`` than is published of the full data set."""
    if found != expected:
        raise UserError(f"{where}: {found} {kind}; expected {expected} in the full set")


def is_nearly_full(found: int, expected: int) -> bool:
    """Whether a number of images is so close to the published one that all should be there.

    A chosen part of a data set (a few classes, a thousand images) is not a truncated copy of it.
    """
    return abs(found - expected) <= 0.02 * expected + 1e-6
