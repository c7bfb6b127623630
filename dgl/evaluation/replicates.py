"""Several trainings of one network as one result: the mean of their figures, image by image the same data.

Takes an evaluator's place in :mod:`dgl.evaluation.confidence`: a resample draws the same images for every
training, so the interval is that of the mean over these trainings, for other images. How far other
trainings would lie apart only the figures of each tell.
"""

from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np

from dgl.evaluation.state import Evaluator
from dgl.typing_names import ArrayLike


class Replicates(object):
    """Evaluators of the same images, one a training.

    Args:
        evaluators: sequence of :class:`~dgl.evaluation.state.Evaluator` with the same figures.

    Raises:
        ValueError: none, or not the same images in all.
    """

    def __init__(self, evaluators: Iterable[Evaluator]):
        self._evaluators = list(evaluators)
        if not self._evaluators:
            raise ValueError("expected at least one evaluator")
        first = self._evaluators[0]
        for other in self._evaluators[1:]:
            if other.images != first.images or other.counted_ids() != first.counted_ids():
                raise ValueError("the trainings were measured on different images")

    @property
    def images(self) -> int:
        """int: the images that count."""
        return self._evaluators[0].images

    def counted_ids(self) -> List[str]:
        """list of str: their ids."""
        return self._evaluators[0].counted_ids()

    def totals(self, weights: Optional[ArrayLike] = None) -> Dict[Tuple[int, str], np.ndarray]:
        """(training, name) -> sums, as :meth:`Evaluator.totals` gives them."""
        return {
            (index, name): sums
            for index, evaluator in enumerate(self._evaluators)
            for name, sums in evaluator.totals(weights).items()
        }

    def figures(self, totals: Mapping[Any, np.ndarray]) -> Dict[str, np.ndarray]:
        """figure -> (B,), the mean over the trainings."""
        return {name: np.mean(values, axis=0) for name, values in self._each(totals).items()}

    def each(self) -> Dict[str, List[float]]:
        """figure -> list of float, one a training."""
        return {name: [float(v[0]) for v in own] for name, own in self._each(self.totals()).items()}

    def _each(self, totals):
        found = [
            evaluator.figures({name: sums for (i, name), sums in totals.items() if i == index})
            for index, evaluator in enumerate(self._evaluators)
        ]
        return {name: [figures[name] for figures in found] for name in found[0]}
