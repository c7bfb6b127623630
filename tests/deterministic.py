"""Weights and an image that depend on nothing but names and seeds, for comparisons across TensorFlows.

The stored maps in ``reference/`` were computed by TensorFlow 1.15.5 with exactly these values: those of
layer 2 by the original program, the others by this one.
"""

import os
import zlib

import numpy as np

TESTS = os.path.dirname(os.path.abspath(__file__))
REFERENCE = os.path.join(TESTS, "reference")


def value(name, shape):
    """The value of variable ``name``: seeded by the name, distributed by the kind of variable."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    parts = name.split("/")
    kind = parts[-2] if parts[-1] == "EMA" else parts[-1]
    if kind in ("W", "weights"):
        scale = np.sqrt(2.0 / max(1, int(np.prod(shape[:-1]))))
        return (rng.standard_normal(shape) * scale).astype("float32")
    if kind == "gamma":
        return rng.uniform(0.3, 0.7, shape).astype("float32")
    if "variance" in kind:
        return rng.uniform(0.5, 1.5, shape).astype("float32")
    if "mean" in kind or kind in ("beta", "b", "biases"):
        return (rng.standard_normal(shape) * 0.1).astype("float32")
    raise KeyError(name)


def picture(seed=1, height=300, width=400):
    """uint8 RGB (height, width, 3): a dozen blobs with noise; seed 1 is the reference picture."""
    rng = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3))
    for _ in range(12):
        y, x, sigma = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(10, 60)
        blob = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma * sigma))
        image += blob[..., None] * rng.uniform(0, 255, 3)
    image += rng.normal(0, 8, image.shape)
    return np.clip(image, 0, 255).astype("uint8")
