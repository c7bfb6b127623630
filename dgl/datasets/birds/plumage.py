"""Paint the drawn birds: parts with edges, feathered bodies, light.

The painter works on a supersampled canvas and keeps the bird's silhouette as a mask.
"""

from typing import Any, Dict, Iterable, Mapping, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from dgl.datasets.birds.canvas import Rng, apply, blend, fill, line, noise, tone
from dgl.utils.types import ArrayLike


class Genus(NamedTuple):
    """The body that the species of a genus share: texture, color of the back and of the belly."""

    texture: str
    upper: Tuple[int, int, int]
    lower: Tuple[int, int, int]


# Colors vary widely around these, and all of them also occur in the scenes.
GENERA = (
    Genus("scales", (74, 128, 150), (206, 196, 158)),
    Genus("speckle", (150, 92, 58), (226, 206, 176)),
    Genus("streaks", (112, 122, 56), (222, 190, 84)),
    Genus("bars", (92, 84, 96), (196, 136, 132)),
)
SPECIES_PER_GENUS = 2

# Side of the square tile of noise that plumage is sampled from, in texels, and its texels per body.
_TILE = 192
_TEXELS = 110.0


def genus_of(class_index: int) -> Genus:
    """The :class:`Genus` of a species: classes 0 and 1 share the first, 2 and 3 the second, ..."""
    return GENERA[class_index // SPECIES_PER_GENUS]


def draw_texture(rng: Rng, name: str) -> Dict[str, Any]:
    """Draw the choices that make a plumage: dict of the texture's name, period, depth and tiles."""
    return {
        "name": name,
        "period": rng.uniform(0.06, 0.13),
        "depth": rng.uniform(0.25, 0.6),
        "fine": noise(rng, (_TILE, _TILE), 12, 3, (2.2, 0.7)),
        "coarse": noise(rng, (_TILE, _TILE), 14, 2),
        "streaks": noise(rng, (_TILE, _TILE), 12, 2, (3.0, 0.5)),
    }


def _sample(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def texture_factor(texture: Mapping[str, Any], u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Brightness factors, float32 (H, W), about 0.4 to 1.2, of a plumage of :func:`draw_texture`.

    ``u`` and ``v``, float32 (H, W), are places along the body, front positive, and across it, down
    positive, in body lengths.
    """
    name, period, depth = texture["name"], texture["period"], texture["depth"]
    map_u, map_v = u * _TEXELS + _TILE / 2, v * _TEXELS + _TILE / 2
    dark = np.zeros_like(u)
    if name == "scales":
        column = u / period
        row = v / period + 0.5 * np.mod(np.floor(column), 2)
        across = np.mod(row, 1.0) - 0.5
        along = 1.0 - np.mod(column, 1.0)
        dark = np.clip((np.hypot(along, 1.2 * across) - 0.62) * 4, 0, 1)
    elif name == "speckle":
        dark = np.clip((_sample(texture["coarse"], map_u, map_v) - 0.58) * 9, 0, 1)
    elif name == "streaks":
        dark = np.clip((_sample(texture["streaks"], map_u, map_v) - 0.52) * 7, 0, 1)
    elif name == "bars":
        wobble = 2.5 * _sample(texture["coarse"], map_u, map_v)
        dark = np.clip(1.6 * np.sin(2 * np.pi * u / (1.5 * period) + wobble), 0, 1)
    fine = _sample(texture["fine"], map_u, map_v)
    factor: np.ndarray = (1 - depth * dark) * (0.84 + 0.32 * fine)
    return factor.astype(np.float32)


def _inverse_grid(frame: np.ndarray, window: Sequence[int]) -> Tuple[np.ndarray, ...]:
    """Coordinates in ``frame`` of every pixel of ``window`` (x0, y0, x1, y1): two (H, W) arrays."""
    inverse = cv2.invertAffineTransform(frame)
    x = np.arange(window[0], window[2], dtype=np.float32)[None, :]
    y = np.arange(window[1], window[3], dtype=np.float32)[:, None]
    return tuple((r[0] * x + r[1] * y + r[2]).astype(np.float32) for r in inverse)


class Painter:
    """Paints a bird on a canvas, uint8 (H, W, 3), and keeps its silhouette.

    ``scale`` is in pixels per body length; by ``edge_strength``, 0..1, outlines of parts are darker.
    """

    def __init__(self, canvas: np.ndarray, scale: float, edge_strength: float):
        self.canvas = canvas
        self.mask = np.zeros(canvas.shape[:2], np.uint8)
        self._scale = scale
        self._edge_strength = edge_strength

    def _window(self, points: ArrayLike, margin: float = 0.0) -> Tuple[int, int, int, int]:
        height, width = self.canvas.shape[:2]
        low = np.floor(np.min(points, axis=0) - margin).astype(int)
        high = np.ceil(np.max(points, axis=0) + margin).astype(int) + 1
        x0, y0 = np.clip(low, 0, (width - 1, height - 1))
        x1, y1 = np.clip(high, (x0 + 1, y0 + 1), (width, height))
        return x0, y0, x1, y1

    def part(self, points: ArrayLike, color: ArrayLike, edge: Optional[float] = None) -> None:
        """Fill an outline that belongs to the bird; ``edge`` is the tone of its border, if any."""
        fill(self.canvas, points, color)
        fill(self.mask, points, 255)
        if edge is not None:
            border = tone(color, 1 - (1 - edge) * self._edge_strength)
            line(self.canvas, points, border, 0.012 * self._scale, closed=True)

    def marking(self, points: ArrayLike, color: ArrayLike) -> None:
        """Fill an outline, but only where the bird already is."""
        x0, y0, x1, y1 = self._window(points)
        cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fill(cover, np.asarray(points) - (x0, y0), 255)
        alpha = np.minimum(cover, self.mask[y0:y1, x0:x1]).astype(np.float32) / 255
        blend(self.canvas[y0:y1, x0:x1], color, alpha)

    def crease(self, points: ArrayLike, color: ArrayLike) -> None:
        """Draw a thin line on the bird."""
        line(self.canvas, points, color, 0.012 * self._scale)

    def trunk(
        self,
        outlines: Sequence[np.ndarray],
        body_frame: np.ndarray,
        head_frame: np.ndarray,
        colors: Mapping[str, Any],
        texture: Mapping[str, Any],
    ) -> None:
        """Paint body, neck and skull as one feathered mass with soft joints.

        Outlines are (N, 2) in pixels, frames 2 x 3 maps to pixels. Of the colors, ``upper``, ``lower`` and
        ``head`` are used, with ``line`` (where back turns to belly, body lengths) and ``softness``.
        """
        window = self._window(np.vstack(outlines), 0.1 * self._scale)
        x0, y0, x1, y1 = window
        union = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for points in outlines:
            fill(union, points - (x0, y0), 255)
        # Blurring and cutting at one half fills the corners where neck meets body and skull.
        joined = cv2.GaussianBlur(union, (0, 0), max(1.0, 0.06 * self._scale)).astype(np.float32)
        cover = np.maximum(union, np.clip((joined - 127) * 8 + 127, 0, 255).astype(np.uint8))
        u, v = _inverse_grid(body_frame, window)
        belly = np.clip((v - colors["line"]) / colors["softness"] + 0.5, 0, 1)[..., None]
        upper, lower, head = (colors[k].astype(np.float32) for k in ("upper", "lower", "head"))
        paint = upper + (lower - upper) * belly
        hx, hy = _inverse_grid(head_frame, window)
        near_head = np.clip(1.9 - np.hypot(hx, hy), 0, 1)
        paint += (head - paint) * near_head[..., None]
        factor = texture_factor(texture, u, v)
        calm = 0.75 * np.clip(1.6 - np.hypot(hx, hy), 0, 1)
        paint *= (factor + (1 - factor) * calm)[..., None]
        blend(self.canvas[y0:y1, x0:x1], paint, cover.astype(np.float32) / 255)
        np.maximum(self.mask[y0:y1, x0:x1], cover, out=self.mask[y0:y1, x0:x1])

    def wing(
        self,
        frame: np.ndarray,
        outline: np.ndarray,
        knots: np.ndarray,
        colors: Mapping[str, Any],
        texture: Mapping[str, Any],
    ) -> None:
        """Paint a folded wing: feathered coverts in front, long flight feathers behind.

        The smooth outline and its seven knots are in the wing's frame, a 2 x 3 map to pixels. Of the
        colors, ``wing`` and ``flight`` are used, with the number of ``bars``.
        """
        points = apply(frame, outline)
        self.part(points, colors["flight"], edge=0.5)
        window = self._window(points)
        x0, y0, x1, y1 = window
        cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fill(cover, points - (x0, y0), 255)
        u, v = _inverse_grid(frame, window)
        coverts = np.clip((u + 0.22 + 1.2 * v) * 14, 0, 1) * cover.astype(np.float32) / 255
        paint = colors["wing"].astype(np.float32) * texture_factor(texture, u, v)[..., None]
        blend(self.canvas[y0:y1, x0:x1], paint, 0.95 * coverts)
        for step in range(colors["bars"]):
            bar = 1 - np.abs(u + 0.2 - 0.13 * step + 1.2 * v) * 26
            alpha = np.clip(bar, 0, 1) * cover.astype(np.float32) / 255
            blend(self.canvas[y0:y1, x0:x1], tone(colors["wing"], 1.6), 0.8 * alpha)
        tip = knots[4]
        for weight in (0.2, 0.45, 0.7):
            start = knots[3] * (1 - weight) + knots[5] * weight + (0.16, 0.0)
            ends = apply(frame, [start, 0.12 * start + 0.88 * tip])
            line(self.canvas, ends, tone(colors["flight"], 0.62), 0.01 * self._scale)

    def fan(self, feathers: Iterable[np.ndarray], color: np.ndarray) -> None:
        """Paint feathers one over another in alternating tones."""
        for step, points in enumerate(feathers):
            self.part(points, tone(color, 0.92 + 0.12 * (step % 2)), edge=0.6)

    def light(self, direction: ArrayLike, strength: float) -> None:
        """Shade the whole bird as a rounded body lit from ``direction`` (unit x, y)."""
        x0, y0, width, height = cv2.boundingRect(self.mask)
        region = (slice(y0, y0 + height), slice(x0, x0 + width))
        mask = self.mask[region].astype(np.float32) / 255
        sigma = max(1.0, 0.09 * self._scale)
        relief = cv2.GaussianBlur(mask, (0, 0), sigma)
        slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0) * sigma / 4
        slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1) * sigma / 4
        glow = -(slope_x * direction[0] + slope_y * direction[1])
        factor = 1 + strength * np.clip(2.2 * glow, -1, 0.8) * mask
        self.canvas[region] = np.clip(self.canvas[region] * factor[..., None], 0, 255)
