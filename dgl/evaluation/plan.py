"""What an evaluation measures: all that its numbers depend on, as one JSON record.

Two runs may share results (a resumed run, shards that are merged) only where their plans are equal.
"""

import dataclasses
import hashlib
import json
import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from dgl.data.sample import MAX_CLASSES, Sample
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator

FIXED, WSOL = "fixed_threshold", "wsolevaluation"
IOU = 0.5
_LEAST_STEP = 1e-4  # as --cam-interval


@dataclasses.dataclass(frozen=True)
class Plan:
    """One evaluation.

    Attributes:
        protocols: names of the protocols, in the order of the tables.
        entries: (method, layer) of every row of the tables.
        alpha_entries: entries of the study of alpha, which stand in a table of their own.
        threshold: of the fixed-threshold protocol, for every entry without one of its own.
        thresholds: protocol -> entry name -> threshold selected on other data; empty where none was.
        selecting: whether the run is there to settle thresholds, so that the fixed-threshold protocol
            looks at all thresholds too.
        step: distance of the thresholds of MaxBoxAcc and PxAP.
        batch: images a run of the network; what one image gives may hang on its batch by the last
            bit.
        masks: whether images have masks.
        classes: number of logits.
        model, data, versions: what goes into the record for people.
        class_names: by class index, or ``None``.
        pictures: fingerprint of the list of images with their labels and boxes.
        weights: fingerprint of the checkpoint.
    """

    protocols: Tuple[str, ...]
    entries: Tuple[Tuple[str, str], ...]
    alpha_entries: Tuple[Tuple[str, str], ...]
    threshold: float
    thresholds: Dict[str, Dict[str, float]]
    selecting: bool
    step: float
    batch: int
    masks: bool
    classes: int
    model: Optional[Dict[str, Any]]
    data: Dict[str, Any]
    versions: Dict[str, str]
    class_names: Optional[Tuple[str, ...]]
    pictures: str
    weights: str

    @property
    def all_entries(self) -> List[Tuple[str, str]]:
        """list: the entries of the tables, then those of the study of alpha alone."""
        return list(self.entries) + [e for e in self.alpha_entries if e not in self.entries]

    @property
    def images(self) -> int:
        """int: the images of the data set."""
        return int(self.data["images"])

    @property
    def chunks(self) -> int:
        """int: the batches of the data set, the units that are stored and shared out."""
        return -(-self.images // self.batch)

    def positions(self, chunk: int) -> range:
        """range: the places in the data set's list that a batch has."""
        start = chunk * self.batch
        return range(start, min(start + self.batch, self.images))

    def threshold_of(self, protocol: str, entry: Tuple[str, str]) -> Optional[float]:
        """The threshold selected for an entry, or ``None``."""
        return self.thresholds.get(protocol, {}).get("{}@{}".format(*entry))

    def localization_evaluator(
        self, protocol: str, entry: Tuple[str, str]
    ) -> Union[FixedThresholdEvaluator, MaxBoxAccEvaluator]:
        """An empty evaluator of an entry by a protocol."""
        selected = self.threshold_of(protocol, entry)
        if protocol == FIXED and not self.selecting:
            own = self.threshold if selected is None else selected
            return FixedThresholdEvaluator(self.classes, own, IOU)
        return MaxBoxAccEvaluator(self.step, operating_threshold=selected)

    def pixel_evaluator(self) -> Optional[PixelApEvaluator]:
        """An empty evaluator of masks, or ``None`` where there are none."""
        return PixelApEvaluator(self.step) if self.masks and not self.selecting else None

    def to_json(self) -> Dict[str, Any]:
        """The plan as JSON values."""
        values: Dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """A plan out of :meth:`to_json`.

        Raises:
            ValueError: the values are no plan.
        """
        try:
            values = dict(values)
            for key in ("entries", "alpha_entries"):
                values[key] = tuple(tuple(entry) for entry in values[key])
            values["protocols"] = tuple(values["protocols"])
            if values["class_names"] is not None:
                values["class_names"] = tuple(values["class_names"])
            plan = cls(**values)
            known = (
                set(plan.protocols) <= {FIXED, WSOL}
                and all(isinstance(n, int) for n in (plan.batch, plan.images, plan.classes))
                and min(plan.batch, plan.images, plan.classes) >= 1
                and plan.classes <= MAX_CLASSES
                and _LEAST_STEP <= plan.step <= 1
                and all(list(map(type, entry)) == [str, str] for entry in plan.all_entries)
            )
            if known:  # the thresholds are checked by those that they are for
                for protocol in plan.protocols:
                    for entry in plan.all_entries:
                        plan.localization_evaluator(protocol, entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"not a plan of an evaluation ({error!r})") from error
        if not known:
            raise ValueError("not a plan of an evaluation")
        return plan

    def differences(self, other: "Plan") -> List[str]:
        """List of str: the attributes in which two plans differ."""
        own, others = self.to_json(), other.to_json()
        return [key for key in own if own[key] != others[key]]


def images_fingerprint(samples: Iterable[Sample]) -> str:
    """Hash of ids, labels, boxes and masks, in order; the images themselves are not read."""
    digest = hashlib.sha256()
    for sample in samples:
        masks = [os.path.basename(path) for path in sample.mask_paths]
        line = (sample.id, sample.class_index, sample.boxes, masks, bool(sample.ignore_path))
        digest.update(repr(line).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
