"""MaxBoxAcc and MaxBoxAccV2 of the wsolevaluation protocol (Choe et al., CVPR 2020).

Both are the best accuracy over the thresholds ``arange(0, 1, step)``: MaxBoxAcc with the largest
contour's box at IoU 0.5, MaxBoxAccV2 with every contour's box, averaged over the best ones of IoU
0.3, 0.5 and 0.7.
"""

import numpy as np

from dgl import boxes as box_ops
from dgl.errors import UserError
from dgl.evaluation.classification import percent
from dgl.evaluation.state import Evaluator, as_batch, check_lengths
from dgl.parallel import ordered_map

PROTOCOL = "wsolevaluation"
_LARGEST_CONTOUR_IOU = 0.5


class MaxBoxAccEvaluator(Evaluator):
    """Counts, for every threshold, the images whose box is right."""

    name = "max_box_acc"

    def __init__(self, step=0.001, iou_thresholds=(0.3, 0.5, 0.7)):
        """Start empty.

        Args:
            step: float in (0, 1], distance of the thresholds.
            iou_thresholds: floats in (0, 1], the overlaps that MaxBoxAccV2 is averaged over.

        Raises:
            ValueError: a value outside its range, or no overlap at all.
        """
        ious = [float(value) for value in iou_thresholds]
        if not 0 < step <= 1 or not ious or not all(0 < value <= 1 for value in ious):
            raise ValueError(
                "expected step and iou_thresholds in (0, 1], got {} and {}".format(step, ious)
            )
        self._thresholds = np.arange(0, 1, step)
        self._ious = np.array(ious)
        super().__init__({"step": float(step), "iou_thresholds": ious})

    def add(self, score_maps, true_boxes, workers=1):
        """Count a batch, or one image (a single 2-D map and its boxes).

        A batch that raises leaves the evaluator as it was.

        Args:
            score_maps: N float maps (H, W) in [0, 1], 224 x 224 in the protocol; sizes may differ.
            true_boxes: for each image (G, 4) numbers in the map's pixels, whole ones in the
                protocol. An image with none is only counted as skipped.
            workers: number of threads.

        Raises:
            ValueError: a map outside [0, 1] (NaN included), a malformed box, or unequal lengths.
        """
        single = isinstance(score_maps, np.ndarray) and score_maps.ndim == 2
        score_maps = as_batch(score_maps, single)
        true_boxes = as_batch(true_boxes, single)
        check_lengths(score_maps=score_maps, true_boxes=true_boxes)
        new = self._new_counts()
        for hits in ordered_map(self._hits, zip(score_maps, true_boxes), workers):
            if hits is None:
                new["skipped"] += 1
                continue
            new["images"] += 1
            new["largest"] += hits[0]
            new["any"] += hits[1]
        for key in new:
            self._counts[key] += new[key]

    def result(self):
        """The figures.

        Returns:
            dict: ``protocol``; ``max_box_acc`` in percent and ``best_threshold``, the lowest
            threshold that reaches it; ``max_box_acc_v2`` and ``max_box_acc_v2_per_iou`` (IoU in
            percent as a string -> percent); the numbers of ``images`` with a true box and of
            ``skipped`` ones without; ``thresholds`` and ``curve``, the largest contour's accuracy
            in percent at each of them.

        Raises:
            dgl.errors.UserError: no image with a true box was added.
        """
        images = int(self._counts["images"])
        if images == 0:
            raise UserError("localization: expected at least one image with a true box")
        largest = self._counts["largest"]
        best = int(np.argmax(largest))
        per_iou = {
            "{:g}".format(100 * value): percent(counts.max(), images)
            for value, counts in zip(self._ious, self._counts["any"])
        }
        return {
            "protocol": PROTOCOL,
            "max_box_acc": percent(largest[best], images),
            "best_threshold": float(self._thresholds[best]),
            "max_box_acc_v2": sum(per_iou.values()) / len(per_iou),
            "max_box_acc_v2_per_iou": per_iou,
            "images": images,
            "skipped": int(self._counts["skipped"]),
            "thresholds": self._thresholds.tolist(),
            "curve": [percent(count, images) for count in largest],
        }

    def _new_counts(self):
        steps = len(self._thresholds)
        return {
            "images": np.zeros((), np.int64),
            "skipped": np.zeros((), np.int64),
            "largest": np.zeros(steps, np.int64),
            "any": np.zeros((len(self._ious), steps), np.int64),
        }

    def _hits(self, image):
        """bool (T,) for the largest contour and (IoUs, T) for all; ``None`` without a true box."""
        score_map, true_boxes = image
        found = box_ops.boxes_by_level(score_map, self._thresholds)
        true_boxes = box_ops.as_boxes(true_boxes)
        if len(true_boxes) == 0:
            return None
        overlap = box_ops.iou(found.boxes, true_boxes).max(axis=1)
        largest = overlap[found.largest] >= _LARGEST_CONTOUR_IOU
        best = np.maximum.reduceat(overlap, found.starts)
        reached = best[np.newaxis] >= self._ious[:, np.newaxis]
        return largest[found.mask_of], reached[:, found.mask_of]
