"""What every loader gives (a :class:`DataSet` of :class:`Sample`), and the checks they share.

Loaders read text files that people write by hand or by script, so each check here names the file
and the line it failed on.
"""

import dataclasses
import os
import re
import stat
from typing import Iterator, List, Optional, Sequence, Tuple

from dgl.errors import UserError, quote

SPLITS = ("train", "val", "test")

# ILSVRC's training list is 1.3 million lines, about 80 MB with boxes.
MAX_TEXT_BYTES = 512 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024
# Far above any classification data set; keeps a stray number from sizing a classifier.
MAX_CLASSES = 1000000

# What a list may hold as a whole number.
DIGITS = re.compile(r"[0-9]{1,9}")
# No program writes a coordinate of so many characters.
MAX_NUMBER = 64
# Digits can be matched in one way only: two runs of them side by side would take a time quadratic in
# their length to refuse what follows.
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?|[-+]?(?:nan|inf|infinity)",
    re.IGNORECASE,
)

Box = Tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image of a data set.

    Attributes:
        id: str, the image's path below the folder of images, with its extension and forward
            slashes; the same for two samples only where a list repeats an image.
        path: str, absolute path of the image. It is not opened by a loader and may be missing.
        class_index: int, counted from 0.
        boxes: tuple of ``(x0, y0, x1, y1)`` floats in pixels of the original image, x to the
            right and y down, ``x1 >= x0`` and ``y1 >= y0``; empty where the data set has none.
        mask_paths: tuple of str, absolute paths of segmentation masks of the object, whose union
            it is; not opened either.
        ignore_path: str or ``None``, absolute path of a mask of what is not to be counted.
        size: ``(width, height)`` in pixels as the data set declares it, or ``None``. The image
            itself may disagree.
    """

    id: str
    path: str
    class_index: int
    boxes: Tuple[Box, ...] = ()
    mask_paths: Tuple[str, ...] = ()
    ignore_path: Optional[str] = None
    size: Optional[Tuple[int, int]] = None


@dataclasses.dataclass(frozen=True)
class DataSet:
    """One split of one data set.

    Attributes:
        name: str, for titles and file names.
        format: str, the layout it was read from (see :mod:`dgl.data.layouts`).
        split: str, the split asked for: ``"train"``, ``"val"`` or ``"test"``.
        samples: list of :class:`Sample`, in the order of the data set's own list.
        class_names: tuple of str by class index, or ``None`` where the data set names none.
        classes: int, the number of classes; every ``class_index`` is below it.
    """

    name: str
    format: str
    split: str
    samples: List[Sample]
    class_names: Optional[Tuple[str, ...]]
    classes: int

    def __len__(self):
        return len(self.samples)

    def class_name(self, class_index: int) -> str:
        """The name of a class, or its number as text where it has none."""
        if self.class_names is not None and 0 <= class_index < len(self.class_names):
            return self.class_names[class_index]
        return str(class_index)


def check_split(split: str) -> str:
    """Return ``split`` if it is one of :data:`SPLITS`.

    Raises:
        UserError: it is not.
    """
    if split not in SPLITS:
        raise UserError(f"unknown split {quote(split)}; expected one of {list(SPLITS)}")
    return split


def check_classes(classes: Optional[int]) -> Optional[int]:
    """Return an explicit number of classes, or ``None``, unchanged.

    Raises:
        UserError: it is below 1 or above :data:`MAX_CLASSES`.
    """
    if classes is not None and not 1 <= classes <= MAX_CLASSES:
        raise UserError(f"{classes} classes; expected 1 to {MAX_CLASSES}")
    return classes


def check_class_index(class_index: int, classes: Optional[int], where: str) -> None:
    """Check one label against a number of classes.

    Args:
        class_index: int, counted from 0.
        classes: int, the number of classes, or ``None`` where it is not known yet.
        where: str naming the place for the message, as ``file:line``.

    Raises:
        UserError: the label is not in ``0 .. classes - 1``.
    """
    limit = MAX_CLASSES if classes is None else classes
    if not 0 <= class_index < limit:
        raise UserError(
            f"{where}: class {class_index} is out of range; expected 0 to {limit - 1} ({limit} classes, counted from 0)"
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
    # A comparison with NaN is false, so this one condition also refuses NaN.
    if not (-1e9 < x0 <= x1 < 1e9 and -1e9 < y0 <= y1 < 1e9):
        raise UserError(
            f"{where}: box {x0:g} {y0:g} {x1:g} {y1:g}; expected finite x0 <= x1 and y0 <= y1"
        )
    return (x0, y0, x1, y1)


def is_number(text: str) -> bool:
    """Whether ``text`` is a coordinate that ``float`` takes: decimal, of at most 64 characters.

    Not-a-number and infinity are, so that :func:`check_box` refuses them as what they are.
    """
    return len(text) <= MAX_NUMBER and _NUMBER.fullmatch(text) is not None


def resolve_below(data_dir: str, folder: str, relative: str, where: str) -> Tuple[str, str]:
    """Absolute path and id of a listed image or mask, which has to lie below the data folder.

    Symbolic links below the data folder are followed, wherever they lead: large published sets are
    often put together from links.

    Args:
        data_dir: str, absolute path of the data folder.
        folder: str, the folder of images, relative to ``data_dir``; ``""`` for that one itself.
        relative: str, the path as listed, relative to that folder.
        where: str naming the place for the message, as ``file:line``.

    Returns:
        ``(path, id)``: the absolute path, and ``relative`` normalized. A path that climbs out of
        ``folder`` but stays in ``data_dir`` has its path below ``data_dir`` as its id.

    Raises:
        UserError: ``relative`` is absolute or leads out of ``data_dir``.
    """
    prefix = folder + "/" if folder else ""
    if "./" in relative or "//" in relative or relative.endswith(".") or os.sep != "/":
        inside = os.path.normpath(os.path.join(folder, relative)).replace(os.sep, "/")
        climbs = inside.split("/", 1)[0] == ".."
        identity = inside[len(prefix) :] if inside.startswith(prefix) else inside
    else:
        # The usual line has nothing to normalize; a list has up to 1.3 million of them.
        inside, climbs, identity = prefix + relative, False, relative
    if climbs or os.path.isabs(relative):
        raise UserError(
            f"{where}: path {quote(relative)} leads out of the data folder; expected a path below {os.path.join(data_dir, folder)}"
        )
    return os.path.join(data_dir, inside), identity


def read_lines(path: str) -> Iterator[Tuple[int, str]]:
    """Lines of a UTF-8 text file, without blank ones; a byte order mark and CRLF are accepted.

    Args:
        path: str, the file.

    Yields:
        ``(number, text)``: the line's number counted from 1, and its text without white space at
        either end.

    Raises:
        UserError: the file cannot be read, is larger than :data:`MAX_TEXT_BYTES`, has a line longer
            than :data:`MAX_LINE_BYTES`, or is not UTF-8 text.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: not a file; expected a text file")
        if status.st_size > MAX_TEXT_BYTES:
            raise UserError(
                f"{path}: {status.st_size} bytes; expected a text file of at most {MAX_TEXT_BYTES}"
            )
        with open(path, "rb") as stream:
            number = 0
            while True:
                raw = stream.readline(MAX_LINE_BYTES + 1)
                if not raw:
                    return
                number += 1
                text = _decode_line(raw, path, number)
                if text:
                    yield number, text
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read: {reason}") from error


def _decode_line(raw, path, number):
    where = f"{path}:{number}"
    if len(raw) > MAX_LINE_BYTES:
        raise UserError(f"{where}: line longer than {MAX_LINE_BYTES} bytes; expected a text file")
    if b"\0" in raw:
        raise UserError(f"{where}: binary data; expected UTF-8 text")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 text: {error.reason}") from error
    if number == 1 and text.startswith("\ufeff"):
        text = text[1:]
    return text.strip(" \t\r\n")
