"""Render one image of a drawn bird: scene, bird, camera, silhouette and box.

Two species make a genus and share its kind of body; only the head differs. From the same generator
state, the sister species gets the same image with another head, and a species of another genus other
plumage as well.
"""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from dgl.datasets.birds.anatomy import (
    CLASS_NAMES,
    BirdShape,
    draw_crest,
    draw_face,
    extent,
    sample_shape,
)
from dgl.datasets.birds.canvas import (
    Rng,
    apply,
    blend,
    compose,
    ellipse,
    fill,
    jitter,
    line,
    noise,
    smooth,
    stroke_outline,
    tone,
    transform,
)
from dgl.datasets.birds.plumage import Genus, Painter, draw_texture, genus_of
from dgl.datasets.birds.scenes import draw_background, plumage_color

# Difficulty: factors on the size of the head and on the amount of clutter in a scene, and the fraction
# of the image's side that a bird's room takes.
HEAD_SCALE = 1.2
CLUTTER = 1.0
BIRD_FRACTION = (0.48, 0.96)

# Standard deviation of the body's colors from bird to bird, in gray levels.
PLUMAGE_JITTER = 26.0

# To be raised whenever the same seed gives other images.
DRAWING_VERSION = 1

# Images are drawn this many times larger and shrunk by area.
SUPERSAMPLE = 2

# Width over height of the images, drawn uniformly in the logarithm.
ASPECT = (0.72, 1.45)


class BirdImage(NamedTuple):
    """A rendered bird."""

    image: np.ndarray  # uint8 RGB (H, W, 3)
    mask: np.ndarray  # uint8 (H, W), 1 on the bird
    # ints `(x0, y0, x1, y1)`, tight around the mask, x1 and y1 exclusive
    box: Tuple[int, int, int, int]


def _colors(rng: Rng, genus: Genus) -> Dict[str, Any]:
    """Draw the colors of everything but the head's own parts, around those of the genus."""
    upper, lower = (jitter(rng, own, PLUMAGE_JITTER) for own in (genus.upper, genus.lower))
    wing = tone(upper, rng.uniform(0.7, 1.2)) if rng.random() < 0.6 else plumage_color(rng)
    flight = tone(wing, rng.uniform(0.5, 0.9)) if rng.random() < 0.7 else plumage_color(rng)
    head = (upper, lower, plumage_color(rng, 0.15))[rng.integers(3)]
    return {
        "upper": upper,
        "lower": lower,
        "head": head,
        "wing": wing,
        "flight": flight,
        "tail": flight if rng.random() < 0.5 else tone(upper, rng.uniform(0.7, 1.1)),
        "leg": jitter(rng, ((196, 120, 52), (84, 78, 76), (168, 96, 84))[rng.integers(3)], 14),
        "line": rng.uniform(-0.06, 0.12),
        "softness": rng.uniform(0.03, 0.25),
        "bars": int(rng.integers(0, 3)),
    }


def _support(
    canvas: np.ndarray, rng: Rng, shape: BirdShape, frame: np.ndarray, scale: float, ground: bool
) -> None:
    """Draw the bird's shadow if there is ground, or else a branch."""
    feet = apply(frame, shape.feet)
    width = canvas.shape[1]
    if shape.stance == "flying":
        return
    if shape.stance == "perched" or not ground:
        thickness = scale * rng.uniform(0.07, 0.16)
        slope = np.polyfit(feet[:, 0], feet[:, 1], 1)[0]
        x = np.linspace(-0.1 * width, 1.1 * width, 7)
        if rng.random() < 0.5:
            x = np.linspace(-0.1 * width, feet[:, 0].mean() + scale * rng.uniform(0.4, 0.9), 7)
        middle = feet.mean(axis=0)
        y = middle[1] + slope * (x - middle[0]) + 0.4 * thickness
        y = y + rng.uniform(-0.12, 0.12) * (x - middle[0]) ** 2 / width
        spine = smooth(np.stack([x, y], axis=1), closed=False, steps=6)
        color = jitter(rng, (112, 86, 64), 26)
        fill(canvas, stroke_outline(spine, thickness, 0.6 * thickness), tone(color, 0.7))
        upper = spine - (0, 0.12 * thickness)
        fill(canvas, stroke_outline(upper, 0.7 * thickness, 0.4 * thickness), color)
        for offset in rng.uniform(-0.35, 0.35, 5):
            start = int(rng.integers(0, len(spine) - 8))
            mark = spine[start : start + 8] + (0, offset * thickness)
            line(canvas, mark, tone(color, rng.uniform(0.55, 1.25)), 0.06 * thickness)
    else:
        shadow: np.ndarray = np.zeros(canvas.shape[:2], np.uint8)
        middle = feet.mean(axis=0) + (0.05 * scale, 0.03 * scale)
        radii = (scale * rng.uniform(0.35, 0.6), scale * rng.uniform(0.06, 0.12))
        fill(shadow, ellipse(middle, radii), 255)
        shadow = cv2.blur(shadow, (int(0.1 * scale) | 1, int(0.05 * scale) | 1))
        depth = rng.uniform(0.25, 0.6) / 255
        canvas[:] = canvas * (1 - depth * shadow[..., None].astype(np.float32))


def _paint_bird(
    canvas: np.ndarray, rng: Rng, head_rng: Rng, class_index: int, shape: BirdShape,
    frame: np.ndarray, scale: float,
) -> np.ndarray:  # fmt: skip
    """Paint the bird from back to front and return its silhouette, uint8 0..255."""
    painter = Painter(canvas, scale, rng.uniform(0.25, 1.0))
    genus = genus_of(class_index)
    colors, texture = _colors(rng, genus), draw_texture(rng, genus.texture)
    turn = rng.uniform(-0.6, 0.6)
    shade = rng.uniform(0.35, 0.7)
    body = compose(frame, shape.body_frame)
    head = compose(frame, shape.head_frame)

    def placed(outlines: Sequence[np.ndarray]) -> List[np.ndarray]:
        return [apply(frame, points) for points in outlines]

    painter.fan(placed(shape.far_wing), tone(colors["flight"], 0.75))
    for points in placed(shape.legs[0]):
        painter.part(points, tone(colors["leg"], 0.75))
    painter.fan(placed(shape.tail), colors["tail"])
    for points in placed(shape.legs[1]):
        painter.part(points, colors["leg"])
    draw_crest(painter, head, class_index, head_rng)
    painter.trunk(placed(shape.trunk), body, head, colors, texture)
    if shape.folded_wing is None:
        painter.fan(placed(shape.near_wing), colors["flight"])
        painter.fan(placed(shape.coverts), colors["wing"])
    else:
        hinge, outline, knots = shape.folded_wing
        painter.wing(compose(frame, hinge), outline, knots, colors, texture)
    painter.light((np.sin(turn), -np.cos(turn)), shade)
    draw_face(painter, head, class_index, head_rng)
    return painter.mask


def _camera(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Vary brightness, contrast and white balance, blur slightly, add sensor noise."""
    gain = rng.uniform(0.8, 1.18) * rng.uniform(0.95, 1.05, 3)
    offset, sigma, grain = rng.uniform(-16, 16), rng.uniform(0, 0.8), rng.uniform(1, 6)
    values: np.ndarray = (image.astype(np.float32) - 128) * gain.astype(np.float32) + 128 + offset
    if sigma > 0.25:
        values = cv2.GaussianBlur(values, (0, 0), sigma)
    values += grain * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def render_bird(class_index: int, rng: Rng, longest_side: int = 192) -> BirdImage:
    """Draw one bird of a class.

    Args:
        class_index: int in [0, 8), see :data:`CLASS_NAMES`.
        rng: ``numpy.random.Generator``; its state decides everything but the head's design.
        longest_side: longer side of the image in pixels.

    Raises:
        ValueError: ``class_index`` is not one of the classes.
    """
    if not 0 <= class_index < len(CLASS_NAMES):
        raise ValueError(f"class_index {class_index} is not in 0..{len(CLASS_NAMES) - 1}")
    # Heads and scenes have generators of their own, so that what they draw does not move the bird.
    head_rng, scene_rng = (np.random.default_rng(int(rng.integers(2**32))) for _ in range(2))
    aspect = float(np.exp(rng.uniform(*np.log(ASPECT))))
    width = longest_side if aspect >= 1 else round(longest_side * aspect)
    height = longest_side if aspect < 1 else round(longest_side / aspect)
    size = np.array([width, height])

    canvas, ground = draw_background(
        scene_rng, (SUPERSAMPLE * height, SUPERSAMPLE * width), CLUTTER
    )
    shape = sample_shape(rng, HEAD_SCALE)
    room = np.array(extent(shape)).reshape(2, 2)
    mirror = bool(rng.random() < 0.5)
    if mirror:
        room = np.array([[-room[1, 0], room[0, 1]], [-room[0, 0], room[1, 1]]])
    scale = rng.uniform(*BIRD_FRACTION) * SUPERSAMPLE * np.min(size / (room[1] - room[0]))
    slack = SUPERSAMPLE * size - scale * (room[1] - room[0])
    corner = rng.uniform(0.02, 0.98, 2) * slack
    frame = transform(scale, 0, corner - scale * room[0], mirror)

    _support(canvas, rng, shape, frame, scale, ground)
    silhouette = _paint_bird(canvas, rng, head_rng, class_index, shape, frame, scale)
    image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    haze = np.float32(rng.uniform(0, 0.25)) * noise(rng, (height, width), longest_side / 3, 3)
    blend(image, np.full(3, rng.uniform(120, 220)), haze)
    mask = cv2.resize(silhouette, (width, height), interpolation=cv2.INTER_AREA)
    mask = (mask >= 128).astype(np.uint8)
    x0, y0, box_width, box_height = cv2.boundingRect(mask)
    box = (int(x0), int(y0), int(x0 + box_width), int(y0 + box_height))
    return BirdImage(_camera(rng, image), mask, box)
