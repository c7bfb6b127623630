"""Wrong lines of a list: few are left out with their images and told, many refuse the list."""

import logging
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from dgl.errors import UserError, quote

# More than one wrong line in a hundred of the longest lists that there are.
_MOST_REASONS = 20000

_logger = logging.getLogger(__name__)


class UnknownClassError(UserError):
    """A class that there is not: labels may count otherwise than the classes, so none of them is sure."""


class BadLines:
    """Context that leaves out what :class:`UserError` is raised of, if that is little of the whole.

    A wrong line among a thousand is a slip, and the others are as good as before; if more are wrong, the
    file is not what it was taken for. A class out of range is never left out.

    Attributes:
        reasons: list of str, the messages.
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
        """Raise the first error if a larger part than ``most`` is wrong.

        Args:
            good: number of lines that are right.
            most: a fraction.
        """
        if self._first is not None and len(self.reasons) > most * (good + len(self.reasons)):
            raise self._first

    def check(self, what: str, good: int) -> None:
        """Log what was left out of ``what``, a file; raises as :meth:`refuse`."""
        self.refuse(good)
        if self.reasons:
            _logger.warning(
                "%s: %d of %d entries left out; the first: %s",
                what,
                len(self.reasons),
                good + len(self.reasons),
                self._first,
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
        _logger.warning(
            "%s: %d of its images are on several lines, each of which counts, such as %s on lines %s",
            list_path,
            len(repeats),
            quote(key),
            " and ".join(str(number) for number, _ in entries),
        )
