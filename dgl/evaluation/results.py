"""Results of an evaluation: the evaluators, a row per image, and the images that could not be read.

A stored batch, a shard and a finished run are all of this type, and they can be merged.
"""

from typing import Any, Dict, List, Mapping, Set, Tuple

import numpy as np

from dgl.evaluation.plan import Plan
from dgl.metrics.classification import ClassificationEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator
from dgl.metrics.records import Column, Records

IMAGE_COLUMNS = {
    "class_index": Column("int32"),
    "predicted_index": Column("int32"),
    "probability": Column("float64"),
    "class_probability": Column("float64"),
    "rank": Column("int32"),
    "clipped": Column("int32"),
    "outside": Column("int32"),
    "width": Column("int32"),
    "height": Column("int32"),
}


def image_key(position: int) -> str:
    """The id of an image in the evaluators: its position, because a list may repeat an image."""
    return f"{position:08d}"


class Results:
    """Results of a plan for some of its images.

    Attributes:
        plan: :class:`~dgl.evaluation.plan.Plan`.
        classification: protocol -> :class:`ClassificationEvaluator`.
        localization: (protocol, entry) -> evaluator.
        pixels: entry -> :class:`~dgl.metrics.pixel_ap.PixelApEvaluator`; empty without masks.
        images: :class:`Records` of :data:`IMAGE_COLUMNS`.
        names: key of an image -> its id in the data set.
        errors: key of an image that could not be read -> ``(id, reason)``.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.classification: Dict[str, ClassificationEvaluator] = {
            name: ClassificationEvaluator(plan.classes) for name in plan.protocols
        }
        self.localization: Dict[Tuple[str, Tuple[str, str]], Any] = {
            (name, entry): plan.localization_evaluator(name, entry)
            for name in plan.protocols
            for entry in plan.all_entries
        }
        self.pixels: Dict[Tuple[str, str], PixelApEvaluator] = {}
        if "wsolevaluation" in plan.protocols:
            pixels = ((entry, plan.pixel_evaluator()) for entry in plan.entries)
            self.pixels.update((entry, own) for entry, own in pixels if own is not None)
        self.images = Records(IMAGE_COLUMNS)
        self.names: Dict[str, str] = {}
        self.errors: Dict[str, Tuple[str, str]] = {}

    def __len__(self) -> int:
        """int: the number of images, read or not."""
        return len(self.names) + len(self.errors)

    @property
    def positions(self) -> Set[int]:
        """Set of int: the positions of the images in the data set's list."""
        return {int(key) for key in list(self.names) + list(self.errors)}

    def state_dict(self) -> Dict[str, Any]:
        """Everything as JSON values, the plan aside."""
        return {
            "evaluators": [evaluator.state_dict() for evaluator in self._evaluators()],
            "pictures": self.images.state_dict(),
            "names": list(self.names.items()),
            "errors": [[key, name, reason] for key, (name, reason) in self.errors.items()],
        }

    @classmethod
    def from_state(cls, plan: Plan, state: Mapping[str, Any]) -> "Results":
        """The results of :meth:`state_dict`.

        Raises:
            ValueError: a damaged state, or one of another plan.
        """
        results = cls(plan)
        try:
            states = list(state["evaluators"])
            results.names.update((str(key), str(name)) for key, name in state["names"])
            results.errors.update((str(k), (str(n), str(r))) for k, n, r in state["errors"])
            results.images = Records.from_state(IMAGE_COLUMNS, state["pictures"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"incomplete results ({error!r})") from error
        for key in list(results.names) + list(results.errors):
            if not key.isdigit() or image_key(int(key[:12])) != key or int(key) >= plan.images:
                raise ValueError(f"an image {key[:40]!r}, expected 1 to {plan.images}")
        evaluators = results._evaluators()
        if len(states) != len(evaluators):
            raise ValueError("results of other entries")
        for evaluator, own in zip(evaluators, states):
            evaluator.load_state_dict(own)
        lengths = {len(evaluator.records) for evaluator in evaluators}
        if lengths | {len(results.images)} != {len(results.names)}:
            raise ValueError("results of different images")
        for records in [evaluator.records for evaluator in evaluators] + [results.images]:
            if not results.names.keys() >= set(records.ids):
                raise ValueError("results of different images")
        return results

    def merge(self, other: "Results") -> None:
        """Add results of the same plan.

        Raises:
            ValueError: an image that is here already; nothing is added then.
        """
        twice = self.positions & other.positions
        if twice:
            raise ValueError(f"image {min(twice) + 1} is in both")
        for evaluator, added in zip(self._evaluators(), other._evaluators()):
            evaluator.merge(added)
        self.images.extend(other.images)
        self.names.update(other.names)
        self.errors.update(other.errors)

    def sort(self) -> None:
        """Put everything in the order of the data set's list, whatever order it was merged in."""
        for records in [evaluator.records for evaluator in self._evaluators()] + [self.images]:
            records.sort()
        self.names = dict(sorted(self.names.items()))
        self.errors = dict(sorted(self.errors.items()))

    def boxes_clipped(self) -> int:
        """int: true boxes that reached over their image."""
        return int(np.sum(self.images.column("clipped")))

    def boxes_outside(self) -> int:
        """int: true boxes that lay wholly outside their image."""
        return int(np.sum(self.images.column("outside")))

    def _evaluators(self) -> List[Any]:
        return [
            *self.classification.values(),
            *self.localization.values(),
            *self.pixels.values(),
        ]
