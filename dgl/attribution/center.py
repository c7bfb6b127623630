"""The center-Gaussian baseline (Choe et al., CVPR 2020): what a map scores that sees no image at all.

An isotropic Gaussian at the center of the image. A threshold cuts a disc out of it, so a protocol that
takes the best threshold tries every disc and :data:`SIGMA` does not matter there. At a fixed threshold it
does; the paper names no width, and the one here makes discs of 0.45 sides' radius at 0.2.
"""

import numpy as np

from dgl.attribution.registry import IMAGE, Evidence, Method, register_method
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

SIGMA = 0.25  # standard deviation as a fraction of the side


def gaussian(side: int) -> np.ndarray:
    """float64 (side, side), in (0, 1], symmetric about the center of the picture."""
    offset = (np.arange(side) - (side - 1) / 2.0) / (SIGMA * side)
    profile = np.exp(-0.5 * offset**2)
    return profile[:, np.newaxis] * profile


def center_map(evidence: Evidence) -> Tensor:
    """The Gaussian, once for each image.

    Args:
        evidence: :class:`~dgl.attribution.registry.Evidence` with ``logits``, which tell the number of
            images, and ``image_size``.

    Returns:
        (N, image_size, image_size) float, in (0, 1].
    """
    logits = evidence.logits
    one = gaussian(evidence.image_size).astype(logits.dtype.as_numpy_dtype)
    return tf.tile(one[np.newaxis], [tf.shape(logits)[0], 1, 1])


CENTER = register_method(
    Method(
        "center",
        "Center Gaussian",
        "Choe et al., CVPR 2020",
        frozenset(),
        center_map,
        IMAGE,
        order=10,
    )
)
