"""Anatomy of the drawn birds: pose and outline of the body, and the heads of the eight classes.

The bird's frame has the body's length (breast to rump) as unit, x towards the beak, y down, and the
middle of the body as origin. A head has a frame of its own: origin at the middle of the skull, unit
length the skull's radius. The body does not depend on the class; the head alone tells classes apart.
"""

from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from dgl.datasets.birds.canvas import (
    Rng,
    apply,
    blade,
    compose,
    ellipse,
    jitter,
    smooth,
    stroke_outline,
    tone,
    transform,
)
from dgl.utils.types import ArrayLike

# How far crest and beak may reach from the middle of the skull, in skull radii. Every class gets this
# room, so that size and place of a bird do not depend on its class.
REACH = 2.45

# Standard deviation of the color of a head's parts from bird to bird, in gray levels.
COLOR_JITTER = 9.0


class HeadDesign(NamedTuple):
    """The head of a class."""

    name: str  # of the class
    crest: Optional[Tuple[str, ArrayLike, ArrayLike]]  # (shape, color, color of the tip), or `None`
    markings: Tuple[Tuple[str, ArrayLike], ...]  # (shape, color) each, in the order of painting
    beak: str  # shape of the beak
    beak_color: ArrayLike  # (R, G, B)


_CRIMSON = (205, 28, 42)
_GOLD = (246, 190, 26)
_BLACK = (26, 24, 28)
_WHITE = (244, 243, 236)
_AZURE = (36, 104, 214)
_TEAL = (16, 158, 150)
_VIOLET = (136, 58, 186)
_JADE = (40, 160, 84)
_ORANGE = (240, 122, 22)
_SLATE = (92, 112, 134)

HEADS = (
    HeadDesign(
        "Crimson_Crest", ("spikes", _CRIMSON, _CRIMSON), (("cap", _CRIMSON),), "cone", _GOLD
    ),
    HeadDesign("Golden_Cap", None, (("cap", _GOLD), ("eyeline", _BLACK)), "needle", _BLACK),
    HeadDesign("Masked_Hookbill", None, (("mask", _BLACK),), "hook", _ORANGE),
    HeadDesign(
        "White_browed_Plume",
        ("plume", _WHITE, _WHITE),
        (("cap", _BLACK), ("brow", _WHITE)),
        "upturned",
        _SLATE,
    ),
    HeadDesign("Azure_Hood", None, (("hood", _AZURE), ("cheek", _WHITE)), "short", _BLACK),
    HeadDesign(
        "Teal_Topknot", ("topknot", _TEAL, _TEAL), (("bib", _TEAL),), "short", (214, 44, 40)
    ),
    HeadDesign("Violet_Fan", ("fan", _VIOLET, _BLACK), (("eyeline", _VIOLET),), "decurved", _SLATE),
    HeadDesign("Jade_cheeked_Bigbill", None, (("cheek", _JADE),), "big", (226, 66, 40)),
)

CLASS_NAMES = tuple(head.name for head in HEADS)

_BEAKS = {
    "cone": smooth(
        [(0.7, -0.42), (1.15, -0.28), (1.72, 0.16), (1.2, 0.36), (0.7, 0.46), (0.5, 0.0)]
    ),
    "needle": np.array([(0.8, -0.17), (1.4, -0.06), (2.3, 0.1), (1.4, 0.17), (0.8, 0.24)]),
    "hook": smooth(
        [(0.62, -0.5), (1.2, -0.5), (1.66, -0.08), (1.62, 0.66), (1.32, 0.34), (0.75, 0.5)]
    ),
    "upturned": smooth(
        [(0.8, -0.16), (1.4, -0.05), (1.95, -0.2), (2.32, -0.52), (2.05, -0.02), (1.45, 0.16)]
        + [(0.8, 0.22)]
    ),
    "short": np.array([(0.78, -0.28), (1.1, -0.14), (1.45, 0.1), (1.1, 0.22), (0.78, 0.34)]),
    "decurved": smooth(
        [(0.75, -0.25), (1.4, -0.2), (1.95, 0.14), (2.25, 0.75), (1.75, 0.36), (1.3, 0.17)]
        + [(0.75, 0.27)]
    ),
    "big": smooth(
        [(0.55, -0.56), (1.3, -0.68), (2.0, -0.42), (2.36, 0.34), (1.9, 0.3), (1.3, 0.44)]
        + [(0.6, 0.52)]
    ),
}

# The line between the upper and the lower half of each beak.
_GAPES = {
    "cone": [(0.75, 0.08), (1.6, 0.15)],
    "needle": [(0.8, 0.04), (2.1, 0.09)],
    "hook": [(0.7, 0.12), (1.35, 0.22)],
    "upturned": [(0.8, 0.03), (1.5, 0.05), (2.1, -0.2)],
    "short": [(0.8, 0.06), (1.35, 0.09)],
    "decurved": [(0.8, 0.02), (1.4, 0.0), (2.0, 0.36)],
    "big": [(0.6, 0.05), (1.4, -0.02), (2.2, 0.16)],
}

_MARKINGS = {
    "cap": smooth(
        [(1.1, -0.3), (0.4, -0.3), (-0.5, -0.22), (-1.2, 0.12), (-1.3, -0.7), (0.0, -1.4)]
    ),
    "eyeline": smooth(
        [(0.95, -0.16), (0.3, -0.32), (-0.6, -0.26), (-1.15, 0.1), (-0.5, 0.08), (0.4, 0.06)]
    ),
    "mask": smooth(
        [(1.1, -0.45), (0.3, -0.55), (-0.55, -0.4), (-0.95, 0.05), (-0.3, 0.42), (0.5, 0.42)]
        + [(1.1, 0.3)]
    ),
    "brow": smooth([(0.85, -0.36), (0.2, -0.56), (-0.6, -0.5), (-1.2, -0.1), (-0.5, -0.2)]),
    "hood": ellipse((-0.05, 0.05), (1.25, 1.3)),
    "cheek": ellipse((-0.1, 0.36), (0.56, 0.44), 12),
    "bib": smooth([(1.0, 0.22), (0.2, 0.25), (-0.5, 0.7), (-0.1, 1.7), (0.8, 1.5), (1.2, 0.7)]),
}


def _crest(shape: str, rng: Rng) -> List[Tuple[np.ndarray, int]]:
    """Polygons of a crest, as (outline, part): part 0 is the plume, 1 its tip."""
    parts = []
    sweep = rng.uniform(-8, 8)
    if shape == "spikes":
        for angle, length in ((158, 1.35), (139, 1.6), (120, 1.65), (101, 1.3)):
            root = transform(1.0, angle + sweep, (-0.1, -0.25))
            parts.append((apply(root, blade(length + 0.35, 0.5, 0.8, 0.12)), 0))
    elif shape == "fan":
        angles = np.linspace(172, 62, 8) + sweep
        for angle in angles:
            root = transform(1.0, angle, (-0.05, -0.1))
            tip = compose(root, transform(1.0, 0, (1.55, 0)))
            parts.append((apply(root, blade(2.1, 0.52, 0.55)), 0))
            parts.append((apply(tip, blade(0.62, 0.44, 0.5)), 1))
    elif shape == "plume":
        for lift in (0.0, 0.3):
            spine = smooth(
                [(-0.5, -0.5), (-1.1, -0.62 - lift), (-1.75, -0.4 - lift), (-2.2, 0.25 - lift)],
                closed=False,
            )
            parts.append((stroke_outline(spine, 0.36, 0.1), 0))
    else:
        spine = smooth([(0.05, -0.8), (0.0, -1.4), (0.35, -1.9)], closed=False)
        parts.append((stroke_outline(spine, 0.16, 0.16), 0))
        drop = compose(transform(1.0, 20 + sweep, (0.12, -1.72)), transform(0.95))
        parts.append((apply(drop, blade(1.0, 0.62, 0.6, 0.35)), 0))
    return parts


def draw_crest(painter: Any, frame: np.ndarray, class_index: int, rng: Rng) -> None:
    """Paint the crest of a class, which lies behind the skull, as :func:`draw_face` the face."""
    crest = HEADS[class_index].crest
    if crest is None:
        return
    shape, color, tip = crest
    colors = jitter(rng, color, COLOR_JITTER), jitter(rng, tip, COLOR_JITTER)
    for outline, part in _crest(shape, rng):
        shade = rng.uniform(0.88, 1.06)
        painter.part(apply(frame, outline), tone(colors[part], shade), edge=0.6)


def draw_face(painter: Any, frame: np.ndarray, class_index: int, rng: Rng) -> None:
    """Paint markings, beak and eye of a class on a skull; ``frame`` maps the head's to image pixels."""
    design = HEADS[class_index]
    for shape, color in design.markings:
        painter.marking(apply(frame, _MARKINGS[shape]), jitter(rng, color, COLOR_JITTER))
    stretch = np.array([[rng.uniform(0.95, 1.05), 0, 0], [0, rng.uniform(0.92, 1.08), 0]])
    beak = compose(frame, stretch)
    color = jitter(rng, design.beak_color, COLOR_JITTER)
    painter.part(apply(beak, _BEAKS[design.beak]), color, edge=0.55)
    if design.beak == "big":
        tip = ellipse((2.12, 0.1), (0.36, 0.34), -60)
        painter.marking(apply(beak, tip), jitter(rng, _BLACK, COLOR_JITTER))
    painter.crease(apply(beak, _GAPES[design.beak]), tone(color, 0.45))
    ring = jitter(rng, (232, 226, 208), 10)
    for radius, shade in ((0.25, ring), (0.185, (18, 14, 14))):
        painter.part(apply(frame, ellipse((0.3, -0.16), (radius, radius), steps=16)), shade)
    painter.part(apply(frame, ellipse((0.36, -0.23), (0.065, 0.065), steps=10)), (250, 250, 250))


# Radius of the skull in body lengths, before the factor `head_scale`: with beak and crest a head is
# 15 to 30 % of a bird's whole length.
HEAD_RADIUS = 0.17

# How the bird is seen, and how often.
STANCES = ("perched", "standing", "flying")
STANCE_WEIGHTS = (0.42, 0.38, 0.2)


class BirdShape(NamedTuple):
    """Pose and outlines of a bird in its frame."""

    stance: str  # one of `STANCES`
    body_frame: np.ndarray  # 2 x 3 map into the bird's frame
    head_frame: np.ndarray  # 2 x 3 map into the bird's frame
    trunk: List[np.ndarray]  # (N, 2) outlines of body, neck and skull
    tail: List[np.ndarray]  # outlines of its feathers
    legs: List[List[np.ndarray]]  # outlines of each leg, the far one first
    feet: List[np.ndarray]  # two points
    # Outlines of feathers, empty unless the wings are spread.
    far_wing: List[np.ndarray]
    near_wing: List[np.ndarray]
    coverts: List[np.ndarray]
    # (2 x 3 map, outline, knots) in the wing's own frame, `None` for spread wings.
    folded_wing: Optional[Tuple[np.ndarray, np.ndarray, np.ndarray]]


def _body(depth: float) -> np.ndarray:
    d = depth
    return smooth(
        [(0.50, -0.05), (0.42, 0.65 * d), (0.17, 1.0 * d), (-0.15, 0.92 * d), (-0.40, 0.5 * d)]
        + [(-0.6, 0.06 * d), (-0.45, -0.4 * d), (-0.15, -0.82 * d), (0.15, -0.95 * d)]
        + [(0.38, -0.7 * d)]
    )


def _tail(rng: Rng, body_frame: np.ndarray) -> List[np.ndarray]:
    count = int(rng.integers(3, 8))
    length, spread = rng.uniform(0.3, 0.85), rng.uniform(4, 32)
    form = rng.uniform(-0.35, 0.35)
    root = compose(body_frame, transform(1.0, 180 + rng.uniform(-22, 18), (-0.40, 0.0)))
    feathers = []
    for side in np.linspace(-1, 1, count):
        outline = blade(0.2 + length * (1 + form * abs(side)), rng.uniform(0.1, 0.14), 0.45)
        feathers.append(apply(compose(root, transform(1.0, side * spread / 2)), outline))
    middle_last = np.argsort(-np.abs(np.linspace(-1, 1, count)), kind="stable")
    return [feathers[k] for k in middle_last]


def _spread_wing(
    rng: Rng, body_frame: np.ndarray, lift: float, size: float
) -> Tuple[List[np.ndarray], List[np.ndarray]]:
    """Flight feathers and coverts of an open wing, rooted at the shoulder."""
    shoulder = compose(body_frame, transform(size, 0, (0.16, -0.12)))
    count = int(rng.integers(8, 12))
    angles = np.linspace(lift - rng.uniform(10, 25), lift + rng.uniform(55, 85), count)[::-1]
    lengths = np.linspace(0.62, 1.0, count)
    fan, coverts = [], []
    for angle, length in zip(angles, lengths):
        feather = blade(length, 0.2, 0.42, 0.08)
        fan.append(apply(compose(shoulder, transform(1.0, angle)), feather))
        covert = blade(0.56 * length, 0.19, 0.42)
        coverts.append(apply(compose(shoulder, transform(1.0, angle)), covert))
    return fan, coverts


def _folded_wing(
    rng: Rng, body_frame: np.ndarray, depth: float
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    d = depth
    tip = rng.uniform(-0.92, -0.6)
    belly = rng.uniform(0.4, 0.65)
    knots = [(0.32, -0.28 * d), (0.24, 0.3 * d), (-0.05, belly * d), (-0.4, 0.34 * d)]
    knots += [(tip, 0.08 * d), (-0.4, -0.38 * d), (0.05, -0.6 * d)]
    hinge = compose(body_frame, transform(1.0, rng.uniform(-9, 6), (0.2, 0.0)))
    return hinge, smooth(np.array(knots) - (0.2, 0.0)), np.array(knots) - (0.2, 0.0)


def _legs(
    rng: Rng, body_frame: np.ndarray, depth: float, stance: str
) -> Tuple[List[List[np.ndarray]], List[np.ndarray]]:
    """Outlines of both legs with toes, the far one first, and the two places of the feet."""
    legs, feet = [], []
    drop, width = rng.uniform(0.2, 0.5), rng.uniform(0.03, 0.045)
    low = max(apply(body_frame, [(x, 0.85 * depth)])[0][1] for x in (-0.12, 0.06))
    for hip_x in (0.06, -0.12):
        hip = apply(body_frame, [(hip_x, 0.7 * depth)])[0]
        if stance == "flying":
            foot = (
                hip + apply(body_frame[:, :2] @ np.eye(2, 3), [(-0.34, rng.uniform(0.1, 0.2))])[0]
            )
            knee = 0.5 * (hip + foot) + (0.0, 0.04)
        else:
            foot = np.array([hip[0] + rng.uniform(-0.1, 0.12), low + drop])
            knee = np.array([0.5 * (hip[0] + foot[0]) - 0.05, 0.5 * (low + foot[1])])
        spine = smooth([hip, knee, foot], closed=False, steps=4)
        parts = [stroke_outline(spine, 1.5 * width, width)]
        for dx, dy in ((0.15, 0.02), (0.12, 0.05), (-0.09, 0.02)):
            ends = np.array([foot - (0, 0.3 * width), foot + (0.8 * dx, 0), foot + (dx, dy)])
            parts.append(stroke_outline(ends, width, 0.5 * width))
        legs.append(parts)
        feet.append(foot)
    return legs, feet


def sample_shape(rng: Rng, head_scale: float) -> BirdShape:
    """Draw a pose and build its outlines; ``head_scale`` is a factor on the size of the head."""
    stance = STANCES[rng.choice(len(STANCES), p=STANCE_WEIGHTS)]
    depth = rng.uniform(0.2, 0.3)
    lean = rng.uniform(-14, 26) if stance == "flying" else rng.uniform(-4, 48)
    body_frame = transform(1.0, lean)

    radius = HEAD_RADIUS * head_scale * rng.uniform(0.92, 1.08)
    neck_root = apply(body_frame, [(0.3, -0.2 * depth)])[0]
    reach = rng.uniform(0.30, 0.52) + 0.5 * max(0.0, radius - HEAD_RADIUS)
    climb = np.deg2rad(np.clip(lean + rng.uniform(8, 55), 12, 88))
    skull = neck_root + reach * np.array([np.cos(climb), -np.sin(climb)])
    head_frame = transform(radius, rng.uniform(-24, 24), skull)
    thick = rng.uniform(0.6, 0.82) * depth
    neck = stroke_outline(np.linspace(neck_root, skull, 5), 2 * thick, 1.5 * radius)

    far_wing: List[np.ndarray] = []
    near_wing: List[np.ndarray] = []
    coverts: List[np.ndarray] = []
    folded = None
    spread = stance == "flying" or rng.random() < 0.1
    lift, size = rng.uniform(98, 142), rng.uniform(0.75, 1.1)
    far_lift = lift - rng.uniform(12, 40)
    if spread:
        far_wing, _ = _spread_wing(rng, body_frame, far_lift, 0.92 * size)
        near_wing, coverts = _spread_wing(rng, body_frame, lift, size)
    else:
        folded = _folded_wing(rng, body_frame, depth)
    legs, feet = _legs(rng, body_frame, depth, stance)
    return BirdShape(
        stance=stance,
        body_frame=body_frame,
        head_frame=head_frame,
        trunk=[apply(body_frame, _body(depth)), neck, ellipse(skull, (radius, radius))],
        tail=_tail(rng, body_frame),
        legs=legs,
        feet=feet,
        far_wing=far_wing,
        near_wing=near_wing,
        coverts=coverts,
        folded_wing=folded,
    )


def extent(shape: BirdShape) -> Tuple[float, ...]:
    """Return (x0, y0, x1, y1) around a bird in its frame, with the room any class's head needs."""
    skull, radius = shape.head_frame[:, 2], np.hypot(*shape.head_frame[:, 0])
    outlines = shape.trunk + shape.tail + shape.far_wing + shape.near_wing
    outlines = outlines + [part for leg in shape.legs for part in leg]
    outlines.append(ellipse(skull, (REACH * radius, REACH * radius)))
    if shape.folded_wing is not None:
        outlines.append(apply(shape.folded_wing[0], shape.folded_wing[1]))
    points = np.vstack(outlines)
    return tuple(points.min(axis=0)) + tuple(points.max(axis=0))
