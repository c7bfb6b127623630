"""The eight heads of the embedded bird data set: the only thing that tells its classes apart.

A head is drawn in its own frame: origin at the middle of the skull, unit length the skull's radius,
x towards the beak, y down.
"""

from collections import namedtuple
from typing import Any

import numpy as np

from dgl.datasets.birds.canvas import (
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

# How far crest and beak may reach from the middle of the skull, in skull radii: the room that
# every class gets, so that size and place of a bird do not depend on its class.
REACH = 2.45

# Standard deviation of the color of a head's parts from bird to bird, in gray levels.
COLOR_JITTER = 9.0

HeadDesign = namedtuple("HeadDesign", "name crest markings beak beak_color")

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

# crest: (shape, color, tip color); markings: (shape, color), painted in this order.
HEADS = (
    HeadDesign(
        "Crimson_Crest",
        ("spikes", _CRIMSON, _CRIMSON),
        (("cap", _CRIMSON),),
        "cone",
        _GOLD,
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


def _crest(shape, rng):
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


def draw_crest(painter: Any, frame: np.ndarray, class_index: int, rng: np.random.Generator) -> None:
    """Paint the crest of a class, which lies behind the skull.

    Args:
        painter: object with ``part(points, color, edge)`` that takes points in image pixels.
        frame: 2 x 3 affine map from the head's frame to image pixels.
        class_index: int, 0-based.
        rng: ``numpy.random.Generator`` for small variation.
    """
    crest = HEADS[class_index].crest
    if crest is None:
        return
    shape, color, tip = crest
    colors = jitter(rng, color, COLOR_JITTER), jitter(rng, tip, COLOR_JITTER)
    for outline, part in _crest(shape, rng):
        shade = rng.uniform(0.88, 1.06)
        painter.part(apply(frame, outline), tone(colors[part], shade), edge=0.6)


def draw_face(painter: Any, frame: np.ndarray, class_index: int, rng: np.random.Generator) -> None:
    """Paint markings, beak and eye of a class on a skull that is already there.

    Args:
        painter: object with ``part``, ``marking(points, color)`` (kept inside the silhouette)
            and ``crease(points, color)``, all in image pixels.
        frame: 2 x 3 affine map from the head's frame to image pixels.
        class_index: int, 0-based.
        rng: ``numpy.random.Generator`` for small variation.
    """
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
