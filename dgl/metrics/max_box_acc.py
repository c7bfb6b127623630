"""MaxBoxAcc and MaxBoxAccV2 of the wsolevaluation protocol (Choe et al., CVPR 2020).

Both are the best accuracy over the thresholds ``arange(0, 1, step)``: MaxBoxAcc with the largest
contour's box at IoU 0.5, MaxBoxAccV2 with every contour's box, averaged over the best ones of IoU
0.3, 0.5 and 0.7.
"""

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from dgl.metrics.box_hits import box_hits
from dgl.metrics.evaluator import Evaluator, check_lengths, measure_batch, percent
from dgl.metrics.records import Column
from dgl.predict import postprocess
from dgl.utils.types import ArrayLike

PROTOCOL = "wsolevaluation"
_LARGEST_CONTOUR_IOU = 0.5


class MaxBoxAccEvaluator(Evaluator):
    """MaxBoxAcc and MaxBoxAccV2; the rows say at which thresholds an image's box is right."""

    name = "max_box_acc"
    nothing = "expected at least one image with a true box"
    counted = "has_box"

    def __init__(
        self,
        step: float = 0.001,
        iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7),
        operating_threshold: Optional[float] = None,
    ) -> None:
        """Start empty.

        Args:
            step: float in (0, 1], distance of the thresholds.
            iou_thresholds: floats in (0, 1], the overlaps that MaxBoxAccV2 is averaged over.
            operating_threshold: float in [0, 1), a threshold selected on other data, for the figure
                ``box_acc``; the nearest of the thresholds is taken. ``None`` for none.

        Raises:
            ValueError: a value outside its range, or no overlap at all.
        """
        ious = [float(value) for value in iou_thresholds]
        if not 0 < step <= 1 or not ious or not all(0 < value <= 1 for value in ious):
            raise ValueError(f"expected step and iou_thresholds in (0, 1], got {step} and {ious}")
        if operating_threshold is not None and not 0 <= operating_threshold < 1:
            raise ValueError(f"expected operating_threshold in [0, 1), got {operating_threshold}")
        self._thresholds = np.arange(0, 1, step)
        self._operating = None
        if operating_threshold is not None:
            self._operating = int(np.argmin(np.abs(self._thresholds - operating_threshold)))
        self._ious = np.array(ious)
        super().__init__({"step": float(step), "iou_thresholds": ious})

    def add(
        self,
        score_maps: ArrayLike,
        true_boxes: ArrayLike,
        ids: Union[str, Sequence[str], None] = None,
        workers: int = 1,
    ) -> None:
        """Count a batch, or one image (a single 2-D map and its boxes).

        A batch that raises leaves the evaluator as it was.

        Args:
            score_maps: N float maps (H, W) in [0, 1], 224 x 224 in the protocol; sizes may differ.
            true_boxes: for each image (G, 4) numbers in the map's pixels, whole ones in the
                protocol. An image with none is only counted as skipped.
            ids: N names of the images, optional; see :meth:`Evaluator.merge`.
            workers: number of threads.

        Raises:
            ValueError: a map outside [0, 1] (NaN included), a malformed box, unequal lengths, or an
                id a second time.
        """
        self.add_found(
            *measure_batch(self.localize, score_maps, ids, workers, true_boxes=true_boxes)
        )

    def localize(
        self, score_map: ArrayLike, true_boxes: ArrayLike
    ) -> Optional[Tuple[np.ndarray, np.ndarray]]:
        """Measure one map for :meth:`add_found`; changes nothing and is safe in threads.

        Args:
            score_map: float (H, W) in [0, 1].
            true_boxes: (G, 4) numbers in the map's pixels.

        Returns:
            tuple: bool (T,) for the largest contour and bool (IoUs, T) for all of them, whether
            the box is right at each threshold; ``None`` without a true box.
        """
        true_boxes = postprocess.as_boxes(true_boxes)
        if len(true_boxes) == 0:
            postprocess.binarize(score_map, 0.0)  # refuses an invalid map here too
            return None
        return box_hits(score_map, self._thresholds, true_boxes, self._ious, _LARGEST_CONTOUR_IOU)

    def add_found(self, found: Sequence[Any], ids: Optional[Sequence[str]] = None) -> None:
        """Count images by their results of :meth:`localize`; raises as :meth:`add`."""
        check_lengths(score_maps=found, ids=ids)
        steps, ious = len(self._thresholds), len(self._ious)
        hits = np.zeros((len(found), 1 + ious, steps), bool)
        for row, image in zip(hits, found):
            if image is not None:
                row[0], row[1:] = image
        packed = np.packbits(hits, axis=2)
        self.records.append(
            ids,
            has_box=[image is not None for image in found],
            largest=packed[:, 0],
            any=packed[:, 1:],
        )

    def result(self) -> Dict[str, Any]:
        """The figures.

        Returns:
            dict: ``protocol``; ``max_box_acc`` in percent and ``best_threshold``, the lowest
            threshold that reaches it; ``max_box_acc_v2`` and ``max_box_acc_v2_per_iou`` (IoU in
            percent as a string -> percent); with an operating threshold ``tuned_threshold`` and
            ``box_acc``; the numbers of ``images`` with a true box and of ``skipped`` ones without;
            ``thresholds`` and ``curve``, the largest contour's accuracy in percent at each of them.

        Raises:
            dgl.errors.UserError: no image with a true box was added.
        """
        totals = self.totals()
        figures = {name: float(value[0]) for name, value in self.figures(totals).items()}
        images = totals["images"][0]
        per_iou = percent(totals["any"][0].max(axis=1), images)
        result = {
            "protocol": PROTOCOL,
            "max_box_acc": figures["max_box_acc"],
            "best_threshold": float(self._thresholds[int(np.argmax(totals["largest"][0]))]),
            "max_box_acc_v2": figures["max_box_acc_v2"],
            "max_box_acc_v2_per_iou": {
                f"{100 * value:g}": float(accuracy) for value, accuracy in zip(self._ious, per_iou)
            },
        }
        if self._operating is not None:
            result["tuned_threshold"] = float(self._thresholds[self._operating])
            result["box_acc"] = figures["box_acc"]
        result.update(
            images=int(images),
            skipped=len(self.records) - int(images),
            thresholds=self._thresholds.tolist(),
            curve=percent(totals["largest"][0], images).tolist(),
        )
        return result

    def figures(self, totals: Mapping[Any, np.ndarray]) -> Dict[str, np.ndarray]:
        """``max_box_acc``, ``max_box_acc_v2`` and, with an operating threshold, ``box_acc``."""
        images = totals["images"]
        per_iou = percent(totals["any"].max(axis=2), images[:, np.newaxis])
        figures = {
            "max_box_acc": percent(totals["largest"].max(axis=1), images),
            "max_box_acc_v2": per_iou.sum(axis=1) / len(self._ious),
        }
        if self._operating is not None:
            figures["box_acc"] = percent(totals["operating"], images)
        return figures

    def _columns(self) -> Dict[str, Column]:
        width = -(-len(self._thresholds) // 8)
        return {
            "has_box": Column("bool"),
            "largest": Column("uint8", (width,)),
            "any": Column("uint8", (len(self._ious), width)),
        }

    def _terms(self, rows: np.ndarray) -> Dict[str, Any]:
        steps = len(self._thresholds)
        terms = {
            name: np.unpackbits(self.records.column(name)[rows], axis=-1)[..., :steps]
            for name in ("largest", "any")
        }
        if self._operating is not None:
            # A sum of its own: in a paired test rows of another operating threshold come in.
            terms["operating"] = terms["largest"][:, self._operating]
        return terms
