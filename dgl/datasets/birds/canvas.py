"""Drawing primitives: curves, transforms, polygons and noise.

Points are float arrays of shape (N, 2) as (x, y) with y down; colors are (R, G, B) in 0..255;
canvases are uint8 RGB arrays, changed in place.
"""

from typing import Any, Sequence

import cv2
import numpy as np

from dgl.utils.types import ArrayLike

Rng = np.random.Generator

# OpenCV takes sub-pixel coordinates as fixed point with this many fractional bits.
_SHIFT = 4


def transform(
    scale: float = 1.0, angle: float = 0.0, center: ArrayLike = (0.0, 0.0), mirror: bool = False
) -> np.ndarray:
    """The affine map, float64 (2, 3), that mirrors x, scales, rotates and moves the origin to a center.

    The angle is in degrees, counter-clockwise as seen on screen (y down).
    """
    radians = np.deg2rad(angle)
    cos, sin = scale * np.cos(radians), scale * np.sin(radians)
    flip = -1.0 if mirror else 1.0
    return np.array([[flip * cos, sin, center[0]], [-flip * sin, cos, center[1]]])


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the affine map that applies ``inner`` and then ``outer`` (both 2 x 3)."""
    linear = outer[:, :2] @ inner[:, :2]
    return np.column_stack([linear, outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def apply(affine: np.ndarray, points: ArrayLike) -> np.ndarray:
    """Map points of shape (N, 2) by a 2 x 3 affine map."""
    moved: np.ndarray = np.asarray(points, dtype=np.float64) @ affine[:, :2].T + affine[:, 2]
    return moved


def smooth(points: ArrayLike, closed: bool = True, steps: int = 8) -> np.ndarray:
    """A Catmull-Rom curve through ``points`` (N, 2), N >= 3, of so many ``steps`` between two of them.

    Returns:
        float64 array of shape (N * steps, 2), or ((N - 1) * steps + 1, 2) for an open curve.
    """
    knots = np.asarray(points, dtype=np.float64)
    if closed:
        before, after, beyond = (np.roll(knots, k, axis=0) for k in (1, -1, -2))
        start = knots
    else:
        padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
        before, start, after, beyond = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / float(steps))[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (before, start, after, beyond))
    curve = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    curve = curve.reshape(-1, 2)
    return curve if closed else np.vstack([curve, knots[-1]])


def blade(
    length: float, width: float, bluntness: float = 0.7, bend: float = 0.0, steps: int = 12
) -> np.ndarray:
    """Outline, float64 (2 * steps, 2), of a leaf or a feather lying along +x from the origin.

    Args:
        length, width: from root to tip, and the greatest one across.
        bluntness: lower is rounder at both ends (the exponent of the half-sine profile).
        bend: sideways offset of the tip as a fraction of the length.
    """
    t = np.linspace(0.0, 1.0, steps)
    half = 0.5 * width * np.sin(np.pi * t) ** bluntness
    spine = bend * length * t**2
    upper = np.stack([length * t, spine - half], axis=1)
    lower = np.stack([length * t, spine + half], axis=1)[::-1]
    return np.vstack([upper, lower])


def ellipse(center: ArrayLike, radii: ArrayLike, angle: float = 0.0, steps: int = 24) -> np.ndarray:
    """Outline of an ellipse, float64 array of shape (steps, 2)."""
    t = np.linspace(0.0, 2 * np.pi, steps, endpoint=False)
    points = np.stack([radii[0] * np.cos(t), radii[1] * np.sin(t)], axis=1)
    return apply(transform(1.0, angle, center), points)


def stroke_outline(spine: np.ndarray, start_width: float, end_width: float) -> np.ndarray:
    """Outline of a line that tapers from one width to another along ``spine`` (N, 2)."""
    spine = np.asarray(spine, dtype=np.float64)
    along = np.gradient(spine, axis=0)
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / length[:, None]
    half = 0.5 * np.linspace(start_width, end_width, len(spine))[:, None]
    return np.vstack([spine + normal * half, (spine - normal * half)[::-1]])


def _fixed(points: ArrayLike) -> np.ndarray:
    return np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def _value(color: ArrayLike) -> Any:
    return tuple(map(float, color)) if np.ndim(color) else float(color)


def fill(canvas: np.ndarray, points: ArrayLike, color: ArrayLike) -> None:
    """Fill a polygon with smooth edges; ``color`` is (R, G, B), or a number on a mask."""
    cv2.fillPoly(canvas, [_fixed(points)], _value(color), cv2.LINE_AA, _SHIFT)


def line(
    canvas: np.ndarray, points: ArrayLike, color: ArrayLike, thickness: float, closed: bool = False
) -> None:
    """Draw a polyline with smooth edges, at least one pixel thick."""
    width = max(1, round(float(thickness)))
    cv2.polylines(canvas, [_fixed(points)], closed, _value(color), width, cv2.LINE_AA, _SHIFT)


def blend(canvas: np.ndarray, color: ArrayLike, alpha: np.ndarray) -> None:
    """Lay ``color`` ((3,) or H x W x 3) over ``canvas`` with opacity ``alpha`` (H x W, 0..1)."""
    base = canvas.astype(np.float32)
    over = np.asarray(color, dtype=np.float32)
    canvas[:] = np.clip(base + (over - base) * alpha[..., None], 0, 255).astype(np.uint8)


def tone(color: ArrayLike, factor: float) -> np.ndarray:
    """Return ``color`` made darker (factor < 1) or lighter (> 1, towards white)."""
    base: np.ndarray = np.asarray(color, dtype=np.float64)
    if factor <= 1:
        return base * factor
    return base + (255.0 - base) * min(1.0, factor - 1.0)


def jitter(rng: Rng, color: ArrayLike, amount: float = 14.0) -> np.ndarray:
    """Return ``color`` with one common and one per-channel random offset, clipped to 0..255."""
    offset = rng.normal(0, amount) + rng.normal(0, 0.5 * amount, 3)
    return np.clip(np.asarray(color, dtype=np.float64) + offset, 0, 255)


def noise(
    rng: Rng, shape: Sequence[int], cell: float, octaves: int, stretch: Sequence[float] = (1, 1)
) -> np.ndarray:
    """Multi-octave value noise: float32 of ``shape`` (height, width) in 0..1, mean near 0.5.

    Args:
        cell: size in pixels of the coarsest octave's cells.
        octaves: their number, each half the size and 0.55 of the amplitude of the one before.
        stretch: (x, y) factors on the cell size, for streaks.
    """
    height, width = shape
    total: np.ndarray = np.zeros(shape, np.float32)
    amplitude, power = 1.0, 0.0
    for _ in range(octaves):
        columns = min(width, max(2, int(np.ceil(width / (cell * stretch[0]))) + 1))
        rows = min(height, max(2, int(np.ceil(height / (cell * stretch[1]))) + 1))
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        total += amplitude * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        power += amplitude**2
        amplitude *= 0.55
        cell = max(2.0, cell / 2.0)
    clipped: np.ndarray = np.clip(0.5 + 0.28 * total / np.sqrt(power), 0.0, 1.0)
    return clipped


def ramp(values: np.ndarray, colors: ArrayLike) -> np.ndarray:
    """Color ``values`` (H x W, 0..1) along evenly spaced ``colors`` (K, 3); uint8 H x W x 3."""
    colors = np.asarray(colors, dtype=np.float64)
    stops = np.linspace(0, 255, len(colors))
    table = np.stack([np.interp(np.arange(256), stops, c) for c in colors.T], axis=1)
    return table.astype(np.uint8)[(values * 255).astype(np.uint8)]
