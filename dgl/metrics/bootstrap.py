"""Bootstrap intervals of figures, and paired permutation tests between two methods.

Images are resampled (Efron 1979). A figure that is the best over thresholds is computed anew for every
resample, including the choice of the threshold. Neither covers the variation between trainings of the
same network, which takes several seeds (``benchmarks/replicates.py``).
"""

from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from dgl.metrics.evaluator import Evaluator

RESAMPLES = 1000
LEVEL = 0.95
# Data sets at a time, by the numbers of 8 bytes that their weights hold, 64 MB.
_BLOCK_NUMBERS = 8 * 1024 * 1024
# Below any difference that one image could make.
_EPSILON = 1e-9


class Comparison(NamedTuple):
    """One figure of two methods on the same images.

    Attributes:
        difference: percentage points, the first minus the second.
        interval: (low, high), the bootstrap interval of the difference.
        p_value: float in (0, 1], of the paired permutation test (two-sided).
    """

    difference: float
    interval: Tuple[float, float]
    p_value: float

    def record(self, first: str, second: str, figure: str) -> Dict[str, Any]:
        """The comparison as JSON values, with the names of the methods, a minus b, and of the figure."""
        record = {"a": first, "b": second, "figure": figure, **self._asdict()}
        return dict(record, interval=list(self.interval))


def intervals(
    evaluator: Evaluator, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Dict[str, Tuple[float, float]]:
    """Percentile intervals of an evaluator's figures by bootstrap over images.

    Args:
        evaluator: :class:`~dgl.metrics.evaluator.Evaluator` with at least one image that counts.
        resamples: resampled data sets.
        seed: of the resampling; evaluators of equally many images get the same resamples.
        level: float in (0, 1), the fraction of the resamples within.

    Returns:
        dict figure -> (low, high) in percent.

    Raises:
        dgl.errors.UserError: no image counts.
    """
    weights = _bootstrap_weights(evaluator.images, resamples, seed)
    found = [evaluator.figures(evaluator.totals(own)) for own in weights]
    return {
        name: _percentiles(np.concatenate([part[name] for part in found]), level)
        for name in found[0]
    }


def compare(
    first: Evaluator,
    second: Evaluator,
    figure: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Comparison:
    """Whether one method beats another on the same images.

    The interval comes from resampling images, both methods on the same ones. The p-value comes from a
    permutation test: were the methods alike, each image's outcomes might as well be swapped between
    them; it is the fraction of random swaps (the given assignment included) whose difference is at
    least as large as the one seen.

    Args:
        second: evaluator of the same kind and settings that counted the same images.
        figure: one of the evaluators' figures.
        resamples: resamples and swaps.
        level: float in (0, 1).

    Raises:
        ValueError: the two counted different images.
        dgl.errors.UserError: no image counts.
    """
    if first.counted_ids() != second.counted_ids() or first.images != second.images:
        raise ValueError("a paired comparison needs the same images on both sides")
    seen = _difference(first, second, figure, None)[0]
    weights = _bootstrap_weights(first.images, resamples, seed)
    resampled = np.concatenate([_difference(first, second, figure, own) for own in weights])
    extreme = sum(
        int(np.count_nonzero(np.abs(swapped) >= abs(seen) - _EPSILON))
        for swapped in _swapped_differences(first, second, figure, resamples, seed)
    )
    return Comparison(
        float(seen), _percentiles(resampled, level), (1.0 + extreme) / (1.0 + resamples)
    )


def _difference(
    first: Evaluator, second: Evaluator, figure: str, weights: Optional[np.ndarray]
) -> np.ndarray:
    own = first.figures(first.totals(weights))[figure]
    other = second.figures(second.totals(weights))[figure]
    return np.asarray(own - other)


def _swapped_differences(
    first: Evaluator, second: Evaluator, figure: str, swaps: int, seed: int
) -> Iterator[np.ndarray]:
    # Another stream of numbers than the bootstrap's.
    rng = np.random.RandomState([seed, 1])
    for count in _blocks(swaps, first.images):
        swap = (rng.random_sample((count, first.images)) < 0.5).astype(np.float64)
        totals = [
            {name: own[name] + other[name] for name in own}
            for own, other in (
                (first.totals(1 - swap), second.totals(swap)),
                (second.totals(1 - swap), first.totals(swap)),
            )
        ]
        yield first.figures(totals[0])[figure] - second.figures(totals[1])[figure]


def _bootstrap_weights(images: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of uint16 (b, images): how often each image is drawn in each resample."""
    rng = np.random.RandomState([seed, 0])
    # Every block unpacks all rows, so small numbers, of which more fit in one, pay with many images.
    for count in _blocks(resamples, images, 4 * _BLOCK_NUMBERS):
        weights = np.empty((count, images), np.uint16)
        for row in weights:
            row[:] = np.bincount(rng.randint(images, size=images), minlength=images)
        yield weights


def _blocks(total: int, images: int, numbers: int = _BLOCK_NUMBERS) -> Iterator[int]:
    most = max(1, numbers // max(1, images))
    while total > 0:
        yield min(most, total)
        total -= most


def _percentiles(values: np.ndarray, level: float) -> Tuple[float, float]:
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
