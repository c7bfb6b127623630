"""Random small maps, boxes and names, and a computation of boxes without OpenCV."""

from collections import Counter

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

sides = st.integers(1, 9)
shapes = st.tuples(sides, sides)
thresholds = st.one_of(st.integers(0, 20).map(lambda n: n / 20.0), st.floats(0, 1, allow_nan=False))


@st.composite
def score_maps(draw, shape=shapes):
    """float (H, W) in [0, 1]: few levels (ties, constant, zeros), any levels, or one bright pixel."""
    size = draw(shape)
    kind = draw(st.sampled_from(["levels", "levels", "floats", "constant", "pixel"]))
    if kind == "levels":
        top = draw(st.integers(1, 4))
        return draw(arrays(np.int64, size, elements=st.integers(0, top))) / float(top)
    if kind == "floats":
        return draw(arrays(np.float32, size, elements=st.floats(0, 1, width=32)))
    score_map = np.full(size, draw(st.sampled_from([0.0, 0.25, 1.0])))
    if kind == "pixel":
        score_map[draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))] = 1
    return score_map


def masks(shape=shapes):
    """uint8 (H, W) of 0 and 255."""
    return shape.flatmap(
        lambda size: arrays(np.uint8, size, elements=st.sampled_from([0, 255]), fill=st.nothing())
    )


def boxes_of(xs, ys):
    """A box ``(x0, y0, x1, y1)`` whose sides are numbers of two strategies."""
    sides = st.tuples(st.tuples(xs, xs).map(sorted), st.tuples(ys, ys).map(sorted))
    return sides.map(lambda s: (s[0][0], s[1][0], s[0][1], s[1][1]))


def whole_boxes(most=15, least=0):
    """A box of whole numbers from ``least`` to ``most``."""
    numbers = st.integers(least, most)
    return boxes_of(numbers, numbers)


@st.composite
def labeled_images(draw, classes=7):
    """(score map, boxes, label, logits) of one image, the boxes within the map."""
    height, width = draw(shapes)
    score_map = draw(score_maps(st.just((height, width))))
    within = boxes_of(st.integers(0, width - 1), st.integers(0, height - 1))
    boxes = draw(st.lists(within, min_size=1, max_size=3))
    label = draw(st.integers(0, classes - 1))
    logits = draw(arrays(np.float64, classes, elements=st.integers(0, 4)))
    return score_map, boxes, label, logits


def mask_of(image):
    """uint8 mask of the boxes of a labeled image; of some classes the rest of the last row is ignored."""
    score_map, boxes, label, _ = image
    mask = np.zeros(score_map.shape, np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0 : y1 + 1, x0 : x1 + 1] = 1
    if label % 2:
        mask[-1:][mask[-1:] == 0] = 255
    return mask


def components(mask, diagonal):
    """list of bool (H, W): the connected parts of a bool mask, by filling from pixel to pixel."""
    left, found = mask.copy(), []
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if diagonal or not (dy and dx)]
    while left.any():
        part = np.zeros_like(mask)
        todo = [tuple(np.argwhere(left)[0])]
        while todo:
            y, x = todo.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and left[y, x]:
                left[y, x], part[y, x] = False, True
                todo += [(y + dy, x + dx) for dy, dx in steps]
        found.append(part)
    return found


def _box(part, margin, shape):
    ys, xs = np.nonzero(part)
    right, bottom = xs.max() + 1 + margin, ys.max() + 1 + margin
    corners = (xs.min() - margin, ys.min() - margin)
    return tuple(map(int, corners + (min(right, shape[1] - 1), min(bottom, shape[0] - 1))))


def _area(part):
    """What lines through the centers of the pixels of a part enclose."""
    padded = np.pad(part, 1, mode="constant").astype(int)
    count = padded[1:, 1:] + padded[1:, :-1] + padded[:-1, 1:] + padded[:-1, :-1]
    return np.count_nonzero(count == 4) + np.count_nonzero(count == 3) / 2.0


def naive_boxes(mask):
    """Boxes of all contours of a mask, and those that may pass for the largest.

    A component's contour runs through its outermost pixels, a hole's through the pixels around it.

    Returns:
        (Counter of boxes, set of boxes): the latter of the contours of the largest area, and of holes
        that may tie with one.
    """
    is_set = mask > 0
    if not is_set.any():
        return Counter([(0, 0, 0, 0)]), {(0, 0, 0, 0)}
    padded = np.pad(is_set, 1, mode="constant")
    holes = [part[1:-1, 1:-1] for part in components(~padded, False) if not part[0, 0]]
    boxes, areas = Counter(), []
    for part in components(is_set, True):
        around = np.pad(part, 1, mode="constant")
        filled = ~[rest for rest in components(~around, False) if rest[0, 0]][0][1:-1, 1:-1]
        own = [_box(part, 0, mask.shape)]
        boxes.update(own)
        if _area(part) == 0:
            own += [_box(hole, 1, mask.shape) for hole in holes if (hole & filled).any()]
        areas.append((_area(filled), own))
    boxes.update(_box(hole, 1, mask.shape) for hole in holes)
    most = max(area for area, _ in areas)
    return boxes, {box for area, own in areas if area == most for box in own}
