"""Images that depend on nothing but a seed, and small data sets of them.

The stored maps in ``reference/`` were computed by TensorFlow 1.15.5 with `blob_image` and the weights of
`networks.value`: those of layer 2 by the original program, the others by this one.
"""

import os

import numpy as np
from PIL import Image

TESTS = os.path.dirname(os.path.abspath(__file__))
REFERENCE = os.path.join(TESTS, "reference")


def blob_image(seed=1, height=300, width=400):
    """uint8 RGB (height, width, 3): a dozen blobs with noise; seed 1 is the reference image."""
    rng = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3))
    for _ in range(12):
        y, x, sigma = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(10, 60)
        blob = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma * sigma))
        image += blob[..., None] * rng.uniform(0, 255, 3)
    image += rng.normal(0, 8, image.shape)
    return np.clip(image, 0, 255).astype("uint8")


def rectangle_image(seed, height, width):
    """uint8 RGB: a rectangle and some noise, which GrabCut cuts out quickly, unlike blobs."""
    image = np.full((height, width, 3), 90.0)
    image[height // 4 : height // 2 + 10, width // 4 : width // 2 + 20] = (200, 60, 40)
    noise = np.random.RandomState(seed).normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype("uint8")


def plain(color, height=40, width=48):
    """uint8 RGB image of one color."""
    return np.full((height, width, 3), color, "uint8")


def exif_of(orientation):
    """What says how an image is turned, to store with it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def write_list(data, split, rows, name="tiny"):
    """Write ``labels/<name>/<split>.txt`` and its images below ``<split>/``.

    Args:
        data: folder of the data set.
        split: ``"train"`` or ``"val"``.
        rows: (file name, uint8 RGB image or ``None`` to list it only, class, boxes).
        name: the list's folder.
    """
    lines = []
    for file_name, image, class_index, boxes in rows:
        path = os.path.join(str(data), split, file_name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if image is not None:
            Image.fromarray(image).save(path, quality=95)
        numbers = [class_index] + [number for box in boxes for number in box]
        lines.append(" ".join([file_name] + [str(number) for number in numbers]))
    path = os.path.join(str(data), "labels", name, split + ".txt")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as stream:
        stream.write("\n".join(lines) + "\n")
