"""Folding a publisher's preprocessing into the first layer, so that it takes this project's input.

A publisher's network sees ``(p - m) / s`` of a pixel value p, ours ``x = (p - M) / S``. Since
``(p - m) / s = x S / s + (M - m) / s``, each input channel of the first convolution is scaled by ``S / s``,
and what ``(M - m) / s`` adds, the same everywhere, goes into the biases, or out of the BatchNorm's mean.
"""

from typing import Dict

import numpy as np

from dgl.weights.published import OURS, Preprocessing

# Scope of the first convolution -> what takes the constant, and with which sign.
_CONSTANTS = (("/b", 1.0), ("/bn/mean/EMA", -1.0), ("/BatchNorm/moving_mean", -1.0))


def fold(variables: Dict[str, np.ndarray], stem: str, preprocessing: Preprocessing) -> None:
    """Make the first layer of a converted network take normalized BGR.

    Exact wherever the kernel lies inside the image. Both networks pad with zeros after their own
    preprocessing, and zero is the mean color, which is a slightly different one in each unless the
    means are the same; so the outputs at the border differ by what that difference makes.

    Args:
        variables: variable name -> float32 array, changed in place.
        stem: name of the first convolution's weights, (rows, columns, 3, outputs).
        preprocessing: :class:`~dgl.weights.published.Preprocessing` of the publisher's network.
    """
    weights = variables[stem].astype("float64")
    if preprocessing.order != OURS.order:
        weights = weights[:, :, ::-1]
        preprocessing = preprocessing.in_order(OURS.order)
    mean, std = np.asarray(preprocessing.mean), np.asarray(preprocessing.std)
    constant = np.einsum("hwco,c->o", weights, (np.asarray(OURS.mean) - mean) / std)
    scope = stem.rsplit("/", 1)[0]
    for ending, sign in _CONSTANTS:
        if scope + ending in variables:
            value = variables[scope + ending].astype("float64") + sign * constant
            variables[scope + ending] = value.astype("float32")
    scaled = weights * (np.asarray(OURS.std) / std)[:, np.newaxis]
    variables[stem] = np.ascontiguousarray(scaled, "float32")
