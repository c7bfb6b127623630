"""Backgrounds and clutter of the drawn birds.

Six kinds of scene, sometimes two in one image, then clutter whose colors come from the same lists as
plumage and heads, so that color alone does not reveal the bird.
"""

from typing import List, Sequence, Tuple

import cv2
import numpy as np

from dgl.datasets.birds.canvas import (
    Rng,
    apply,
    blade,
    blend,
    compose,
    ellipse,
    fill,
    jitter,
    line,
    noise,
    ramp,
    smooth,
    stroke_outline,
    tone,
    transform,
)
from dgl.utils.types import ArrayLike

# Probability that the lower part of an image shows a second kind of scene.
MIXED_SCENE = 0.4

_NATURAL = (
    (122, 86, 54), (160, 118, 74), (98, 100, 96), (146, 148, 146), (104, 108, 58),
    (166, 82, 44), (204, 180, 138), (72, 82, 100), (54, 46, 44), (226, 220, 206),
)  # fmt: skip
_VIVID = (
    (205, 28, 42), (246, 190, 26), (36, 104, 214), (16, 158, 150), (136, 58, 186),
    (40, 160, 84), (240, 122, 22), (222, 110, 150), (26, 24, 28), (244, 243, 236),
)  # fmt: skip


def plumage_color(rng: Rng, vivid: float = 0.4) -> np.ndarray:
    """A random earth tone, or with probability ``vivid`` a bright color; float64 (3,), 0..255."""
    palette = _VIVID if rng.random() < vivid else _NATURAL
    return jitter(rng, palette[rng.integers(len(palette))], 16)


def _leaf(
    canvas: np.ndarray, rng: Rng, center: ArrayLike, length: float, color: np.ndarray
) -> None:
    frame = transform(length, rng.uniform(0, 360), center)
    bend = rng.uniform(-0.3, 0.3)
    outline = blade(1.0, rng.uniform(0.25, 0.55), rng.uniform(0.7, 1.1), bend)
    half = len(outline) // 2
    spine = np.stack([np.linspace(0, 1, half), bend * np.linspace(0, 1, half) ** 2], axis=1)
    fill(canvas, apply(frame, outline), color)
    fill(canvas, apply(frame, np.vstack([outline[:half], spine[::-1]])), tone(color, 0.84))
    line(canvas, apply(frame, spine), tone(color, 1.25), length / 40)


def _leaves(
    canvas: np.ndarray, rng: Rng, count: int, size: float, colors: Sequence[ArrayLike]
) -> None:
    for _ in range(count):
        center = rng.uniform((0, 0), canvas.shape[1::-1])
        color = jitter(rng, colors[int(rng.integers(len(colors)))], 16)
        _leaf(canvas, rng, center, size * rng.uniform(0.6, 1.5), color)


def _foliage(rng: Rng, shape: Sequence[int], side: int) -> np.ndarray:
    greens: List[ArrayLike] = [(22, 38, 20), (44, 84, 34), (92, 136, 52), (170, 196, 104)]
    if rng.random() < 0.3:
        greens = [(48, 30, 18), (120, 66, 26), (186, 122, 44), (222, 190, 112)]
    greens = [jitter(rng, c, 12) for c in greens]
    canvas = ramp(noise(rng, shape, side / 5, 5), greens)
    _leaves(canvas, rng, int(rng.integers(40, 90)), side / 9, greens[:3])
    canvas = cv2.GaussianBlur(canvas, (0, 0), side * rng.uniform(0.004, 0.015))
    _leaves(canvas, rng, int(rng.integers(15, 70)), side / 9, greens[1:])
    return canvas


def _bark(rng: Rng, shape: Sequence[int], side: int) -> np.ndarray:
    browns: List[ArrayLike] = [(38, 28, 22), (84, 64, 48), (134, 110, 86), (186, 168, 142)]
    browns = [jitter(rng, c, 14) for c in browns]
    tall = rng.uniform(3, 7)
    ridges = noise(rng, shape, side / 22, 4, (1.0, tall))
    values = 0.6 * (1 - np.abs(2 * ridges - 1)) + 0.4 * noise(rng, shape, side / 8, 5, (1, 2))
    canvas = ramp(np.clip(values, 0, 1), browns)
    height, width = shape
    for _ in range(rng.integers(6, 18)):
        x = rng.uniform(0, width)
        y = np.linspace(0, height, 6)
        spine = smooth(np.stack([x + rng.normal(0, side / 60, 6), y], 1), closed=False, steps=4)
        line(canvas, spine, tone(browns[0], rng.uniform(0.5, 1)), side / 200 * rng.uniform(0.6, 2))
    lichen = noise(rng, shape, side / 7, 5)
    alpha = np.clip((lichen - rng.uniform(0.6, 0.75)) * 8, 0, 0.8)
    blend(canvas, jitter(rng, (142, 158, 118), 24), alpha)
    return canvas


def _grass(rng: Rng, shape: Sequence[int], side: int) -> np.ndarray:
    greens: List[ArrayLike] = [(34, 52, 22), (78, 112, 40), (136, 158, 66), (206, 206, 126)]
    if rng.random() < 0.3:
        greens = [(74, 58, 30), (142, 118, 62), (190, 168, 98), (226, 214, 160)]
    greens = [jitter(rng, c, 12) for c in greens]
    canvas = ramp(noise(rng, shape, side / 6, 5, (0.5, 1.6)), greens)
    height, width = shape
    count = int(rng.integers(120, 260))
    roots = np.sort(rng.uniform(0.1 * height, 1.25 * height, count))
    for index, y in enumerate(roots):
        length = side * rng.uniform(0.08, 0.26)
        frame = transform(length, rng.normal(90, 16), (rng.uniform(0, width), y))
        outline = blade(1.0, rng.uniform(0.05, 0.1), 0.8, rng.normal(0, 0.25), steps=7)
        color = tone(greens[rng.integers(1, 4)], 0.55 + 0.55 * index / count)
        fill(canvas, apply(frame, outline), jitter(rng, color, 10))
    return canvas


def _sky(rng: Rng, shape: Sequence[int], side: int) -> np.ndarray:
    blues: List[ArrayLike] = [(96, 140, 196), (138, 176, 218), (196, 214, 230), (244, 244, 242)]
    if rng.random() < 0.35:
        blues = [(104, 98, 122), (178, 140, 140), (228, 186, 152), (250, 232, 204)]
    blues = [jitter(rng, c, 12) for c in blues]
    rise = np.linspace(0, 0.35, shape[0], dtype=np.float32)[:, None]
    clouds = noise(rng, shape, side / 2.5, 6, (1.6, 0.8))
    canvas = ramp(np.clip(0.9 * clouds + rise - 0.1, 0, 1), blues)
    color = jitter(rng, (70, 92, 74), 22)
    base = rng.uniform(0.65, 1.05)
    for step in range(3):
        ridge = noise(rng, (2, shape[1]), side / rng.uniform(2, 8), 6)[0]
        top = shape[0] * (base + 0.12 * step - 0.2 * (ridge - 0.5))
        x = np.arange(shape[1])
        outline = np.vstack([np.stack([x, top], 1), [(shape[1], shape[0]), (0, shape[0])]])
        fill(canvas, outline, tone(color, 1.5 - 0.25 * step))
    return canvas


def _water(rng: Rng, shape: Sequence[int], side: int) -> np.ndarray:
    blues: List[ArrayLike] = [(22, 44, 58), (48, 88, 104), (104, 146, 154), (214, 226, 222)]
    if rng.random() < 0.4:
        blues = [(36, 42, 26), (80, 88, 54), (140, 146, 104), (220, 218, 186)]
    blues = [jitter(rng, c, 14) for c in blues]
    depth = np.linspace(0.4, 1.6, shape[0], dtype=np.float32)[:, None]
    swell = noise(rng, shape, side / 6, 4, (3.5, 0.7))
    rows = np.arange(shape[0], dtype=np.float32)[:, None] / side
    waves = 0.5 + 0.5 * np.sin(rows * rng.uniform(60, 130) / depth + 14 * swell)
    fine = noise(rng, shape, side / 20, 3, (5, 0.8))
    canvas = ramp(np.clip(0.45 * swell + 0.3 * waves + 0.35 * fine - 0.08, 0, 1), blues)
    for _ in range(rng.integers(0, 9)):
        center = rng.uniform((0, 0), shape[::-1])
        radius = side * rng.uniform(0.03, 0.09)
        pad = ellipse(center, (radius, 0.4 * radius), rng.uniform(-6, 6))
        fill(canvas, pad + (0, radius / 8), tone(blues[0], 0.8))
        fill(canvas, pad, jitter(rng, (84, 132, 64), 22))
    return canvas


def _pebble(
    canvas: np.ndarray, rng: Rng, center: np.ndarray, radius: float, color: np.ndarray
) -> None:
    knots = ellipse((0, 0), (1.0, rng.uniform(0.55, 0.9)), rng.uniform(0, 180), steps=9)
    knots = smooth(knots * rng.uniform(0.86, 1.12, (9, 1)), steps=4) * radius
    fill(canvas, knots + center + (0, 0.18 * radius), tone(color, 0.4))
    fill(canvas, knots + center, tone(color, 0.85))
    fill(canvas, knots * 0.8 + center - 0.08 * radius, color)
    fill(canvas, knots * 0.45 + center - 0.22 * radius, tone(color, 1.14))


def _stones(rng: Rng, shape: Sequence[int], side: int) -> np.ndarray:
    grays: List[ArrayLike] = [(48, 44, 40), (104, 98, 90), (150, 144, 134), (206, 200, 188)]
    tint = rng.normal(0, 12, 3)
    grays = [np.clip(jitter(rng, c, 8) + tint, 0, 255) for c in grays]
    canvas = ramp(noise(rng, shape, side / 8, 5), grays[:3])
    count = int(rng.integers(50, 120))
    centers = rng.uniform((0, 0), shape[::-1], (count, 2))
    for center in centers[np.argsort(centers[:, 1])]:
        color = jitter(rng, grays[rng.integers(1, 4)], 18)
        _pebble(canvas, rng, center, side * rng.uniform(0.02, 0.085), color)
    grain = noise(rng, shape, 6, 2)
    canvas[:] = np.clip(canvas * (0.82 + 0.36 * grain[..., None]), 0, 255)
    return canvas


_SCENES = (_foliage, _bark, _grass, _sky, _water, _stones)
_GROUNDS = (_grass, _water, _stones, _foliage)


def _blobs(canvas: np.ndarray, rng: Rng, count: int, side: int) -> None:
    """Lay soft spots of plumage colors on the canvas, at a quarter of the resolution."""
    height, width = canvas.shape[:2]
    small = cv2.resize(canvas, (max(1, width // 4), max(1, height // 4)))
    spots, cover = small.copy(), np.zeros(small.shape[:2], np.uint8)
    for _ in range(count):
        center = rng.uniform((0, 0), small.shape[1::-1])
        radii = side / 4 * rng.uniform(0.02, 0.11, 2)
        outline = ellipse(center, radii, rng.uniform(0, 180))
        fill(spots, outline, plumage_color(rng, 0.6))
        fill(cover, outline, rng.uniform(90, 230))
    sigma = side / 4 * rng.uniform(0.006, 0.02)
    spots, cover = (cv2.GaussianBlur(a, (0, 0), sigma) for a in (spots, cover))
    spots, cover = (cv2.resize(a, (width, height)) for a in (spots, cover))
    blend(canvas, spots, cover.astype(np.float32) / 255)


def _twig(canvas: np.ndarray, rng: Rng, side: int) -> None:
    start = rng.uniform((0, 0), canvas.shape[1::-1])
    frame = transform(side * rng.uniform(0.2, 0.6), rng.uniform(0, 360), start)
    knots = np.stack([np.linspace(0, 1, 5), rng.normal(0, 0.06, 5)], axis=1)
    thickness = rng.uniform(0.015, 0.05)
    color = jitter(rng, (104, 82, 62), 24)
    for spread in (0, rng.uniform(20, 50)):
        part = compose(frame, transform(1 - spread / 90, spread, knots[2] * (spread > 0)))
        spine = smooth(apply(part, knots), closed=False, steps=5)
        fill(canvas, stroke_outline(spine, side * thickness * 0.4, side / 250), color)
        line(canvas, spine - (0, side / 400), tone(color, 1.2), 1)


def _flower(canvas: np.ndarray, rng: Rng, side: int) -> None:
    center = rng.uniform((0, 0), canvas.shape[1::-1])
    size, color = side * rng.uniform(0.015, 0.04), plumage_color(rng, 0.8)
    turn = rng.uniform(0, 90)
    petals = int(rng.integers(4, 8))
    for step in range(petals):
        frame = transform(size, turn + 360.0 * step / petals, center)
        fill(canvas, apply(frame, blade(1.0, 0.6, 0.6)), tone(color, rng.uniform(0.85, 1.1)))
    fill(canvas, ellipse(center, (size / 4, size / 4), steps=10), jitter(rng, (226, 186, 70), 20))


def add_clutter(canvas: np.ndarray, rng: Rng, amount: float) -> None:
    """Put leaves, twigs, pebbles, flowers and soft spots on a background, uint8 (H, W, 3), in place.

    ``amount`` is a factor on the number of things; 0 leaves the canvas unchanged.
    """
    side = max(canvas.shape[:2])

    def many(low: int, high: int) -> int:
        return round(float(amount * rng.integers(low, high + 1)))

    _blobs(canvas, rng, many(3, 14), side)
    for _ in range(many(0, 4)):
        _twig(canvas, rng, side)
    for _ in range(many(0, 8)):
        center = rng.uniform((0, 0), canvas.shape[1::-1])
        _pebble(canvas, rng, center, side * rng.uniform(0.01, 0.04), plumage_color(rng))
    palette = [plumage_color(rng, 0.25) for _ in range(3)]
    _leaves(canvas, rng, many(2, 22), side / 14, palette)
    for _ in range(many(0, 8)):
        _flower(canvas, rng, side)


def draw_background(rng: Rng, shape: Sequence[int], clutter: float) -> Tuple[np.ndarray, bool]:
    """Draw a scene of ``shape`` (height, width) with ``clutter`` times the usual number of things.

    Returns:
        Uint8 RGB array of shape (height, width, 3), and whether a bird could stand in the scene.
    """
    side = max(shape)
    scene = _SCENES[rng.integers(len(_SCENES))]
    canvas = scene(rng, shape, side)
    mixed = bool(rng.random() < MIXED_SCENE)
    if mixed:
        ground = _GROUNDS[rng.integers(len(_GROUNDS))](rng, shape, side)
        rows = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
        edge = rows - rng.uniform(0.4, 0.8) + 0.25 * (noise(rng, shape, side / 5, 5) - 0.5)
        blend(canvas, ground, np.clip(edge * rng.uniform(8, 40) + 0.5, 0, 1))
    light = 0.75 + 0.5 * noise(rng, shape, side / 2, 2)
    canvas[:] = np.clip(canvas * light[..., None], 0, 255)
    if rng.random() < 0.35:
        canvas = cv2.GaussianBlur(canvas, (0, 0), side * rng.uniform(0.003, 0.01))
    add_clutter(canvas, rng, clutter)
    return canvas, mixed or scene in _GROUNDS
