"""Several trainings of one network, measured on the same images, as one evaluator of their means."""

from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np

from dgl.metrics.evaluator import Evaluator
from dgl.utils.types import ArrayLike


class Replicates:
    """Evaluators of the same images, one per training.

    Args:
        evaluators: sequence of :class:`~dgl.metrics.evaluator.Evaluator` with the same figures.

    Raises:
        ValueError: none, or not the same images in all.
    """

    def __init__(self, evaluators: Iterable[Evaluator]) -> None:
        self._evaluators = list(evaluators)
        if not self._evaluators:
            raise ValueError("expected at least one evaluator")
        first = self._evaluators[0]
        for other in self._evaluators[1:]:
            if other.images != first.images or other.counted_ids() != first.counted_ids():
                raise ValueError("the trainings were measured on different images")

    @property
    def images(self) -> int:
        """The number of images that count."""
        return self._evaluators[0].images

    def counted_ids(self) -> List[str]:
        """Their ids."""
        return self._evaluators[0].counted_ids()

    def totals(self, weights: Optional[ArrayLike] = None) -> Dict[Tuple[int, str], np.ndarray]:
        """(training, name) -> sums of :meth:`Evaluator.totals`."""
        return {
            (index, name): sums
            for index, evaluator in enumerate(self._evaluators)
            for name, sums in evaluator.totals(weights).items()
        }

    def figures(self, totals: Mapping[Any, np.ndarray]) -> Dict[str, np.ndarray]:
        """Figure -> (B,), the mean over the trainings."""
        return {name: np.mean(values, axis=0) for name, values in self._each(totals).items()}

    def each(self) -> Dict[str, List[float]]:
        """Figure -> its values, one per training."""
        return {name: [float(v[0]) for v in own] for name, own in self._each(self.totals()).items()}

    def _each(self, totals: Mapping[Any, np.ndarray]) -> Dict[str, List[np.ndarray]]:
        found = [
            evaluator.figures({name: sums for (i, name), sums in totals.items() if i == index})
            for index, evaluator in enumerate(self._evaluators)
        ]
        return {name: [figures[name] for figures in found] for name in found[0]}
