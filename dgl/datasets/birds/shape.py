"""Pose and outline of a bird of the embedded data set, without regard to its class.

The bird's frame has the body's length (breast to rump) as unit, x towards the beak, y down, and the
middle of the body as origin. Nothing here knows the class: the head is only a skull and the room
around it.
"""

from collections import namedtuple
from typing import Tuple

import numpy as np

from dgl.datasets.birds.canvas import (
    apply,
    blade,
    compose,
    ellipse,
    smooth,
    stroke_outline,
    transform,
)
from dgl.datasets.birds.heads import REACH

# Radius of the skull in body lengths, before the factor `head_scale`. With beak and crest a head of
# 0.17 is 15 to 30 % of a bird's whole length.
HEAD_RADIUS = 0.17

# How the bird is seen, and how often.
STANCES = ("perched", "standing", "flying")
STANCE_WEIGHTS = (0.42, 0.38, 0.2)

BirdShape = namedtuple(
    "BirdShape",
    "stance body_frame head_frame trunk tail legs feet far_wing near_wing coverts folded_wing",
)


def _body(depth):
    d = depth
    return smooth(
        [(0.50, -0.05), (0.42, 0.65 * d), (0.17, 1.0 * d), (-0.15, 0.92 * d), (-0.40, 0.5 * d)]
        + [(-0.6, 0.06 * d), (-0.45, -0.4 * d), (-0.15, -0.82 * d), (0.15, -0.95 * d)]
        + [(0.38, -0.7 * d)]
    )


def _tail(rng, body_frame):
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


def _spread_wing(rng, body_frame, lift, size):
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


def _folded_wing(rng, body_frame, depth):
    d = depth
    tip = rng.uniform(-0.92, -0.6)
    belly = rng.uniform(0.4, 0.65)
    knots = [(0.32, -0.28 * d), (0.24, 0.3 * d), (-0.05, belly * d), (-0.4, 0.34 * d)]
    knots += [(tip, 0.08 * d), (-0.4, -0.38 * d), (0.05, -0.6 * d)]
    hinge = compose(body_frame, transform(1.0, rng.uniform(-9, 6), (0.2, 0.0)))
    return hinge, smooth(np.array(knots) - (0.2, 0.0)), np.array(knots) - (0.2, 0.0)


def _legs(rng, body_frame, depth, stance):
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


def sample_shape(rng: np.random.Generator, head_scale: float = 1.0) -> BirdShape:
    """Draw a pose and build its outlines.

    Args:
        rng: ``numpy.random.Generator``.
        head_scale: factor on the size of the head.

    Returns:
        BirdShape. ``body_frame`` and ``head_frame`` are 2 x 3 maps into the bird's frame;
        ``trunk`` (body, neck, skull), ``tail``, ``far_wing``, ``near_wing`` and ``coverts`` are
        lists of (N, 2) outlines, the wings empty unless they are spread; ``folded_wing`` is
        ``(2 x 3 map, outline, knots)`` in the wing's own frame, or None when the wing is spread;
        ``legs`` is a list of lists of outlines, ``feet`` two points.
    """
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

    far_wing, near_wing, coverts, folded = [], [], [], None
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
