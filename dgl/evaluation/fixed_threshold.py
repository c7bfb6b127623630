"""Localization at one fixed threshold: GT-known, Top-1 and Top-5 Loc (Zhou et al., CVPR 2016).

The protocol of the published DGL and ADL tables: the largest contour's box is right when its IoU
with any true box reaches 0.5.
"""

import numpy as np

from dgl import boxes as box_ops
from dgl.errors import UserError
from dgl.evaluation.classification import TOP5_NEEDS_MORE_THAN, checked_ranks, percent
from dgl.evaluation.state import Evaluator, as_batch, check_lengths
from dgl.parallel import ordered_map

PROTOCOL = "fixed_threshold"


class FixedThresholdEvaluator(Evaluator):
    """GT-known, Top-1 and Top-5 Loc of the map of the true class, with one row an image."""

    name = PROTOCOL

    def __init__(self, classes, threshold=0.2, iou=0.5):
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
                "expected classes >= 1, threshold in [0, 1], iou in (0, 1]; got {}, {}, {}".format(
                    classes, threshold, iou
                )
            )
        super().__init__(
            {"classes": int(classes), "threshold": float(threshold), "iou": float(iou)}
        )

    def reset(self):
        """Forget everything that was added."""
        super().reset()
        self._rows = []

    def add(
        self, score_maps, true_boxes, logits=None, labels=None, ranks=None, ids=None, workers=1
    ):
        """Count a batch, or one image (a single 2-D map, everything else without the batch axis).

        A batch that raises leaves the evaluator as it was.

        Args:
            score_maps: N float maps (H, W) in [0, 1], of the true class, in the boxes' coordinates.
            true_boxes: for each image (G, 4) numbers, G of any count. An image with none is only
                counted as skipped.
            logits: numbers (N, C), C at least the number of classes; with ``labels``.
            labels: ints (N,), the true classes.
            ranks: ints (N,) instead of both, the true class's place among the predictions from 0.
            ids: N names for the rows, optional.
            workers: number of threads.

        Raises:
            ValueError: a map outside [0, 1], a malformed box, or arguments that do not fit each
                other.
        """
        single = isinstance(score_maps, np.ndarray) and score_maps.ndim == 2
        ranks = self._ranks(logits, labels, ranks)
        score_maps = as_batch(score_maps, single)
        true_boxes = as_batch(true_boxes, single)
        ids = as_batch(ids, single)
        check_lengths(score_maps=score_maps, true_boxes=true_boxes, ranks=ranks, ids=ids)
        found = list(ordered_map(self._localize, zip(score_maps, true_boxes), workers))
        for index, (box, overlap) in enumerate(found):
            name = None if ids is None else str(ids[index])
            self._count(name, box, overlap, int(ranks[index]))

    def state_dict(self):
        """Everything gathered so far, the rows included, as JSON values."""
        state = super().state_dict()
        state["rows"] = [dict(row) for row in self._rows]
        return state

    def merge_state(self, state):
        """Add a stored state; its rows follow the present ones."""
        super().merge_state(state)
        self._rows.extend(dict(row) for row in state["rows"])

    def result(self):
        """The figures and the rows.

        Returns:
            dict: ``protocol``, ``threshold``; ``gt_known``, ``top1_loc`` and, with more than five
            classes, ``top5_loc`` in percent of the ``images`` that have a true box; ``skipped``,
            the number of images without one; ``rows``, one dict an image in the order of adding:
            ``id``, the predicted ``x0, y0, x1, y1``, ``iou`` (the best over the true boxes) and a
            bool for each of the figures (these and ``iou`` are ``None`` for a skipped image).

        Raises:
            dgl.errors.UserError: no image with a true box was added.
        """
        images = int(self._counts["images"])
        if images == 0:
            raise UserError("localization: expected at least one image with a true box")
        figures = {"protocol": PROTOCOL, "threshold": self._settings["threshold"]}
        for key in self._figures():
            figures[key] = percent(self._counts[key], images)
        figures["images"] = images
        figures["skipped"] = int(self._counts["skipped"])
        figures["rows"] = [dict(row) for row in self._rows]
        return figures

    def _figures(self):
        with_top5 = self._settings["classes"] > TOP5_NEEDS_MORE_THAN
        return ("gt_known", "top1_loc", "top5_loc") if with_top5 else ("gt_known", "top1_loc")

    def _new_counts(self):
        return {key: np.zeros((), np.int64) for key in ("images", "skipped") + self._figures()}

    def _check_state(self, state):
        super()._check_state(state)
        if not isinstance(state.get("rows"), list):
            raise ValueError("the rows of a {} state are missing".format(self.name))

    def _ranks(self, logits, labels, ranks):
        if (ranks is None) == (logits is None) or (logits is None) != (labels is None):
            raise ValueError("expected either logits and labels, or ranks")
        if ranks is None:
            return checked_ranks(logits, labels, self._settings["classes"])
        ranks = np.atleast_1d(np.asarray(ranks))
        if ranks.ndim != 1 or (ranks.size and (ranks.dtype.kind not in "iu" or ranks.min() < 0)):
            raise ValueError("ranks must be whole numbers from 0, one an image")
        return ranks

    def _localize(self, image):
        score_map, true_boxes = image
        box = box_ops.largest_box(score_map, self._settings["threshold"])
        overlaps = box_ops.iou(box, true_boxes)
        return box, float(overlaps.max()) if overlaps.size else None

    def _count(self, name, box, overlap, rank):
        row = {"id": name}
        row.update(zip(("x0", "y0", "x1", "y1"), box.tolist()))
        row["iou"] = overlap
        if overlap is None:
            self._counts["skipped"] += 1
            row.update((key, None) for key in self._figures())
        else:
            right = overlap >= self._settings["iou"]
            flags = {
                "gt_known": right,
                "top1_loc": right and rank < 1,
                "top5_loc": right and rank < 5,
            }
            self._counts["images"] += 1
            for key in self._figures():
                self._counts[key] += flags[key]
                row[key] = flags[key]
        self._rows.append(row)
