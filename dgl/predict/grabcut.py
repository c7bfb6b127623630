"""Objects cut out along an image's own edges: GrabCut (Rother et al., 2004) that starts from a map."""

from typing import NamedTuple, Optional

import cv2
import numpy as np

from dgl.predict.postprocess import score_map

# Side of the images that GrabCut sees. This and what follows was chosen by the boxes of every second
# training image of CUB-200-2011: at 160 pixels masks, and what `dgl refine` learns from them, are a point
# or two worse; 224 is no better and takes twice the time.
MASK_SIZE = 192
# More change little.
_ITERATIONS = 3
# Of the bilateral filter: pixels across, deviations of colors and of pixels.
_SMOOTHING = (5, 30, 3)


class Seeds(NamedTuple):
    """How GrabCut starts from a map that was normalized to [0, 1].

    Attributes:
        sure: above it a pixel is the object.
        probable: above it a pixel is probably the object, below it probably background.
        background: below it a pixel is background.
    """

    sure: float = 0.6
    probable: float = 0.1
    background: float = 0.015


SEEDS = Seeds()
# By method, where others do better: the square root in NormGrad raises small values.
SEEDS_OF = {"normgrad": Seeds(0.7, 0.35, 0.15)}


def seeds_at(threshold: float) -> Seeds:
    """Seeds for a map whose objects are above a threshold.

    Power and factor were chosen by the boxes of 150 training images of CUB-200-2011, for DGL's map by
    ``pas``.

    Args:
        threshold: float in [0, 1], a fraction of the map's maximum.
    """
    return Seeds(threshold**0.2, threshold, 0.15 * threshold)


def small_image(image: np.ndarray) -> np.ndarray:
    """An image at the size that GrabCut takes: (S, S, 3) uint8, its shape not kept."""
    return cv2.resize(image, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA)


def pseudo_mask(image: np.ndarray, raw: np.ndarray, seeds: Seeds = SEEDS) -> Optional[np.ndarray]:
    """The object in an image by GrabCut that starts from a map.

    GrabCut compares colors in CIELAB, where equal steps look equal, after noise and texture are smoothed.

    Args:
        image: (S, S, 3) uint8 RGB.
        raw: (h, w) float, an attention map; what is negative counts as 0.
        seeds: :class:`Seeds`.

    Returns:
        (S, S) bool, or ``None`` where the map or the result has no object or no background.
    """
    score = score_map(np.maximum(raw, 0), *image.shape[:2])
    labels = np.full(score.shape, cv2.GC_PR_BGD, np.uint8)
    labels[score > seeds.probable] = cv2.GC_PR_FGD
    labels[score > seeds.sure] = cv2.GC_FGD
    # A map with no zeros has background all the same: the lowest fiftieth.
    labels[score <= max(seeds.background, np.percentile(score, 2))] = cv2.GC_BGD
    known = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if not known.any() or known.all():
        return None
    colors = cv2.cvtColor(cv2.bilateralFilter(image, *_SMOOTHING), cv2.COLOR_RGB2LAB)
    cv2.setRNGSeed(0)  # of the k-means that GrabCut begins with
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(colors, labels, (0, 0, 0, 0), *models, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    mask: np.ndarray = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return None if not mask.any() or mask.all() else mask
