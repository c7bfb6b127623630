"""A small VGG and small data sets in the list format, made on the spot."""

import os

import numpy as np
from deterministic import value
from PIL import Image

WIDTH = 0.125
_BLOCKS = ((8, 2), (16, 2), (32, 3), (64, 3), (64, 3))
_ADD = 128


def vgg_shapes(classes, head="linear", norm="none"):
    """Variable name -> shape of VGG16-GAP at width 1/8, written down without building it."""
    shapes, below = {}, 3
    layers = [
        (f"conv{block}_{index}", channels)
        for block, (channels, repeats) in enumerate(_BLOCKS, 1)
        for index in range(1, repeats + 1)
    ]
    for name, channels in layers + [("add", _ADD)]:
        shapes[name + "/W"] = (3, 3, below, channels)
        if norm == "none":
            shapes[name + "/b"] = (channels,)
        else:
            for part in ("gamma", "beta", "mean/EMA", "variance/EMA"):
                shapes[f"{name}/bn/{part}"] = (channels,)
        below = channels
    shapes[head + "/W"] = (below, classes)
    shapes[head + "/b"] = (classes,)
    return shapes


def vgg_variables(classes, head="linear", norm="none"):
    """Variable name -> float32 array, the same at every call."""
    return {name: value(name, shape) for name, shape in vgg_shapes(classes, head, norm).items()}


def plain(color, height=40, width=48):
    """uint8 RGB image of one color."""
    return np.full((height, width, 3), color, "uint8")


def write_list(data, split, rows, name="tiny"):
    """Write ``labels/<name>/<split>.txt`` and its images below ``<split>/``.

    Args:
        data: folder of the data set.
        split: ``"train"`` or ``"val"``.
        rows: (file name, uint8 RGB image or ``None`` to list it only, class, boxes).
        name: the list's folder.
    """
    lines = []
    for file_name, picture, class_index, boxes in rows:
        path = os.path.join(str(data), split, file_name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if picture is not None:
            Image.fromarray(picture).save(path, quality=95)
        numbers = [class_index] + [number for box in boxes for number in box]
        lines.append(" ".join([file_name] + [str(number) for number in numbers]))
    path = os.path.join(str(data), "labels", name, split + ".txt")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as stream:
        stream.write("\n".join(lines) + "\n")
