"""The center-Gaussian baseline (Choe et al., CVPR 2020): the score of a map that ignores the image.

An isotropic Gaussian at the center of the image. Thresholding it gives a disc, so a protocol that takes the
best threshold tries every disc and :data:`SIGMA` does not matter. At a fixed threshold it does; the paper
gives no width, and this one makes discs with a radius of 0.45 sides at threshold 0.2.
"""

import numpy as np

from dgl.attribution.registry import IMAGE, Evidence, attribution_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

SIGMA = 0.25  # standard deviation as a fraction of the side


def gaussian(side: int) -> np.ndarray:
    """float64 (side, side), in (0, 1], symmetric about the center."""
    offset = (np.arange(side) - (side - 1) / 2.0) / (SIGMA * side)
    profile: np.ndarray = np.exp(-0.5 * offset**2)
    return np.outer(profile, profile)


@attribution_method("center", "Center Gaussian", "Choe et al., CVPR 2020", layers=IMAGE, order=10)
def center_map(evidence: Evidence) -> Tensor:
    """The same Gaussian for each image, (N, S, S) float in (0, 1], S the evidence's ``image_size``."""
    logits = evidence.logits
    one = gaussian(evidence.image_size).astype(logits.dtype.as_numpy_dtype)
    return tf.tile(one[np.newaxis], [tf.shape(logits)[0], 1, 1])
