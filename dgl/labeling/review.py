"""Review a store of labels: the queue of images, what is known of each, and a person's decisions.

Images come in the order of their least certain object, those without objects first. Of the store, only an
index is kept in memory; the objects of an image are read from their place in the file.
"""

import hashlib
import json
import os
import threading
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from tqdm import tqdm

from dgl.data.text_files import resolve_below
from dgl.errors import UserError, quote
from dgl.labeling.decisions import (
    ACCEPTED,
    CHANGED,
    REJECTED,
    WITHDRAWN,
    Decision,
    append_decision,
    decided,
    iterate_decisions,
)
from dgl.labeling.labels import ImageLabels, LabeledObject
from dgl.labeling.store import OBJECTS, iterate_images, open_locked, read_header

# What images can be asked for by, besides the statuses of decisions.
TO_REVIEW, REVIEWED, ALL = "to-review", "reviewed", "all"
FILTERS = (TO_REVIEW, ALL, REVIEWED, ACCEPTED, CHANGED, REJECTED)
KEEP, REJECT = ACTIONS = ("keep", "reject")
_LOCK = ".review.lock"
_MOST_OBJECTS = 1000


class Conflict(Exception):
    """A decision on an image as it was before another decision."""


class _Entry(NamedTuple):
    """One image of the index: its line in the store, its least certainty, its classes as labeled."""

    image: str
    start: int
    length: int
    certainty: float
    classes: Tuple[int, ...]


class Review:
    """The images of a store and the decisions on them; several threads may call it.

    ``folder`` is the output folder of `dgl label`; ``progress`` shows a bar while it is read.

    Attributes:
        classes: tuple of str by class index.
        token: by which a page recognizes this store.

    Raises:
        UserError: there is no store, it or the decisions are damaged, it has no readable image, or
            another process reviews it.
    """

    def __init__(self, folder: str, progress: bool = False):
        self.folder = folder
        self._path = os.path.join(folder, OBJECTS)
        header = read_header(folder)
        self.classes = header.classes
        self._data = str(header.data.get("path", ""))
        identity = os.path.realpath(folder) + json.dumps(header.to_json(), sort_keys=True)
        self.token = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._mutex = threading.Lock()
        self._lock = open_locked(
            os.path.join(folder, _LOCK),
            f"{folder}: another `dgl review` has it open; expected one at a time, in any number of tabs",
        )
        try:
            self._entries = _index(self._path, progress)
            if not self._entries:
                raise UserError(f"{self._path}: no readable image; expected labels of some")
            numbers = {entry.image: n for n, entry in enumerate(self._entries)}
            self._order = sorted(
                range(len(self._entries)), key=lambda number: self._entries[number].certainty
            )
            self._history: Dict[int, List[Decision]] = {}
            for decision in iterate_decisions(folder):
                number = numbers.get(decision.image)
                if number is not None:
                    self._history.setdefault(number, []).append(decision)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        """Let another process review the store."""
        self._lock.close()

    def __enter__(self) -> "Review":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def status(self, number: int) -> Optional[str]:
        """The status of the last decision on an image, ``None`` where there is none."""
        last = self._last(number)
        return None if last is None or last.status == WITHDRAWN else last.status

    def queue(
        self, show: str = TO_REVIEW, class_index: Optional[int] = None, text: str = ""
    ) -> List[int]:
        """Numbers of the images to show, the least certain first.

        They are those of one of :data:`FILTERS` with an object of a class, ``None`` for any, and with this
        text in their path, in upper or lower case.
        """
        if show not in FILTERS:
            raise UserError(f"no filter {show!r}; expected one of {list(FILTERS)}")
        text = text.lower()
        return [
            number
            for number in self._order
            if _is_shown(self.status(number), show)
            and (class_index is None or class_index in self._classes_of(number))
            and text in self._entries[number].image.lower()
        ]

    def progress(self) -> Dict[str, int]:
        """How many images there are (``all``), and how many of each status."""
        counts = dict.fromkeys((ACCEPTED, CHANGED, REJECTED), 0)
        for number in list(self._history):
            status = self.status(number)
            if status is not None:
                counts[status] += 1
        return dict(counts, all=len(self), reviewed=sum(counts.values()))

    def image(self, number: int) -> Dict[str, Any]:
        """What is known of an image, as JSON values: its state after the last decision on it.

        Raises :class:`UserError` where there is no such image, or the store is damaged.
        """
        last = self._last(number)
        labels = decided(self._read(number), last)
        return {
            "number": number,
            "image": labels.image,
            "width": labels.width,
            "height": labels.height,
            "label": labels.label,
            "status": labels.status,
            "revision": 0 if last is None else last.revision,
            "objects": [_shown(found) for found in labels.objects],
        }

    def image_path(self, number: int) -> str:
        """Absolute path of an image, which has to be in the labeled folder."""
        return resolve_below(self._data, "", self._entry(number).image, self._path)[0]

    def decide(
        self, number: int, revision: int, action: str, objects: Sequence[Mapping[str, Any]]
    ) -> Dict[str, Any]:
        """Decide on an image; the decision is on disk when this returns what :meth:`image` does.

        Args:
            number: of the image.
            revision: of the image as it was when the person saw it.
            action: ``"keep"`` (accepted, or changed where the objects are not those of the store) or
                ``"reject"``.
            objects: for each object ``box``, ``class_index`` and ``from``, its place among the objects
                of that revision, or ``None`` where it is new.

        Raises:
            Conflict: another decision came before this one.
            UserError: there is no such image, an object is no proper one, or the disk is full.
        """
        if action not in ACTIONS:
            raise UserError(f"action {action!r}; expected one of {list(ACTIONS)}")
        with self._mutex:
            labels, current = self._current(number, revision)
            found = tuple(self._object(values, current, labels) for values in objects)
            if len(found) > _MOST_OBJECTS:
                raise UserError(f"{len(found)} objects; expected at most {_MOST_OBJECTS}")
            kept = ACCEPTED if found == labels.objects else CHANGED
            status = REJECTED if action == REJECT else kept
            self._append(number, Decision(labels.image, revision + 1, status, found))
        return self.image(number)

    def restore(self, number: int, revision: int, earlier: int) -> Dict[str, Any]:
        """Undo the decisions on an image after the revision ``earlier`` of it, by a new decision.

        Revision 0 is the state as labeled. The other arguments, what is returned and what is raised are as
        of :meth:`decide`.
        """
        with self._mutex:
            labels, _ = self._current(number, revision)
            history = self._history.get(number, [])
            before = next((d for d in history if d.revision == earlier), None)
            if before is None and earlier != 0:
                raise UserError(f"{labels.image}: no revision {earlier}")
            status, objects = (WITHDRAWN, ()) if before is None else (before.status, before.objects)
            self._append(number, Decision(labels.image, revision + 1, status, objects))
        return self.image(number)

    def _current(self, number: int, revision: int) -> Tuple[ImageLabels, Tuple[LabeledObject, ...]]:
        """The image as labeled, and its objects now, which have to be those of ``revision``."""
        labels, last = self._read(number), self._last(number)
        if revision != (0 if last is None else last.revision):
            raise Conflict(labels.image)
        return labels, decided(labels, last).objects

    def _last(self, number: int) -> Optional[Decision]:
        history = self._history.get(number)
        return history[-1] if history else None

    def _append(self, number: int, decision: Decision) -> None:
        append_decision(self.folder, decision)
        self._history.setdefault(number, []).append(decision)

    def _object(
        self, values: Mapping[str, Any], current: Tuple[LabeledObject, ...], labels: ImageLabels
    ) -> LabeledObject:
        """One object of a decision: as before, moved, of another class, or new."""
        try:
            class_index = values["class_index"]
            name = self.classes[class_index] if class_index >= 0 else None
            x0, y0, x1, y1 = (float(side) for side in values["box"])
            source = values.get("from")
            before: Optional[LabeledObject] = None if source is None else current[source]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            shown = quote(repr(values))
            raise UserError(f"{labels.image}: {shown}; expected a box and a class") from None
        if before is not None and before.box == (x0, y0, x1, y1):
            if before.class_index == class_index:
                return before
            # Map and outline are still those of the region, but of another class.
            return before._replace(
                class_index=class_index, class_name=str(name), probability=None, confidence=None
            )
        box = (max(0.0, x0), max(0.0, y0), min(x1, labels.width), min(y1, labels.height))
        drawn = {"box": [round(side, 2) for side in box], "class_index": class_index}
        try:
            return LabeledObject.from_json({**drawn, "class_name": name})
        except ValueError as error:
            raise UserError(f"{labels.image}: {error}") from None

    def _entry(self, number: int) -> _Entry:
        if not 0 <= number < len(self._entries):
            raise UserError(f"no image {number}; expected 0 to {len(self._entries) - 1}")
        return self._entries[number]

    def _read(self, number: int) -> ImageLabels:
        entry = self._entry(number)
        try:
            with open(self._path, "rb") as stream:
                stream.seek(entry.start)
                return ImageLabels.from_json(json.loads(stream.read(entry.length).decode("utf-8")))
        except (OSError, ValueError) as error:
            raise UserError(f"{self._path}: {error}; expected the store as it was") from None

    def _classes_of(self, number: int) -> Tuple[int, ...]:
        last = self._last(number)
        if last is None or last.status == WITHDRAWN:
            return self._entries[number].classes
        return tuple(found.class_index for found in last.objects)


def _index(path: str, progress: bool) -> List[_Entry]:
    entries: List[_Entry] = []
    readable = (image for image in iterate_images(path) if image[0].error is None)
    images = tqdm(readable, "reading labels", unit=" images", disable=not progress)
    for labels, start, length in images:
        classes = tuple(sorted({found.class_index for found in labels.objects}))
        certainty = min(map(_certainty, labels.objects), default=-1.0)
        entries.append(_Entry(labels.image, start, length, certainty, classes))
    return entries


def _certainty(found: LabeledObject) -> float:
    values = (found.confidence, found.score_mean, 0.0)
    return next(value for value in values if value is not None)


def _is_shown(status: Optional[str], show: str) -> bool:
    if show == TO_REVIEW:
        return status is None
    if show == REVIEWED:
        return status is not None
    return show in (ALL, status)


def _shown(found: LabeledObject) -> Dict[str, Any]:
    """What the page shows of an object."""
    names = ("box", "class_index", "class_name", "confidence", "polygons")
    return {**{name: getattr(found, name) for name in names}, "score": found.score_mean}
