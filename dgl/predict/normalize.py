"""From a layer's raw map to a score map in [0, 1]: normalize and resize."""

import re
from typing import Dict, NamedTuple, Optional

import cv2
import numpy as np

from dgl.errors import UserError
from dgl.utils.types import ArrayLike


class Normalization(NamedTuple):
    """How a map is brought to [0, 1].

    Attributes:
        kind: ``"minmax"``; ``"max"``, the positive part over its maximum; ``"pas"``, the positive part over
            its percentile, what is above cut off (Bae et al., *Rethinking Class Activation Mapping for
            Weakly Supervised Object Localization*, ECCV 2020); or ``"ivr"``, what is above the percentile
            over the maximum of that (Kim et al., *Normalization Matters in Weakly Supervised Object
            Localization*, ICCV 2021).
        percentile: of ``"pas"`` and ``"ivr"``, in (0, 100).
    """

    kind: str = "minmax"
    percentile: Optional[float] = None

    def __str__(self) -> str:
        return self.kind if self.percentile is None else f"{self.kind}:{self.percentile:g}"


MINMAX = Normalization()
# Percentiles that are taken where none is given.
NORMALIZATIONS: Dict[str, Optional[float]] = {"minmax": None, "max": None, "pas": 97.0, "ivr": 40.0}


def parse_normalization(text: str) -> Normalization:
    """A :class:`Normalization` by its name, ``pas`` and ``ivr`` also as ``pas:95``.

    Raises:
        UserError: another name, or a percentile out of range.
    """
    match = re.match(r"([a-z]+)(?::(\d+(?:\.\d+)?))?$", text)
    kind, number = match.groups() if match else ("", None)
    if kind in NORMALIZATIONS:
        usual = NORMALIZATIONS[kind]
        if number is None:
            return Normalization(kind, usual)
        if usual is not None and 0 < float(number) < 100:
            return Normalization(kind, float(number))
    raise UserError(
        f"--normalize {text}: expected {', '.join(NORMALIZATIONS)}, or a percentile as in pas:95"
    )


def normalize(maps: ArrayLike, normalization: Normalization = MINMAX) -> np.ndarray:
    """Bring every map to [0, 1].

    Args:
        maps: array (..., H, W) of numbers; each H x W map is normalized by itself.
        normalization: :class:`Normalization`.

    Returns:
        float32 array of the same shape in [0, 1]. A constant map becomes zeros by ``minmax``, and one that
        is nowhere positive by ``max`` and ``pas``.

    Raises:
        ValueError: fewer than two axes, an empty map, NaN or infinity.
    """
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim < 2 or maps.shape[-1] == 0 or maps.shape[-2] == 0:
        raise ValueError(f"a map must be (..., H, W) and not empty, got {maps.shape}")
    if not np.isfinite(maps).all():
        raise ValueError("a map holds NaN or infinity")
    axes, percentile = (-2, -1), normalization.percentile or 0.0
    if normalization.kind == "minmax":
        maps = maps - maps.min(axis=axes, keepdims=True)
    elif normalization.kind == "ivr":
        maps = np.maximum(maps - np.percentile(maps, percentile, axes, keepdims=True), 0)
    else:
        maps = np.maximum(maps, 0)
    span = maps.max(axis=axes, keepdims=True)
    if normalization.kind == "pas":
        high = np.percentile(maps, percentile, axes, keepdims=True)
        span = np.where(high > 0, high, span)  # a map with fewer positive places has no percentile
        maps = np.minimum(maps, span)
    # Where the span is zero, so is every value: any divisor gives zeros.
    normalized: np.ndarray = (maps / np.where(span > 0, span, 1.0)).astype(np.float32)
    return normalized


def resize_map(score_map: ArrayLike, height: int, width: int) -> np.ndarray:
    """Resize one map bilinearly as OpenCV does (half-pixel centers).

    Args:
        score_map: array (H, W) of finite numbers.
        height, width: size of the result.

    Returns:
        float32 array (height, width) that never leaves the range of ``score_map``.

    Raises:
        ValueError: not two-dimensional, empty, NaN or infinity, or a size below 1.
    """
    score_map = np.asarray(score_map, dtype=np.float32)
    if score_map.ndim != 2 or score_map.size == 0:
        raise ValueError(f"a map must be (H, W) and not empty, got {score_map.shape}")
    if not np.isfinite(score_map).all():
        raise ValueError("a map holds NaN or infinity")
    if height < 1 or width < 1:
        raise ValueError(f"cannot resize a map to {height} x {width}")
    resized = cv2.resize(score_map, (int(width), int(height)), interpolation=cv2.INTER_LINEAR)
    # Rounding in float32 may take a bilinear mean of equal values a little past them.
    return np.clip(resized, score_map.min(), score_map.max())


def score_map(
    raw: ArrayLike, height: int, width: int, normalization: Normalization = MINMAX
) -> np.ndarray:
    """A layer's raw map (h, w), normalized and resized to an image: float32 (height, width) in [0, 1]."""
    return resize_map(normalize(raw, normalization), height, width)
