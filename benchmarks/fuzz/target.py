"""A fuzzing target, and helpers that write one input as files."""

import os
from typing import Callable, List, NamedTuple, Tuple

from dgl.errors import UserError

# Between the parts of an input that stands for several files.
SEPARATOR = b"\n%%\n"


class Target(NamedTuple):
    """One reader to fuzz.

    Attributes:
        name: str.
        run: callable of the input (bytes) and of an empty folder's path; returns, or raises
            :class:`dgl.errors.UserError`. It asserts what the reader promises of its result.
        seeds: callable that gives valid inputs, and hostile ones, as a list of bytes.
        tokens: pieces of the format, for the fuzzer to put in.
        longest: int, bytes that an input may have.
        needs: packages without which there is no such reader.
    """

    name: str
    run: Callable[[bytes, str], None]
    seeds: Callable[[], List[bytes]]
    tokens: Tuple[bytes, ...] = ()
    longest: int = 4096
    needs: Tuple[str, ...] = ()


def place(folder, name, data):
    """Write one file (``None``: remove it) below a folder and return its path."""
    path = os.path.join(folder, name)
    if data is None:
        if os.path.exists(path):
            os.remove(path)
        return path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(data)
    return path


def place_parts(folder, names, data):
    """Write the parts of an input as the named files; a part that is not there leaves no file."""
    parts = data.split(SEPARATOR, len(names) - 1)
    parts += [None] * (len(names) - len(parts))
    for name, part in zip(names, parts):
        place(folder, name, part)


def joined(*parts):
    """An input of several files, given as str or bytes."""
    return SEPARATOR.join(part.encode("utf-8") if isinstance(part, str) else part for part in parts)


def each(calls):
    """Make every one of some calls, and raise the last refusal if all were refused."""
    refusal, accepted = None, 0
    for call in calls:
        try:
            call()
            accepted += 1
        except UserError as error:
            check_refusal(error)
            refusal = error
    if refusal is not None and not accepted:
        raise refusal


def check_refusal(error):
    """A refusal is one line that can be printed.

    Raises:
        AssertionError: it is not.
    """
    message = str(error)
    assert len(message.splitlines()) == 1, f"a refusal of several lines: {message!r}"
    control = [c for c in message if ord(c) < 32 or 127 <= ord(c) < 160]
    assert not control, f"a refusal with control characters: {message!r}"


def check_boxes(boxes):
    """Every box is ``(x0, y0, x1, y1)``, finite and not inverted."""
    for x0, y0, x1, y1 in boxes:
        assert -1e9 < x0 <= x1 < 1e9 and -1e9 < y0 <= y1 < 1e9


def check_data_set(data_set):
    """What every loader promises of its samples."""
    assert data_set.samples and data_set.classes >= 1
    for sample in data_set.samples:
        assert 0 <= sample.class_index < data_set.classes
        check_boxes(sample.boxes)
        assert sample.size is None or min(sample.size) >= 1
