"""Read the text files of data sets: lines, numbers, boxes, paths and class names.

People write these files by hand or by script, so every error names the file and the line.
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
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

from tqdm import tqdm

from dgl.data.bad_lines import BadLines, UnknownClassError
from dgl.data.sample import MAX_CLASSES, Box
from dgl.errors import UserError, quote

# ILSVRC's training list has 1.3 million lines, about 80 MB with boxes.
MAX_TEXT_BYTES = 512 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024
_PROBED = 32 * 1024  # bytes that show how a file is written
# No program writes a coordinate of so many characters.
MAX_NUMBER = 64

DIGITS = re.compile(r"[0-9]{1,9}")
# Each digit can be matched in one way only, so that refusing a long run takes linear time.
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?|[-+]?(?:nan|inf|infinity)",
    re.IGNORECASE,
)
_INDEX_AND_NAME = re.compile(r"(\d{1,7})[ \t]+(.+)")
_DRIVE = re.compile(r"[A-Za-z]:/")  # of an absolute path on Windows
_CUB_PREFIX = re.compile(r"(\d{3})\.(.+)")

_logger = logging.getLogger(__name__)

_Text = TypeVar("_Text", bytes, str)


def check_class_index(class_index: int, classes: Optional[int], where: str) -> None:
    """Check one label against a number of classes.

    Args:
        class_index: int, counted from 0.
        classes: int, the number of classes, or ``None`` where it is not known yet.
        where: str naming the place for the message, as ``file:line``.

    Raises:
        UnknownClassError: the label is not in ``0 .. classes - 1``.
    """
    limit = MAX_CLASSES if classes is None else classes
    if not 0 <= class_index < limit:
        raise UnknownClassError(
            f"{where}: class {class_index} is out of range; expected 0 to {limit - 1} "
            f"({limit} classes, counted from 0)"
        )


def check_box(box: Sequence[float], where: str) -> Box:
    """Check that a box is finite and not inverted.

    Args:
        box: ``(x0, y0, x1, y1)`` floats.
        where: str naming the place for the message, as ``file:line``.

    Returns:
        The box as a tuple of four floats.

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

    Symbolic links are followed, wherever they lead: large data sets are often assembled from links.

    Args:
        data_dir: str, absolute path of the data folder.
        folder: str, the folder of images, relative to ``data_dir``; ``""`` for that one itself.
        relative: str, the path as listed, relative to that folder.
        where: str naming the place for the message, as ``file:line``.

    Returns:
        ``(path, id)``: the absolute path, and ``relative`` normalized. A path that climbs out of
        ``folder`` but stays in ``data_dir`` has its path below ``data_dir`` as its id.

    A path with the backslashes of Windows, with ``%20`` for a space, or with accents in the other of
    Unicode's two forms is taken for the file that is there, unless a file has that very name.

    Raises:
        UserError: ``relative`` is absolute or leads out of ``data_dir``.
    """
    if "\\" in relative or "%" in relative or not _is_ascii(relative):
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


def _is_ascii(text: str) -> bool:
    return len(text) == len(text.encode("utf-8", "replace"))


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
        data_dir: str, absolute path of the data folder.
        roots: sequence of str, folders relative to it, the best first.
        relatives: iterable of str, paths as listed, which no root may lead out of ``data_dir`` with.

    Returns:
        str: the first root that has the first path found anywhere; where none is found, the first
        root that is there, or the first one.
    """
    for relative in relatives:
        for name in (relative, relative.replace("\\", "/")):
            for root in roots:
                if os.path.isfile(os.path.join(data_dir, root, name)):
                    return root
    return next((root for root in roots if os.path.isdir(os.path.join(data_dir, root))), roots[0])


def read_lines(
    path: str, longest: int = MAX_LINE_BYTES, bad: Optional[BadLines] = None
) -> Iterator[Tuple[int, str]]:
    """Lines of a text file, without blank ones.

    The text is UTF-8, or UTF-16 as programs on Windows write it; lines end in LF, CRLF, or, where there
    is no LF, in CR; a byte order mark is accepted.

    A progress bar appears where reading takes more than a second.

    Args:
        path: str, the file.
        longest: int, the most bytes of a line.
        bad: takes lines that are too long or no text, which are then left out.

    Yields:
        ``(number, text)``: the line's number counted from 1, and its text without white space at
        either end.

    Raises:
        UserError: the file cannot be read, is larger than :data:`MAX_TEXT_BYTES`, has a line of
            more than ``longest`` bytes, or is neither UTF-8 nor UTF-16 text.
    """
    lines = _lines(path, longest, contextlib.nullcontext() if bad is None else bad)
    yield from tqdm(lines, os.path.basename(path), unit=" lines", leave=False, delay=1)


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
    """Refuse a number of ``kind`` other than the published one of the full data set.

    Raises:
        UserError: ``found`` is not ``expected``.
    """
    if found != expected:
        raise UserError(f"{where}: {found} {kind}; expected {expected} in the full set")


def is_nearly_full(found: int, expected: int) -> bool:
    """Whether a number of images is so close to the published one that all should be there.

    A chosen part of a data set (a few classes, a thousand images) is not a truncated copy of it.
    """
    return abs(found - expected) <= 0.02 * expected + 1e-6


def read_class_names(path: str, with_numbers: bool = False) -> Tuple[str, ...]:
    """Read class names: one per line, or ``index name`` lines counted from 0 or from 1.

    Args:
        path: str, the file.
        with_numbers: bool, whether to keep the numbers of CUB's names
            (``001.Black_footed_Albatross``), which are dropped otherwise.

    Returns:
        Tuple of str by class index.

    Raises:
        UserError: the file is empty, or its indices leave a gap or repeat.
    """
    lines = [text for _, text in read_lines(path)]
    if not lines:
        raise UserError(f"{path}: no class names; expected one name per line")
    matches = [match for match in map(_INDEX_AND_NAME.fullmatch, lines) if match]
    names = lines
    if len(matches) == len(lines):
        by_index = {int(match.group(1)): match.group(2) for match in matches}
        start = min(by_index)
        if start > 1 or sorted(by_index) != list(range(start, start + len(lines))):
            raise UserError(
                f"{path}: indices leave a gap or repeat; expected {len(lines)} lines 'index name' "
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
