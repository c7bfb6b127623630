"""A person's decisions on labeled images, the labels corrected by them, and counts of both."""

import os
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from dgl.labeling.labels import ImageLabels, LabeledObject
from dgl.labeling.store import append_line, complete_lines, parse_line, read_header, read_images
from dgl.utils.table import write_csv

DECISIONS = "decisions.jsonl"
SKIPPED = "skipped.csv"
STATUSES = ("accepted", "changed", "rejected", "withdrawn")
ACCEPTED, CHANGED, REJECTED, WITHDRAWN = STATUSES


class Decision(NamedTuple):
    """What a person decided on one image."""

    image: str  # as in `ImageLabels`
    revision: int  # 1 for the first decision on an image, one more for each later one
    # One of `STATUSES`: the objects are right, were corrected, the image is not to be used, or
    # earlier decisions on it were undone and it is as labeled.
    status: str
    # Tuple of `LabeledObject`, those that the image now has
    objects: Tuple[LabeledObject, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """As JSON values."""
        return dict(self._asdict(), objects=[found.to_json() for found in self.objects])

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Decision":
        """The decision of :meth:`to_json`; ``ValueError`` for anything else."""
        try:
            if values["status"] not in STATUSES or type(values["revision"]) is not int:
                raise ValueError("not a decision")
            objects = tuple(LabeledObject.from_json(found) for found in values["objects"])
            return cls(str(values["image"]), values["revision"], values["status"], objects)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a decision ({error!r})") from error


def append_decision(folder: str, decision: Decision) -> None:
    """Add a decision at the end of the file; it is on disk when this returns."""
    append_line(os.path.join(folder, DECISIONS), decision.to_json())


def read_decisions(folder: str) -> Dict[str, Decision]:
    """The last decision on every image, possibly none; raises as :func:`iterate_decisions`."""
    return {decision.image: decision for decision in iterate_decisions(folder)}


def iterate_decisions(folder: str) -> Iterator[Decision]:
    """All decisions on the images of a store, in the order in which they were made."""
    path = os.path.join(folder, DECISIONS)
    for number, line in enumerate(complete_lines(path) if os.path.isfile(path) else (), 1):
        where = f"{path}:{number}"
        yield parse_line(line, where, Decision.from_json, "a decision of `dgl review`")


def corrected(folder: str) -> Iterator[ImageLabels]:
    """The images of a store, each with the last decision on it, if there is one."""
    decisions = read_decisions(folder)
    for labels in read_images(folder):
        yield decided(labels, decisions.get(labels.image))


def decided(labels: ImageLabels, decision: Optional[Decision]) -> ImageLabels:
    """An image with the last decision on it, if there is one."""
    if decision is None or decision.status == WITHDRAWN or labels.error is not None:
        return labels
    return labels._replace(objects=decision.objects, status=decision.status)


def summarize(folder: str, left_out: Optional[Sequence[str]] = None) -> Dict[str, Any]:
    """Count what is in a store, and write ``skipped.csv``, or remove an old one.

    ``left_out`` are the wrong lines of the data set's lists, which are skipped as well; ``None`` keeps an
    old ``skipped.csv``.

    Returns:
        dict: ``images``, those ``labeled`` (with an object), ``empty`` and ``skipped``; ``objects``;
        ``reviewed`` and ``rejected`` images; ``skipped_csv``, its path or ``None``; ``confidence``, what
        it was computed with.

    Raises:
        UserError: there is no store, or it is damaged.
    """
    counts = dict.fromkeys(
        ("images", "labeled", "empty", "skipped", "objects", "reviewed", "rejected"), 0
    )
    skipped: List[Dict[str, str]] = []
    for labels in corrected(folder):
        counts["images"] += 1
        if labels.error is not None:
            skipped.append({"image": labels.image, "reason": labels.error})
            continue
        counts["reviewed"] += labels.status is not None
        counts["rejected"] += labels.status == REJECTED
        counts["labeled"] += bool(labels.objects)
        counts["empty"] += not labels.objects and labels.status is None
        counts["objects"] += len(labels.objects)
    skipped.extend({"image": "", "reason": reason} for reason in left_out or ())
    counts["skipped"] = len(skipped)
    path = os.path.join(folder, SKIPPED)
    if left_out is not None and skipped:
        write_csv(path, skipped, ["image", "reason"])
    elif left_out is not None and os.path.isfile(path):
        os.remove(path)
    return {
        **counts,
        "skipped_csv": path if skipped else None,
        "confidence": read_header(folder).calibration.get("source"),
    }
