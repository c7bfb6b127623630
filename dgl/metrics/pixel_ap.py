"""PxAP of the wsolevaluation protocol (Choe et al., CVPR 2020): pixels against masks, no boxes.

The pixels of all images are pooled. A pixel is predicted to be object where its score reaches a threshold;
PxAP is the area under the precision-recall curve over the thresholds ``arange(0, 1, step)``, each step of
recall weighed with the precision at its end.
"""

import math
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from dgl.data.annotations import IGNORED, OBJECT
from dgl.errors import UserError
from dgl.metrics.evaluator import Evaluator, check_lengths, measure_batch
from dgl.metrics.records import Column
from dgl.utils.types import ArrayLike

BACKGROUND = 0


class PixelApEvaluator(Evaluator):
    """Histograms of the scores of object and of background pixels, one pair per image."""

    name = "pixel_ap"
    nothing = "expected at least one image with a mask"
    counted = "has_mask"
    summed = ("object", "background")

    def __init__(self, step: float = 0.001) -> None:
        """Start empty.

        Args:
            step: float in (0, 1], distance of the thresholds.

        Raises:
            ValueError: a step outside its range.
        """
        if not 0 < step <= 1:
            raise ValueError(f"expected step in (0, 1], got {step}")
        # Beyond the thresholds a bin for scores of exactly 1, and one that nothing falls into, from
        # which the curve starts with a recall of 0.
        self._edges = np.append(np.arange(0, 1, step), [1.0, 2.0, 3.0])
        super().__init__({"step": float(step)})

    def add(
        self,
        score_maps: ArrayLike,
        masks: ArrayLike,
        ids: Union[str, Sequence[str], None] = None,
        workers: int = 1,
    ) -> None:
        """Count a batch, or one image, as :meth:`MaxBoxAccEvaluator.add` does.

        Args:
            score_maps, ids, workers: as there.
            masks: for each image uint8 (H, W): 1 on the object, 0 beside it, 255 where nothing
                counts; ``None`` for an image without a mask, which is only counted as skipped.

        Raises:
            ValueError: as there, or a mask of another shape or with other values.
        """
        self.add_found(*measure_batch(self.count, score_maps, ids, workers, masks=masks))

    def count(
        self, score_map: np.ndarray, mask: Optional[np.ndarray]
    ) -> Optional[Tuple[np.ndarray, ...]]:
        """Measure one map for :meth:`add_found`; changes nothing and is safe in threads.

        Returns:
            tuple of two int arrays (bins,), the histograms of the object's and the background's
            scores; ``None`` without a mask.
        """
        score_map = np.asarray(score_map)
        # Written so that NaN fails too.
        if score_map.size == 0 or not (score_map.min() >= 0 and score_map.max() <= 1):
            raise ValueError("a score map must lie in [0, 1] and not be empty")
        if mask is None:
            return None
        mask = np.asarray(mask)
        if mask.shape != score_map.shape or not np.isin(mask, (BACKGROUND, OBJECT, IGNORED)).all():
            raise ValueError(
                f"a mask must have the map's shape {score_map.shape} and values 0, 1 and 255, got "
                f"{mask.shape}"
            )
        return tuple(
            np.histogram(score_map[mask == kind], bins=self._edges)[0]
            for kind in (OBJECT, BACKGROUND)
        )

    def add_found(self, found: Sequence[Any], ids: Optional[Sequence[str]] = None) -> None:
        """Count images by their results of :meth:`count`; raises as :meth:`add`."""
        check_lengths(score_maps=found, ids=ids)
        histograms = np.zeros((2, len(found), len(self._edges) - 1), np.uint32)
        for index, image in enumerate(found):
            if image is not None:
                histograms[:, index] = image
        self.records.append(
            ids,
            has_mask=[image is not None for image in found],
            object=histograms[0],
            background=histograms[1],
        )

    def result(self) -> Dict[str, Any]:
        """``pxap`` in percent, and the curve: ``thresholds``, ``precision`` and ``recall`` in [0, 1].

        Precision is ``None`` where nothing is predicted. ``images`` is the number of those with a mask,
        ``skipped`` of those without.

        Raises:
            dgl.errors.UserError: no image with a mask was added, or no mask has an object pixel.
        """
        totals = self.totals()
        if not totals["object"].any():
            raise UserError(f"{self.name}: expected at least one object pixel in the masks")
        # Curves run from the highest threshold down; figures are read the other way round.
        precision, recall = (values[0, ::-1].tolist() for values in self._curve(totals))
        return {
            **self._own_figures(),
            "images": self.images,
            "skipped": len(self.records) - self.images,
            "thresholds": self._edges[:-1].tolist(),
            "precision": [None if math.isnan(value) else value for value in precision],
            "recall": recall,
        }

    def figures(self, totals: Mapping[Any, np.ndarray]) -> Dict[str, np.ndarray]:
        """``pxap``."""
        precision, recall = self._curve(totals)
        steps = precision[:, 1:] * np.diff(recall, axis=1)
        # Where nothing is predicted recall does not grow either.
        return {"pxap": 100.0 * np.nansum(steps, axis=1)}

    def _curve(self, totals: Mapping[Any, np.ndarray]) -> Tuple[np.ndarray, np.ndarray]:
        """Precision and recall (B, bins), from the highest threshold down."""
        true_positive = np.cumsum(totals["object"][:, ::-1], axis=1)
        false_positive = np.cumsum(totals["background"][:, ::-1], axis=1)
        objects = true_positive[:, -1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = true_positive / (true_positive + false_positive)
            recall = np.where(objects > 0, true_positive / objects, 0.0)
        return precision, recall

    def _columns(self) -> Dict[str, Column]:
        bins = len(self._edges) - 1
        return {
            "has_mask": Column("bool"),
            "object": Column("uint32", (bins,)),
            "background": Column("uint32", (bins,)),
        }
