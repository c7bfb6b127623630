"""The store of labels, ``objects.jsonl``: a header, then one line per image in the order of the list.

It is appended to batch by batch, so a killed run loses the batch that it was at. The same command goes on
at the last complete batch and gives the same bytes as one that was never stopped.
"""

import contextlib
import fcntl
import io
import json
import mmap
import os
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from dgl.errors import UserError, first_few, quote
from dgl.labeling.labels import ImageLabels

OBJECTS = "objects.jsonl"
FORMAT = 1
_MOST_BYTES = 64 * 1024 * 1024  # of a line; some hundred objects with polygons take 1 MB


class Header(NamedTuple):
    """The first line of a store: everything that its lines depend on."""

    version: str  # of this package
    # What was labeled: `path` (absolute), `name`, `layout`, `split`, `images` (their number)
    # and `fingerprint` (of their names and labels).
    data: Mapping[str, Any]
    # `mode`, `load`, `weights` (their fingerprint), `method`, `layer`, ...
    network: Mapping[str, Any]
    options: Mapping[str, Any]  # of the objects, by the names of their flags
    classes: Tuple[str, ...]  # by class index
    # What the confidences were computed with, see `dgl.labeling.confidence`
    calibration: Mapping[str, Any]

    def to_json(self) -> Dict[str, Any]:
        """As JSON values."""
        return dict({"dgl_labels": FORMAT}, **json.loads(json.dumps(self._asdict())))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Header":
        """The header of :meth:`to_json`; ``ValueError`` for anything else and other formats."""
        if not isinstance(values, dict) or "dgl_labels" not in values:
            raise ValueError("not the labels of `dgl label`")
        if values["dgl_labels"] != FORMAT:
            raise ValueError(f"labels of format {values['dgl_labels']!r}, expected {FORMAT}")
        kinds = {**dict.fromkeys(cls._fields, dict), "version": str, "classes": list}
        wrong = [key for key, kind in kinds.items() if not isinstance(values.get(key), kind)]
        if wrong:
            raise ValueError(f"a header without {', '.join(wrong)}")
        own: Dict[str, Any] = {key: values[key] for key in cls._fields}
        return cls(**dict(own, classes=tuple(map(str, own["classes"]))))

    def differences(self, other: "Header") -> List[str]:
        """List of str: what differs, as ``name: value, other value``."""
        pairs: List[Tuple[str, Any, Any]] = []
        others = other.to_json()
        for key, own in self.to_json().items():
            if isinstance(own, dict):
                names = sorted({*own, *others[key]})
                pairs += [(name, own.get(name), others[key].get(name)) for name in names]
            else:
                pairs.append((key, own, others[key]))
        return [f"{name}: {_shown(a)}, now {_shown(b)}" for name, a, b in pairs if a != b]


def _shown(value: Any) -> str:
    return quote(json.dumps(value), 60)[1:-1]


class LabelStore:
    """A store that a run of `dgl label` adds to, or begins anew with ``restart``; one process at a time.

    Raises:
        UserError: the folder holds labels of another run, another process writes to it, or it cannot be
            written.
    """

    def __init__(self, folder: str, header: Header, restart: bool = False):
        self._path = os.path.join(folder, OBJECTS)
        with _writing(self._path):
            os.makedirs(folder, exist_ok=True)
        self._stream = open_locked(
            self._path,
            f"{self._path}: another process writes it; expected an --out of this one's own",
        )
        try:
            if restart:
                self._stream.truncate(0)
            self._begin(folder, header)
        except BaseException:
            self._stream.close()
            raise

    def resume(self, images: Sequence[str], batch: int) -> int:
        """Drop what is after the last complete batch; returns the number of ``images`` that are done.

        Raises:
            UserError: a line is damaged, or of another image than the list has there.
        """
        done, end = 0, self._body
        for count, (labels, start, length) in enumerate(iterate_images(self._path), 1):
            if count > len(images) or labels.image != images[count - 1]:
                raise UserError(
                    f"{self._path}: image {count} is {quote(labels.image)}, which the list does not have "
                    "there; expected the labels of this list, another --out, or --restart"
                )
            if count % batch == 0 or count == len(images):
                done, end = count, start + length
        self._stream.truncate(end)
        return done

    def append(self, images: Sequence[ImageLabels]) -> None:
        """Add the images of one batch."""
        with _writing(self._path):
            self._stream.write(b"".join(_line(labels.to_json()) for labels in images))
            self._stream.flush()

    def __enter__(self) -> "LabelStore":
        return self

    def __exit__(self, *_: Any) -> None:
        self._stream.close()  # which unlocks it

    def _begin(self, folder: str, header: Header) -> None:
        self._stream.seek(0)
        first = self._stream.readline(_MOST_BYTES)
        if first.endswith(b"\n"):
            check_same_run(folder, parse_line(first, f"{self._path}:1", Header.from_json), header)
        else:
            if first.strip(b"\0") and not b'{"dgl_labels"'.startswith(first[:13]):
                raise UserError(f"{self._path}: expected labels of `dgl label`, or no such file")
            self._stream.truncate(0)
            first = _line(header.to_json())
            self._stream.write(first)
            self._stream.flush()
        self._body = len(first)


def check_same_run(folder: str, stored: Header, header: Header) -> None:
    """Refuse (:class:`UserError`, which names the differences) a store of another run."""
    differences = stored.differences(header)
    if differences:
        raise UserError(
            f"{folder}: labels of another run: {first_few(differences, 3)}; expected the same flags, "
            "another --out, or --restart"
        )


def is_store(folder: str) -> bool:
    """Whether a folder holds labels of `dgl label`, at least their header."""
    path = os.path.join(folder, OBJECTS)
    return os.path.isfile(path) and any(True for _ in complete_lines(path))


def read_header(folder: str) -> Header:
    """The header of a store in the output folder of `dgl label`; :class:`UserError` without a sound one."""
    path = os.path.join(folder, OBJECTS)
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file; expected the output folder of `dgl label`")
    for line in complete_lines(path):
        header: Header = parse_line(line, f"{path}:1", Header.from_json)
        return header
    raise UserError(f"{path}: the file is empty; expected labels of `dgl label`")


def read_images(folder: str) -> Iterator[ImageLabels]:
    """The images of a store one by one, those that could not be read included.

    Raises :class:`UserError` where there is no store, or a line is damaged.
    """
    read_header(folder)
    for labels, _, _ in iterate_images(os.path.join(folder, OBJECTS)):
        yield labels


def iterate_images(path: str) -> Iterator[Tuple[ImageLabels, int, int]]:
    """The images of a file :data:`OBJECTS`, each with the start and the length of its line in bytes."""
    start = 0
    for number, line in enumerate(complete_lines(path), 1):
        if number > 1:
            yield parse_line(line, f"{path}:{number}", ImageLabels.from_json), start, len(line)
        start += len(line)


def complete_lines(path: str) -> Iterator[bytes]:
    """The lines of a file that is appended to, without the last one if it has no end.

    Raises :class:`UserError` where the file cannot be read, or a line is longer than any of ours.
    """
    try:
        with open(path, "rb") as stream:
            for line in iter(lambda: stream.readline(_MOST_BYTES), b""):
                if line.endswith(b"\n"):
                    yield line
                elif len(line) == _MOST_BYTES:
                    raise UserError(f"{path}: a line of more than {_MOST_BYTES} bytes")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def parse_line(
    line: bytes,
    where: str,
    parse: Callable[[Any], Any],
    expected: str = "labels of `dgl label`, whose --restart begins anew",
) -> Any:
    """What ``parse`` makes of a line of JSON; its ``ValueError`` becomes :class:`UserError`."""
    try:
        return parse(json.loads(line.decode("utf-8")))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {error}; expected {expected}") from None


def append_line(path: str, values: Mapping[str, Any]) -> None:
    """Append a line of JSON, and wait until it is on disk; a torn last line is cut off before."""
    with _writing(path), open(path, "a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if stream.seek(0, os.SEEK_END):
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                end = content.rfind(b"\n") + 1
            stream.truncate(end)
        stream.write(_line(values))
        stream.flush()
        os.fsync(stream.fileno())


def open_locked(path: str, refusal: str) -> io.BufferedRandom:
    """Open a file to read and to append to, locked for this process until it is closed.

    ``refusal`` is the message of :class:`UserError` where another process has locked it.
    """
    with _writing(path):
        stream = open(path, "a+b")  # noqa: SIM115
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise UserError(refusal) from None
    return stream


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode("ascii") + b"\n"
