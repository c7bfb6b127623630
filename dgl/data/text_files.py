"""Read the text files of data sets: lines, numbers, boxes and paths.

People write these files by hand or by script, so every error names the file and the line. Of wrong lines,
few are left out with their images and reported; many refuse the file (:class:`BadLines`).
"""

import codecs
import contextlib
import csv
import io
import logging
import os
import re
import stat
import unicodedata
import urllib.parse
from typing import (
    Any,
    BinaryIO,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

from tqdm import tqdm

from dgl.data.sample import MAX_CLASSES, Box
from dgl.errors import UserError, quote

# ILSVRC's training list has 1.3 million lines, about 80 MB with boxes.
MAX_TEXT_BYTES = 512 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024
_PROBED = 32 * 1024  # bytes that show how a file is written
# No program writes a coordinate of so many characters.
MAX_NUMBER = 64
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

_Text = TypeVar("_Text", bytes, str)


class UnknownClassError(UserError):
    """A class that there is not: labels may count otherwise than the classes, so none of them is sure."""


class BadLines:
    """Context that leaves out what :class:`UserError` is raised of, if that is little of the whole.

    A wrong line among a thousand is a slip, and the others are as good as before; if more are wrong, the
    file is not what it was taken for. A class out of range is never left out.

    Attributes:
        reasons: the messages.
        lost: keys of images with something wrong, see :meth:`of`.
    """

    def __init__(self) -> None:
        self.reasons: List[str] = []
        self.lost: Set[Any] = set()
        self._key: Any = None
        self._first: Optional[UserError] = None

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

    def refuse(self, good: int, most: float = 0.01) -> None:
        """Raise the first error if a larger fraction than ``most`` is wrong; ``good`` lines are right."""
        if self._first is not None and len(self.reasons) > most * (good + len(self.reasons)):
            raise self._first

    def check(self, what: str, good: int) -> None:
        """Log what was left out of ``what``, a file; raises as :meth:`refuse`."""
        self.refuse(good)
        bad = len(self.reasons)
        if bad:
            _logger.warning(
                f"{what}: {bad} of {good + bad} entries left out; the first: {self._first}"
            )


def add_repeat(
    lines: Dict[str, List[Tuple[int, Any]]],
    key: str,
    number: int,
    class_index: Any,
    where: str,
    bad: BadLines,
) -> None:
    """Note the line of an image in ``lines``, id -> ``(line number, class index)`` pairs.

    Raises:
        UserError: the image has a line with another class; nobody knows which is right, so it is lost.
    """
    for first, other in lines.get(key, ())[:1]:
        if class_index != other:
            bad.lost.add(key)
            raise UserError(
                f"{where}: {quote(key)} has class {class_index}, but class {other} on line {first}; "
                "expected one class"
            )
    lines.setdefault(key, []).append((number, class_index))


def tell_repeats(list_path: str, lines: Mapping[str, Sequence[Tuple[int, Any]]]) -> None:
    """Warn of images that are listed several times; the arguments are those of :func:`add_repeat`."""
    repeats = {key: entries for key, entries in lines.items() if len(entries) > 1}
    if repeats:
        key, entries = next(iter(repeats.items()))
        numbers = " and ".join(str(number) for number, _ in entries)
        _logger.warning(
            f"{list_path}: {len(repeats)} of its images are on several lines, each of which counts, such "
            f"as {quote(key)} on lines {numbers}"
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
    """The box ``(x0, y0, x1, y1)`` as floats.

    Raises:
        UserError: a coordinate is not finite, ``x1 < x0`` or ``y1 < y0``.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    # Comparisons with NaN are false, so this refuses NaN as well.
    if not (-1e9 < x0 <= x1 < 1e9 and -1e9 < y0 <= y1 < 1e9):
        raise UserError(
            f"{where}: box {x0:g} {y0:g} {x1:g} {y1:g}; expected finite x0 <= x1 and y0 <= y1"
        )
    return (x0, y0, x1, y1)


def is_number(text: str) -> bool:
    """Whether ``text`` is a decimal number of at most 64 characters.

    NaN and infinity are numbers here, so that :func:`check_box` reports them as what they are.
    """
    return len(text) <= MAX_NUMBER and _NUMBER.fullmatch(text) is not None


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
    """The folder that listed paths are relative to, where a layout allows several.

    Args:
        data_dir: absolute path of the data folder.
        roots: folders relative to it, the best first.
        relatives: paths as listed.

    Returns:
        The first root that has the first path found anywhere; where none is found, the first root that is
        there, or the first one.
    """
    for relative in relatives:
        for name in (relative, relative.replace("\\", "/")):
            for root in roots:
                if os.path.isfile(os.path.join(data_dir, root, name)):
                    return root
    return next((root for root in roots if os.path.isdir(os.path.join(data_dir, root))), roots[0])


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
        with open(path, "rb") as stream:
            for number, raw in enumerate(_raw_lines(stream, longest), 1):
                text = ""
                with bad:
                    text = _decode_line(raw, path, number, longest)
                if text:
                    yield number, text
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected a text file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read: {reason}") from error


def _raw_lines(stream: BinaryIO, longest: int) -> Iterator[bytes]:
    """Lines of a file as UTF-8, each cut off above ``longest`` bytes."""

    def cut(readline: Callable[[int], _Text], end: _Text) -> Iterator[_Text]:
        for line in iter(lambda: readline(longest + 1), end[:0]):
            yield line
            while len(line) > longest and not line.endswith(end):
                line = readline(longest + 1)

    start = stream.read(_PROBED)
    stream.seek(0)
    encoding, lines = None, start[:64]
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif len(lines) > 3 and not any(lines[1::2]):
        encoding = "utf-16-le"
    elif len(lines) > 3 and not any(lines[::2]):
        encoding = "utf-16-be"
    elif b"\r" in start and b"\n" not in start:
        encoding = "latin-1"  # any byte is a character, which is encoded again
    if encoding is None:
        yield from cut(stream.readline, b"\n")
        return
    text = io.TextIOWrapper(stream, encoding)  # with the line ends of any system
    for line in cut(text.readline, "\n"):
        yield line.encode("latin-1" if encoding == "latin-1" else "utf-8")


def _decode_line(raw: bytes, path: str, number: int, longest: int) -> str:
    where = f"{path}:{number}"
    if len(raw) > longest:
        raise UserError(f"{where}: line longer than {longest} bytes; expected a text file")
    if b"\0" in raw:
        raise UserError(f"{where}: binary data; expected UTF-8 text")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 text: {error.reason}") from error
    if number == 1 and text.startswith("\ufeff"):
        text = text[1:]
    return text.strip(" \t\r\n")


def split_cells(text: str) -> List[str]:
    """The cells of a line of a table, separated by commas or semicolons, with or without quotes."""
    delimiter = ";" if text.count(";") > text.count(",") else ","
    try:
        cells = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        cells = text.split(delimiter)
    return [cell.strip() for cell in cells]


def unquoted(cell: str) -> str:
    """A cell of a table without the quotes around it."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def check_total(where: str, kind: str, found: int, expected: int) -> None:
    """Refuse (:class:`UserError`) another number of ``kind`` than is published of the full data set."""
    if found != expected:
        raise UserError(f"{where}: {found} {kind}; expected {expected} in the full set")


def is_nearly_full(found: int, expected: int) -> bool:
    """Whether a number of images is so close to the published one that all should be there.

    A chosen part of a data set (a few classes, a thousand images) is not a truncated copy of it.
    """
    return abs(found - expected) <= 0.02 * expected + 1e-6
