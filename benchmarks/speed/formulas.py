"""Published formulas of each contender's map, from activations and gradients.

All in NumPy and float64, (N, C, H, W) in and (N, H, W) out. ``s`` is the layer's activation, ``g`` the
class score's gradient with respect to it and ``loss`` that of DGL's loss.
"""

from typing import NamedTuple

import numpy as np

from dgl.predict import postprocess

_EPSILON = 1e-12  # inside the square root, as in tf.nn.l2_normalize


class Limits(NamedTuple):
    """How far two computations of one normalized map may be apart.

    Two ways to compute a map differ by rounding, and where rounding takes a ReLU's input to the other side
    of zero, or makes another of four pooled places the largest, a gradient goes another way: such a switch
    changes single places a lot. So nearly all places have to be close, and none far off.

    Attributes:
        close: difference below which a place is close.
        share_close: of the places that have to be.
        largest: difference that no place may reach.
        logits: difference that no logit may reach, as a share of the largest.
    """

    close: float
    share_close: float
    largest: float
    logits: float


FLOAT32 = Limits(2e-3, 0.99, 0.1, 1e-3)
BFLOAT16 = Limits(0.05, 0.95, 0.5, 0.05)  # eight bits, and many more switches


def _unit(x):
    norm = np.sqrt(np.maximum((x * x).sum(axis=(1, 2, 3), keepdims=True), _EPSILON))
    return x / norm


def dgl(s, g, loss):
    """Tan et al., ACM MM 2020: class selection times the enhanced map."""
    return (g * (_unit(s) - _unit(loss))).sum(axis=1)


def gradcam_sum(s, g, loss):
    """Selvaraju et al., ICCV 2017, without its last ReLU (captum's default)."""
    return (g.mean(axis=(2, 3), keepdims=True) * s).sum(axis=1)


def gradcam(s, g, loss):
    """Selvaraju et al., ICCV 2017."""
    return np.maximum(gradcam_sum(s, g, loss), 0)


def layercam(s, g, loss):
    """Jiang et al., IEEE TIP 2021."""
    return np.maximum((np.maximum(g, 0) * s).sum(axis=1), 0)


def hirescam(s, g, loss):
    """Draelos and Carin, 2020, without what is negative (pytorch-grad-cam)."""
    return np.maximum((g * s).sum(axis=1), 0)


FORMULAS = {
    formula.__name__: formula for formula in (dgl, gradcam_sum, gradcam, layercam, hirescam)
}


def sized(maps, size):
    """Normalized, brought to ``size`` x ``size`` and normalized again: how people look at maps.

    Args:
        maps: (N, H, W).
        size: side in pixels.

    Returns:
        (N, size, size) float32 in [0, 1].
    """
    normalized = postprocess.normalize(maps)
    return postprocess.normalize([postprocess.resize_map(one, size, size) for one in normalized])


def stretched(maps, size):
    """As :func:`sized`, but interpolated between the centers of the corner places (tf-keras-vis)."""
    position = np.linspace(0, maps.shape[-1] - 1, size)
    low = np.minimum(position.astype(int), maps.shape[-1] - 2)
    weights = np.zeros((size, maps.shape[-1]))
    weights[np.arange(size), low] = 1 - (position - low)
    weights[np.arange(size), low + 1] = position - low
    return postprocess.normalize(weights @ postprocess.normalize(maps) @ weights.T)


def compare(found, wanted, resize=sized, limits=FLOAT32):
    """How far maps are from what they should be.

    Args:
        found: (N, H, W).
        wanted: (N, H, W), or of another resolution than ``found``'s, which then decides.
        resize: :func:`sized` or :func:`stretched`, how ``wanted`` gets that resolution.
        limits: :class:`Limits`.

    Returns:
        ordered ``largest`` difference of the maps normalized to [0, 1], ``share_close``, the share of
        places that are close, and ``agrees``.

    Raises:
        ValueError: different numbers of maps.
    """
    found, wanted = np.asarray(found), np.asarray(wanted)
    if len(found) != len(wanted):
        raise ValueError(f"{len(found)} maps cannot be {len(wanted)}")
    if found.shape != wanted.shape:
        wanted = resize(wanted, found.shape[-1])
    finite = np.isfinite(found).all()
    # A constant map, which normalizes to zeros, agrees with nothing that is not constant.
    apart = (
        np.abs(postprocess.normalize(found) - postprocess.normalize(wanted))
        if finite
        else np.ones((1,))
    )
    largest, share = float(apart.max()), float((apart < limits.close).mean())
    return {
        "largest": round(largest, 6),
        "share_close": round(share, 6),
        "agrees": bool(largest < limits.largest and share >= limits.share_close),
    }
