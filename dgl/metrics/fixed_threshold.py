"""Localization at one fixed threshold: GT-known, Top-1 and Top-5 Loc (Zhou et al., CVPR 2016).

The protocol of the published DGL and ADL tables: the largest contour's box is right when its IoU
with any true box reaches 0.5.
"""

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from dgl.metrics.classification import TOP5_NEEDS_MORE_THAN, checked_ranks
from dgl.metrics.evaluator import Evaluator, check_lengths, measure_batch, percent
from dgl.metrics.records import Column
from dgl.predict import postprocess
from dgl.utils.types import ArrayLike

PROTOCOL = "fixed_threshold"
_NO_CASE = -1
RIGHT, PART, MORE, ELSEWHERE = CASES = ("right", "part", "more", "elsewhere")
_MOST = 0.5


class FixedThresholdEvaluator(Evaluator):
    """GT-known, Top-1 and Top-5 Loc of the map of the true class."""

    name = PROTOCOL
    nothing = "expected at least one image with a true box"

    def __init__(
        self, classes: int, threshold: float = postprocess.DEFAULT_THRESHOLD, iou: float = 0.5
    ) -> None:
        """Start empty.

        Args:
            classes: number of classes of the data; Top-5 Loc is left out for five or fewer.
            threshold: float in [0, 1], fraction of each map's maximum.
            iou: float in (0, 1], the overlap from which a box is right.

        Raises:
            ValueError: a value outside its range.
        """
        if classes < 1 or not 0 <= threshold <= 1 or not 0 < iou <= 1:
            raise ValueError(
                f"expected classes >= 1, threshold in [0, 1], iou in (0, 1]; got {classes}, "
                f"{threshold}, {iou}"
            )
        super().__init__(
            {"classes": int(classes), "threshold": float(threshold), "iou": float(iou)}
        )

    def add(
        self,
        score_maps: ArrayLike,
        true_boxes: ArrayLike,
        logits: Optional[ArrayLike] = None,
        labels: Optional[ArrayLike] = None,
        ranks: Optional[ArrayLike] = None,
        ids: Union[str, Sequence[str], None] = None,
        workers: int = 1,
    ) -> None:
        """Count a batch, or one image, as :meth:`MaxBoxAccEvaluator.add` does.

        Args:
            score_maps: maps of the true class, in the boxes' coordinates.
            true_boxes, ids, workers: as there.
            logits: numbers (N, C), C at least the number of classes; with ``labels``.
            labels: ints (N,), the true classes.
            ranks: ints (N,) instead of both, the true class's place among the predictions from 0.

        Raises:
            ValueError: as there, or arguments that do not fit each other.
        """
        found, ids = measure_batch(self.localize, score_maps, ids, workers, true_boxes=true_boxes)
        self.add_found(found, logits, labels, ranks, ids)

    def localize(
        self, score_map: ArrayLike, true_boxes: ArrayLike
    ) -> Tuple[np.ndarray, float, Optional[str]]:
        """Measure one map as :meth:`MaxBoxAccEvaluator.localize` does.

        Returns:
            tuple: int64 (4,), the predicted box; its best IoU with a true box, NaN without one;
            and its case, one of :data:`CASES`, ``None`` without one.
        """
        box = postprocess.largest_box(score_map, self._settings["threshold"])
        overlaps = postprocess.iou(box, true_boxes)
        if not overlaps.size:
            return box, float("nan"), None
        return box, float(overlaps.max()), case_of(box, true_boxes, self._settings["iou"])

    def add_found(
        self,
        found: Sequence[Any],
        logits: Optional[ArrayLike] = None,
        labels: Optional[ArrayLike] = None,
        ranks: Optional[ArrayLike] = None,
        ids: Optional[Sequence[str]] = None,
    ) -> None:
        """Count images by their results of :meth:`localize`, with the other arguments of :meth:`add`."""
        ranks = self._ranks(logits, labels, ranks)
        check_lengths(score_maps=found, ranks=ranks, ids=ids)
        self.records.append(
            ids,
            box=np.array([image[0] for image in found], np.int32).reshape(-1, 4),
            iou=[image[1] for image in found],
            case=[_NO_CASE if image[2] is None else CASES.index(image[2]) for image in found],
            rank=ranks,
        )

    def result(self) -> Dict[str, Any]:
        """The figures and the rows.

        Returns:
            dict: ``protocol``, ``threshold``; ``gt_known``, ``top1_loc`` and, with more than five
            classes, ``top5_loc`` in percent of the ``images`` that have a true box; ``cases``, the
            percentage of each of :data:`CASES`; ``skipped``, the number of images without a true box;
            ``rows``, one dict per image in the order of adding: ``id``, the predicted
            ``x0, y0, x1, y1``, ``iou`` (the best over the true boxes), ``case``, and a bool for each of
            the figures (these, ``iou`` and ``case`` are ``None`` for a skipped image).

        Raises:
            dgl.errors.UserError: no image with a true box was added.
        """
        case = self.records.column("case")[self._counted()]
        return {
            "protocol": PROTOCOL,
            "threshold": self._settings["threshold"],
            **self._own_figures(),
            "cases": {
                name: float(percent(np.count_nonzero(case == index), len(case)))
                for index, name in enumerate(CASES)
            },
            "images": self.images,
            "skipped": len(self.records) - self.images,
            "rows": self._rows(),
        }

    def _columns(self) -> Dict[str, Column]:
        return {
            "box": Column("int32", (4,)),
            "iou": Column("float64"),
            "case": Column("int8"),
            "rank": Column("int32"),
        }

    def _counted(self) -> np.ndarray:
        return np.asarray(~np.isnan(self.records.column("iou")))

    def _terms(self, rows: np.ndarray) -> Dict[str, Any]:
        rank = self.records.column("rank")[rows]
        right = self.records.column("iou")[rows] >= self._settings["iou"]
        terms = {"gt_known": right, "top1_loc": right & (rank < 1)}
        if self._settings["classes"] > TOP5_NEEDS_MORE_THAN:
            terms["top5_loc"] = right & (rank < 5)
        return terms

    def _rows(self) -> List[Dict[str, Any]]:
        ids, terms = self.records.ids, self._terms(np.arange(len(self.records)))
        columns = (self.records.column(name).tolist() for name in ("box", "iou", "case"))
        rows = []
        for row, (box, iou, case) in enumerate(zip(*columns)):
            line: Dict[str, Any] = {"id": ids[row] if ids else None}
            line.update(zip(("x0", "y0", "x1", "y1"), box))
            own = {"iou": iou, "case": CASES[case]}
            own.update((name, bool(values[row])) for name, values in terms.items())
            rows.append({**line, **(dict.fromkeys(own) if math.isnan(iou) else own)})
        return rows

    def _ranks(
        self, logits: Optional[ArrayLike], labels: Optional[ArrayLike], ranks: Optional[ArrayLike]
    ) -> np.ndarray:
        if (ranks is None) == (logits is None) or (logits is None) != (labels is None):
            raise ValueError("expected either logits and labels, or ranks")
        if logits is not None and labels is not None:
            return checked_ranks(logits, labels, self._settings["classes"])
        ranks = np.atleast_1d(np.asarray(ranks))
        if ranks.ndim != 1 or (ranks.size and (ranks.dtype.kind not in "iu" or ranks.min() < 0)):
            raise ValueError("ranks must be whole numbers from 0, one per image")
        return ranks


def case_of(box: ArrayLike, true_boxes: ArrayLike, iou: float = 0.5) -> str:
    """The case of one predicted box, by the true box that it overlaps most.

    ``right``: the IoU is reached. ``part``: most of the box lies on the object, and it misses more of
    the object than it has beside it. ``more``: most of the object lies in the box, which reaches beyond.
    ``elsewhere``: neither.

    Args:
        box: numbers (4,), ``x0, y0, x1, y1``, both ends belonging to it.
        true_boxes: numbers (G, 4), G at least 1.
        iou: the overlap from which a box is right.

    Raises:
        ValueError: no true box, or a malformed one.
    """
    box, true_boxes = postprocess.as_boxes(box)[0], postprocess.as_boxes(true_boxes)
    overlaps = postprocess.iou(box, true_boxes)[0]
    best = int(np.argmax(overlaps))
    if overlaps[best] >= iou:
        return RIGHT
    truth = true_boxes[best]
    sides = np.minimum(box[2:], truth[2:]) - np.maximum(box[:2], truth[:2]) + 1
    shared = float(np.prod(np.maximum(sides, 0)))
    of_box = shared / float(np.prod(box[2:] - box[:2] + 1))
    of_truth = shared / float(np.prod(truth[2:] - truth[:2] + 1))
    if of_box >= _MOST and of_box >= of_truth:
        return PART
    return MORE if of_truth >= _MOST else ELSEWHERE
