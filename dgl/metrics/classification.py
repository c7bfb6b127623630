"""Top-1 and top-5 classification error."""

from typing import Any, Dict, Sequence, Union

import numpy as np

from dgl.metrics.evaluator import Evaluator, as_batch
from dgl.metrics.records import Column
from dgl.utils.types import ArrayLike

TOP5_NEEDS_MORE_THAN = 5


def rank_labels(logits: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Place of each true class in the order of the logits.

    Equal logits are ordered by class index, the lower one first, as ``argmax`` does.

    Args:
        logits: numbers (N, C).
        labels: ints (N,) in [0, C).

    Returns:
        int64 array (N,) in [0, C); 0 means the true class is the top prediction.

    Raises:
        ValueError: shapes that do not fit, a label outside the logits, or NaN.
    """
    logits = np.asarray(logits)
    labels = np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits must be (N, C) and labels (N,), got {logits.shape} and {labels.shape}"
        )
    if labels.size == 0:
        return np.zeros(0, dtype=np.int64)
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"a label lies outside the {logits.shape[1]} logits")
    if np.isnan(logits).any():
        raise ValueError("logits hold NaN")
    own = logits[np.arange(len(labels)), labels][:, np.newaxis]
    earlier = np.arange(logits.shape[1])[np.newaxis] < labels[:, np.newaxis]
    before = (logits > own) | ((logits == own) & earlier)
    return np.asarray(before.sum(axis=1), np.int64)


class ClassificationEvaluator(Evaluator):
    """Top-1 error and, with more than five classes, top-5 error."""

    name = "classification"

    def __init__(self, classes: int) -> None:
        """Start empty.

        Args:
            classes: number of classes of the data. A head may be wider; its other logits compete
                too.

        Raises:
            ValueError: fewer than one class.
        """
        if classes < 1:
            raise ValueError(f"classes must be at least 1, got {classes}")
        super().__init__({"classes": int(classes)})

    def add(
        self, logits: ArrayLike, labels: ArrayLike, ids: Union[str, Sequence[str], None] = None
    ) -> None:
        """Count a batch, or one image.

        Args:
            logits: numbers (N, C) or (C,), C at least the number of classes.
            labels: ints (N,) or one int, the true classes.
            ids: N names of the images (or one), optional; see :meth:`Evaluator.merge`.

        Raises:
            ValueError: as :func:`rank_labels`, fewer logits than classes, or an id a second time.
        """
        ids = as_batch(ids, np.ndim(labels) == 0)
        self.records.append(ids, rank=checked_ranks(logits, labels, self._settings["classes"]))

    def result(self) -> Dict[str, Any]:
        """``top1_error``, ``top5_error`` with more than five classes, in percent, and ``images``."""
        return dict(self._own_figures(), images=self.images)

    def _columns(self) -> Dict[str, Column]:
        return {"rank": Column("int32")}

    def _terms(self, rows: np.ndarray) -> Dict[str, Any]:
        rank = self.records.column("rank")[rows]
        terms = {"top1_error": rank >= 1}
        if self._settings["classes"] > TOP5_NEEDS_MORE_THAN:
            terms["top5_error"] = rank >= 5
        return terms


def checked_ranks(logits: ArrayLike, labels: ArrayLike, classes: int) -> np.ndarray:
    """:func:`rank_labels` of a batch or one image, the logits being at least ``classes`` wide."""
    logits = np.atleast_2d(np.asarray(logits))
    if logits.shape[-1] < classes:
        raise ValueError(f"expected {classes} logits, got {logits.shape[-1]}")
    return rank_labels(logits, np.atleast_1d(np.asarray(labels)))
