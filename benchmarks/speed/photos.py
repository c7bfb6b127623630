"""The batch that every contender gets: the images that come with the project."""

import os

import numpy as np

from dgl.data import list_images, read_image
from dgl.data.views import demo_input

SIZE = 224
FOLDER = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "images"
)


def batch(count, size=SIZE, folder=FOLDER):
    """A batch of different images; after the last one they repeat, mirrored.

    Args:
        count: at most twice the images there are.
        size: side in pixels.
        folder: where the images are.

    Returns:
        (count, size, size, 3) uint8 BGR.

    Raises:
        ValueError: ``count`` exceeds the different images there are.
    """
    paths = list_images(folder)
    if count > 2 * len(paths):
        raise ValueError(f"{count} images of {len(paths)} and their mirror images")
    found = [np.round(demo_input(read_image(path), size)) for path in paths[:count]]
    found += [image[:, ::-1] for image in found]
    return np.clip(np.stack(found[:count]), 0, 255).astype(np.uint8)
