"""Fit the last layer to pooled features: logistic regression, its strength chosen by cross-validation.

The logits of every backbone are ``GAP(features) @ W + b``, so that with a frozen backbone the last layer
is a multinomial logistic regression (Alain and Bengio, "Understanding intermediate layers using linear
classifier probes", 2016). The views of an image share its class, its weight and its fold.
"""

import warnings
from typing import Any, Callable, List, NamedTuple, Tuple

import numpy as np

# Inverse strengths of the regularization per image, for features scaled to a mean variance of 1.
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
UNTESTED = 0.3  # where no class has two images, so that nothing can be held out
MOST_FOLDS = 5
_WORSE = 2  # strengths in a row that are worse than the best one end the search
_MOST_STEPS = 1000
_OUT = -1  # fold of an image that is never held out


class LinearHead(NamedTuple):
    """A fitted last layer."""

    weights: np.ndarray  # (C, classes) float32
    biases: np.ndarray  # (classes,) float32
    strength: float  # the chosen inverse strength of the regularization, one of STRENGTHS
    folds: int  # number of folds of the cross-validation, 0 where there was none
    # (N,) int, the class predicted for each image by a fit without it; -1 for an image that is the
    # only one of its class
    held_out: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, classes) float32 logits of pooled features (N, C)."""
        result: np.ndarray = features @ self.weights + self.biases
        return result


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    progress: Callable[[], Any] = lambda: None,
) -> LinearHead:
    """Fit a last layer, choosing the strength of its regularization by cross-validation.

    Features are centered and divided by one number, the root of their mean variance, before the fit. Both
    are folded into weights and biases in float64; what is left is the rounding to float32 (logits agree
    with the fit's to about 1e-5). The strength with the lowest cross-entropy of held-out images (their
    first view) is chosen. The views of an image are in one fold, and every class is in every fit.

    Args:
        features: (N, V, C) float, V views of each image, of which the first is the one that is classified
            later.
        labels: (N,) int; every class from 0 to the largest has an image, and there are at least two.
        seed: which images share a fold.
        progress: called after each fit.
    """
    images = len(labels)
    features = np.asarray(features, np.float64)
    fold_of, folds = _folds(labels, seed)
    tested = fold_of != _OUT
    fits = [_Fit() for _ in range(folds)]
    best, best_loss, worse = UNTESTED, np.inf, 0
    held_out = np.full(images, _OUT)
    for strength in STRENGTHS if folds else ():
        logits = np.zeros((images, int(labels.max()) + 1))
        for fold, fit in enumerate(fits):
            out = fold_of == fold
            weights, biases = fit(features[~out], labels[~out], strength)
            logits[out] = features[out, 0] @ weights + biases
            progress()
        loss = _cross_entropy(logits[tested], labels[tested])
        if loss < best_loss:
            best, best_loss, worse = strength, loss, 0
            held_out[tested] = logits[tested].argmax(axis=1)
        else:
            worse += 1
            if worse == _WORSE:
                break
    weights, biases = _Fit()(features, labels, best)
    progress()
    return LinearHead(weights.astype(np.float32), biases.astype(np.float32), best, folds, held_out)


def _folds(labels: np.ndarray, seed: int) -> Tuple[np.ndarray, int]:
    """(fold of each image, number of folds): every class is spread over the folds as evenly as can be.

    An image that is the only one of its class belongs to none, so that every fit sees every class.
    """
    counts = np.bincount(labels)
    if counts.max() < 2:
        return np.full(len(labels), _OUT), 0
    folds = min(MOST_FOLDS, int(counts.max()))
    order = np.lexsort((np.random.RandomState(seed).rand(len(labels)), labels))
    order = order[counts[labels[order]] > 1]
    fold_of = np.full(len(labels), _OUT)
    fold_of[order] = np.arange(len(order)) % folds
    return fold_of, folds


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sums - shifted[np.arange(len(labels)), labels]).mean())


class _Fit:
    """Logistic regressions of one set of images; each begins where the one before ended."""

    def __init__(self) -> None:
        from sklearn.linear_model import LogisticRegression  # takes a second to load

        self._regression = LogisticRegression(max_iter=_MOST_STEPS, warm_start=True)

    def __call__(
        self, features: np.ndarray, labels: np.ndarray, strength: float
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Weights (C, classes) and biases (classes,), float64, for features (N, V, C) as they are."""
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        _, views, channels = features.shape
        rows = features.reshape(-1, channels)
        mean = rows.mean(axis=0)
        rows = rows - mean
        scale = np.sqrt(np.mean(rows**2)) or 1.0
        rows /= scale
        # Views repeat an image: together they weigh as much as one.
        self._regression.C = strength / views
        # With one thread the sums, and so the result to the bit, do not depend on the number of cores; more
        # are of little use for matrices of this size.
        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._regression.fit(rows, np.repeat(labels, views))
        weights, biases = self._regression.coef_, self._regression.intercept_
        if len(weights) == 1:  # two classes: scikit-learn keeps the difference of their logits
            weights, biases = (np.concatenate([-part, part]) / 2 for part in (weights, biases))
        weights = weights.T / scale
        return weights, biases - mean @ weights


def most_frequent_confusions(
    labels: np.ndarray, predicted: np.ndarray, most: int
) -> List[Tuple[int, int, int]]:
    """(class, predicted class, number of images) of wrong predictions, the most frequent first."""
    wrong = labels != predicted
    pairs, counts = np.unique(
        np.stack([labels[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")[:most]
    return [(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order]
