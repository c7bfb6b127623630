"""A person's decisions on labeled images, and the labels corrected by them."""

import json
import os
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Tuple

from dgl.errors import UserError
from dgl.labeling.labels import ImageLabels, LabeledObject
from dgl.labeling.store import append_line, complete_lines, read_images

DECISIONS = "decisions.jsonl"
ACCEPTED, CHANGED, REJECTED, WITHDRAWN = STATUSES = (
    "accepted",
    "changed",
    "rejected",
    "withdrawn",
)


class Decision(NamedTuple):
    """What a person decided on one image.

    Attributes:
        image: str, as in :class:`~dgl.labeling.labels.ImageLabels`.
        revision: int, 1 for the first decision on an image, one more for each later one.
        status: one of :data:`STATUSES`: the objects are right, were corrected, the image is not to be
            used, or earlier decisions on it were undone and it is as labeled.
        objects: tuple of :class:`~dgl.labeling.labels.LabeledObject`, those that the image now has.
    """

    image: str
    revision: int
    status: str
    objects: Tuple[LabeledObject, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """As JSON values."""
        return dict(self._asdict(), objects=[found.to_json() for found in self.objects])

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Decision":
        """The decision of :meth:`to_json`.

        Raises:
            ValueError: a value is missing or of another type.
        """
        try:
            if values["status"] not in STATUSES or type(values["revision"]) is not int:
                raise ValueError("not a decision")
            objects = tuple(LabeledObject.from_json(found) for found in values["objects"])
            return cls(str(values["image"]), values["revision"], values["status"], objects)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a decision ({error!r})") from error


def append_decision(folder: str, decision: Decision) -> None:
    """Add a decision at the end of the file; it is on disk when this returns.

    Raises:
        UserError: the file cannot be written.
    """
    append_line(os.path.join(folder, DECISIONS), decision.to_json())


def read_decisions(folder: str) -> Dict[str, Decision]:
    """The last decision on every image, possibly none.

    Args:
        folder: str, the output folder of `dgl label`.

    Raises:
        UserError: a line is not a decision.
    """
    return {decision.image: decision for decision in iterate_decisions(folder)}


def iterate_decisions(folder: str) -> Iterator[Decision]:
    """All decisions on the images of a store, in the order in which they were made.

    Raises:
        UserError: a line is not a decision.
    """
    path = os.path.join(folder, DECISIONS)
    for number, line in enumerate(complete_lines(path) if os.path.isfile(path) else (), 1):
        try:
            yield Decision.from_json(json.loads(line.decode("utf-8")))
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}:{number}: {error}; expected a decision of `dgl review`"
            ) from None


def corrected(folder: str) -> Iterator[ImageLabels]:
    """The images of a store, each with the last decision on it, if there is one.

    Raises:
        UserError: a file is damaged.
    """
    decisions = read_decisions(folder)
    for labels in read_images(folder):
        decision = decisions.get(labels.image)
        if decision is None or decision.status == WITHDRAWN or labels.error is not None:
            yield labels
        else:
            yield labels._replace(objects=decision.objects, status=decision.status)
